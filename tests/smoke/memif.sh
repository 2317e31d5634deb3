#!/bin/sh
# A relay whose port is shared memory: a memif server, whose client bridges it to a veth.
. "$(dirname "$0")/relay_lab.sh"
lab_begin dpdk-testpmd
[ -x "$TOOLS/turnutils_uclient" ] || lab_skip "needs coturn's utilities (./turnpike.sh setup)"
conf=$LAB_DIR/memif.yaml
lab_space relay
lab_pair bridge outside
relay_outside outside
# Over af_xdp, as af_packet would put fragments together, beyond what a frame has room for.
# The bridge hands frames on as they are: a checksum left to hardware would stay unwritten, and its
# frames have no room for super-frames.
lab_in outside ethtool -K eth0 sg off tx off tso off gso off gro off >/dev/null 2>&1
lab_in bridge ethtool -K eth0 sg off tx off tso off gso off gro off >/dev/null 2>&1
lab_in bridge sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1
relay_config "$conf" "- device: \"memif:$LAB_DIR/memif.sock,role=server,id=0\"" \
	"  addresses: [$SERVER4/24, \"$SERVER6/64\"]"
lab_start relay relay "$LAB_BUILD/turnpike" run -c "$conf"
RELAY_PID=$LAB_PID
lab_check "the relay makes the memif's socket" lab_wait 20 test -S "$LAB_DIR/memif.sock"
lab_start bridge testpmd dpdk-testpmd -l 0-1 --no-pci --no-huge -m 256 --file-prefix "$LAB" \
	--vdev "net_memif0,role=client,id=0,socket=$LAB_DIR/memif.sock,socket-abstract=no" \
	--vdev net_af_xdp0,iface=eth0 -- --forward-mode=io --auto-start --stats-period 60 \
	--total-num-mbufs=8192 --nb-cores=1
bridge=$LAB_PID
lab_check "ready over memif" lab_wait 30 grep -q "^ready:.*$SERVER4:3478" "$LAB_DIR/relay.log"
lab_check "link is up" sh -c "'$LAB_BUILD/turnpikectl' -c '$conf' --json show ports | tr -d ' ' | grep -q link.:true"
for pair in "-4 $SERVER4" "-6 $SERVER6"; do
	lab_check "ping ${pair% *}" lab_wait 15 ip netns exec "$LAB-outside" ping ${pair% *} -c 1 -W 1 ${pair#* }
done
lab_check "every path, every length" lab_in outside timeout 60 python3 "$LAB_HERE/bytes.py" $SERVER4 $SERVER6 $HOST4 $HOST6
sed 's/^/#   /' "$LAB_DIR/check.out"
relay_peers outside
uclient "ChannelData, IPv4" outside -n 50 -m 4 -z 5 -e $HOST4 $SERVER4
uclient "Send indications, IPv6" outside -x -s -n 50 -m 4 -z 5 -e $HOST6 $SERVER6

uclient_results

# Its client goes and comes back: the relay stays and serves again.
dataplane=$(relay_ctl "$conf" --json status | python3 -c 'import json,sys; print(json.load(sys.stdin)["dataplane"]["pid"])')
lab_stop "$bridge" -INT
sleep 0.5
lab_start bridge testpmd2 dpdk-testpmd -l 0-1 --no-pci --no-huge -m 256 --file-prefix "$LAB" \
	--vdev "net_memif0,role=client,id=0,socket=$LAB_DIR/memif.sock,socket-abstract=no" \
	--vdev net_af_xdp0,iface=eth0 -- --forward-mode=io --auto-start --stats-period 60 \
	--total-num-mbufs=8192 --nb-cores=1
bridge=$LAB_PID
mapped() {
	lab_in outside timeout 3 "$TOOLS/turnutils_stunclient" -p 3478 -L $HOST4 $SERVER4 | grep -q "reflexive addr: .*$HOST4"
}
lab_check "the other end leaves and returns: answered again" lab_wait 20 mapped
lab_check "by the same data plane" kill -0 "$dataplane"
lab_stop "$bridge" -INT
lab_check "a clean stop" relay_down
lab_check "without its socket" test ! -e "$LAB_DIR/memif.sock"
lab_end
