#!/bin/sh
# The tables in docs/operate.md are those that the table of commands and the lists of counters make;
# turnpikectl(8) is clean; completion completes. usage: operate.sh PATH-OF-TURNPIKECTL SOURCE-ROOT
set -u
turnpikectl=$(realpath "$1")
cd "$2" || exit 1
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
failed=0
fail() {
	echo "$*"
	failed=1
}

sed -n '/^<!-- commands and counters/,/^<!-- end of commands/p' docs/operate.md | sed '1d;$d' >"$scratch/written"
"$turnpikectl" --markdown >"$scratch/made" || fail "turnpikectl --markdown"
[ -s "$scratch/written" ] || fail "docs/operate.md has no tables"
diff -u "$scratch/written" "$scratch/made" ||
	fail "docs/operate.md is behind: put in what 'turnpikectl --markdown' prints"
"$turnpikectl" --manual >"$scratch/turnpikectl.8" || fail "turnpikectl --manual"
if command -v groff >/dev/null; then
	groff -man -Tutf8 -ww -z "$scratch/turnpikectl.8" 2>"$scratch/said"
	[ ! -s "$scratch/said" ] || fail "turnpikectl.8: $(head -n 5 "$scratch/said")"
fi

"$turnpikectl" completion bash >"$scratch/completion" || fail "turnpikectl completion bash"
completes() { # WANT WORDS... : the last word is being typed
	want=$1
	shift
	got=$(bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _turnpikectl; echo "${COMPREPLY[*]}"' \
		bash "$scratch/completion" turnpikectl "$@" | tr ' ' '\n' | sort -u | tr '\n' ' ')
	[ "$got" = "$want " ] || fail "completion of '$*': '$got', not '$want'"
}
if command -v bash >/dev/null; then
	completes 'session set show status stop' s
	completes 'set-remote show' session s
	completes '--session' session events --
	completes 'allocation allocations' show alloc
	completes '--secrets' -c x.yaml show config --
	completes 'debug error info warning' set log-level ''
	completes 'off on' drain o
	completes '--ice-servers --ttl --uclient' credential alice --
fi

for command in status 'show allocations' stop watch; do
	# shellcheck disable=SC2086
	"$turnpikectl" help $command | grep -q '^usage: turnpikectl' || fail "help $command"
done
"$turnpikectl" help nothing 2>/dev/null
[ $? -eq 2 ] || fail "help of what is not there is wrong usage"
exit $failed
