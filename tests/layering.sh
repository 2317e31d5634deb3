#!/bin/sh
# Dependencies point inward only:
#   include/ and control/ never see DPDK; data plane and control never see each other;
#   the generator sees the data plane's library and never control, and neither sees it;
#   include/wire sees nothing but itself, include/addr.h, include/crypto.h and the C library.
# The second check is of this script: each rule has to find the breach that is put before it.
set -eu
root=${1:-$(cd "$(dirname "$0")/.." && pwd)}

# rule NAME FOLDER PATTERN: no #include in FOLDER's C files may match the pattern.
rule() {
	[ -d "$tree/$2" ] || return 0
	found=$(grep -rnE --include='*.[ch]' "^[[:space:]]*#[[:space:]]*include[[:space:]]*$3" "$tree/$2") ||
		return 0
	echo "$1:"
	echo "$found" | sed "s|^$tree/||"
	broken=$((broken + 1))
}

check() {
	tree=$1
	broken=0
	rule "DPDK under include/" include '[<"]rte_'
	rule "DPDK under control/" control '[<"]rte_'
	rule "control's headers in the data plane" dataplane '[<"](\.\./)*control/'
	rule "the data plane's headers in control" control '[<"](\.\./)*dataplane/'
	rule "control's headers in the generator" pkt-gen '[<"](\.\./)*control/'
	rule "the generator's headers in the data plane" dataplane '[<"](\.\./)*pkt-gen/'
	rule "the generator's headers in control" control '[<"](\.\./)*pkt-gen/'
	rule "a process's headers under include/" include '[<"](\.\./)*(control|dataplane|pkt-gen)/'
	rule "more than the C library under include/wire" include/wire \
		'("(abi|config|log|policy|nonce|exit)|<(openssl|event2?|sys|net|netinet|arpa|linux|unistd|pthread|jansson|yaml))'
}

breach() { # FOLDER LINE
	mkdir -p "$scratch/$1"
	printf '%s\n' "$2" >"$scratch/$1/breach.c"
	check "$scratch" >/dev/null
	rm "$scratch/$1/breach.c"
	[ "$broken" -eq 1 ] || {
		echo "layering.sh: found $broken breaches, not 1: $2 in $1/"
		exit 1
	}
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
breach include/abi '#include <rte_ring.h>'
breach control/turn ' #  include "rte_mbuf.h"'
breach dataplane '#include "control/store.h"'
breach control '#include "dataplane/flow.h"'
breach pkt-gen '#include "control/turn/request.h"'
breach dataplane '#include "pkt-gen/stream.h"'
breach control '#include "pkt-gen/fleet.h"'
breach include '#include "../control/store.h"'
breach include/wire '#include <openssl/hmac.h>'
breach include/wire '#include "abi/abi.h"'

check "$root"
[ "$broken" -eq 0 ]
