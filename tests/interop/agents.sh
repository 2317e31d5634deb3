#!/bin/sh
# turnpike-agent and the agents of libnice and pion: both roles, directly, through NATs, by the relay,
# relay only from either side; and one path of each held long enough for consent to matter.
LAB_LIB=$(dirname "$0")/../smoke
. "$LAB_LIB/relay_lab.sh"
. "$LAB_LIB/nat_lab.sh"
lab_begin conntrack
SOURCES=$LAB_HERE BIN=$LAB_DIR
nice_agent() { cc -O1 -o "$BIN/nice" "$SOURCES/nice_agent.c" $(pkg-config --cflags --libs nice zlib); }
pion_agent() {
	GOCACHE=$LAB_BUILD/gocache GO111MODULE=off GOPATH=/usr/share/gocode \
		go build -o "$BIN/pion" "$SOURCES/pion_agent.go"
}
pkg-config --exists nice || lab_skip "needs libnice-dev"
[ -d /usr/share/gocode/src/github.com/pion/ice/v2 ] || lab_skip "needs golang-github-pion-ice.v2-dev"
lab_check "an agent of libnice is built" nice_agent
lab_check "an agent of pion is built" pion_agent
nat_begin
nat_public relay 1
relay_config "$LAB_DIR/relay.yaml" "- { device: \"af_packet:eth0\", addresses: [$SERVER4/16, \"$SERVER6/64\"] }"
relay_up relay relay "$LAB_DIR/relay.yaml"
for side in a b; do
	for kind in public port symmetric; do nat_side $side$kind $kind; done
done

lines() { # STAY
	i=0
	while [ $i -lt 30 ]; do
		i=$((i + 1))
		echo "agent $i"
		sleep 0.05
	done
	sleep $((3 + $1))
}
together() { # NAME WHOSE OUR_KIND THEIR_KIND OUR_ROLE THEIR_ROLE OUR_POLICY THEIR_POLICY STAY WANTED
	d=$LAB_DIR/$1
	mkdir -p "$d"
	lines "$9" | lab_in "a$3" timeout $((40 + $9)) "$LAB_BUILD/turnpike-agent" --"$5" --policy "$7" \
		--turn $SERVER4:3478,alice,secret --local "$d/ours" --remote "$d/theirs" --stats "$d/stats" \
		>"$d/out" 2>"$d/err" &
	ours=$!
	lab_in "b$4" timeout $((40 + $9)) "$BIN/$2" "$6" "$d/theirs" "$d/ours" $SERVER4 3478 "$8" "$9" \
		>"$d/log" 2>&1
	status=$?
	kill $ours 2>/dev/null
	pkill -TERM -P $ours 2>/dev/null
	tail -n 2 "$d/err"
	tail -n 4 "$d/log"
	[ $status -eq 0 ] && [ "$(grep -c '^theirs' "$d/out")" -eq 20 ] && grep -Eq "${10}" "$d/err"
}
try() {
	lab_check "$@"
	grep -hE '^selected|connected in' "$LAB_DIR/check.out" | sed 's/^/#   /'
}
each() { # WHOSE
	for kinds in public-public port-port symmetric-public; do
		a=${kinds%-*} b=${kinds#*-}
		try "$1 answers, $kinds" together "$1-o-$kinds" "$1" "$a" "$b" offer answer all all 0 direct
		try "$1 offers, $kinds" together "$1-a-$kinds" "$1" "$a" "$b" answer offer all all 0 direct
	done
	try "$1 answers, symmetric-symmetric" together "$1-o-sym" "$1" symmetric symmetric offer answer all all 0 relay
	try "$1 offers, symmetric-symmetric" together "$1-a-sym" "$1" symmetric symmetric answer offer all all 0 relay
	try "$1 answers, we are relay only" together "$1-our-relay" "$1" public public offer answer relay all 0 relay
	try "$1 offers, it is relay only" together "$1-its-relay" "$1" public public answer offer all relay 0 relay
	try "$1 answers, consent for 40 s" together "$1-long" "$1" port public offer answer all all 40 direct
}
(
	LAB_DIR=$LAB_DIR/of-nice
	mkdir "$LAB_DIR"
	each nice
) >"$LAB_DIR/nice.out" &
nice=$!
each pion
wait $nice
cat "$LAB_DIR/nice.out"
grep -q '^not ok' "$LAB_DIR/nice.out" && LAB_BAD=$((LAB_BAD + 1))
lab_end
