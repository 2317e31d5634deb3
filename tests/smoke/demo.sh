#!/bin/sh
# The demonstration ends by itself with media relayed; interrupted, it leaves nothing behind.
# usage: demo.sh SOURCE-ROOT
. "$(dirname "$0")/relay_lab.sh"
lab_begin
root=$(cd "${1:-$LAB_HERE/../..}" && pwd)
[ "$(cd "$LAB_BUILD" && pwd)" = "$root/build" ] || lab_skip "runs what is built in build/"
[ -x "$root/build/coturn/usr/bin/turnutils_uclient" ] || lab_skip "needs coturn's utilities (./turnpike.sh setup)"
mkdir "$LAB_DIR/tmp"
TMPDIR=$LAB_DIR/tmp
export TMPDIR

once() {
	timeout 120 "$root/packaging/demo.sh" --once >"$LAB_DIR/once.log" 2>&1
}
lab_check "--once ends with 0" once
lab_check "and shows five rows without loss" sh -c "
	[ \$(grep -cE ' +([0-9]+) +[0-9]+ +0 +[0-9. ]+ ms\$' '$LAB_DIR/once.log') = 5 ]"
grep ' ms$' "$LAB_DIR/once.log" | sed 's/^/#   /'

# left PID: nothing of that demonstration is there any more.
left() {
	ip netns list | grep "turnpike-$1-" && return 1
	ls -A "$TMPDIR" | grep . && return 1
	for p in /proc/[0-9]*/cmdline; do
		tr '\0' ' ' <"$p" 2>/dev/null | grep -q "$TMPDIR\|turnpike-$1-" && { tr '\0' ' ' <"$p"; return 1; }
	done
	grep "$TMPDIR" /proc/net/unix && return 1
	ls /dev/hugepages 2>/dev/null | grep "turnpike\|demo" && return 1
	ip -o link | grep ': tp[0-9]' && return 1
	return 0
}
# interrupted SIGNAL LINE WHAT: begins, and gets the signal when that line has been printed.
interrupted() {
	: >"$LAB_DIR/demo.log"
	# A shell starts what is in the background deaf to INT.
	python3 - "$root/packaging/demo.sh" >"$LAB_DIR/demo.log" 2>&1 <<'E' &
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.setsid()
os.execv(sys.argv[1], sys.argv[1:])
E
	demo=$!
	LAB_PIDS="$LAB_PIDS $demo"
	lab_check "$3" lab_wait 60 grep -q "$2" "$LAB_DIR/demo.log"
	lab_check "in namespaces of its own" sh -c "[ \$(ip netns list | grep -c 'turnpike-$demo-') = 2 ]"
	kill -"$1" "-$demo"
	lab_check "$1 ends it" lab_gone "$demo"
	lab_check "and nothing is left: namespace, process, TAP, socket, file" left "$demo"
}
interrupted TERM '^run: ready' "it becomes ready"
interrupted INT 'keeps serving' "it keeps serving"
lab_end
