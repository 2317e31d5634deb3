#!/bin/sh
# Floods without credentials and a million mutated packets, beside a call.
. "$(dirname "$0")/relay_lab.sh"
lab_begin
LAB_TAIL=8
conf=$LAB_DIR/flood.yaml
lab_pair relay outside
relay_outside outside
relay_config "$conf" "- device: af_packet:eth0" "  addresses: [$SERVER4/15, \"$SERVER6/64\"]"
sed -i '/^limits:/d' "$conf"
echo "limits: { binding-per-prefix: 2000 }" >>"$conf"
relay_up relay relay "$conf"
pid_of() {
	relay_ctl "$conf" --json status | python3 -c "import json,sys; print(json.load(sys.stdin)['$1']['pid'])"
}
control=$(pid_of control) dataplane=$(pid_of dataplane)
: >"$LAB_DIR/call.log"
lab_start outside call python3 "$LAB_HERE/call.py" $SERVER4 $HOST4 "$LAB_DIR/flag" refresh
call=$LAB_PID
lab_check "a call stands" lab_wait 10 test -e "$LAB_DIR/flag"
lab_check "answers bounded, control idle, nothing leaks" \
	lab_in outside timeout 120 python3 "$LAB_HERE/flood.py" "$conf" $SERVER4 "$control" "$dataplane" "${1:-200000}"
[ "$LAB_BAD" -gt 0 ] || sed 's/^/#   /' "$LAB_DIR/check.out"
rm -f "$LAB_DIR/flag"
wait $call
status=$?
sed 's/^/#   /' "$LAB_DIR/call.log"
# Nothing, but for what the port had no room for while the relay waited for a core: counted above.
call_whole() {
	[ $status -eq 0 ] || python3 - "$LAB_DIR/call.log" <<'E'
import json, sys
c = json.loads(open(sys.argv[1]).readline())
sys.exit(c["twice"] > 0 or c["lost_to_peer"] + c["lost_to_client"] > 0.04 * c["sent"] or c["refused"] > 0)
E
}
lab_check "the call lost nothing (two packets in a hundred where cores are shared)" call_whole
lab_check "the same processes" test "$(pid_of control) $(pid_of dataplane)" = "$control $dataplane"
lab_check "a clean stop" relay_down
lab_end
