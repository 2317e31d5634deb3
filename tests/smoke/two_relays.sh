#!/bin/sh
# Two relays from the same text, in two network namespaces of one machine, at once; their run
# directories, named by default after the file, do not meet.
. "$(dirname "$0")/relay_lab.sh"
lab_begin
mkdir "$LAB_DIR/a" "$LAB_DIR/b"
for x in a b; do
	lab_pair relay$x outside$x
	relay_outside outside$x
	relay_config "$LAB_DIR/$x/turnpike.yaml" "- device: af_packet:eth0" "  addresses: [$SERVER4/24, \"$SERVER6/64\"]"
	sed -i '/^name:/d; /^run-dir:/d' "$LAB_DIR/$x/turnpike.yaml"
done
lab_check "the same text" cmp "$LAB_DIR/a/turnpike.yaml" "$LAB_DIR/b/turnpike.yaml"
run_dir() {
	"$LAB_BUILD/turnpikectl" -c "$LAB_DIR/$1/turnpike.yaml" show config 2>/dev/null | sed -n 's/^run-dir: *//p' | tr -d '"'
}
relay_up relaya first "$LAB_DIR/a/turnpike.yaml"
first=$RELAY_PID
relay_up relayb second "$LAB_DIR/b/turnpike.yaml"
second=$RELAY_PID
dirs=$(run_dir a) dirs2=$(run_dir b)
echo "#   $dirs and $dirs2"
lab_check "a run directory each" sh -c "[ -n '$dirs' ] && [ '$dirs' != '$dirs2' ] && [ -S '$dirs/control.sock' ] && [ -S '$dirs2/control.sock' ]"

call() { # a|b
	rm -f "$LAB_DIR/flag-$1"
	lab_start outside$1 call-$1 python3 "$LAB_HERE/call.py" $SERVER4 $HOST4 "$LAB_DIR/flag-$1"
	lab_wait 10 test -e "$LAB_DIR/flag-$1"
}
lab_check "a call through the first" call a
call_a=$LAB_PID
lab_check "a call through the second" call b
call_b=$LAB_PID
sleep 1
for x in a b; do
	lab_check "one allocation in relay $x" sh -c "
		'$LAB_BUILD/turnpikectl' -c '$LAB_DIR/$x/turnpike.yaml' --json show allocations |
		python3 -c 'import json,sys; sys.exit(len(json.load(sys.stdin)) != 1)'"
done
for x in a b; do
	lab_check "every path and length through relay $x, beside both calls" \
		lab_in outside$x timeout 60 python3 "$LAB_HERE/bytes.py" $SERVER4 $SERVER6 $HOST4 $HOST6
done
RELAY_PID=$first
rm -f "$LAB_DIR/flag-a"
lab_check "the first call lost nothing" wait $call_a
lab_check "the first stops" relay_down
sleep 1
rm -f "$LAB_DIR/flag-b"
lab_check "the second call lost nothing, also while the first relay stopped" wait $call_b
RELAY_PID=$second
lab_check "the second stops" relay_down
lab_check "both run directories are gone" sh -c "! [ -e '$dirs' ] && ! [ -e '$dirs2' ]"
lab_end
