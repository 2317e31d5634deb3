#!/bin/sh
# A frame for every name a drop has, from outside, beside a call that must not notice.
. "$(dirname "$0")/relay_lab.sh"
lab_begin
conf=$LAB_DIR/hostile.yaml
lab_pair relay outside
relay_outside outside
relay_config "$conf" "- device: af_packet:eth0" "  addresses: [$SERVER4/24, \"$SERVER6/64\"]"
# A realm so long that the shortest request may not be answered; a few small limits.
sed -i 's/realm: .*/realm: relay.example.org/; /^compat:/d; /^limits:/d' "$conf"
echo "limits: { binding-per-prefix: 400, reassembly: 64, requests-per-prefix: 1000 }" >>"$conf"
relay_up relay relay "$conf"
ip -n "$LAB-relay" link set eth0 mtu 3400 # or the kernel drops what is longer before the port sees it

: >"$LAB_DIR/call.log"
lab_start outside call python3 "$LAB_HERE/call.py" $SERVER4 $HOST4 "$LAB_DIR/flag"
call=$LAB_PID
lab_check "a call stands" lab_wait 10 test -e "$LAB_DIR/flag"
lab_check "every name, every frame accounted for, nothing refused, same processes" \
	lab_in outside timeout 100 python3 "$LAB_HERE/hostile.py" "$LAB_BUILD/turnpikectl" "$conf" $SERVER4 $SERVER6 $HOST4 $HOST6
cat "$LAB_DIR/check.out" | sed 's/^/#   /'
rm -f "$LAB_DIR/flag"
wait $call
status=$?
sed 's/^/#   /' "$LAB_DIR/call.log"
lab_check "the call lost nothing" test $status -eq 0
lab_check "a clean stop" relay_down
lab_end
