#!/bin/sh
# A call between two peer connections of Chromium, relay only: video and a data channel through two
# allocations of this relay, hairpinned. Once by a user of the file, once by time-limited credentials.
LAB_LIB=$(dirname "$0")/../smoke
. "$LAB_LIB/relay_lab.sh"
lab_begin chromium
conf=$LAB_DIR/relay.yaml
lab_pair relay outside
relay_outside outside
relay_config "$conf" "- device: af_packet:eth0" "  addresses: [$SERVER4/24, \"$SERVER6/64\"]"
relay_up relay relay "$conf"
browse() {
	lab_in outside python3 "$LAB_HERE/browse.py" "$@"
}
lab_check "a call over IPv4" browse "turn:$SERVER4:3478?transport=udp" alice secret
sed 's/^/#   /' "$LAB_DIR/check.out"
minted() {
	relay_ctl "$conf" --json credential webrtc --ttl 600 >"$LAB_DIR/credential.json" || return 1
	set -- $(python3 -c 'import json, sys; c = json.load(open(sys.argv[1])); print(c["username"], c["password"])' "$LAB_DIR/credential.json")
	browse "turn:[$SERVER6]:3478?transport=udp" "$1" "$2"
}
lab_check "a call over IPv6, with minted credentials" minted
sed 's/^/#   /' "$LAB_DIR/check.out"
bystander() {
	! browse "turn:$SERVER4:3478?transport=udp" alice wrong
}
lab_check "no call with a wrong password" bystander
lab_check "a clean stop" relay_down
lab_end
