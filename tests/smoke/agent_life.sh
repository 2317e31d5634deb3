#!/bin/sh
# What happens to a path in its life: the NAT forgets, an address changes, the direct way dies; and what
# people send over it: a file, a game, a desktop. All at once, since they mostly wait.
. "$(dirname "$0")/relay_lab.sh"
. "$(dirname "$0")/nat_lab.sh"

lab_begin conntrack
nat_begin
nat_public relay 1
relay_config "$LAB_DIR/relay.yaml" "- { device: \"af_packet:eth0\", addresses: [$SERVER4/16, \"$SERVER6/64\"] }"
relay_up relay relay "$LAB_DIR/relay.yaml"

for side in arebind brebind afile bfile arelay brelay; do nat_side $side port; done
for side in amove bmove adead bdead agame bgame adesk bdesk adie bdie; do nat_side $side public; done

agent() { # WHAT SIDE ROLE LOCAL REMOTE MORE...: stdin, stdout as given
	d=$LAB_DIR/$1
	mkdir -p "$d"
	agent_space=$2 agent_role=$3 agent_local=$d/$4 agent_remote=$d/$5 agent_d=$d
	shift 5
	lab_in "$agent_space" timeout 120 "$LAB_BUILD/turnpike-agent" --"$agent_role" \
		--turn $SERVER4:3478,alice,secret --local "$agent_local" --remote "$agent_remote" \
		--stats "$agent_d/$agent_role.json" "$@" 2>"$agent_d/$agent_role.err"
}

# Numbered lines with the time they left, RATE a second for SECONDS; then what came is judged.
ticker() { python3 -u -c '
import sys, time
rate, seconds = float(sys.argv[1]), float(sys.argv[2])
start = time.monotonic()
for i in range(int(rate * seconds)):
    time.sleep(max(0, start + i / rate - time.monotonic()))
    print(i, time.monotonic(), "x" * int(sys.argv[3]), flush=True)
' "$1" "$2" "${3:-1}"; }
watcher() { python3 -u -c '
import json, sys, time
got, late, first = [], [], None
for line in sys.stdin:
    number, sent, _ = line.split()
    got.append(int(number))
    first = first or time.monotonic()
    if float(sent) >= first: # what is older has waited for the path
        late.append((time.monotonic() - float(sent)) * 1000)
late.sort()
gap = max((b - a for a, b in zip(got, got[1:])), default=0)
json.dump({"got": len(got), "last": max(got, default=-1), "gap": gap,
           "p50": late[len(late) // 2] if late else 0, "p99": late[len(late) * 99 // 100] if late else 0},
          open(sys.argv[1], "w"))
' "$1"; }

# What comes, into a file, and how fast from the first octet to the last.
taker() { python3 -c '
import sys, time
n, first = 0, None
with open(sys.argv[1], "wb") as f:
    while octets := sys.stdin.buffer.read1(1 << 20):
        first = first or time.monotonic()
        n += len(octets)
        f.write(octets)
with open(sys.argv[1] + ".rate", "w") as f:
    print(f"TOLD {n / 1e6 / (time.monotonic() - first):.1f} MB/s" if n else "TOLD nothing came", file=f)
' "$1"; }

both() { # WHAT A B RATE SECONDS SIZE
	ticker "$4" "$5" "${6:-1}" | agent "$1" "$2" offer o a | watcher "$LAB_DIR/$1.o" &
	ticker "$4" "$5" "${6:-1}" | agent "$1" "$3" answer a o | watcher "$LAB_DIR/$1.a" &
}

both rebind arebind brebind 20 40
both move amove bmove 20 25
both dead adead bdead 20 40
both game agame bgame 60 20 100
both desk adesk bdesk 500 10 1100
ticker 20 60 2>/dev/null | agent die adie offer o a --timeout 15 >/dev/null &
ticker 20 60 2>/dev/null | agent die bdie answer a o >/dev/null &
head -c 100000000 /dev/urandom >"$LAB_DIR/file.in"
agent file afile offer o a --stream <"$LAB_DIR/file.in" >/dev/null &
agent file bfile answer a o --stream </dev/null | taker "$LAB_DIR/file.out" &
FILE_PID=$!
head -c 20000000 "$LAB_DIR/file.in" >"$LAB_DIR/relayed.in"
agent relayed arelay offer o a --stream --policy relay <"$LAB_DIR/relayed.in" >/dev/null &
agent relayed brelay answer a o --stream --policy relay </dev/null | taker "$LAB_DIR/relayed.out" &
RELAYED_PID=$!

sleep 6
for pid in $(ip netns pids "$LAB-bdie"); do
	kill -9 "$pid"
done
nat_rebind arebind
# The first address goes, the second stays.
lab_in amove sysctl -qw net.ipv4.conf.all.promote_secondaries=1 net.ipv4.conf.eth0.promote_secondaries=1
old=$(lab_in amove sh -c "ip -4 -o addr show dev eth0 | sed 's/.*inet \\([^ ]*\\).*/\\1/'")
lab_in amove ip addr add 198.18.77.1/16 dev eth0
lab_in amove ip addr del "$old" dev eth0
a_at=$(lab_in adead sh -c "ip -4 -o addr show dev eth0 | sed 's/.*inet \\([^/]*\\).*/\\1/'")
lab_in bdead nft "add table inet t; add chain inet t in { type filter hook input priority 0; }; add rule inet t in ip saddr $a_at udp dport != 3478 drop"

survived() { # WHAT LAST: both sides got the last lines
	cat "$LAB_DIR/$1"/*.err
	python3 - "$LAB_DIR/$1.o" "$LAB_DIR/$1.a" "$2" <<'P'
import json, sys
for path in sys.argv[1:3]:
    r = json.load(open(path))
    print("TOLD", r)
    if r["last"] < int(sys.argv[3]):
        sys.exit(1)
P
}
quality() { # WHAT COUNT LOSS: no more than so many lost
	cat "$LAB_DIR/$1"/*.json
	python3 - "$LAB_DIR/$1.o" "$LAB_DIR/$1.a" "$2" "$3" <<'P'
import json, sys
for path in sys.argv[1:3]:
    r, n = json.load(open(path)), int(sys.argv[3])
    print(f"TOLD {n - r['got']} of {n} lost, latency p50 {r['p50']:.1f} ms, p99 {r['p99']:.1f} ms")
    if n - r["got"] > int(sys.argv[4]):
        sys.exit(1)
P
}
told() { grep -h '^TOLD' "$LAB_DIR/check.out" | sed 's/TOLD/#  /'; }

wait $FILE_PID
same() { # WHAT
	cat "$LAB_DIR/$1.out.rate"
	cmp "$LAB_DIR/$1.in" "$LAB_DIR/$1.out"
}
lab_check "a file of 100 MB, octet for octet" same file
told
wait $RELAYED_PID
lab_check "a file of 20 MB through the relay" same relayed
told
for what in game desk move rebind dead; do
	lab_wait 60 test -s "$LAB_DIR/$what.o" -a -s "$LAB_DIR/$what.a"
done
lab_check "a game of 60 datagrams a second" quality game 1200 6
told
lab_check "a desktop of 500 datagrams a second" quality desk 5000 50
told
lab_check "an address that changes" survived move 495
told
lab_check "a NAT that forgets" survived rebind 795
told
lab_check "a direct path that dies" survived dead 795
told
died() {
	lab_wait 60 test -s "$LAB_DIR/die/offer.json"
	cat "$LAB_DIR/die/offer.err" "$LAB_DIR/die/offer.json"
	grep -q 'path lost' "$LAB_DIR/die/offer.err" && grep -q '"local_type":"host"' "$LAB_DIR/die/offer.json"
}
lab_check "a side whose other side dies ends by itself" died
lab_end
