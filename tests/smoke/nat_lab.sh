# Hosts behind NATs of every kind around one piece of Internet; source it after lab.sh.
#
#   nat_begin              the Internet: a bridge in a namespace; 198.18.0.0/16 and fd00:18::/64
#   nat_side NAME KIND     a host in namespace NAME, behind what KIND says
#   nat_public NAME N      a host on the Internet itself: 198.18.0.N, fd00:18::N
#   nat_beside NAME OTHER  a host behind OTHER's NAT, which lets its hosts not speak to each other inside
#   nat_rebind NAME        its NAT forgets every mapping and takes other ports
#
# kind        mapping   filtering
# public      none      none
# cone        endpoint  endpoint        full cone
# hairpin     endpoint  endpoint        full cone that turns packets to its own outside round
# address     endpoint  address
# port        endpoint  address, port
# symmetric   address, port both, ports at random
# twice       symmetric behind symmetric
# blocked     port; UDP leaves only to the relay's 3478
# six         no NAT, IPv6 only
# broken6     port; has IPv6 addresses from where nothing gets away
#
# A mapping lives in nftables maps: inside endpoint -> outside port (mapping), outside port -> inside
# endpoint (filter), learned from what leaves.
NAT_RELAY=198.18.0.1
NAT_N=9

nat_begin() {
	lab_space net
	ip -n "$LAB-net" link add br0 type bridge forward_delay 0
	ip -n "$LAB-net" link set br0 up
}

nat_quiet() { # SPACE: no waiting for duplicate addresses, whole checksums
	lab_in "$1" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 \
		net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
}

nat_plug() { # SPACE DEVICE: into the Internet
	NAT_PLUG=$((${NAT_PLUG:-0} + 1))
	ip -n "$LAB-$1" link add "$2" type veth peer name "p$NAT_PLUG" netns "$LAB-net"
	ip -n "$LAB-net" link set "p$NAT_PLUG" master br0 up
	ip -n "$LAB-$1" link set "$2" up
}

nat_public() {
	lab_space "$1"
	nat_quiet "$1"
	nat_plug "$1" eth0
	[ "${3:-both}" = six ] || lab_in "$1" ip addr add "198.18.0.$2/16" dev eth0
	[ "${3:-both}" = four ] || lab_in "$1" ip addr add "fd00:18::$2/64" dev eth0 nodad
}

# A router with an inside bridge lan0.
nat_router() {
	lab_space "$1"
	nat_quiet "$1"
	lab_in "$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0 \
		net.ipv4.conf.default.send_redirects=0
	ip -n "$LAB-$1" link add lan0 type bridge forward_delay 0
	ip -n "$LAB-$1" link set lan0 up
	# Hosts of one lan speak to each other past the rules, where bridges know of rules at all.
	lab_in "$1" sysctl -qw net.bridge.bridge-nf-call-iptables=0 2>/dev/null || true
}

nat_inside() { # SPACE ROUTER ADDRESS GATEWAY [DEVICE]: a host, or an inner router's wan0, on a lan
	ip -n "$LAB-$1" link add "${5:-eth0}" type veth peer name "l-$1" netns "$LAB-$2"
	ip -n "$LAB-$2" link set "l-$1" master lan0 up
	ip -n "$LAB-$1" link set "${5:-eth0}" up
	lab_in "$1" ip addr add "$3/24" dev "${5:-eth0}"
	lab_in "$1" ip route add default via "$4"
}

nat_rules() { # ROUTER OUTSIDE MAPPING FILTERING BLOCKED HAIRPIN
	table=$(seq 0 999 | awk -v b="$NAT_BASE" '{ printf "%s%d : %d", s, $1, b + $1; s = ", " }')
	learn= in= out=
	new="oifname wan0 udp sport >= 0 snat ip to $2 : numgen inc mod 1000 map { $table }"
	if [ "$3" = endpoint ]; then
		out="oifname wan0 meta l4proto udp snat ip to $2 : ip saddr . udp sport map @mapped"
		learn="oifname wan0 meta l4proto udp ct direction original update @mapped { ct original ip saddr . ct original proto-src : udp sport }
oifname wan0 meta l4proto udp ct direction reply update @mapped { ct reply ip saddr . ct reply proto-src : udp sport }"
	else
		new="oifname wan0 udp sport >= 0 snat ip to $2 : $NAT_BASE-$((NAT_BASE + 8999)) fully-random"
	fi
	case $4 in
	endpoint)
		in="iifname wan0 ip daddr $2 meta l4proto udp dnat ip to udp dport map @open"
		learn="$learn
oifname wan0 meta l4proto udp ct direction original update @open { udp sport : ct original ip saddr . ct original proto-src }"
		;;
	address)
		in="iifname wan0 ip daddr $2 meta l4proto udp dnat ip to udp dport . ip saddr map @open_to"
		learn="$learn
oifname wan0 meta l4proto udp ct direction original update @open_to { udp sport . ip daddr : ct original ip saddr . ct original proto-src }"
		;;
	esac
	block=
	[ -z "$5" ] || block="iifname lan0 meta l4proto udp ip daddr != $NAT_RELAY drop
iifname lan0 udp dport != 3478 drop"
	turn= turned= round=
	[ -z "${6:-}" ] || {
		turn="iifname lan0 ip daddr $2 meta l4proto udp dnat ip to udp dport map @open"
		turned="oifname lan0 meta l4proto udp ct status dnat snat ip to $2 : ip saddr . udp sport map @mapped"
		round="iifname lan0 oifname lan0 ct status dnat accept"
	}
	lab_in "$1" nft -f - <<N
table ip nat
delete table ip nat
table ip nat {
	map mapped { typeof ip saddr . udp sport : udp sport; flags dynamic,timeout; timeout 120s; size 65535; }
	map open { typeof udp dport : ip daddr . udp dport; flags dynamic,timeout; timeout 120s; size 65535; }
	map open_to { typeof udp dport . ip saddr : ip daddr . udp dport; flags dynamic,timeout; timeout 120s; size 65535; }
	chain inward { type nat hook prerouting priority dstnat; $in
$turn
	}
	chain outward { type nat hook postrouting priority srcnat; $turned
$out
$new
oifname wan0 snat ip to $2
	}
	chain learn { type filter hook postrouting priority 150; $learn
	}
	chain self { type filter hook input priority filter; policy accept;
iifname wan0 meta l4proto udp ct state new drop
	}
	chain forward { type filter hook forward priority filter; policy drop; $block
iifname lan0 oifname wan0 accept
iifname wan0 oifname lan0 ct state established,related accept
iifname wan0 oifname lan0 ct status dnat accept
$round
	}
}
N
}

nat_router_of() { # NAME MAPPING FILTERING BLOCKED HAIRPIN
	nat_router "n$1"
	nat_plug "n$1" wan0
	lab_in "n$1" ip addr add "198.18.$NAT_N.1/16" dev wan0
	lab_in "n$1" ip addr add "10.$NAT_N.0.1/24" dev lan0
	nat_rules "n$1" "198.18.$NAT_N.1" "$2" "$3" "$4" "${5:-}"
}

nat_side() {
	NAT_N=$((NAT_N + 1))
	NAT_BASE=$((20000 + NAT_N * 1000))
	case $2 in
	public) nat_public "$1" "$NAT_N" four ;;
	six) nat_public "$1" "$NAT_N" six ;;
	cone) nat_router_of "$1" endpoint endpoint "" ;;
	hairpin) nat_router_of "$1" endpoint endpoint "" yes ;;
	address) nat_router_of "$1" endpoint address "" ;;
	port | broken6) nat_router_of "$1" endpoint port "" ;;
	symmetric) nat_router_of "$1" port port "" ;;
	blocked) nat_router_of "$1" endpoint port yes ;;
	twice)
		nat_router_of "$1" port port ""
		nat_router "i$1"
		nat_inside "i$1" "n$1" "10.$NAT_N.0.2" "10.$NAT_N.0.1" wan0
		lab_in "i$1" ip addr add "10.$NAT_N.1.1/24" dev lan0
		nat_rules "i$1" "10.$NAT_N.0.2" port port ""
		lab_space "$1"
		nat_quiet "$1"
		nat_inside "$1" "i$1" "10.$NAT_N.1.2" "10.$NAT_N.1.1"
		;;
	esac
	case $2 in
	public | six | twice) ;;
	*)
		lab_space "$1"
		nat_quiet "$1"
		nat_inside "$1" "n$1" "10.$NAT_N.0.2" "10.$NAT_N.0.1"
		;;
	esac
	[ "$2" != broken6 ] || {
		lab_in "$1" ip addr add "fd00:99:$NAT_N::2/64" dev eth0 nodad
		lab_in "$1" ip -6 route add default dev eth0
	}
	eval "NAT_BASE_$1=$NAT_BASE NAT_AT_$1=198.18.$NAT_N.1"
}

nat_beside() {
	eval "nat_lan=10.\${NAT_AT_$2#198.18.}"
	nat_lan=${nat_lan%.1}
	lab_space "$1"
	nat_quiet "$1"
	nat_inside "$1" "n$2" "$nat_lan.0.3" "$nat_lan.0.1"
	for nat_port in "$1" "$2"; do
		ip -n "$LAB-n$2" link set "l-$nat_port" type bridge_slave isolated on
	done
}

# The router of an endpoint-independent side is loaded anew, with other ports.
nat_rebind() {
	eval "NAT_BASE=\$((NAT_BASE_$1 + 500)) nat_at=\$NAT_AT_$1"
	nat_rules "n$1" "$nat_at" endpoint port ""
	lab_in "n$1" conntrack -F >/dev/null 2>&1
}
