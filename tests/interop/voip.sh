#!/bin/sh
# A call between two baresip: SIP goes straight from one to the other, media by ICE with this relay as
# STUN and TURN server, and by TURN alone. The caller sits behind a NAT; both send a tone for seven
# seconds. What came is counted: by the callee itself, and at the caller's network.
LAB_LIB=$(dirname "$0")/../smoke
. "$LAB_LIB/relay_lab.sh"
. "$LAB_LIB/nat_lab.sh"
lab_begin baresip conntrack
nat_begin
nat_public relay 1
conf=$LAB_DIR/relay.yaml
relay_config "$conf" "- { device: \"af_packet:eth0\", addresses: [$SERVER4/16, \"$SERVER6/64\"] }"
# baresip gives a call up when the relay may not talk to one of the other side's addresses.
sed -i 's|allow: \[|allow: [10.0.0.0/8, |' "$conf"
relay_up relay relay "$conf"
python3 - "$LAB_DIR/tone.wav" <<'P'
import math, struct, sys, wave
w = wave.open(sys.argv[1], "wb")
w.setnchannels(1); w.setsampwidth(2); w.setframerate(8000)
w.writeframes(b"".join(struct.pack("<h", int(9000 * math.sin(i * 0.3455))) for i in range(8000 * 20)))
P
nat_side caller port
nat_side symmetric symmetric
nat_public callee 200 four

phone() { # DIRECTORY NAME MEDIANAT
	mkdir -p "$1"
	cat >"$1/config" <<C
poll_method epoll
sip_listen 0.0.0.0:5060
audio_player aubridge,nobody
audio_source aufile,$LAB_DIR/tone.wav
audio_alert aubridge,nobody
ausrc_srate 8000
auplay_srate 8000
rtp_timeout 0
module_path /usr/lib/baresip/modules
module g711.so
module aufile.so
module aubridge.so
module stun.so
module turn.so
module ice.so
module_tmp uuid.so
module_tmp account.so
module_app rtcpsummary.so
module_app menu.so
C
	echo "<sip:$2@198.18.0.200>;regint=0;answermode=auto;audio_codecs=pcmu;medianat=$3;stunserver=\"turn:$SERVER4:3478\";stunuser=alice;stunpass=secret" \
		>"$1/accounts"
}
received() { # LOG: RTP packets, as it says itself
	sed -n 's/.*;PR=\([0-9]*\).*/\1/p' "$1" | tail -n 1
}
call() { # NAME SPACE MEDIANAT SECONDS
	d=$LAB_DIR/$1
	phone "$d/callee" bob "$3"
	phone "$d/caller" alice "$3"
	lab_in callee timeout -s INT 30 baresip -f "$d/callee" -t $(($4 + 6)) >"$d/callee.out" 2>&1 </dev/null &
	callee=$!
	sleep 1
	lab_in "$2" timeout 25 tcpdump -i eth0 -Q in -nn -U -w "$d/in.pcap" "udp and greater 200 and less 300" \
		2>/dev/null &
	dump=$!
	lab_in "$2" timeout -s INT 30 baresip -f "$d/caller" -e "/dial sip:bob@198.18.0.200" -t "$4" \
		>"$d/caller.out" 2>&1 </dev/null
	wait $callee
	pkill -TERM -P $dump
	wait $dump
	a=$(tcpdump -nn -r "$d/in.pcap" 2>/dev/null | wc -l) b=$(received "$d/callee.out")
	echo "received by the caller ${a:-0}, by the callee ${b:-0} packets"
	grep -hE 'EX=|ice: .*(completed|selected|prio)|error|failed' "$d/caller.out" "$d/callee.out"
	[ "${a:-0}" -gt 100 ] && [ "${b:-0}" -gt 100 ]
}
try() {
	lab_check "$@"
	grep -h '^received' "$LAB_DIR/check.out" | sed 's/^/#   /'
}
relayed() { # NAME SPACE MEDIANAT SECONDS: the same, and it went through the relay
	before=$(relay_counter "$conf" hairpin)
	call "$@" || return 1
	after=$(relay_counter "$conf" hairpin)
	echo "turned round inside the relay: $((after - before))"
	[ $((after - before)) -gt 100 ]
}
try "by ICE, directly" call ice caller ice 7
try "by TURN, both ends" relayed turn caller turn 7
# ICE of this baresip purges its relay where the other end still sends to it: from here TURN alone works.
try "by TURN, from a symmetric NAT" relayed turn-sym symmetric turn 7
lab_check "a clean stop" relay_down
lab_end
