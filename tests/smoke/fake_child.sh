#!/bin/sh
# Stands in for turnpike-control or turnpike-dataplane under the supervisor. What it does is named by
# the file $DIR/NAME.plan, one word; what happened to it is appended to $DIR/NAME.log.
name=$(basename "$0")
plan=$(cat "$DIR/$name.plan" 2>/dev/null)
log() { echo "$*" >>"$DIR/$name.log"; }
log "start $*"
echo $$ >"$DIR/$name.pid"
case $plan in
exit*) exit "${plan#exit}" ;;
esac
trap 'log hup' HUP
trap 'log usr1' USR1
[ "$plan" = deaf ] && trap 'log deaf' TERM || trap 'log term; exit 0' TERM
if [ "$name" = control ] && [ "$plan" != mute ]; then
	eval "echo 'ready: udp:198.18.0.1:3478 udp:[fd00:18::1]:3478' >&$TURNPIKE_READY_FD"
fi
while :; do
	sleep 0.05
	[ -f "$DIR/$name.exit" ] && code=$(cat "$DIR/$name.exit") && rm "$DIR/$name.exit" && exit "$code"
done
