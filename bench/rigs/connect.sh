#!/bin/sh
# How long two agents take to find a path: turnpike-agent with itself, then aioice with itself, between
# the same two hosts behind the same NATs, in turn. A time runs from the moment an offering side has
# both descriptions until it has a nominated pair.
#
#   connect.sh ROUNDS PAIR...      PAIR: two kinds of nat_lab.sh, "port-symmetric"
#
# Prints "PAIR OURS_MS AIOICE_MS" for each round; "-" where there was no path.
LAB_LIB=$(cd "$(dirname "$0")/../../tests/smoke" && pwd)
. "$LAB_LIB/relay_lab.sh"
. "$LAB_LIB/nat_lab.sh"
rounds=$1
shift
lab_begin conntrack
nat_begin
nat_public relay 1
relay_config "$LAB_DIR/relay.yaml" "- { device: \"af_packet:eth0\", addresses: [$SERVER4/16, \"$SERVER6/64\"] }"
relay_up relay relay "$LAB_DIR/relay.yaml"
number=0
for pair in "$@"; do
	number=$((number + 1))
	nat_side "a$number" "${pair%-*}"
	nat_side "b$number" "${pair#*-}"
done

agent() { # SPACE ROLE LOCAL REMOTE
	lab_in "$1" timeout 20 "$LAB_BUILD/turnpike-agent" --"$2" --turn $SERVER4:3478,alice,secret \
		--local "$3" --remote "$4" --stats "$3.stats" </dev/null >/dev/null 2>&1
}
aioice() {
	lab_in "$1" env LINES=0 STUN=1 timeout 20 /usr/bin/python3 "$LAB_LIB/aioice_agent.py" "$2" "$3" "$4" \
		$SERVER4 3478 >"$3.out" 2>/dev/null
}
both() { # WHOSE NUMBER DIRECTORY
	mkdir -p "$3"
	$1 "b$2" answer "$3/answer" "$3/offer" &
	$1 "a$2" offer "$3/offer" "$3/answer"
	wait $!
}
round() { # PAIR NUMBER ROUND
	d=$LAB_DIR/$2.$3
	both agent "$2" "$d.ours"
	both aioice "$2" "$d.aioice"
	ours=$(sed -n 's/.*"connect_ms": *\([0-9]*\).*/\1/p' "$d.ours/offer.stats" 2>/dev/null)
	theirs=$(sed -n 's/.*after \([0-9]*\) ms/\1/p' "$d.aioice/offer.out" 2>/dev/null)
	echo "$1 ${ours:--} ${theirs:--}"
}
# Two pairs at a time: more would measure how processes start on few cores.
half() { # 0|1 PAIR...: every second one
	which=$1 number=0
	shift
	for pair in "$@"; do
		number=$((number + 1)) n=0
		while [ $((number % 2)) -eq "$which" ] && [ $n -lt "$rounds" ]; do
			n=$((n + 1))
			round "$pair" $number $n
		done
	done
}
half 0 "$@" &
other=$!
half 1 "$@"
wait $other
relay_down >/dev/null
lab_end >/dev/null
