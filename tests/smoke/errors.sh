#!/bin/sh
# What goes wrong, said in one line with what, where and what to do, and with the right exit status;
# deaths of either process and of both beside a call; what stops leave behind.
. "$(dirname "$0")/relay_lab.sh"
lab_begin setpriv unshare
lab_pair relay outside
relay_outside outside
conf=$LAB_DIR/errors.yaml
out=$LAB_DIR/said

good() { # FILE
	relay_config "$1" "- device: af_packet:eth0" "  addresses: [$SERVER4/24, \"$SERVER6/64\"]"
}

# told WHAT STATUS PATTERN COMMAND...: ends by itself with STATUS, and a line that matches.
told() {
	told_what=$1 told_status=$2 told_pattern=$3
	shift 3
	lab_check "$told_what" told_run "$@"
	grep -E -m 1 -- "$told_pattern" "$out" | cut -c 1-220 | sed 's/^/#   /'
}
told_run() {
	timeout 30 "$@" >"$out" 2>&1 </dev/null
	told_got=$?
	[ $told_got -eq "$told_status" ] || { echo "status $told_got, expected $told_status"; tail -n 8 "$out"; return 1; }
	grep -Eq -- "$told_pattern" "$out" || { echo "no line says $told_pattern:"; tail -n 8 "$out"; return 1; }
}
run() { # FILE: in the relay's namespace
	echo ip netns exec "$LAB-relay" "$LAB_BUILD/turnpike" run -c "$1"
}

good "$conf"
sed 's/^listeners:/lisetners:/' "$conf" >"$LAB_DIR/bad.yaml"
told "a key that is not known" 78 "bad.yaml:[0-9]+: 'lisetners'.*'listeners'" $(run "$LAB_DIR/bad.yaml")
sed 's/eth0/eth9/' "$conf" >"$LAB_DIR/device.yaml"
told "a device that is not there" 75 'error.*eth9' $(run "$LAB_DIR/device.yaml")
{ cat "$conf"; echo "hugepages: on"; echo "memory: 1048576"; } >"$LAB_DIR/huge.yaml"
told "hugepages that are not there" 75 'hugepages needed.*raise vm.nr_hugepages' $(run "$LAB_DIR/huge.yaml")
sed "s|^run-dir:.*|run-dir: $LAB_DIR/nobody/run|" "$conf" >"$LAB_DIR/nobody.yaml"
mkdir "$LAB_DIR/nobody"
chown 65534 "$LAB_DIR/nobody"
chmod 755 "$LAB_DIR"
chmod 644 "$LAB_DIR/nobody.yaml"
told "no privilege" 75 'error.*(CAP_NET|privilege|permitted|permission)' \
	ip netns exec "$LAB-relay" setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all \
	"$LAB_BUILD/turnpike" run -c "$LAB_DIR/nobody.yaml"
sed "s|^run-dir:.*|run-dir: /proc/nowhere/run|" "$conf" >"$LAB_DIR/rundir.yaml"
told "a run directory that cannot be" 75 '/proc/nowhere/run' $(run "$LAB_DIR/rundir.yaml")
sed "s|^run-dir:.*|run-dir: $LAB_DIR/full/run|" "$conf" >"$LAB_DIR/full.yaml"
mkdir "$LAB_DIR/full"
told "a run directory without room" 75 'No space.*more room' ip netns exec "$LAB-relay" unshare -m sh -c "
	mount -t tmpfs -o size=512k none '$LAB_DIR/full' && exec '$LAB_BUILD/turnpike' run -c '$LAB_DIR/full.yaml'"

# A relay that serves: a second one beside it, and strangers.
relay_up relay relay "$conf"
first=$RELAY_PID
told "a second start" 75 "$first" $(run "$conf")
sed "s|^run-dir:.*|run-dir: $LAB_DIR/run-other|; s/^name:.*/name: other/" "$conf" >"$LAB_DIR/other.yaml"
told "another relay on the same device" 75 "another relay here has the device" $(run "$LAB_DIR/other.yaml")
sed -i "s/  - device: /  - name: other\n    device: /" "$LAB_DIR/other.yaml"
told "nor under another port's name" 75 "error=.*another relay here has the device" $(run "$LAB_DIR/other.yaml")
lab_check "the first still serves" sh -c "ip netns exec $LAB-outside ping -c 2 -i 0.2 -W 2 $SERVER4"
abi=$(sed -n 's/.*ABI_MAJOR = \([0-9]*\).*/\1/p' "$LAB_HERE/../../include/abi/abi.h")
lab_check "a clean stop" relay_down

# Either side alone, with a stranger of another version.
mkdir -p "$LAB_DIR/run-errors"
lab_start relay dataplane "$LAB_BUILD/turnpike-dataplane" -c "$conf"
dataplane=$LAB_PID
lab_wait 10 test -S "$LAB_DIR/run-errors/dataplane.sock"
stranger() {
	python3 "$LAB_HERE/stranger.py" control "$LAB_DIR/run-errors/dataplane.sock" 99 >"$out" 2>&1
	cat "$out"
	grep -q "refused.*99.*$abi\|refused.*$abi.*99" "$out" && grep -q 'hung up' "$out"
}
lab_check "the data plane refuses control of version 99, naming both" stranger
grep refused "$out" | sed 's/^/#   /'
garbage() {
	python3 - "$LAB_DIR/run-errors/dataplane.sock" <<'E'
import os, socket, sys
for junk in (b"", b"x", bytes(128), os.urandom(128), os.urandom(3000)):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(10)
    s.connect(sys.argv[1])
    s.recv(4096)
    s.send(junk) if junk else s.close()
    if junk:
        try:
            while s.recv(4096):
                pass
        except ConnectionResetError:
            pass
    s.close()
E
	kill -0 "$dataplane"
}
lab_check "and hangs up on garbage" garbage
lab_stop "$dataplane"
rm -rf "$LAB_DIR/run-errors"
mkdir -p "$LAB_DIR/run-errors"
lab_start relay stranger python3 "$LAB_HERE/stranger.py" dataplane "$LAB_DIR/run-errors/dataplane.sock" 99
lab_wait 5 grep -q waiting "$LAB_DIR/stranger.log"
lab_start relay control "$LAB_BUILD/turnpike-control" -c "$conf"
control=$LAB_PID
lab_check "control refuses a data plane of version 99, naming both" \
	lab_wait 10 grep -Eq "(99.*$abi\.|$abi\..*99)" "$LAB_DIR/control.log"
grep -E -m 1 '99' "$LAB_DIR/control.log" | sed 's/^/#   /'
lab_stop "$control"
rm -rf "$LAB_DIR/run-errors"

# Deaths beside a call.
value() { # EXPRESSION over j, of status
	relay_ctl "$conf" --json status | python3 -c "import json,sys; j=json.load(sys.stdin); print($1)"
}
up_again() { # CONTROL DATAPLANE: pids that were
	[ "$(value 'j["dataplane"].get("synced")')" = True ] && [ "$(value 'j["control"]["pid"]')" != "$1" ] &&
		[ "$(value 'j["dataplane"]["pid"]')" != "$2" ]
}
allocates() {
	lab_in outside timeout 20 python3 "$LAB_HERE/ctl.py" allocate $SERVER4 alice secret
}
call_begin() {
	rm -f "$LAB_DIR/flag"
	: >"$LAB_DIR/call.log"
	lab_start outside call python3 "$LAB_HERE/call.py" $SERVER4 $HOST4 "$LAB_DIR/flag" refresh
	call=$LAB_PID
	lab_wait 10 test -e "$LAB_DIR/flag"
	sleep 1.5
}
# Ends the call. PYTHON-CONDITION over c, what it counted.
call_end() {
	rm -f "$LAB_DIR/flag"
	wait $call
	head -n 1 "$LAB_DIR/call.log" | sed 's/^/#   /'
	lab_check "$1" python3 -c "
import json, sys
c = json.loads(open('$LAB_DIR/call.log').readline())
print(c)
sys.exit(not ($2))"
}

mv "$LAB_DIR/relay.log" "$LAB_DIR/first.log"
relay_up relay relay "$conf"
call_begin
control=$(value 'j["control"]["pid"]') dataplane=$(value 'j["dataplane"]["pid"]')
kill -9 "$control"
lab_check "control is back" lab_wait 15 up_again "$control" none
sleep 2
lab_check "a new allocation" allocates
call_end "control killed: no packet lost, the nonce good, none refused" \
	"c['lost_to_peer'] == c['lost_to_client'] == 0 and c['refused'] == 0 and c['refreshed'] >= 2 and not c['twice']"

call_begin
dataplane=$(value 'j["dataplane"]["pid"]')
kill -9 "$dataplane"
lab_check "the data plane is back" lab_wait 15 up_again none "$dataplane"
sleep 2
lab_check "a new allocation" allocates
call_end "data plane killed: the call goes on after a gap of less than 5 s" \
	"0 < c['longest_s'] < 5 and c['refused'] == 0 and c['refreshed'] >= 2 and c['sent'] - c['lost_to_peer'] > 100"

call_begin
control=$(value 'j["control"]["pid"]') dataplane=$(value 'j["dataplane"]["pid"]')
kill -9 "$control" "$dataplane"
lab_check "both are back" lab_wait 15 up_again "$control" "$dataplane"
sleep 2
lab_check "a new allocation" allocates
call_end "both killed: the call goes on after a gap of less than 6 s" \
	"0 < c['longest_s'] < 6 and c['refused'] == 0 and c['refreshed'] >= 2 and c['sent'] - c['lost_to_peer'] > 100"

# Stops.
call_begin
lab_check "stop --keep" relay_ctl "$conf" stop --keep
lab_check "ends" lab_gone "$RELAY_PID"
lab_check "the store is there" test -s "$LAB_DIR/run-errors/store"
mv "$LAB_DIR/relay.log" "$LAB_DIR/second.log"
relay_up relay relay "$conf"
sleep 2
call_end "stop --keep, start: the call goes on" \
	"c['refused'] == 0 and c['refreshed'] >= 2 and c['lost_to_peer'] < c['sent'] - 100"
lab_check "a clean stop" relay_down
left() {
	ip -n "$LAB-relay" -o link | grep -v -e ' lo:' -e ' eth0@' && return 1
	ip netns exec "$LAB-relay" nft list tables | grep . && return 1
	[ ! -e "$LAB_DIR/run-errors" ] || { ls -la "$LAB_DIR/run-errors"; return 1; }
	[ -z "$(ip netns pids "$LAB-relay")" ] || { ps -p "$(ip netns pids "$LAB-relay")"; return 1; }
	ls /dev/hugepages 2>/dev/null | grep "$LAB\|errors" && return 1
	ip netns exec "$LAB-relay" ss -xl | grep "$LAB_DIR" && return 1
	return 0
}
lab_check "and nothing is left: TAP, nft table, run directory, process, socket, file" left
gives_back() {
	ip -n "$LAB-relay" addr add $SERVER4/24 dev eth0 && lab_in outside ping -c 2 -i 0.2 -W 2 $SERVER4
}
lab_check "the device is the kernel's again" gives_back
lab_end
