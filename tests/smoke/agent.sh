#!/bin/sh
# turnpike-agent between hosts behind every pair of NATs, with Turnpike as STUN and TURN server: the
# right kind of path is found, and data flows both ways over it.
. "$(dirname "$0")/relay_lab.sh"
. "$(dirname "$0")/nat_lab.sh"

KINDS=${AGENT_KINDS:-"public cone address port symmetric twice blocked six broken6"}
AT_ONCE=${AGENT_AT_ONCE:-6}

lab_begin
nat_begin
nat_public relay 1
relay_config "$LAB_DIR/relay.yaml" "- { device: \"af_packet:eth0\", addresses: [$SERVER4/16, \"$SERVER6/64\"] }"
relay_up relay relay "$LAB_DIR/relay.yaml"
for kind in $KINDS; do
	nat_side "a$kind" "$kind"
	nat_side "b$kind" "$kind"
done

# A second host behind the first one's NAT: they meet inside.
same=
case " $KINDS " in
*" cone "*)
	same=yes
	eval "lan=10.\${NAT_AT_acone#198.18.}"
	lan=${lan%.1}
	lab_space bsame
	nat_quiet bsame
	nat_inside bsame nacone "$lan.0.3" "$lan.0.1"
	# Two more such pairs that may not meet inside: one NAT turns round what is sent to itself, one
	# does not.
	nat_side ahairpin hairpin
	nat_beside bhairpin ahairpin
	nat_side aalone cone
	nat_beside balone aalone
	;;
esac

servers() { # KIND
	case $1 in
	six) echo "--turn [$SERVER6]:3478,alice,secret" ;;
	broken6) echo "--turn $SERVER4:3478,alice,secret --turn [$SERVER6]:3478,alice,secret" ;;
	*) echo "--turn $SERVER4:3478,alice,secret" ;;
	esac
}

expected() { # KIND KIND
	case $1-$2 in
	six-six) echo host ;;
	six-* | *-six | blocked-* | *-blocked) echo relay ;;
	public-public | cone-same) echo host ;;
	symmetric-port | symmetric-broken6 | symmetric-symmetric | symmetric-twice | \
		twice-port | twice-broken6 | twice-symmetric | twice-twice | \
		port-symmetric | broken6-symmetric | port-twice | broken6-twice) echo relay ;;
	*) echo reflexive ;;
	esac
}

lines() {
	i=0
	while [ $i -lt 20 ]; do
		i=$((i + 1))
		echo "$1 $i"
		sleep 0.05
	done
}

side() { # DIRECTORY SPACE KIND ROLE LOCAL REMOTE
	# shellcheck disable=SC2046
	lines "$4" | lab_in "$2" timeout 60 "$LAB_BUILD/turnpike-agent" --"$4" $(servers "$3") \
		--local "$1/$5" --remote "$1/$6" --stats "$1/$4.json" --explain \
		>"$1/$4.out" 2>"$1/$4.err"
}

pair() { # KIND KIND
	d=$LAB_DIR/$1-$2
	mkdir -p "$d"
	side "$d" "a$1" "$1" offer a.line b.line &
	side "$d" "b$2" "$2" answer b.line a.line
	wait $!
}

good() { # DIRECTORY EXPECTED
	cat "$1"/*.err
	python3 - "$@" <<'P'
import json, sys

where, wanted = sys.argv[1:]
o, a = (json.load(open(f"{where}/{side}.json")) for side in ("offer", "answer"))
kinds = {o["local_type"], o["remote_type"], a["local_type"], a["remote_type"]}
found = "relay" if "relay" in kinds else "host" if kinds == {"host"} else "reflexive"
print(found, "expected", wanted, o, a)
for side, other in (("offer", "answer"), ("answer", "offer")):
    got = open(f"{where}/{side}.out").read().split("\n")[:-1]
    missing = [f"{other} {i}" for i in range(1, 21) if f"{other} {i}" not in got]
    # A path that is better by the time may carry the first lines while it settles: none is lost.
    if missing:
        print(side, "misses", missing)
        sys.exit(1)
print(f"TIME {max(o['connect_ms'], a['connect_ms'])}")
sys.exit(found != wanted)
P
}

n=0
for a in $KINDS; do
	for b in $KINDS; do
		pair "$a" "$b" &
		n=$((n + 1))
		[ $((n % AT_ONCE)) -ne 0 ] || wait_pairs=$!
		[ $((n % AT_ONCE)) -ne 0 ] || wait "$wait_pairs"
	done
done
[ -z "$same" ] || {
	apart() {
		lab_in acone ping -c 1 -W 2 "$lan.0.3" && ! lab_in aalone ping -c 1 -W 1 "$nat_lan.0.3"
	}
	pair cone same &
	pair hairpin hairpin &
	pair alone alone &
	for case in "cone-same host, meeting inside" "hairpin-hairpin reflexive, kept apart inside, hairpin" \
		"alone-alone relay, kept apart inside, no hairpin"; do
		where=${case%% *} wanted=${case#* }
		lab_wait 30 test -e "$LAB_DIR/$where/offer.json" -a -e "$LAB_DIR/$where/answer.json"
		lab_check "both behind one NAT${wanted#*,}: ${wanted%%,*}" good "$LAB_DIR/$where" "${wanted%%,*}"
	done
	lab_check "hosts kept apart do not meet" apart
}
for a in $KINDS; do
	for b in $KINDS; do
		lab_wait 60 test -e "$LAB_DIR/$a-$b/offer.json" -a -e "$LAB_DIR/$a-$b/answer.json"
		lab_check "$a to $b: $(expected "$a" "$b")" good "$LAB_DIR/$a-$b" "$(expected "$a" "$b")"
		grep -h '^TIME' "$LAB_DIR/check.out" | sed "s/TIME/#   connected in ms:/"
	done
done
lab_end
