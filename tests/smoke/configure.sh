#!/bin/sh
# The table in docs/configure.md is the one that the settings table makes; the shipped example parses;
# the manual page is clean. usage: configure.sh PATH-OF-TURNPIKE SOURCE-ROOT
set -u
turnpike=$(realpath "$1")
cd "$2" || exit 1
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
failed=0
fail() {
	echo "$*"
	failed=1
}

sed -n '/^<!-- settings/,/^<!-- end of settings/p' docs/configure.md | sed '1d;$d' >"$scratch/written"
"$turnpike" manual markdown >"$scratch/made" || fail "turnpike manual markdown"
[ -s "$scratch/written" ] || fail "docs/configure.md has no table of settings"
diff -u "$scratch/written" "$scratch/made" ||
	fail "docs/configure.md is behind: put in what 'turnpike manual markdown' prints"
"$turnpike" check -c packaging/turnpike.yaml || fail "packaging/turnpike.yaml"
"$turnpike" manual >"$scratch/turnpike.yaml.5" || fail "turnpike manual"
if command -v groff >/dev/null; then
	for page in "$scratch/turnpike.yaml.5" docs/man/*.8; do
		groff -man -Tutf8 -ww -z "$page" 2>"$scratch/said"
		[ ! -s "$scratch/said" ] || fail "$page: $(cat "$scratch/said")"
	done
fi
exit $failed
