#!/bin/sh
# turnpike-agent and Chromium, as far as ICE goes (DTLS has nobody to talk to), both ways round: directly,
# through NATs, by the relay, relay only from either side, trickled candidates, consent.
LAB_LIB=$(dirname "$0")/../smoke
. "$LAB_LIB/relay_lab.sh"
. "$LAB_LIB/nat_lab.sh"
lab_begin chromium conntrack
nat_begin
nat_public relay 1
relay_config "$LAB_DIR/relay.yaml" "- { device: \"af_packet:eth0\", addresses: [$SERVER4/16, \"$SERVER6/64\"] }"
relay_up relay relay "$LAB_DIR/relay.yaml"
for side in a b; do
	for kind in public port; do nat_side $side$kind $kind; done
done
# A browser finds its address by the way it would take to the Internet.
lab_in bpublic ip route add default via $SERVER4

run() { # NAME KIND OUR_ROLE THEIR_ROLE OUR_POLICY STAY WORDS...
	d=$LAB_DIR/$1 kind=$2 our_role=$3 their_role=$4 our_policy=$5 stay=$6
	shift 6
	mkdir "$d"
	mkfifo "$d/lines"
	while sleep 1; do echo "agent"; done >"$d/lines" &
	feeding=$!
	ip netns exec "$LAB-a$kind" timeout $((90 + stay)) "$LAB_BUILD/turnpike-agent" --"$our_role" --policy "$our_policy" \
		--turn $SERVER4:3478,alice,secret --local "$d/ours" --remote "$d/theirs" --stats "$d/stats" \
		--trace "$d/trace" <"$d/lines" >"$d/out" 2>"$d/err" &
	ours=$!
	lab_in "b$kind" timeout $((90 + stay)) python3 "$LAB_HERE/agent_browser.py" "$their_role" "$d/theirs" "$d/ours" \
		"turn:$SERVER4:3478?transport=udp" "$stay" "$@" >"$d/browser" 2>&1
	status=$?
	kill $ours 2>/dev/null
	wait $ours
	ours_status=$?
	kill $feeding
	wait $feeding 2>/dev/null
	cat "$d/err" "$d/browser"
}

# NAME KIND OUR_ROLE OUR_POLICY STAY OURS THEIRS RESTARTS WORDS...: OURS and THEIRS are the types of the
# pair, as either side tells it; extended regular expressions.
together() {
	name=$1 kind=$2 role=$3 policy=$4 stay=$5 ours_want=$6 theirs_want=$7 restarts=$8
	shift 8
	if [ "$role" = offer ]; then their_role=answer; else their_role=offer; fi
	run "$name" "$kind" "$role" $their_role "$policy" "$stay" "$@"
	python3 "$LAB_HERE/ice_line.py" "$d/stats" "$d/trace" | sed 's/^/agent: /' >"$d/facts"
	cat "$d/facts"
	[ $status -eq 0 ] && [ $ours_status -eq 0 ] && grep -Eq "^agent: $ours_want connect" "$d/facts" &&
		grep -Eq "^browser: $theirs_want connect" "$d/browser" && grep -q "restarts $restarts\$" "$d/facts" &&
		LC_ALL=C grep -q "$(printf '\026\376')" "$d/out" # its DTLS came through
}
lasting() { # the same; ours were asked and answered too
	together "$@" || return 1
	# shellcheck disable=SC2046
	set -- $(sed 's/.*consent asked \([0-9]*\), answered \([0-9]*\),.*/\1 \2/' "$d/facts")
	[ "$2" -ge 5 ] && [ "$2" -ge $(($1 - 1)) ]
}
apart() {
	run wrong public offer answer all 0 lie
	[ $status -ne 0 ] && grep -q 'no path' "$d/browser" && ! grep -q connected "$d/err"
}
try() {
	lab_check "$@"
	grep -E '^(agent|browser): ' "$LAB_DIR/check.out" | sed 's/^/#   /'
}

near='(host|srflx|prflx)'
try "Chromium answers, direct, consent for 36 s" lasting d1 public offer all 36 host-host host-host 0
try "Chromium offers, direct" together d2 public answer all 1 host-host host-host 0
try "Chromium offers, names for its addresses" together d3 public answer all 1 'host-(srflx|prflx)' '(srflx|prflx|host)-host' 0 hidden
try "Chromium offers, both behind NATs, trickled candidates" together n1 port answer all 1 "$near-$near" "$near-$near" 0 trickle
try "Chromium answers, both behind NATs" together n2 port offer all 1 "$near-$near" "$near-$near" 0
try "Chromium answers, we are relay only" together r1 public offer relay 1 "relay-$near" "$near-relay" 0
try "Chromium offers, it is relay only" together r2 public answer all 1 "$near-relay" "relay-$near" 0 relay
try "Chromium offers, both are relay only, consent for 36 s" lasting r3 port answer relay 36 relay-relay relay-relay 0 relay
lab_check "Chromium answers, wrong passwords" apart
lab_check "a clean stop" relay_down
lab_end
