# Network namespaces for smoke tests; source it. Names carry the process id, so that two runs do not
# meet, and everything made here is unmade at exit, also after a failure.
#
#   . "$(dirname "$0")/lab.sh"
#   lab_begin                       root, tools; else exit status 77: skipped
#   lab_pair relay peer             two namespaces joined by a veth, eth0 at both ends, set up
#   lab_in relay ip addr            runs a command in a namespace
#   lab_start relay NAME COMMAND..  in the background; output in $LAB_DIR/NAME.log, pid in $LAB_PID
#   lab_stop PID                    TERM, and waits
#   lab_wait SECONDS COMMAND...     until the command succeeds
#   lab_check WHAT COMMAND...       one line "ok" or "not ok"
#   lab_end                         exit status by what lab_check saw

LAB=tp$$
LAB_DIR=
LAB_SPACES=
LAB_PIDS=
LAB_GOOD=0
LAB_BAD=0
LAB_BUILD=${TURNPIKE_BUILD:-$(cd "$(dirname "$0")/../.." && pwd)/build}
LAB_HERE=$(cd "$(dirname "$0")" && pwd)

lab_skip() {
	echo "skipped: $*"
	exit 77
}

lab_cleanup() {
	status=$?
	trap - EXIT INT TERM HUP
	for pid in $LAB_PIDS; do
		kill "$pid" 2>/dev/null
	done
	for pid in $LAB_PIDS; do
		lab_gone "$pid" || kill -9 "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	for ns in $LAB_SPACES; do
		for pid in $(ip netns pids "$LAB-$ns" 2>/dev/null); do
			kill -9 "$pid" 2>/dev/null
		done
		ip netns del "$LAB-$ns" 2>/dev/null
	done
	if [ -n "$LAB_DIR" ]; then
		if [ "$LAB_BAD" -gt 0 ] || { [ $status -ne 0 ] && [ $status -ne 77 ]; }; then
			for log in "$LAB_DIR"/*.log; do
				[ -s "$log" ] || continue
				echo "--- $(basename "$log")"
				tail -n "${LAB_TAIL:-15}" "$log"
			done
		fi
		rm -rf "$LAB_DIR"
	fi
	exit $status
}

lab_begin() {
	[ "$(id -u)" -eq 0 ] || lab_skip "needs root for network namespaces"
	for tool in ip nft ethtool python3 "$@"; do
		command -v "$tool" >/dev/null || lab_skip "needs $tool"
	done
	[ -e /dev/net/tun ] || lab_skip "needs /dev/net/tun"
	LAB_DIR=$(mktemp -d /tmp/turnpike-lab.XXXXXX)
	trap lab_cleanup EXIT
	trap 'exit 130' INT TERM HUP
	ip netns add "$LAB-probe" 2>/dev/null || lab_skip "may not make network namespaces"
	ip netns del "$LAB-probe"
}

lab_space() {
	ip netns add "$LAB-$1"
	LAB_SPACES="$LAB_SPACES $1"
	ip -n "$LAB-$1" link set lo up
}

# lab_link A B [IFA IFB]: another veth between two namespaces.
lab_link() {
	ip -n "$LAB-$1" link add "${3:-eth0}" type veth peer name "${4:-${3:-eth0}}" netns "$LAB-$2"
	ip -n "$LAB-$1" link set "${3:-eth0}" up
	ip -n "$LAB-$2" link set "${4:-${3:-eth0}}" up
}

lab_pair() {
	lab_space "$1"
	lab_space "$2"
	lab_link "$1" "$2"
}

lab_unpair() {
	for ns in "$@"; do
		ip netns del "$LAB-$ns" 2>/dev/null
		LAB_SPACES=$(for s in $LAB_SPACES; do [ "$s" = "$ns" ] || printf '%s ' "$s"; done)
	done
}

lab_in() {
	ns=$LAB-$1
	shift
	ip netns exec "$ns" "$@"
}

lab_start() {
	lab_ns=$LAB-$1
	lab_log=$LAB_DIR/$2.log
	shift 2
	ip netns exec "$lab_ns" "$@" >>"$lab_log" 2>&1 </dev/null &
	LAB_PID=$!
	LAB_PIDS="$LAB_PIDS $LAB_PID"
}

# Within ten seconds.
lab_gone() {
	lab_turns=100
	while kill -0 "$1" 2>/dev/null; do
		lab_turns=$((lab_turns - 1))
		[ $lab_turns -gt 0 ] || return 1
		sleep 0.1
	done
}

lab_stop() {
	kill "${2:-"-TERM"}" "$1" 2>/dev/null
	lab_gone "$1" || return 1
	wait "$1" 2>/dev/null
	LAB_STATUS=$?
	LAB_PIDS=$(for p in $LAB_PIDS; do [ "$p" = "$1" ] || printf '%s ' "$p"; done)
}

lab_wait() {
	lab_until=$(($(date +%s) + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s)" -lt $lab_until ] || return 1
		sleep 0.1
	done
}

lab_check() {
	lab_what=$1
	shift
	if "$@" >"$LAB_DIR/check.out" 2>&1; then
		LAB_GOOD=$((LAB_GOOD + 1))
		echo "ok - $lab_what"
	else
		LAB_BAD=$((LAB_BAD + 1))
		echo "not ok - $lab_what"
		tail -n 12 "$LAB_DIR/check.out" | sed 's/^/#   /'
	fi
}

lab_end() {
	echo "$LAB_GOOD good, $LAB_BAD bad"
	[ "$LAB_BAD" -eq 0 ] || exit 1
	exit 0
}
