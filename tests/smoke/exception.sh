#!/bin/sh
# The exception port: what is not ours goes to Linux and comes back, once and whole; the host keeps
# its own traffic; a crash is survived and a clean stop gives everything back.
#
# usage: exception.sh af_packet|af_xdp present|absent [LIBRARY]
#        Is the address on eth0 already? LIBRARY makes nftables refuse: muted by sysctls then.
. "$(dirname "$0")/lab.sh"
kind=${1:-af_packet}
address=${2:-present}
preload=${3:-}
lab_begin curl ping
traffic=$LAB_HERE/traffic.py

lab_pair relay peer
# Both families, a default route each, and something that must come back as it was.
lab_in peer ip addr add 198.18.0.2/24 dev eth0
lab_in peer ip addr add fd00:18::2/64 dev eth0 nodad
if [ "$address" = present ]; then
	lab_in relay ip addr add 198.18.0.1/24 dev eth0
	lab_in relay ip addr add fd00:18::1/64 dev eth0 nodad
else
	lab_in relay ip addr add 198.18.0.7/24 dev eth0
	lab_in relay ip addr add fd00:18::7/64 dev eth0 nodad
fi
lab_in relay ip addr add 198.18.9.1/28 dev eth0
lab_in relay ip route add default via 198.18.0.2 dev eth0 metric 77
lab_in relay ip -6 route add default via fd00:18::2 dev eth0
lab_in relay ip route add 198.19.4.0/24 via 198.18.9.2 dev eth0 mtu 1400

cat >"$LAB_DIR/turnpike.yaml" <<Y
name: $LAB
run-dir: $LAB_DIR/run
ports:
  - device: $kind:eth0
    addresses: [198.18.0.1/24, "fd00:18::1/64"]
listeners: [198.18.0.1:3478, "[fd00:18::1]:3478"]
relay:
  addresses: [198.18.0.1, "fd00:18::1"]
  ports: 49152-65535
auth:
  realm: example.org
  users: { alice: secret }
peers:
  allow: [198.18.0.0/15, "fd00:18::/32"]
Y

settings() {
	lab_in relay ip -o addr show dev eth0 | sed 's/ valid_lft.*//; s/\\//g; s/  */ /g' | sort
	lab_in relay ip route show
	lab_in relay ip -6 route show
	lab_in relay sh -c 'for f in ipv6/conf/eth0/disable_ipv6 ipv4/conf/eth0/rp_filter \
		ipv4/conf/eth0/arp_ignore ipv4/ip_local_reserved_ports; do
		echo "$f $(cat /proc/sys/net/$f)"; done'
	lab_in relay nft list ruleset
	lab_in relay ip link show dev eth0 | grep -c xdp
	lab_in peer ethtool -k eth0 | grep -E '^(tcp-seg|tx-udp-seg|generic-seg)'
}
settled() {
	! lab_in relay ip -6 addr show dev eth0 | grep -q tentative
}
lab_wait 5 settled
settings >"$LAB_DIR/before"

start() {
	lab_start relay dataplane env LD_PRELOAD="$preload" "$LAB_BUILD/turnpike-dataplane" -c "$LAB_DIR/turnpike.yaml"
	dataplane=$LAB_PID
	# IPv6 answers only when duplicate address detection is over.
	lab_wait 15 serving && kill -0 "$dataplane"
}
serving() {
	kill -0 "$dataplane" || return 0 # dead: no use to wait
	lab_in relay ip -o addr show dev tp0 | grep -q 198.18.0.1/24 &&
		lab_in peer ping -c 1 -W 1 198.18.0.1 && lab_in peer ping -c 1 -W 1 fd00:18::1
}
start || {
	lab_check "the data plane comes up over $kind" false
	lab_end
}
lab_check "the data plane comes up over $kind, address $address on eth0" true

once() {
	lab_in "$@" | tee "$LAB_DIR/ping.out"
	! grep -q DUP "$LAB_DIR/ping.out" && grep -q ' 0% packet loss' "$LAB_DIR/ping.out"
}
lab_check "ping from the peer, IPv4, no duplicate" once peer ping -c 10 -i 0.05 -W 1 198.18.0.1
lab_check "ping from the peer, IPv6, no duplicate" once peer ping -c 10 -i 0.05 -W 1 fd00:18::1
lab_check "ping from the relay, IPv4" once relay ping -c 10 -i 0.05 -W 1 198.18.0.2
lab_check "ping from the relay, IPv6" once relay ping -c 10 -i 0.05 -W 1 fd00:18::2
lab_check "ping of 1472 octets" once peer ping -c 3 -i 0.05 -W 1 -s 1472 -M do 198.18.0.1
lab_check "ping of 4000 octets, fragmented" once peer ping -c 3 -i 0.05 -W 1 -s 4000 198.18.0.1
lab_check "ping of 4000 octets, fragmented, IPv6" once peer ping -c 3 -i 0.05 -W 1 -s 4000 fd00:18::1
lab_check "routes moved: default route" lab_in relay sh -c 'ip route | grep -q "^default via 198.18.0.2 dev tp0"'
lab_check "routes moved: default route, IPv6" lab_in relay sh -c 'ip -6 route | grep -q "^default via fd00:18::2 dev tp0"'
lab_check "eth0 has no address left" lab_in relay sh -c '! ip -o addr show dev eth0 | grep -q inet'

# HTTP of 3 MB, both ways, both families.
mkdir "$LAB_DIR/www"
head -c 3000000 /dev/urandom >"$LAB_DIR/www/file"
for a in 198.18.0.1 fd00:18::1; do
	lab_start relay "http-$a" python3 -u -m http.server --bind "$a" --directory "$LAB_DIR/www" 8000
done
for a in 198.18.0.2 fd00:18::2; do
	lab_start peer "http-$a" python3 -u -m http.server --bind "$a" --directory "$LAB_DIR/www" 8000
done
for a in 198.18.0.1 fd00:18::1 198.18.0.2 fd00:18::2; do
	lab_wait 20 grep -q Serving "$LAB_DIR/http-$a.log"
done
fetch() {
	lab_in "$1" curl -sS -g -m 10 -o "$LAB_DIR/got" \
		-w '%{size_download} octets in %{time_total} s\n' "http://$2:8000/file" &&
		cmp "$LAB_DIR/got" "$LAB_DIR/www/file"
}
lab_check "HTTP out of the relay, IPv4" fetch peer 198.18.0.1
lab_check "HTTP out of the relay, IPv6" fetch peer "[fd00:18::1]"
lab_check "HTTP into the relay, IPv4" fetch relay 198.18.0.2
lab_check "HTTP into the relay, IPv6" fetch relay "[fd00:18::2]"

# The host's own UDP, whose ephemeral ports are not to be drawn from the relay range.
for a in 198.18.0.2 fd00:18::2; do
	lab_start peer "echo-$a" python3 "$traffic" echo "$a" 5353
done
lab_wait 5 grep -q ready "$LAB_DIR/echo-198.18.0.2.log"
lab_wait 5 grep -q ready "$LAB_DIR/echo-fd00:18::2.log"
lab_check "200 of 200 questions of the host itself, IPv4" lab_in relay python3 "$traffic" ask 198.18.0.2 5353 200
lab_check "200 of 200 questions of the host itself, IPv6" lab_in relay python3 "$traffic" ask fd00:18::2 5353 200

# UDP of ours is never refused by the kernel.
ports="3478 49152 50000 65535"
lab_check "no ICMP unreachable for listener and relay range, IPv4" lab_in peer python3 "$traffic" refused 198.18.0.1 $ports
lab_check "no ICMP unreachable for listener and relay range, IPv6" lab_in peer python3 "$traffic" refused fd00:18::1 $ports
unheard() {
	! lab_in peer python3 "$traffic" refused 198.18.0.1 9
}
lab_check "ICMP unreachable for a port that nobody has" unheard

# A crash in the middle of TCP: the TAP keeps its address, the connection lives on.
lab_start relay tcp python3 "$traffic" serve 198.18.0.1 9000
lab_wait 5 grep -q ready "$LAB_DIR/tcp.log"
muted() {
	if [ -n "$preload" ]; then
		[ "$(lab_in relay cat /proc/sys/net/ipv4/conf/eth0/arp_ignore)" = 8 ] &&
			[ -z "$(lab_in relay nft list ruleset)" ]
	else
		lab_in relay nft list ruleset | grep -q 'policy drop'
	fi
}
crash() {
	lab_in peer python3 "$traffic" talk 198.18.0.1 9000 60000 3 >"$LAB_DIR/talk.out" 2>&1 &
	talk=$!
	sleep 1
	kill -9 "$dataplane"
	wait "$dataplane" 2>/dev/null
	sleep 0.2
	muted || {
		echo "the mute is gone"
		return 1
	}
	start || return 1
	wait $talk || {
		cat "$LAB_DIR/talk.out"
		return 1
	}
	cat "$LAB_DIR/talk.out"
}
crash >"$LAB_DIR/crash.out" 2>&1
lab_check "TCP survives kill -9 of the data plane" [ $? -eq 0 ]
cat "$LAB_DIR/crash.out" | sed 's/^/#   /'
lab_check "no duplicate after the restart" once peer ping -c 10 -i 0.05 -W 1 198.18.0.1
lab_check "a second start is refused with 75" sh -c \
	"ip netns exec $LAB-relay timeout 10 $LAB_BUILD/turnpike-dataplane -c $LAB_DIR/turnpike.yaml; [ \$? -eq 75 ]"

stop() {
	lab_stop "$dataplane"
	[ "$LAB_STATUS" -eq 0 ]
}
lab_check "a clean stop" stop
given_back() {
	settings >"$LAB_DIR/after"
	cmp -s "$LAB_DIR/before" "$LAB_DIR/after"
}
lab_wait 5 given_back
lab_check "addresses, routes, sysctls, nft, XDP and the peer's offloads are as before" \
	diff "$LAB_DIR/before" "$LAB_DIR/after"
lab_check "no TAP is left" sh -c "! ip -n $LAB-relay link show tp0"
lab_check "nothing of EAL is left" sh -c "! ls $LAB_DIR/run/dpdk"
lab_in peer ip route add 198.18.9.0/28 dev eth0
lab_check "the kernel answers on eth0 again" lab_in peer ping -c 2 -i 0.2 -W 1 198.18.9.1
lab_end
