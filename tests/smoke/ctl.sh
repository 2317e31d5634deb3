#!/bin/sh
# Operating a relay: the control socket and people who do not mean well, users, credentials, drain,
# reload, records that agree with what was sent, death of either process, and the ways to stop.
. "$(dirname "$0")/lab.sh"
lab_begin setpriv
ctl_py=$LAB_HERE/ctl.py
yaml=$LAB_DIR/turnpike.yaml

lab_pair relay peer
lab_in peer ip addr add 198.18.0.2/24 dev eth0

config() { # USERS
	cat >"$yaml" <<Y
name: $LAB
run-dir: $LAB_DIR/run
ports: [{ device: af_packet:eth0, addresses: [198.18.0.1/24] }]
listeners: [198.18.0.1:3478]
relay: { addresses: [198.18.0.1] }
auth:
  realm: example.org
  users: { $1 }
  rest-secrets: [northern]
limits: { allocations: 1000 }
peers: { allow: [198.18.0.0/15] }
Y
}
ctl() {
	"$LAB_BUILD/turnpikectl" -c "$yaml" "$@"
}
start() {
	: >"$LAB_DIR/relay.log"
	lab_start relay relay "$LAB_BUILD/turnpike" run -c "$yaml"
	relay=$LAB_PID
	lab_wait 15 grep -q ^ready: "$LAB_DIR/relay.log"
}
value() { # JSON PYTHON-EXPRESSION over j
	python3 -c 'import json,sys; j=json.loads(sys.argv[1]); print(eval(sys.argv[2]))' "$1" "$2"
}
is() {
	[ "$1" = "$2" ] || { echo "'$1', not '$2'"; return 1; }
}
pid_of() { # control|dataplane
	ctl --json status | python3 -c "import json,sys; print(json.load(sys.stdin)['$1']['pid'])"
}
abuse() {
	timeout 60 python3 "$ctl_py" abuse "$LAB_DIR/run/control.sock" "$1"
}
client() {
	lab_in peer timeout 30 python3 "$ctl_py" "$@"
}

config 'alice: secret'
lab_check 'a relay is up' start
lab_check 'status says serving' sh -c "'$LAB_BUILD/turnpikectl' -c '$yaml' status | grep -q serving"

# Media all the while; its records have to agree with it.
client stream 198.18.0.1 198.18.0.2 24 "$LAB_DIR/flag" >"$LAB_DIR/stream.out" 2>&1 &
stream=$!
LAB_PIDS="$LAB_PIDS $stream"
lab_wait 5 test -e "$LAB_DIR/flag"
lab_check 'garbage is answered with errors' abuse garbage
lab_check 'half a line harms nobody' abuse half
lab_check 'a line of 10 MB ends its connection' abuse long
lab_check '1000 clients: some served, the rest refused' abuse crowd
lab_check 'who never reads is let go' abuse slow

rows=$(ctl --json show allocations)
lab_check 'one allocation, of alice' is "$(value "$rows" '[a["user"] for a in j]')" "['alice']"
lab_check 'by user, client and peer' sh -c "
	'$LAB_BUILD/turnpikectl' -c '$yaml' show allocations --user alice --client 198.18.0.2 --peer 198.18.0.2 | grep -q alice"
lab_check 'and not by another' sh -c "
	! '$LAB_BUILD/turnpikectl' -c '$yaml' show allocations --user bob | grep -q alice"
id=$(value "$rows" 'j[0]["id"]')
lab_check 'its channel is shown' sh -c "'$LAB_BUILD/turnpikectl' -c '$yaml' show allocation $id | grep -q 'channel .*198.18.0.2:'"

# Control dies: media goes on, the allocation and its id stay.
kill -9 "$(pid_of control)"
lab_check 'control comes back' lab_wait 10 ctl status
synced() {
	[ "$(value "$(ctl --json status)" 'j["dataplane"].get("synced")')" = True ]
}
lab_check 'and joins' lab_wait 10 synced
lab_check 'with the same allocation' is "$(value "$(ctl --json show allocations)" '[a["id"] for a in j]')" "[$id]"

# Users and credentials.
lab_check 'a user is added' sh -c "echo pass | '$LAB_BUILD/turnpikectl' -c '$yaml' add user bob -"
lab_check 'and may allocate' client allocate 198.18.0.1 bob pass
lab_check 'is deleted' ctl delete user bob
lab_check 'and may not any more' sh -c "! ip netns exec $LAB-peer python3 '$ctl_py' allocate 198.18.0.1 bob pass"
credential=$(ctl --json credential carol --ttl 10m)
lab_check 'a credential works' client allocate 198.18.0.1 \
	"$(value "$credential" 'j["username"]')" "$(value "$credential" 'j["password"]')"
lab_check 'a wrong one does not' sh -c "! ip netns exec $LAB-peer python3 '$ctl_py' allocate 198.18.0.1 1:x y"

# Drain: new ones are refused, the stream goes on.
lab_check 'drain' ctl drain
lab_check 'answers 508' is "$(client allocate 198.18.0.1 alice secret)" 508
lab_check 'drain off' ctl drain off
lab_check 'serves again' client allocate 198.18.0.1 alice secret

# Reload: a good file is taken, a bad one refused with its line, the old one stays.
config 'alice: secret, dora: door'
lab_check 'reload' ctl reload
lab_check 'brings a user' client allocate 198.18.0.1 dora door
echo 'nonsense: 1' >>"$yaml"
lab_check 'a bad file is refused with file and line' sh -c "
	'$LAB_BUILD/turnpikectl' --socket '$LAB_DIR/run/control.sock' reload 2>&1 | grep -q 'turnpike.yaml:[0-9]*:.*nonsense'"
config 'alice: secret, dora: door'

# Deleting ends one allocation: record, and 437 for its client.
client hold 198.18.0.1 dora door "$LAB_DIR/held" >"$LAB_DIR/hold.out" 2>&1 &
hold=$!
lab_wait 5 test -e "$LAB_DIR/held"
held=$(value "$(ctl --json show allocations --user dora)" 'j[0]["id"]')
lab_check 'delete' ctl delete allocation "$held"
rm -f "$LAB_DIR/held"
wait $hold
lab_check 'its client hears 437' is "$(cat "$LAB_DIR/hold.out")" 437
lab_check 'its end is recorded' lab_wait 2 grep -q "allocation end id=$held .*reason=deleted" "$LAB_DIR/relay.log"

wait $stream
status=$?
cat "$LAB_DIR/stream.out"
lab_check 'the stream lost nothing' is $status 0
sent=$(sed -n 's/^sent \([0-9]*\) .*/\1/p' "$LAB_DIR/stream.out")
record=$(grep "allocation end id=$id " "$LAB_DIR/relay.log")
lab_check 'its record says so, to the octet' sh -c "
	echo '$record' | grep 'from_client_packets=$sent from_client_octets=$((sent * 100)) to_client_packets=$sent to_client_octets=$((sent * 100))'"

# The data plane dies: what there was is set again.
client hold 198.18.0.1 alice secret "$LAB_DIR/held" >"$LAB_DIR/hold.out" 2>&1 &
hold=$!
lab_wait 5 test -e "$LAB_DIR/held"
kill -9 "$(pid_of dataplane)"
lab_wait 5 grep -q 'dataplane left' "$LAB_DIR/relay.log"
lab_check 'a new data plane is joined' lab_wait 15 synced
rm -f "$LAB_DIR/held"
wait $hold
lab_check 'and the client refreshes' is "$?" 0

# Levels and exit statuses.
chmod 755 "$LAB_DIR" "$LAB_DIR/run"
lab_check 'a stranger is told, and 75' sh -c "
	setpriv --reuid 65534 --regid 65534 --clear-groups '$LAB_BUILD/turnpikectl' --socket '$LAB_DIR/run/control.sock' status
	[ \$? = 75 ]"
lab_check 'the group may read, not stop' sh -c "
	as='setpriv --reuid 65534 --regid $(id -g) --clear-groups $LAB_BUILD/turnpikectl --socket $LAB_DIR/run/control.sock'
	\$as status >/dev/null && ! \$as stop"
lab_check 'wrong usage is 2' sh -c "'$LAB_BUILD/turnpikectl' -c '$yaml' show alocations; [ \$? = 2 ]"
lab_check 'a second control is 75' sh -c "'$LAB_BUILD/turnpike-control' -c '$yaml'; [ \$? = 75 ]"
lab_check 'show config parses again' sh -c "
	'$LAB_BUILD/turnpikectl' -c '$yaml' show config --secrets >'$LAB_DIR/again.yaml' &&
	'$LAB_BUILD/turnpike' check -c '$LAB_DIR/again.yaml'"
lab_check 'no secret in the log' sh -c "! grep -E 'secret|northern|door' '$LAB_DIR/relay.log' | grep -v 'user='"

lab_check 'no room for the store is 75, and what to do' sh -c "
	mkdir '$LAB_DIR/small' && sed 's,^run-dir.*,run-dir: $LAB_DIR/small,' '$yaml' >'$LAB_DIR/small.yaml' &&
	unshare -m sh -c 'mount -t tmpfs -o size=64k none \"\$1\" && \"\$2\" -c \"\$3\"; [ \$? = 75 ]' \
		sh '$LAB_DIR/small' '$LAB_BUILD/turnpike-control' '$LAB_DIR/small.yaml' 2>'$LAB_DIR/small.out' &&
	grep -q 'limits.allocations' '$LAB_DIR/small.out'"

# The ways to stop.
client hold 198.18.0.1 alice secret "$LAB_DIR/held" >"$LAB_DIR/hold.out" 2>&1 &
hold=$!
lab_wait 5 test -e "$LAB_DIR/held"
lab_check 'stop --keep' ctl stop --keep
lab_check 'ends the relay' lab_gone "$relay"
lab_check 'without an end record' sh -c "! grep -q 'reason=stopped' '$LAB_DIR/relay.log'"
lab_check 'the store is kept' test -s "$LAB_DIR/run/store"
lab_check 'started again' start
lab_check 'the allocation is there' sh -c "'$LAB_BUILD/turnpikectl' -c '$yaml' show allocations | grep -q alice"
rm -f "$LAB_DIR/held"
wait $hold
lab_check 'and its client refreshes it' is "$?" 0
client hold 198.18.0.1 alice secret "$LAB_DIR/held" >"$LAB_DIR/hold.out" 2>&1 &
hold=$!
lab_wait 5 test -e "$LAB_DIR/held"
kill -TERM "$relay"
lab_check 'TERM ends it' lab_gone "$relay"
lab_check 'with end records' grep -q 'allocation end .*reason=stopped' "$LAB_DIR/relay.log"
lab_check 'and nothing is left' sh -c "! test -e '$LAB_DIR/run'"
rm -f "$LAB_DIR/held"
wait $hold

# Apart, control as an ordinary user who owns the run directory; a service manager listens.
echo "socket-group: $(getent group 65534 | cut -d: -f1)" >>"$yaml"
mkdir -m 750 "$LAB_DIR/run"
chown 65534:65534 "$LAB_DIR/run"
lab_start relay dataplane "$LAB_BUILD/turnpike-dataplane" -c "$yaml"
dataplane=$LAB_PID
lab_start relay manager python3 "$ctl_py" manager "$LAB_DIR/notify"
lab_wait 5 test -e "$LAB_DIR/notify"
chmod 644 "$yaml"
lab_start relay control env NOTIFY_SOCKET="$LAB_DIR/notify" \
	setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs --bounding-set=-all \
	"$LAB_BUILD/turnpike-control" -c "$yaml"
control=$LAB_PID
lab_check 'control as nobody joins and serves' lab_wait 15 grep -q 'relay ready' "$LAB_DIR/control.log"
lab_check 'a client allocates' client allocate 198.18.0.1 alice secret
lab_check 'the service manager was told' grep -q '^READY=1' "$LAB_DIR/manager.log"
ctl stop >/dev/null
lab_check 'control has ended clean' lab_stop "$control"
lab_check 'with status 0' is "$LAB_STATUS" 0
lab_check 'the data plane goes on alone' kill -0 "$dataplane"
lab_check 'and ends' lab_stop "$dataplane"
lab_check 'the service manager heard of the stop' grep -q '^STOPPING=1' "$LAB_DIR/manager.log"
lab_check 'no relay: 75 and what to do' sh -c "'$LAB_BUILD/turnpikectl' -c '$yaml' status 2>&1 | grep -q 'is turnpike running'"
lab_end
