#!/bin/sh
# turnpike-gen's storms beside media, a replay and a recording, against a relay over a veth: the
# report says what the media saw, control stays idle in floods, nothing is left behind.
. "$(dirname "$0")/relay_lab.sh"
lab_begin
GEN=$LAB_BUILD/turnpike-gen
[ -x "$GEN" ] || lab_skip "needs turnpike-gen"

lab_pair relay outside
relay_outside outside
conf=$LAB_DIR/relay.yaml
relay_config "$conf" "- device: af_packet:eth0" "  addresses: [$SERVER4/24, \"$SERVER6/64\"]"
sed -i '/^limits:/d' "$conf"
echo "limits: { allocations-per-user: 300, allocations: 1000, binding-per-prefix: 1000 }" >>"$conf"
# The relay's way to the strangers of `spoofed` and `scan` is by the generator.
strangers() {
	lab_in relay ip addr add $SERVER4/24 dev eth0
	lab_in relay ip addr add $SERVER6/64 dev eth0 nodad
	lab_in relay ip route add 198.19.0.0/16 via $HOST4
	lab_in relay ip route add 2001:2::/48 via $HOST6
}
strangers
relay_up relay relay "$conf"

relay_pid() {
	relay_ctl "$conf" --json status |
		python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]]["pid"])' "$1"
}
control=$(relay_pid control) dataplane=$(relay_pid dataplane)
ticks() { # processor time of control, in hundredths
	sed 's/.*) //' "/proc/$control/stat" | awk '{ print $12 + $13 }'
}
no_allocations() {
	relay_ctl "$conf" --json show allocations |
		python3 -c 'import json, sys; sys.exit(len(json.load(sys.stdin)) != 0)'
}
gen() {
	rm -f "$LAB_DIR/gen.json"
	lab_in outside timeout -k 5 60 "$GEN" --port af_packet:eth0 --address $HOST4/24 --address $HOST6/64 \
		--server $SERVER4:3478 --server "[$SERVER6]:3478" --user alice --password secret \
		--duration 2 --setup-rate 0 --json "$LAB_DIR/gen.json" "$@" >"$LAB_DIR/gen.out" 2>&1 || {
		tail -n 15 "$LAB_DIR/gen.out"
		return 1
	}
}
# Conditions on the storm; `loss` is the media's in it. Media keeps its packets, but for what two
# cores that are shared with everything else cost.
judge() {
	python3 - "$LAB_DIR/gen.json" "$@" <<'P'
import json, sys
report = json.load(open(sys.argv[1]))
storm = report["storm"]
codes = {int(k): v for k, v in storm.get("codes", {}).items()}
print(storm["said"])
wrong = [] if report["ok"] else [report["why"]]
media = storm.get("media", {})
for when in media:
    m = media[when]
    if m["sent"] != m["received"] + m["lost"] + m["in_flight"]:
        wrong.append(f"{when}: does not close")
    if m["corrupted"] or m["misdelivered"] or m["duplicated"] or m["checksum"]:
        wrong.append(f"{when}: faults in {m}")
    # What mutants send over allocations of their own comes out at their own peers.
    if m["stray"] and storm["name"] != "mutated":
        wrong.append(f"{when}: {m['stray']} strays reached clients or peers")
scope = {"s": storm, "codes": codes, "media": media, "sum": sum,
         "loss": {w: media[w]["lost"] / max(1, media[w]["sent"]) for w in media}}
wrong += [c for c in sys.argv[2:] if not eval(c, scope)]
print("\n".join(wrong))
sys.exit(bool(wrong))
P
}
MEDIA='set(media) == {"before", "during", "after"} and min(media[w]["sent"] for w in media) > 900'
WHOLE='max(loss.values()) <= 0.03'

# storm TITLE NAME RATE CONDITIONS...; options of the generator in $OPTIONS
storm() {
	title=$1 name=$2 rate=$3
	shift 3
	before=$(ticks)
	# shellcheck disable=SC2086
	lab_check "$title" gen --clients 10 --direction both --rate 500pps --storm "$name" --storm-rate "$rate" $OPTIONS
	used=$(($(ticks) - before))
	lab_check "$title: what the media saw" judge "$MEDIA" "$WHOLE" "$@"
	head -n 1 "$LAB_DIR/check.out" | sed 's/^/#   /'
	# Who vanished leaves what it had until it expires.
	[ "$name" = vanish ] || lab_check "$title: nothing is left" lab_wait 3 no_allocations
}
# What is not let through to control costs it nothing: 6 s of wall clock went by, 20 clients were set
# up and taken down.
idle() {
	echo "control used ${used}0 ms"
	[ "$used" -le 30 ]
}
flood() {
	storm "$@"
	lab_check "$1: control stays idle" idle
	sed 's/^/#   /' "$LAB_DIR/check.out" | head -n 1
}
OPTIONS=
storm "allocations up to a quota" allocate 200 's["sent"] == 400 and 270 <= s["answered"] <= 290' \
	's["failed"] == s["sent"] - s["answered"] and codes[486] == s["failed"]'
flood "Binding requests" binding 5000 's["sent"] > 8000 and 1500 < s["answered"] < 4500'
flood "spoofed Allocate requests" spoofed 5000 's["sent"] > 8000 and codes[401] == s["answered"] > 100'
flood "mutants" mutated 5000 's["sent"] > 8000 and s["answered"] > 100'
storm "permissions and channels" churn 500 's["answered"] > 0.9 * s["sent"] > 700 and s["failed"] == 0'
flood "a port scan" scan 5000 's["sent"] > 8000 and s["answered"] == 0'
OPTIONS="--family 6"
flood "spoofed Allocate requests over IPv6" spoofed 2000 's["sent"] > 3000 and codes[401] == s["answered"] > 100'
flood "mutants over IPv6" mutated 2000 's["sent"] > 3000 and s["answered"] > 50'
flood "a port scan over IPv6" scan 2000 's["sent"] > 3000 and s["answered"] == 0'
OPTIONS=
storm "clients that vanish" vanish 20 's["failed"] == 0 and s["answered"] > 60'
lab_check "the same processes" test "$(relay_pid control) $(relay_pid dataplane)" = "$control $dataplane"
lab_check "a clean stop" relay_down
relay_up relay again "$conf"

# A run that is recorded, judged by tshark, and played again.
recorded() {
	gen --clients 5 --direction both --rate 200pps --record "$LAB_DIR/run.pcapng" || return 1
	tshark -n -r "$LAB_DIR/run.pcapng" -d udp.port==3478,stun -o udp.check_checksum:TRUE \
		-Y '_ws.malformed || udp.checksum.status == 0' 2>/dev/null | head -n 3 >"$LAB_DIR/bad.txt"
	total=$(tshark -n -r "$LAB_DIR/run.pcapng" 2>/dev/null | wc -l)
	out=$(tshark -n -r "$LAB_DIR/run.pcapng" -Y 'frame.packet_flags_direction == 2' 2>/dev/null | wc -l)
	allocates=$(tshark -n -r "$LAB_DIR/run.pcapng" -d udp.port==3478,stun -Y 'stun.type.method == 3' 2>/dev/null | wc -l)
	echo "$total frames, $out of them out, $allocates of Allocate"
	cat "$LAB_DIR/bad.txt"
	[ "$total" -gt 800 ] && [ "$out" -gt 400 ] && [ "$out" -lt "$total" ] && [ "$allocates" -eq 20 ] &&
		[ ! -s "$LAB_DIR/bad.txt" ]
}
# shellcheck disable=SC2086
played() {
	gen --clients 0 --replay "$LAB_DIR/run.pcapng" $1 && judge "${2:-True}" "${3:-True}"
}
if command -v tshark >/dev/null; then
	lab_check "a run recorded" recorded
	sed 's/^/#   /' "$LAB_DIR/check.out" | head -n 1
	lab_check "the recording played again" played "" 's["failed"] == 0 and s["answered"] == 20' \
		'"Allocate 10/10" in s["said"] and codes[401] == 5'
	sed 's/^/#   /' "$LAB_DIR/check.out" | head -n 1
	lab_check "nothing is left" lab_wait 3 no_allocations
	lab_check "and ten times as fast" played "--replay-speed 10" 's["failed"] == 0 and s["seconds"] < 2'
	sed 's/^/#   /' "$LAB_DIR/check.out" | head -n 1
	lab_check "nothing is left" lab_wait 3 no_allocations
fi
lab_check "a clean stop" relay_down
lab_end
