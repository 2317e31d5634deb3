#!/bin/sh
# Quotas, totals, port ranges, permissions and channels: refused with the right error, and served again.
. "$(dirname "$0")/relay_lab.sh"
lab_begin
lab_pair relay outside
relay_outside outside

# full WHAT LIMITS PORTS: a relay of its own for each.
full() {
	conf=$LAB_DIR/$1.yaml
	relay_config "$conf" "- device: af_packet:eth0" "  addresses: [$SERVER4/24, \"$SERVER6/64\"]"
	sed -i "/^limits:/d; s/alice: secret/alice: secret, bob: builder/" "$conf"
	sed -i "s/^relay:/relay:\n  ports: $3\n  port-rest: 1\n  reservation: 5/" "$conf"
	echo "limits: { $2 }" >>"$conf"
	relay_up relay "$1" "$conf"
	lab_check "$1" lab_in outside timeout 60 python3 "$LAB_HERE/full.py" "$1" $SERVER4 $HOST4
	[ "$LAB_BAD" -gt 0 ] || sed 's/^/#   /' "$LAB_DIR/check.out"
	lab_check "a clean stop" relay_down
}
full quota "allocations-per-user: 3" 49152-65535
full total "allocations: 4" 49152-65535
full ports "allocations: 1000" 50000-50003
full rows "permissions: 8, channels: 4" 49152-65535
lab_end
