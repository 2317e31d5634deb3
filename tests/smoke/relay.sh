#!/bin/sh
# A whole relay and clients that others wrote: coturn's utilities, aioice; every path byte by byte.
#
# usage: relay.sh af_packet|af_xdp|two_queues|two_ports|memif
. "$(dirname "$0")/relay_lab.sh"
kind=${1:-af_packet}
lab_begin tcpdump tshark
[ -x "$TOOLS/turnutils_uclient" ] || lab_skip "needs coturn's utilities (./turnpike.sh setup)"
conf=$LAB_DIR/relay.yaml

if [ "$kind" = memif ]; then
	lab_space relay
	lab_pair bridge outside
else
	lab_pair relay outside
fi
relay_outside outside
case $kind in
af_packet | af_xdp)
	relay_config "$conf" "- device: $kind:eth0" "  addresses: [$SERVER4/24, \"$SERVER6/64\"]"
	;;
two_queues)
	relay_config "$conf" "- device: af_packet:eth0" "  addresses: [$SERVER4/24, \"$SERVER6/64\"]" "  queues: 2"
	echo "workers: 2" >>"$conf"
	;;
two_ports)
	# The second port leads to a second network, where the peers of some calls live.
	lab_link relay outside eth1
	lab_in outside ip addr add 198.19.0.2/24 dev eth1
	lab_in outside ip addr add fd00:18:1::2/64 dev eth1 nodad
	relay_config "$conf" "- device: af_packet:eth0" "  addresses: [$SERVER4/24, \"$SERVER6/64\"]" \
		"- device: af_packet:eth1" "  addresses: [198.19.0.1/24, \"fd00:18:1::1/64\"]"
	echo "workers: 2" >>"$conf"
	lab_in outside ip addr add $HOST4/32 dev lo 2>/dev/null
	;;
memif)
	# DPDK's own forwarder carries frames between the wire and shared memory.
	command -v dpdk-testpmd >/dev/null || lab_skip "needs dpdk-testpmd (dpdk-dev)"
	relay_config "$conf" "- device: memif:$LAB_DIR/memif.sock,role=server,id=0" \
		"  addresses: [$SERVER4/24, \"$SERVER6/64\"]"
	lab_start bridge testpmd sh -c "while [ ! -S $LAB_DIR/memif.sock ]; do sleep 0.1; done
		exec dpdk-testpmd --lcores '0@(0,1),1@(0,1)' --no-huge --no-shconf -m 512 --no-pci \
			--file-prefix $LAB-bridge \
			--vdev net_memif0,role=client,id=0,socket=$LAB_DIR/memif.sock,socket-abstract=no \
			--vdev net_af_xdp0,iface=eth0 -- --forward-mode=io --total-num-mbufs=16384 \
			--stats-period=3600 --no-mlockall"
	;;
*) echo "unknown kind $kind" >&2; exit 2 ;;
esac
relay_up relay relay "$conf"
lab_check "ready over $kind" grep -q "^ready:.*$SERVER4:3478" "$LAB_DIR/relay.log"

mapped() { # ADDRESS SERVER
	lab_in outside "$TOOLS/turnutils_stunclient" -p 3478 -L "$1" "$2" | tee "$LAB_DIR/stun.out"
	grep -q "UDP reflexive addr: .*$1" "$LAB_DIR/stun.out"
}
lab_check "turnutils_stunclient sees its address, IPv4" mapped $HOST4 $SERVER4
lab_check "turnutils_stunclient sees its address, IPv6" mapped $HOST6 $SERVER6

relay_capture outside
case $kind in
two_ports) peers="198.19.0.2 fd00:18:1::2" ;;
*) peers="$HOST4 $HOST6 long" ;;
esac
# shellcheck disable=SC2086
lab_check "every path, every length" lab_in outside python3 "$LAB_HERE/bytes.py" $SERVER4 $SERVER6 $peers
cat "$LAB_DIR/check.out" | sed 's/^/#   /'
lab_check "tshark dissects all that left the relay, all checksums right" relay_captured
sed 's/^/#   /' "$LAB_DIR/check.out"

relay_peers outside
uclient "ChannelData, IPv4" outside -n 100 -m 4 -z 5 -e $HOST4 $SERVER4
uclient "Send indications, IPv4" outside -s -n 100 -m 4 -z 5 -e $HOST4 $SERVER4
uclient "ChannelData, IPv6" outside -x -n 100 -m 4 -z 5 -e $HOST6 $SERVER6
uclient "Send indications, IPv6" outside -x -s -n 100 -m 4 -z 5 -e $HOST6 $SERVER6
uclient "IPv6 client, IPv4 peer" outside -n 100 -m 4 -z 5 -e $HOST4 $SERVER6
uclient "client to client" outside -y -c -n 100 -m 4 -z 5 $SERVER4
uclient "client to client, Send" outside -y -c -s -n 50 -m 4 -z 5 $SERVER4
uclient "50 clients" outside -n 20 -m 50 -z 10 -e $HOST4 $SERVER4
uclient "time-limited credentials" outside -W south -n 20 -m 2 -e $HOST4 $SERVER4
uclient_results
refused() {
	! lab_in outside timeout 5 "$TOOLS/turnutils_uclient" -u alice -w wrong -n 5 -e $HOST4 $SERVER4
}
lab_check "uclient: a wrong password is refused" refused
lab_check "aioice relays, and is refused with a wrong password" \
	lab_in outside /usr/bin/python3 "$LAB_HERE/aioice_client.py" $SERVER4 3478 alice secret $HOST4

workers_busy() {
	relay_ctl "$conf" --json show workers >"$LAB_DIR/workers.json"
	python3 - "$LAB_DIR/workers.json" <<'P'
import json, sys
rows = json.load(open(sys.argv[1]))
got = [r["rx_packets"] for r in rows if r["worker"] != "service"]
print(rows)
sys.exit(not (len(got) >= 2 and min(got[:2]) > 0))
P
}
case $kind in two_*) lab_check "both workers took packets" workers_busy ;; esac
lab_check "a clean stop" relay_down
lab_end
