#!/bin/sh
# Chromium calls Chromium, in two namespaces: video both ways and a data channel. Directly, with this
# relay as STUN server; by this relay as TURN server; and through the two legs of a session, where each
# browser's ICE ends at its leg, while DTLS, SRTP and SCTP pass from one to the other untouched.
LAB_LIB=$(dirname "$0")/../smoke
. "$LAB_LIB/relay_lab.sh"
. "$LAB_LIB/nat_lab.sh"
lab_begin chromium conntrack
nat_begin
nat_public relay 1
conf=$LAB_DIR/relay.yaml
relay_config "$conf" "- { device: \"af_packet:eth0\", addresses: [$SERVER4/16, \"$SERVER6/64\"] }"
relay_up relay relay "$conf"
nat_side pa public
nat_side pb public
nat_side sym symmetric
nat_side sym2 symmetric
nat_side port port
nat_side port2 port

side() { # SIDE SPACE STAY URL POLICY
	lab_in "$2" python3 "$LAB_HERE/two_browsers.py" "$1" "$place" "$LAB_BUILD/turnpikectl" "$conf" "$3" $4 $5 \
		>"$place/$1.json" 2>"$place/$1.err"
}
both() { # A B STAY [URL [POLICY]]
	side a "$1" "$3" "${4:-}" "${5:-}" &
	caller=$!
	side b "$2" 0 "${4:-}" "${5:-}"
	b=$?
	wait $caller
	a=$?
	cat "$place/a.json" "$place/b.json" "$place/a.err" "$place/b.err"
	[ $a -eq 0 ] && [ $b -eq 0 ]
}
direct() { # NAME A B URL POLICY WANTED
	place=$LAB_DIR/$1
	mkdir "$place"
	both "$2" "$3" 1 "$4" "$5" && grep -Eq "\"(local|remote)\": \"$6\"" "$place/a.json"
}
legs() { # NAME A B STAY CREATE-OPTIONS [URL [POLICY]]
	place=$LAB_DIR/$1
	mkdir "$place"
	relay_ctl "$conf" --json session create $5 --name "$1" >"$place/session.json" || return 1
	id=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["id"])' "$place/session.json")
	both "$2" "$3" "$4" "${6:-}" "${7:-}"
	good=$?
	relay_ctl "$conf" session show "$id"
	relay_ctl "$conf" session delete "$id" && [ $good -eq 0 ]
}
try() {
	lab_check "$@"
	sed 's/^/#   /' "$LAB_DIR/check.out"
}

stun=stun:$SERVER4:3478 turn=turn:$SERVER4:3478?transport=udp
try "directly, both behind a NAT" direct direct port port2 $stun all "(srflx|prflx)"
try "by the relay, symmetric NATs" direct relay sym sym2 "$turn" all relay
try "lite legs, hosts on the Internet, consent kept" legs lite pa pb 36 "--legs 2"
try "lite legs, symmetric NAT to port-restricted NAT" legs nat sym port 1 "--legs 2"
try "full legs" legs full pa port 1 "--legs 2 --role full --controlling 2"
try "by TURN to the legs of the same relay" legs turn pa sym 1 "--legs 2" "$turn" relay
lab_check "a clean stop" relay_down
lab_end
