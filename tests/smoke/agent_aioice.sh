#!/bin/sh
# turnpike-agent and aioice, both ways round, directly, through NATs and through the relay.
. "$(dirname "$0")/relay_lab.sh"
. "$(dirname "$0")/nat_lab.sh"

lab_begin
/usr/bin/python3 -c 'import aioice' 2>/dev/null || lab_skip "needs python3-aioice"
nat_begin
nat_public relay 1
relay_config "$LAB_DIR/relay.yaml" "- { device: \"af_packet:eth0\", addresses: [$SERVER4/16, \"$SERVER6/64\"] }"
relay_up relay relay "$LAB_DIR/relay.yaml"
for side in a b; do
	for kind in public port symmetric; do nat_side $side$kind $kind; done
done

lines() {
	i=0
	while [ $i -lt 20 ]; do
		i=$((i + 1))
		echo "agent $i"
		sleep 0.05
	done
	sleep 2
}

together() { # WHERE OUR_KIND THEIR_KIND OUR_ROLE THEIR_ROLE
	d=$LAB_DIR/$1
	mkdir -p "$d"
	lines | lab_in "a$2" timeout 30 "$LAB_BUILD/turnpike-agent" --"$4" --turn $SERVER4:3478,alice,secret \
		--local "$d/ours" --remote "$d/theirs" --stats "$d/stats" >"$d/out" 2>"$d/err" &
	ours=$!
	lab_in "b$3" timeout 30 /usr/bin/python3 "$LAB_HERE/aioice_agent.py" "$5" "$d/theirs" "$d/ours" \
		$SERVER4 3478 >"$d/aioice" 2>&1
	status=$?
	kill $ours 2>/dev/null
	pkill -TERM -P $ours 2>/dev/null
	cat "$d/err" "$d/aioice"
	[ $status -eq 0 ] && [ "$(grep -c '^aioice' "$d/out")" -eq 20 ]
}

for kinds in public-public port-port symmetric-public public-symmetric symmetric-symmetric; do
	lab_check "aioice answers, $kinds" together "answer-$kinds" "${kinds%-*}" "${kinds#*-}" offer answer
	lab_check "aioice offers, $kinds" together "offer-$kinds" "${kinds%-*}" "${kinds#*-}" answer offer
done
lab_end
