#!/bin/sh
# mutant.sh MUTATION RING_H RING_C TEST_C: one source with a defect put into the ring, to stdout.
# The test of that source must fail, or it could not have found the defect.
set -eu
case $1 in
# The reader sleeps without a second look.
no-second-look) from='if (!ring_look(r))'; to='if (true)' ;;
# Neither side orders its store before its look.
no-fence) from='atomic_thread_fence(memory_order_seq_cst);'; to='atomic_signal_fence(memory_order_seq_cst);' ;;
# The reader reads before it knows that the record is whole.
relaxed) from='memory_order_\(acquire\|release\)'; to='memory_order_relaxed' ;;
*) echo "mutant.sh: no mutation $1" >&2; exit 2 ;;
esac
ring() {
	sed -e 's/^#pragma once$//' -e 's/^#include "abi\/ring.h"$//' "$1"
}
mutated=$(for f in "$2" "$3"; do ring "$f"; done | case $1 in
no-second-look) awk '/^bool ring_sleep/ { inside = 1 } { if (inside) sub(/if \(!ring_look\(r\)\)/, "if (true)"); print } /^}/ { inside = 0 }' ;;
*) sed "s/$from/$to/" ;;
esac)
[ "$mutated" != "$(for f in "$2" "$3"; do ring "$f"; done)" ] || {
	echo "mutant.sh: $1 changes nothing: the ring was rewritten, rewrite the mutation" >&2
	exit 1
}
printf '%s\n' "$mutated"
sed -e 's/^#include "abi\/ring.h"$//' "$4"
