#!/bin/sh
# turnpike-agent --nat-type behind NATs of each kind, with Debian's coturn as the server of RFC 5780.
. "$(dirname "$0")/relay_lab.sh"
. "$(dirname "$0")/nat_lab.sh"

server=$TOOLS/turnserver
[ -x "$server" ] || lab_skip "needs coturn's turnserver (./turnpike.sh setup)"
ldd "$server" | grep -q 'not found' && lab_skip "coturn's turnserver lacks libraries here"
lab_begin
nat_begin
nat_public server 8 four
lab_in server ip addr add 198.18.0.9/16 dev eth0
lab_start server coturn "$server" -n -L 198.18.0.8 -L 198.18.0.9 -p 3478 --alt-listening-port 3479 \
	--no-tls --no-dtls --no-cli --stun-only --log-file stdout --pidfile "$LAB_DIR/coturn.pid"
lab_wait 10 lab_in server sh -c 'ss -lun | grep -q 198.18.0.9:3479'
for kind in public cone address port symmetric; do nat_side "n$kind" $kind; done

type_is() { # KIND MAPPING FILTERING
	lab_in "n$1" timeout 60 "$LAB_BUILD/turnpike-agent" --nat-type --stun 198.18.0.8:3478 |
		tee "$LAB_DIR/type.$1"
	grep -qx "mapping: $2" "$LAB_DIR/type.$1" && grep -qx "filtering: $3" "$LAB_DIR/type.$1"
}

ei=endpoint-independent
apd="address- and port-dependent"
lab_check "public" type_is public "$ei" "$ei"
lab_check "full cone" type_is cone "$ei" "$ei"
lab_check "address-restricted" type_is address "$ei" address-dependent
lab_check "port-restricted" type_is port "$ei" "$apd"
lab_check "symmetric" type_is symmetric "$apd" "$apd"
lab_in server ip link set eth0 down
lab_check "a server that does not answer is told" sh -c \
	"! ip netns exec $LAB-npublic timeout 30 $LAB_BUILD/turnpike-agent --nat-type --stun 198.18.0.8:3478"
lab_end
