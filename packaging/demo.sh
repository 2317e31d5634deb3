#!/bin/sh
# A whole relay on an embedded default: network namespaces and a veth of its own, no NIC, no
# hugepages needed. A stock TURN client sends real media through it; what it measured is printed.
#
#   packaging/demo.sh [--once]     called by `./turnpike.sh run`, as root, after the build
set -u

here=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
build=$here/build
tools=$build/coturn/usr/bin
once=
case ${1:-} in
--once) once=yes ;;
'') ;;
*) echo "usage: ./turnpike.sh run [--once]" >&2; exit 2 ;;
esac

relay=turnpike-$$-relay
outside=turnpike-$$-outside
server4=198.18.0.1 server6=fd00:18::1
peer4=198.18.0.2 peer6=fd00:18::2
user=alice
password=$(od -An -N9 -tx1 /dev/urandom | tr -d ' \n')
dir=$(mktemp -d "${TMPDIR:-/tmp}/turnpike-demo.XXXXXX") || exit 1
relay_pid= peer_pids=

# Not `ip netns exec` or `ip -n`: they remount /sys, which a plain chroot does not allow.
inside() { # NAMESPACE COMMAND...
	ns=$1
	shift
	nsenter --net="/run/netns/$ns" "$@"
}

wait_gone() { # PID SECONDS
	n=$(($2 * 10))
	while kill -0 "$1" 2>/dev/null && [ $n -gt 0 ]; do
		sleep 0.1
		n=$((n - 1))
	done
	kill -0 "$1" 2>/dev/null && kill -9 "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}

cleanup() {
	trap '' INT TERM HUP
	for p in $peer_pids; do
		kill "$p" 2>/dev/null
		wait "$p" 2>/dev/null
	done
	if [ -n "$relay_pid" ]; then
		kill -TERM "$relay_pid" 2>/dev/null
		wait_gone "$relay_pid" 10
	fi
	ip netns del "$outside" 2>/dev/null
	ip netns del "$relay" 2>/dev/null
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

fail() {
	echo "run: $*" >&2
	[ ! -s "$dir/relay.log" ] || { echo "run: the relay's last words:" >&2; tail -n 20 "$dir/relay.log" >&2; }
	exit 1
}

lay_cable() {
	for ns in "$relay" "$outside"; do
		ip netns add "$ns" || fail "cannot make network namespaces (needs root and CAP_SYS_ADMIN)"
		inside "$ns" ip link set lo up
	done
	ip link add eth0 netns "$relay" type veth peer name eth0 netns "$outside" ||
		fail "cannot make a veth pair (kernel module veth?)"
	inside "$relay" ip link set eth0 up
	inside "$outside" ip addr add $peer4/24 dev eth0
	inside "$outside" ip addr add $peer6/64 dev eth0 nodad
	inside "$outside" ip link set eth0 up
}

write_config() {
	cat >"$dir/turnpike.yaml" <<Y
name: demo
run-dir: $dir/run
ports:
  - device: af_packet:eth0
    addresses: [$server4/24, "$server6/64"]
listeners: ["$server4:3478", "[$server6]:3478"]
relay:
  addresses: [$server4, "$server6"]
auth:
  realm: demo.example
  users: { $user: $password }
peers:
  allow: [198.18.0.0/15, "fd00:18::/32"]
compat: { rfc5766-channels: true }   # this Debian's turnutils_uclient draws the old channel numbers
Y
	chmod 600 "$dir/turnpike.yaml"
}

start_relay() {
	# Not by inside(): $! would be a shell that waits, and killing it would leave the relay alone.
	nsenter --net="/run/netns/$relay" "$build/turnpike" run -c "$dir/turnpike.yaml" \
		>"$dir/ready" 2>"$dir/relay.log" &
	relay_pid=$!
	n=300
	until grep -q '^ready:' "$dir/ready" 2>/dev/null; do
		kill -0 "$relay_pid" 2>/dev/null || fail "the relay ended before it was ready"
		n=$((n - 1))
		[ $n -gt 0 ] || fail "the relay was not ready within 30 s"
		sleep 0.1
	done
}

start_peers() {
	for a in $peer4 $peer6; do
		nsenter --net="/run/netns/$outside" "$tools/turnutils_peer" -L "$a" -p 3480 >"$dir/peer.log" 2>&1 &
		peer_pids="$peer_pids $!"
	done
	sleep 0.3
}

media_ok=yes

# measure TITLE ARGS...: one run of the client, one row of the table.
measure() {
	title=$1
	shift
	if ! inside "$outside" "$tools/turnutils_uclient" -u $user -w "$password" -n 200 -m 4 \
		-l 160 -z 4 "$@" >"$dir/client.log" 2>&1; then
		echo "  $title: the client failed:"
		tail -n 5 "$dir/client.log"
		media_ok=
		return
	fi
	row=$(awk -v title="$title" '
		/tot_send_msgs=/ { split($0, a, "tot_send_msgs="); sent = a[2] + 0
		                   split($0, b, "tot_recv_msgs="); got = b[2] + 0 }
		/Total lost packets/ { split($0, a, "Total lost packets "); lost = a[2] + 0 }
		/Average round trip delay/ { split($0, a, "delay "); rtt = a[2] + 0
		                              split($0, b, "max = "); max = b[2] + 0 }
		END { printf "  %-34s %8d %9d %6d %9.2f %4d ms\n", title, sent, got, lost, rtt, max
		      exit !(sent > 0 && got == sent && lost == 0) }' "$dir/client.log") || media_ok=
	echo "$row"
}

lay_cable
write_config
start_relay
echo "run: $(cat "$dir/ready")"
start_peers
echo
echo "  media through the relay                sent  received   lost  round trip, most"
measure "IPv4, ChannelData" -e $peer4 $server4
measure "IPv4, Send and Data indications" -s -e $peer4 $server4
measure "IPv6, ChannelData" -x -e $peer6 $server6
measure "IPv6 client, IPv4 peer" -e $peer4 $server6
measure "two clients, both relayed" -y -c $server4
echo
"$build/turnpikectl" -c "$dir/turnpike.yaml" status 2>/dev/null | sed 's/^/  /'
[ -n "$media_ok" ] || fail "media did not come through whole"
[ -z "$once" ] || exit 0

cat <<T

The relay keeps serving; Ctrl-C ends it and leaves nothing behind.

  server    $server4:3478 and [$server6]:3478 (UDP), in the network namespace $relay
  user      $user
  password  $password
  realm     demo.example

Any TURN client can use it from the namespace $outside, for example:

  nsenter --net=/run/netns/$outside $tools/turnutils_uclient -u $user -w $password -e $peer4 -n 100 $server4

and watch it from here:

  $build/turnpikectl -c $dir/turnpike.yaml watch
T
wait "$relay_pid"
fail "the relay ended by itself"
