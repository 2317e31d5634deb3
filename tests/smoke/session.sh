#!/bin/sh
# ICE sessions on the relay, end to end: hosts on the Internet and behind NATs, each at a leg.
. "$(dirname "$0")/relay_lab.sh"
. "$(dirname "$0")/nat_lab.sh"
lab_begin conntrack
nat_begin
nat_public relay 1
conf=$LAB_DIR/relay.yaml
relay_config "$conf" "- { device: \"af_packet:eth0\", addresses: [$SERVER4/16, \"$SERVER6/64\"] }"
relay_up relay relay "$conf"
nat_side h1 public
nat_side h2 public
nat_side six six
nat_side port port
nat_side sym symmetric
nat_side moving port
nat_side k1 public
nat_side k2 public
# The NAT of `moving` forgets when it is told to.
(
	while [ -d "$LAB_DIR" ]; do
		[ ! -e "$LAB_DIR/rebind" ] || { nat_rebind moving >/dev/null 2>&1; rm "$LAB_DIR/rebind"; }
		sleep 0.2
	done
) &
LAB_PIDS="$LAB_PIDS $!"
python3 "$LAB_HERE/session.py" "$LAB_DIR" "$LAB_BUILD" "$conf" "$LAB" "$@"
judged=$?
lab_check "every case" test $judged -eq 0
[ $judged -eq 0 ] || for log in "$LAB_DIR"/*.log; do tail -n 3 "$log"; done
# Every frame has one outcome, and nothing that was made is left.
lab_check "a clean stop" relay_down
lab_end
