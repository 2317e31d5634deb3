# What every test of a whole relay needs, on top of lab.sh; source it.
#
#   relay_config FILE PORTS...      a configuration for the usual addresses; PORTS are YAML lines
#   relay_up SPACE NAME FILE        starts `turnpike run` and waits for its ready line
#   relay_ctl FILE COMMAND...       turnpikectl
#   relay_counter FILE NAME         one counter's value
#   relay_capture SPACE             records what arrives at eth0 from the relay
#   relay_captured                  stops it and lets tshark judge every packet
. "${LAB_LIB:-$(dirname "$0")}/lab.sh"
LAB_TAIL=40

SERVER4=198.18.0.1 SERVER6=fd00:18::1 HOST4=198.18.0.2 HOST6=fd00:18::2
TOOLS=${TURNPIKE_TOOLS:-$(cd "$LAB_BUILD" && while [ ! -d coturn ] && [ "$PWD" != / ]; do cd ..; done && pwd)/coturn/usr/bin}

relay_config() {
	relay_file=$1
	relay_name=$(basename "$1" .yaml)
	shift
	{
		echo "name: $relay_name"
		echo "run-dir: $LAB_DIR/run-$relay_name"
		echo "ports:"
		for line in "$@"; do echo "  $line"; done
		cat <<Y
listeners: ["$SERVER4:3478", "[$SERVER6]:3478"]
relay:
  addresses: [$SERVER4, "$SERVER6"]
auth:
  realm: example.org
  users: { alice: secret }
  rest-secrets: [north, south]
peers:
  allow: [198.18.0.0/15, "fd00:18::/32"]
limits: { allocations-per-user: 1000 }
compat: { rfc5766-channels: true }
Y
	} >"$relay_file"
}

relay_outside() { # SPACE: addresses of the clients' side
	lab_in "$1" ip addr add $HOST4/24 dev eth0
	lab_in "$1" ip addr add $HOST6/64 dev eth0 nodad
}

relay_up() {
	lab_start "$1" "$2" "$LAB_BUILD/turnpike" run -c "$3"
	RELAY_PID=$LAB_PID
	relay_log=$LAB_DIR/$2.log
	lab_wait 30 relay_answers
	if grep -q '^ready:' "$relay_log"; then return 0; fi
	lab_check "the relay comes up ($2)" false
	lab_end
}
relay_answers() {
	grep -q '^ready:' "$relay_log" || ! kill -0 "$RELAY_PID"
}

relay_ctl() {
	relay_ctl_file=$1
	shift
	"$LAB_BUILD/turnpikectl" -c "$relay_ctl_file" "$@"
}

relay_counter() {
	relay_ctl "$1" --json show counters |
		python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$2"
}

relay_capture() {
	lab_start "$1" tcpdump tcpdump -i eth0 -Q in -s 0 -U -w "$LAB_DIR/in.pcap" \
		"src host $SERVER4 or src host $SERVER6"
	RELAY_CAPTURE=$LAB_PID
	lab_wait 5 grep -q 'listening on' "$LAB_DIR/tcpdump.log"
}

# No bad IP or UDP checksum, nothing malformed, and STUN and ChannelData seen as such.
relay_captured() {
	sleep 0.3
	lab_stop "$RELAY_CAPTURE" -INT
	dissect="tshark -n -r $LAB_DIR/in.pcap -o udp.check_checksum:TRUE -o ip.check_checksum:TRUE -d udp.port==3478,stun --disable-protocol rtp --disable-protocol rtcp"
	$dissect -Y '_ws.malformed || ip.checksum.status == 0 || udp.checksum.status == 0 || _ws.expert.severity >= 8388608' 2>/dev/null >"$LAB_DIR/bad.txt"
	total=$($dissect 2>/dev/null | wc -l)
	stun=$($dissect -Y 'stun && udp.srcport == 3478' 2>/dev/null | wc -l)
	channel=$($dissect -Y 'stun.channel' 2>/dev/null | wc -l)
	bad=$(wc -l <"$LAB_DIR/bad.txt")
	echo "$total packets from the relay: $stun STUN or ChannelData, $channel ChannelData, $bad with a complaint"
	head -n 5 "$LAB_DIR/bad.txt"
	[ "$total" -gt 100 ] && [ "$stun" -gt 50 ] && [ "$channel" -gt 20 ] && [ "$bad" -eq 0 ]
}

# uclient TITLE SPACE ARGS...: coturn's client, in the background, since it mostly waits.
# uclient_results: no loss, no send or receive failure in any of them.
UCLIENTS=0
uclient() {
	UCLIENTS=$((UCLIENTS + 1))
	echo "$1" >"$LAB_DIR/uclient.$UCLIENTS.title"
	uclient_space=$2
	shift 2
	lab_start "$uclient_space" uclient.$UCLIENTS timeout 60 "$TOOLS/turnutils_uclient" -u alice -w secret "$@"
	echo "$LAB_PID" >"$LAB_DIR/uclient.$UCLIENTS.pid"
}
uclient_results() {
	i=0
	while [ $i -lt $UCLIENTS ]; do
		i=$((i + 1))
		wait "$(cat "$LAB_DIR/uclient.$i.pid")"
		lab_check "uclient: $(cat "$LAB_DIR/uclient.$i.title")" uclient_good $? "$LAB_DIR/uclient.$i.log"
	done
	UCLIENTS=0
}
uclient_good() { # STATUS LOG
	grep -E 'tot_send_msgs|lost packets|error' "$2" | tail -n 3
	[ "$1" -eq 0 ] && python3 - "$2" <<'P'
import re, sys
text = open(sys.argv[1]).read()
totals = re.findall(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)", text)
lost = re.search(r"Total lost packets (\d+).*total send dropped (\d+)", text)
sent, got = map(int, totals[-1])
sys.exit(not (sent > 0 and got == sent and lost and lost.group(1) == lost.group(2) == "0"))
P
}

# Peers for uclient, both families.
relay_peers() {
	for a in $HOST4 $HOST6; do
		lab_start "$1" "peer-$a" "$TOOLS/turnutils_peer" -L "$a" -p 3480
	done
	sleep 0.2
}

# Every relay must end without a trace of packets unaccounted for.
relay_down() {
	lab_stop "$RELAY_PID" && [ "$LAB_STATUS" -eq 0 ]
}
