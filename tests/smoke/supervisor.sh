#!/bin/sh
# The supervisor over two stand-ins: order, restarts, exit codes, signals, run directory.
# usage: supervisor.sh PATH-OF-TURNPIKE
set -u
turnpike=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
DIR=$(mktemp -d) || exit 1
export DIR
sup=
cleanup() {
	[ -n "$sup" ] && kill -9 "$sup" 2>/dev/null
	for f in "$DIR"/*.pid; do
		[ -f "$f" ] && kill -9 "$(cat "$f")" 2>/dev/null
	done
	rm -rf "$DIR"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

failed=0
ok() { # what, command...
	what=$1
	shift
	if "$@"; then
		echo "ok   $what"
	else
		echo "FAIL $what"
		failed=1
		sed 's/^/     | /' "$DIR/out" "$DIR/err" 2>/dev/null
	fi
}
# Waits up to twenty seconds for a command to succeed.
until_true() {
	for _ in $(seq 400); do
		"$@" 2>/dev/null && return 0
		sleep 0.05
	done
	return 1
}
said() { grep -q -- "$2" "$DIR/$1"; }
count() { [ "$(grep -c -- "$2" "$DIR/$1")" -ge "$3" ]; }
alive() { kill -0 "$1" 2>/dev/null; }
gone() { ! kill -0 "$1" 2>/dev/null; }
gone_or_zombie() { ! kill -0 "$1" || grep -q '^State:.Z' "/proc/$1/status"; }
pid_of() { cat "$DIR/$1.pid"; }
changed() { [ "$(cat "$DIR/$1.pid")" != "$2" ] && alive "$(cat "$DIR/$1.pid")"; }

ln -s "$here/fake_child.sh" "$DIR/control"
ln -s "$here/fake_child.sh" "$DIR/dataplane"
export TURNPIKE_CONTROL="$DIR/control" TURNPIKE_DATAPLANE="$DIR/dataplane"
cat >"$DIR/relay.yaml" <<END
run-dir: $DIR/run/relay
ports: [{ device: net_null0, addresses: [198.18.0.1/24, "fd00:18::1/64"] }]
listeners: [198.18.0.1:3478, "[fd00:18::1]:3478"]
relay: { addresses: [198.18.0.1, "fd00:18::1"] }
auth: { realm: example.org }
END

begin() { # plan of control, plan of the data plane
	echo "$1" >"$DIR/control.plan"
	echo "$2" >"$DIR/dataplane.plan"
	rm -f "$DIR"/*.log "$DIR"/*.exit
	"$turnpike" run -c "$DIR/relay.yaml" >"$DIR/out" 2>"$DIR/err" &
	sup=$!
}
end() { # expected status
	until_true gone_or_zombie "$sup" || return 1
	wait "$sup"
	got=$?
	sup=
	[ "$got" -eq "$1" ] || { echo "     status $got, expected $1"; return 1; }
}

# Start, ready line, run directory, lock.
begin serve serve
ok "ready line" until_true said out '^ready: udp:198.18.0.1:3478 udp:\[fd00:18::1\]:3478$'
ok "children get the file" said control.log "start -c $DIR/relay.yaml"
ok "run directory is private" test "$(stat -c %a "$DIR/run/relay")" = 750
"$turnpike" run -c "$DIR/relay.yaml" >"$DIR/out2" 2>"$DIR/err2"
ok "second start exits 75" test $? -eq 75
ok "and names the first" said err2 "process $sup"
ok "and does not disturb it" alive "$(pid_of control)"

# Signals that control gets.
kill -HUP "$sup"
kill -USR1 "$sup"
ok "HUP reaches control" until_true said control.log hup
ok "USR1 reaches control" until_true said control.log usr1
ok "and not the data plane" sh -c "! grep -q -e hup -e usr1 $DIR/dataplane.log"

# Restarts.
old=$(pid_of dataplane)
kill -9 "$old"
ok "data plane is restarted" until_true changed dataplane "$old"
old=$(pid_of control)
kill -9 "$old"
ok "control is restarted" until_true changed control "$old"
ok "ready again is logged" until_true said err ready-again
ok "but printed once" test "$(grep -c ready: "$DIR/out")" -eq 1
echo 75 >"$DIR/control.exit"
ok "75 is no end once it was ready" until_true count control.log start 3
touch "$DIR/run/relay/store" "$DIR/run/relay/foreign" "$DIR/run/relay/dataplane.lock"
control=$(pid_of control) dataplane=$(pid_of dataplane)
kill -TERM "$sup"
ok "TERM stops with 0" end 0
ok "control was asked" said control.log term
ok "data plane was asked" said dataplane.log term
ok "control is gone" gone "$control"
ok "data plane is gone" gone "$dataplane"
ok "store is removed" test ! -e "$DIR/run/relay/store"
ok "a lock left behind too" test ! -e "$DIR/run/relay/dataplane.lock"
ok "foreign file is not" test -e "$DIR/run/relay/foreign"
rm "$DIR/run/relay/foreign"

# A clean stop that control decides.
begin serve serve
ok "ready" until_true said out ready:
dataplane=$(pid_of dataplane)
echo 0 >"$DIR/control.exit"
ok "control's 0 stops all" end 0
ok "data plane is gone" gone "$dataplane"
ok "run directory is gone" test ! -e "$DIR/run/relay"
begin serve serve
ok "ready" until_true said out ready:
touch "$DIR/run/relay/store"
echo 10 >"$DIR/control.exit"
ok "control's 10 stops all" end 0
ok "and keeps the store" test -e "$DIR/run/relay/store"
ok "but not the lock" test ! -e "$DIR/run/relay/lock"

# Codes of a first start, from either side.
for code in 75 78; do
	begin mute "exit$code"
	ok "data plane's $code ends the first start" end $code
	begin "exit$code" serve
	ok "control's $code ends the first start" end $code
	ok "nothing is left running" gone "$(pid_of dataplane)"
done
begin mute exit1
ok "1 is tried again" until_true count dataplane.log start 3
ok "later each time" said err restart_ms=200
kill -INT "$sup"
ok "INT stops with 0" end 0
TURNPIKE_DATAPLANE=$DIR/nowhere begin serve serve
ok "a program that is not there exits 75" end 75
ok "and is named" said err "cannot start '$DIR/nowhere'"

begin serve deaf
ok "ready" until_true said out ready:
kill -TERM "$sup"
ok "a data plane that does not stop is killed" end 0
ok "and it is told" said err 'killed program=turnpike-dataplane'

# Nothing survives a supervisor that is killed.
begin serve serve
ok "ready" until_true said out ready:
control=$(pid_of control) dataplane=$(pid_of dataplane)
kill -9 "$sup"
wait "$sup" 2>/dev/null
sup=
ok "control ends with a killed supervisor" until_true gone "$control"
ok "data plane too" until_true gone "$dataplane"
begin serve serve
ok "the lock is free after it" until_true said out ready:
kill -TERM "$sup"
ok "stops" end 0

# Commands without a relay.
ok "check accepts" sh -c "'$turnpike' check -c '$DIR/relay.yaml' | grep -q ': ok$'"
echo 'lisetners: [198.18.0.1:3478]' >"$DIR/bad.yaml"
"$turnpike" check -c "$DIR/bad.yaml" 2>"$DIR/err"
ok "check refuses with 78" test $? -eq 78
ok "with file, line and the near key" said err "bad.yaml:1: 'lisetners' .*'listeners'"
"$turnpike" run -c "$DIR/none.yaml" 2>"$DIR/err"
ok "a missing file exits 78" test $? -eq 78
ok "and is named" said err 'none.yaml: cannot read the configuration: No such file'
"$turnpike" bogus 2>"$DIR/err"
ok "usage exits 2" test $? -eq 2
ok "version" sh -c "'$turnpike' --version | grep -q '^turnpike [0-9]'"
exit $failed
