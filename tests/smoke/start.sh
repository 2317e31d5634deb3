#!/bin/sh
# Starting the data plane where something is missing: one clear line, the right exit code, and
# nothing changed or left behind.
. "$(dirname "$0")/lab.sh"
lab_begin ping
lab_pair relay peer
lab_in relay ip addr add 198.18.0.1/24 dev eth0
lab_in peer ip addr add 198.18.0.2/24 dev eth0

# config DEVICE [MORE LINES]
config() {
	cat >"$LAB_DIR/turnpike.yaml" <<Y
name: $LAB
run-dir: $LAB_DIR/run
ports:
  - device: $1
    addresses: [198.18.0.1/24]
listeners: [198.18.0.1:3478]
relay:
  addresses: [198.18.0.1]
auth:
  realm: example.org
  users: { alice: secret }
${2:-}
Y
}
state() {
	lab_in relay ip -o link | grep -v link/ether
	lab_in relay ip -o addr show dev eth0 | grep -v inet6
	lab_in relay ip route
	lab_in relay nft list ruleset
	ls "$LAB_DIR/run"
}
# refused CODE TEXT [WRAPPER...]: starts, ends by itself with CODE, says TEXT, changes nothing.
refused() {
	code=$1
	text=$2
	shift 2
	lab_in relay "$@" timeout 20 "$LAB_BUILD/turnpike-dataplane" -c "$LAB_DIR/turnpike.yaml" \
		>"$LAB_DIR/out" 2>&1
	got=$?
	cat "$LAB_DIR/out"
	echo "exit $got, wanted $code: $text"
	state >"$LAB_DIR/after" 2>&1
	[ $got -eq "$code" ] && grep -q "$text" "$LAB_DIR/out" &&
		diff "$LAB_DIR/before" "$LAB_DIR/after"
}
mkdir "$LAB_DIR/run"
state >"$LAB_DIR/before" 2>&1

config af_packet:eth7
lab_check "a device that is not there" refused 75 "no network device eth7"
config af_xdp:eth7
lab_check "a device that is not there, af_xdp" refused 75 "no network device eth7"
config net_nonsense0
lab_check "a driver that is not there" refused 75 "net_nonsense0"
config af_packet:eth0 "hugepages: on
memory: 1048576"
lab_check "no hugepages" refused 75 "hugepages"
config af_packet:eth0
lab_check "no privilege" refused 75 "CAP_NET" setpriv --bounding-set -net_raw,-net_admin --inh-caps -all
config af_packet:eth0 "listners: [1]"
lab_check "a word that is none" refused 78 "listners"
config af_xdp:eth0,queue_count=3
lab_check "more queues than the device has" refused 75 "tp0"
lab_in relay ip link add tp0 type veth peer name tp0x
state >"$LAB_DIR/before" 2>&1
config af_packet:eth0
lab_check "the TAP's name is taken" refused 75 "another kind of device"
lab_in relay ip link del tp0
lab_in relay ip tuntap add tp0 mode tap
lab_start relay holder python3 -c '
import fcntl, struct, time
f = open("/dev/net/tun", "r+b", buffering=0)
fcntl.ioctl(f, 0x400454CA, struct.pack("16sH22x", b"tp0", 0x1002))
print("ready", flush=True)
time.sleep(60)'
lab_wait 5 grep -q ready "$LAB_DIR/holder.log"
state >"$LAB_DIR/before" 2>&1
lab_check "the TAP is in use" refused 75 "has the TAP"
lab_stop "$LAB_PID"
lab_check "eth0 works as before" lab_in peer ping -c 1 -W 1 198.18.0.1
lab_end
