#!/bin/sh
# turnpike-gen against a relay that damages what it relays (tests/faults): each kind of fault is
# seen under its name, as often as it was made, and fails the run; without faults there are none.
. "$(dirname "$0")/relay_lab.sh"
lab_begin
GEN=$LAB_BUILD/turnpike-gen
FAULTY=$LAB_BUILD/tests/faults/turnpike-dataplane-faulty
[ -x "$GEN" ] && [ -x "$FAULTY" ] || lab_skip "needs turnpike-gen and the faulty data plane"

export TURNPIKE_DATAPLANE=$FAULTY

lab_pair relay outside
relay_outside outside
conf=$LAB_DIR/relay.yaml
relay_config "$conf" "- device: af_packet:eth0" "  addresses: [$SERVER4/24, \"$SERVER6/64\"]"

gen() { # STATUS OPTIONS
	gen_wanted=$1
	shift
	rm -f "$LAB_DIR/gen.json"
	lab_in outside timeout -k 5 30 "$GEN" --port af_packet:eth0 --address $HOST4/24 --address $HOST6/64 \
		--server $SERVER4:3478 --server "[$SERVER6]:3478" --user alice --password secret \
		--clients 10 --direction both --rate 2kpps --duration 2 --setup-rate 0 --strict \
		--json "$LAB_DIR/gen.json" "$@" >"$LAB_DIR/gen.out" 2>&1
	gen_status=$?
	[ $gen_status -eq "$gen_wanted" ] || {
		echo "exit status $gen_status, not $gen_wanted"
		tail -n 12 "$LAB_DIR/gen.out"
		return 1
	}
}

# Of the last trial: what was made is what was found, under each of the names, and nothing else.
judge() { # FILE NAMES...
	python3 - "$LAB_DIR/gen.json" "$@" <<'P'
import json, sys
trial = json.load(open(sys.argv[1]))["trials"][-1]
made = json.load(open(sys.argv[2]))["done"] if sys.argv[2] != "-" else 0
names = sys.argv[3:]
wrong = [] if made > 20 or not names else [f"only {made} faults were made"]
for name in ("lost", "duplicated", "reordered", "corrupted", "misdelivered", "checksum", "stray", "late"):
    want = made if name in names else 0
    if trial[name] != want:
        wrong.append(f"{name}: {trial[name]}, not {want}")
if trial["sent"] != trial["received"] + trial["lost"] + trial["in_flight"]:
    wrong.append("it does not close")
print(f"{made} of {trial['sent']} made: " + ", ".join(f"{n} {trial[n]}" for n in names or ["lost"]))
print("\n".join(wrong))
sys.exit(bool(wrong))
P
}

# fault KIND STATUS NAMES: options of the generator in $OPTIONS.
fault() {
	kind=$1 status=$2
	shift 2
	FAULT=$kind FAULT_EVERY=97 FAULT_LOG=$LAB_DIR/$kind.json
	export FAULT FAULT_EVERY FAULT_LOG
	relay_up relay "$kind" "$conf"
	# shellcheck disable=SC2086
	lab_check "$kind: exit status $status" gen "$status" $OPTIONS
	lab_check "$kind: the relay stops" relay_down
	lab_check "$kind: as often as it was made${OPTIONS:+ ($OPTIONS)}" judge "$LAB_DIR/$kind.json" "$@"
	head -n 1 "$LAB_DIR/check.out" | sed 's/^/#   /'
}
OPTIONS=
fault none 0
fault drop 1 lost
fault duplicate 1 duplicated
fault reorder 1 reordered
fault corrupt 1 lost corrupted
fault checksum 1 lost checksum
fault falsify 1 lost corrupted
fault misdeliver 1 lost misdelivered
OPTIONS="--family 6"
fault falsify 1 lost corrupted
fault misdeliver 1 lost misdelivered
OPTIONS="--wrap send"
fault drop 1 lost
fault falsify 1 lost corrupted
lab_end
