#!/bin/sh
# turnpike-gen against a relay, over a veth: every packet accounted for, allocations given up, eth0
# given back.
#
# usage: gen.sh media|families|crowd|ports|deeds|end|alone|coturn
. "$(dirname "$0")/relay_lab.sh"
what=${1:-media}
GEN=$LAB_BUILD/turnpike-gen
lab_begin
[ -x "$GEN" ] || lab_skip "needs turnpike-gen"
RATE=2kpps SECONDS_=1.5 PORT=af_packet:eth0

# gen TITLE CONDITIONS -- OPTIONS: one run, judged by gen_check.py.
gen() {
	gen_title=$1
	gen_conditions=
	shift
	while [ "$1" != -- ]; do
		gen_conditions="$gen_conditions $1"
		shift
	done
	shift
	# shellcheck disable=SC2086
	lab_check "$gen_title" gen_run "$gen_conditions" "$@"
	sed 's/^/#   /' "$LAB_DIR/check.out" | head -n 2
}
gen_run() {
	gen_judged=$1
	shift
	rm -f "$LAB_DIR/gen.json"
	lab_in outside timeout -k 5 30 "$GEN" --port "$PORT" \
		--rate $RATE --duration $SECONDS_ --setup-rate 0 --json "$LAB_DIR/gen.json" "$@" \
		>"$LAB_DIR/gen.out" 2>&1 || {
		tail -n 12 "$LAB_DIR/gen.out"
		return 1
	}
	# shellcheck disable=SC2086
	python3 "$LAB_HERE/gen_check.py" "$LAB_DIR/gen.json" $gen_judged
}
ALICE="--user alice --password secret"
V4="--address $HOST4/24 --server $SERVER4:3478 $ALICE"
BOTH="--address $HOST4/24 --address $HOST6/64 --server $SERVER4:3478 --server [$SERVER6]:3478 $ALICE"

# The kernel has its device again, with all that it had.
given_back() {
	lab_in outside ip addr show dev eth0 | grep -q "$HOST4/24" || { echo "no address"; return 1; }
	lab_in outside ip addr show dev eth0 | grep -q "$HOST6/64" || { echo "no IPv6 address"; return 1; }
	! lab_in outside ip link | grep -q 'tg-' || { echo "a TAP is left"; return 1; }
	! lab_in outside nft list ruleset | grep -q turnpike || { echo "still muted"; return 1; }
	! lab_in outside ip link show dev eth0 | grep -q xdp || { echo "an XDP program is left"; return 1; }
	[ "$(lab_in outside sysctl -n net.ipv6.conf.eth0.disable_ipv6)" = 0 ] || { echo "no IPv6"; return 1; }
	[ ! -e "/run/turnpike/gen-$(lab_in outside stat -Lc %i /proc/self/ns/net)-eth0" ] ||
		{ echo "a run directory is left"; return 1; }
	lab_in outside ping -c 1 -W 2 "$SERVER4"
}
no_allocations() {
	relay_ctl "$conf" --json show allocations | python3 -c 'import json, sys; sys.exit(len(json.load(sys.stdin)) != 0)'
}
some_allocations() {
	! no_allocations
}
relay_begin() {
	lab_pair relay outside
	relay_outside outside
	conf=$LAB_DIR/relay.yaml
	relay_config "$conf" "- device: af_packet:eth0" "  addresses: [$SERVER4/24, \"$SERVER6/64\"]"
	"${1:-true}"
	relay_up relay relay "$conf"
}
relay_finish() {
	lab_check "no allocation is left" no_allocations
	lab_check "eth0 is the kernel's again" given_back
	lab_check "the relay stops" relay_down
	lab_end
}

# shellcheck disable=SC2086
media() {
	relay_begin
	gen "ChannelData, both ways, 50 calls" 'lost=0' 'sent>2500' 'setup.ready=50' -- $V4 --clients 50 --direction both
	gen "Send and Data, both ways" 'lost=0' 'sent>2500' -- $V4 --clients 20 --direction both --wrap send
	gen "both wrappings, three peers a client, mixed sizes" 'lost=0' 'sent>2500' -- \
		$V4 --clients 10 --peers 3 --wrap mixed --size imix
	gen "time-limited credentials" 'lost=0' 'setup.ready=5' -- --address $HOST4/24 --server $SERVER4:3478 \
		--clients 5 --direction p2c --user alice --rest-secret south
	relay_finish
}

# shellcheck disable=SC2086
families() {
	relay_begin
	gen "IPv6" 'lost=0' 'sent>2500' 'setup.ready=10' -- $BOTH --family 6 --clients 10 --direction both
	gen "IPv4 client, IPv6 peer" 'lost=0' 'sent>2500' -- $BOTH --family 46 --clients 10 --direction both
	gen "IPv6 client, IPv4 peer, Send and Data" 'lost=0' 'sent>2500' -- \
		$BOTH --family 64 --clients 10 --direction both --wrap send
	relay_finish
}

crowd_routes() { # clients and peers live behind the generator's address
	lab_in relay ip addr add $SERVER4/24 dev eth0
	lab_in relay ip route add 10.64.0.0/24 via $HOST4
	lab_in relay ip route add 198.19.64.0/24 via $HOST4
}
# shellcheck disable=SC2086
crowd() {
	relay_begin crowd_routes
	gen "500 clients and their peers in prefixes" 'lost=0' 'sent>2500' 'setup.ready=500' -- $V4 \
		--clients-from 10.64.0.0/24 --client-ports 5000-5001 --peers-from 198.19.64.0/24 --peer-ports 7000-7001 \
		--clients 500 --direction both
	gen "client to client" 'lost=0' 'sent>2500' -- $V4 --direction c2c --clients 20
	gen "client to client, Send and Data, three peers each" 'lost=0' 'sent>2500' -- \
		$V4 --direction c2c --clients 8 --peers 3 --wrap send
	RATE=20calls gen "20 calls of audio" 'lost=0' 'sent>2500' 'sent<3200' -- \
		$V4 --clients 30 --size audio --direction both
	relay_finish
}

# Two ports, two engines, shared memory instead of a wire.
# shellcheck disable=SC2086
ports() {
	lab_pair relay outside
	lab_link relay outside eth1
	relay_outside outside
	conf=$LAB_DIR/relay.yaml
	relay_config "$conf" "- device: af_packet:eth0" "  addresses: [$SERVER4/24, \"$SERVER6/64\"]" \
		"- device: af_packet:eth1" "  addresses: [198.19.0.1/24]" \
		"- device: memif:$LAB_DIR/gen.sock,role=server,id=0" "  addresses: [198.18.99.1/24]"
	sed -i "s/^listeners: \[/listeners: [198.18.99.1:3478, /" "$conf"
	relay_up relay relay "$conf"
	gen "clients at one port, peers at another" 'lost=0' 'sent>2500' -- $V4 \
		--port af_packet:eth1 --address 198.19.0.2/24 --clients 10 --direction both
	gen "two engines" 'lost=0' 'sent>2500' 'setup.ready=40' -- $V4 --clients 40 --direction both --cores 0,1
	PORT=memif:$LAB_DIR/gen.sock,role=client,id=0 gen "shared memory" 'lost=0' 'sent>2500' -- \
		--address 198.18.99.2/24 --server 198.18.99.1:3478 $ALICE --clients 10
	lab_check "no allocation is left" no_allocations
	lab_check "the relay stops" relay_down
	lab_end
}

# Searches, latency, a storm, each short.
# shellcheck disable=SC2086
deeds() {
	relay_begin
	SECONDS_=0.8
	RATE=3kpps gen "latency at 10, 50 and 90 %" 'lost=0' 'sent>1500' -- $V4 --clients 5 --latency --trial 0.6
	RATE=4kpps gen "a search up to a rate that is held" 'lost=0' 'pdr.found=true' 'pdr.pps>3800' -- \
		$V4 --clients 5 --find pdr --trial 0.3
	lab_check "a search for calls, and its page" deeds_capacity
	gen "a storm beside media" 'storm.media.during.sent>1000' 'storm.media.during.lost=0' 'storm.answered>500' -- \
		$V4 --clients 5 --storm binding --storm-rate 1000
	relay_finish
}
deeds_capacity() {
	gen_run 'lost=0 capacity.calls=12' $V4 --clients 12 --size audio --direction both --find-capacity --trial 0.4 \
		--html "$LAB_DIR/gen.html" && grep -q '</html>' "$LAB_DIR/gen.html"
}

# Signals in the middle of a run: a report, no allocations, eth0 back; and after a crash at least that.
# A datagram from the relay's host to a port where nobody is: no port unreachable comes back.
quiet() {
	lab_in relay python3 - "$HOST4" <<'P'
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.5)
s.connect((sys.argv[1], 9))
try:
    for _ in range(3):
        s.send(b"anybody there?")
        time.sleep(0.1)
    s.recv(100)
except TimeoutError:
    sys.exit(0)
except ConnectionRefusedError:
    sys.exit(1)
P
}
# shellcheck disable=SC2086
end_by() { # SIGNAL CODE
	lab_start outside "end-$1" "$GEN" --port af_packet:eth0 $V4 --clients 10 --duration 60 --json "$LAB_DIR/end.json"
	end_pid=$LAB_PID
	lab_wait 10 some_allocations || { echo "it did not begin"; return 1; }
	if [ "$1" = TERM ]; then
		quiet || { echo "UDP to the generator was answered port unreachable"; return 1; }
		lab_in relay ping -c 1 -W 2 "$HOST4" || { echo "the kernel does not answer ping"; return 1; }
	fi
	sleep 0.5
	lab_stop "$end_pid" "-$1" || { echo "it does not end"; return 1; }
	[ "$LAB_STATUS" -eq "$2" ] || { echo "status $LAB_STATUS"; cat "$LAB_DIR/end-$1.log"; return 1; }
}
interrupted() {
	python3 -c 'import json, sys; r = json.load(open(sys.argv[1])); sys.exit(r["ok"] or r["why"] != "interrupted" or r["trials"][0]["sent"] < 100 or r["trials"][0]["lost"] > 20)' "$LAB_DIR/end.json"
}
# shellcheck disable=SC2086
end() {
	relay_begin
	for sig in TERM INT HUP; do
		lab_check "ends by $sig" end_by $sig 1
		lab_check "reports what was done" interrupted
		lab_check "gives allocations up" no_allocations
		lab_check "gives eth0 back" given_back
	done
	lab_check "only then does the kernel answer port unreachable" refused
	lab_check "breaks by SEGV" end_by SEGV 1
	lab_check "gives eth0 back all the same" given_back
	lab_check "says so" grep -q 'broke by signal 11' "$LAB_DIR/end-SEGV.log"
	lab_check "is killed" end_by KILL 137
	lab_check "after which eth0 is muted" lab_in outside nft list table netdev turnpike_eth0
	lab_check "--give-back" lab_in outside "$GEN" --port af_packet:eth0 --give-back
	lab_check "gives it back" given_back
	lab_check "a server that is not there" end_nobody
	lab_check "a wrong password" end_refused
	lab_check "eth0 is back" given_back
	lab_check "the relay stops" relay_down
	lab_end
}
# shellcheck disable=SC2086
end_nobody() {
	lab_in outside timeout 20 "$GEN" --port af_packet:eth0 --address $HOST4/24 --server 198.18.0.77:3478 $ALICE
	[ $? -eq 1 ]
}
refused() {
	! quiet
}
end_refused() {
	lab_in outside timeout 20 "$GEN" --port af_packet:eth0 --address $HOST4/24 --server $SERVER4:3478 \
		--user alice --password wrong | tee "$LAB_DIR/refused.txt"
	grep -q 401 "$LAB_DIR/refused.txt"
}

# Without a server: back to back, and a forwarder that swaps MAC addresses.
# shellcheck disable=SC2086
alone() {
	lab_pair relay outside
	relay_outside outside
	lab_link outside outside eth1 eth2
	lab_check "back to back over a veth" alone_bias
	sed 's/^/#   /' "$LAB_DIR/check.out" | tail -n 2
	lab_check "a ring that loops" alone_ring
	lab_start relay swapper python3 "$LAB_HERE/swapper.py" eth0
	lab_wait 5 grep -q ready "$LAB_DIR/swapper.log"
	gen "reflected" 'lost=0' 'sent>2500' -- --setup reflect --address $HOST4/24 --clients 20 --direction both
	gen "reflected, Send, IPv6" 'lost=0' 'sent>2500' -- --setup reflect --address $HOST6/64 --family 6 --wrap send
	lab_check "eth0 is the kernel's again" lab_in outside ip addr show dev eth0 to $HOST4
	lab_end
}
alone_bias() {
	lab_in outside timeout 30 "$GEN" --port af_packet:eth1 --address 198.18.7.1/24 --port af_packet:eth2 \
		--address 198.18.8.1/24 --bias --rate $RATE --duration $SECONDS_ --direction both --clients 10 \
		--json "$LAB_DIR/gen.json" || return 1
	python3 "$LAB_HERE/gen_check.py" "$LAB_DIR/gen.json" 'lost=0' 'sent>2500' 'bias_us.p50>0'
}

alone_ring() {
	lab_in outside timeout 30 "$GEN" --port net_ring0 --clients-from 10.1.0.0/24 --peers-from 10.2.0.0/24 \
		--bias --rate $RATE --duration 0.5 --direction both --clients 10 --json "$LAB_DIR/gen.json" || return 1
	python3 "$LAB_HERE/gen_check.py" "$LAB_DIR/gen.json" 'lost=0' 'sent>900'
}

# Debian's coturn, unpacked, needs libraries that the bench installs.
# shellcheck disable=SC2086
coturn() {
	server=$TOOLS/turnserver
	[ -x "$server" ] || lab_skip "needs coturn's turnserver (./turnpike.sh setup)"
	! ldd "$server" | grep -q 'not found' ||
		lab_skip "coturn's turnserver lacks libraries here: $(ldd "$server" | sed -n 's/ => not found//p' | tr -d '\t' | tr '\n' ' ')"
	lab_pair relay outside
	relay_outside outside
	lab_in relay ip addr add $SERVER4/24 dev eth0
	lab_in relay ip addr add $SERVER6/64 dev eth0 nodad
	lab_start relay turnserver "$server" -n --lt-cred-mech -u alice:secret -r example.org -L $SERVER4 -L $SERVER6 \
		-E $SERVER4 -E $SERVER6 --no-tls --no-dtls --no-cli --allow-loopback-peers --log-file stdout \
		--db "$LAB_DIR/turndb" --pidfile "$LAB_DIR/turnserver.pid"
	lab_wait 10 grep -q 'IPv4. UDP listener opened' "$LAB_DIR/turnserver.log" || sleep 1
	gen "coturn: ChannelData, both ways" 'lost=0' 'sent>2500' 'setup.ready=20' -- $V4 --clients 20 --direction both
	gen "coturn: Send and Data" 'lost=0' 'sent>2500' -- $V4 --clients 5 --direction both --wrap send
	gen "coturn: IPv6" 'lost=0' 'sent>2500' -- $BOTH --family 6 --clients 5 --direction both
	gen "coturn: client to client" 'lost=0' 'sent>2500' -- $V4 --direction c2c --clients 4
	lab_check "eth0 is the kernel's again" given_back
	lab_end
}

case $what in
media | families | crowd | ports | deeds | end | alone | coturn) "$what" ;;
*) echo "unknown: $what" >&2; exit 2 ;;
esac
