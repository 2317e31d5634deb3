#!/bin/sh
# Every tracked C file is as .clang-format says. Exit status 77, "skipped", without the tool.
set -eu
cd "${1:-$(dirname "$0")/..}"
command -v clang-format >/dev/null || {
	echo "clang-format is not installed"
	exit 77
}
git rev-parse --is-inside-work-tree >/dev/null 2>&1 || {
	echo "not a git work tree: no list of tracked files"
	exit 77
}
files=$(git ls-files '*.c' '*.h')
[ -n "$files" ] || {
	echo "no C files are tracked"
	exit 1
}
# shellcheck disable=SC2086
for f in $files; do
	[ ! -e "$f" ] || echo "$f"
done | xargs clang-format --dry-run -Werror
