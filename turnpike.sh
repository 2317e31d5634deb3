#!/bin/sh
# The front door: setup, build, run, test, bench. Needs a shell and apt, nothing else.
set -eu

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
cd "$here"
build=build

usage() {
	cat <<'U'
usage: ./turnpike.sh COMMAND

  setup              install the Debian packages that are missing
  build              build everything to build/
  run [--once]       a whole relay in network namespaces of its own: sends real media through it,
                     prints what it measured, keeps serving until Ctrl-C (--once: stops by itself)
  test [--interop]   build and run every test; --interop adds the heavy clients
  bench [--quick | --long] [--only PARTS] [--server COMMAND]
                     benchmarks: prints a table, writes build/bench.jsonl and build/bench.html;
                     --server aims the veth rig at another TURN server (docs/benchmark.md)
  fuzz [SECONDS]     every fuzz target for so many seconds each (60)
U
}

die() {
	echo "turnpike.sh: $*" >&2
	exit 1
}

# What building, running and testing need. What only `test --interop` needs follows.
packages='
build-essential meson ninja-build pkg-config python3
dpdk-dev libdpdk-dev libnuma-dev libssl-dev libyaml-dev libunistring-dev libevent-dev libjansson-dev
libmnl-dev libnftables-dev libbpf-dev libpcap-dev libusrsctp-dev libcunit1-dev
clang libclang-rt-14-dev clang-format valgrind
iproute2 iputils-ping procps nftables conntrack ethtool curl tcpdump tshark
libevent-core-2.1-7 libevent-extra-2.1-7 python3-aioice git
'
# What Debian's coturn server needs to run unpacked.
packages_coturn='
libevent-openssl-2.1-7 libevent-pthreads-2.1-7 libhiredis0.14 libmariadb3 libpq5 libsqlite3-0
'
packages_interop="
chromium baresip-core libnice-dev golang-go golang-github-pion-ice.v2-dev
$packages_coturn"
# Other servers to be measured beside: coturn's, and two libraries from which small servers of our own
# are made. None of them brings a service.
packages_bench="
util-linux
$packages_coturn
golang-go golang-github-pion-turn.v2-dev erlang-base erlang-p1-stun
"

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "needs root for: $* (no sudo here; run as root)"
	fi
}

missing() {
	for p in "$@"; do
		case $(dpkg-query -W -f '${Status}' "$p" 2>/dev/null) in
		'install ok installed') ;;
		*) printf '%s ' "$p" ;;
		esac
	done
}

# No service is started or enabled, whatever a package would like.
install_packages() {
	want=$(missing "$@")
	[ -n "$want" ] || return 0
	echo "setup: installing: $want"
	log=$(mktemp)
	policy=/usr/sbin/policy-rc.d
	ours=
	if [ ! -e $policy ]; then
		ours=yes
		as_root sh -c "printf '#!/bin/sh\nexit 101\n' > $policy && chmod 755 $policy"
	fi
	ok=yes
	as_root apt-get update -qq >"$log" 2>&1 || echo "setup: apt-get update had trouble; trying on" >&2
	# shellcheck disable=SC2086
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		$want >>"$log" 2>&1 || ok=
	[ -z "$ours" ] || as_root rm -f $policy
	[ -n "$ok" ] || tail -n 20 "$log" >&2
	rm -f "$log"
	[ -n "$ok" ] || die "apt-get could not install: $want"
}

# coturn's utilities are the stock client; its server is a baseline of the bench. It is never
# installed, so no service starts.
unpack_coturn() {
	[ -x $build/coturn/usr/bin/turnutils_uclient ] && return 0
	mkdir -p $build/coturn
	echo "setup: unpacking coturn's client utilities under $build/coturn"
	(cd $build/coturn && apt-get download -qq coturn 2>/dev/null) ||
		(as_root apt-get update -qq && cd $build/coturn && apt-get download -qq coturn) ||
		die "apt-get could not download coturn"
	dpkg-deb -x $build/coturn/coturn_*.deb $build/coturn
}

setup() {
	[ -e /etc/debian_version ] || die "setup knows Debian; see README.md for what to install"
	# shellcheck disable=SC2086
	install_packages $packages "$@"
	unpack_coturn
}

# meson_dir DIR OPTIONS...: configured once, then built.
meson_dir() {
	dir=$1
	shift
	[ -e "$dir/build.ninja" ] || meson setup "$dir" "$@" >"$dir.log" 2>&1 || {
		tail -n 20 "$dir.log" >&2
		die "meson setup $dir failed (see $dir.log)"
	}
	ninja -C "$dir" >"$dir.log" 2>&1 || {
		grep -E 'error|FAILED|undefined' "$dir.log" | head -n 20 >&2
		die "building $dir failed (see $dir.log)"
	}
}

build() {
	mkdir -p $build
	echo "build: $build/"
	meson_dir $build
}

# Reads meson's logs. `summary DIR...` prints what failed, then the one line; `failed DIR` the names
# of the whole relays that failed: they share the cores with other tests, and one that passes alone
# is told, and counted as passed. Nothing else gets a second try: what fails now and then in a unit
# or under a sanitizer is broken.
judge() {
	python3 - "$@" <<'P'
import json, os, sys

GOOD = ("OK", "EXPECTEDFAIL")
WHOLE = ("turnpike:smoke", "turnpike:interop")
short = lambda t: t["name"].split(" / ", 1)[-1]


def read(path, log):
    path = f"{path}/meson-logs/{log}.json"
    return [json.loads(line) for line in open(path)] if os.path.exists(path) else []


if sys.argv[1] == "failed":
    for t in read(sys.argv[2], "testlog"):
        if t["result"] not in GOOD + ("SKIP",) and t["name"].split(" / ", 1)[0] in WHOLE:
            print(short(t))
    sys.exit()
passed = failed = skipped = 0
for path in sys.argv[2:]:
    tests = read(path, "testlog")
    again = {short(t): t for t in read(path, "again")}
    if not tests:
        print(f"{path}: no test ran")
        failed += 1
    for t in tests:
        if t["result"] in GOOD:
            passed += 1
        elif t["result"] == "SKIP":
            skipped += 1
            print(f"skipped: {t['name']}: {(t.get('stdout') or '').strip().splitlines()[-1:]}")
        elif again.get(short(t), t)["result"] in GOOD:
            passed += 1
            print(f"passed only when run again, alone: {t['name']} in {path}")
        else:
            failed += 1
            print(f"FAILED: {t['name']} ({t['result']}) in {path}")
            for out in ("stdout", "stderr"):
                for text in (t.get(out) or "").splitlines()[-60:]:
                    print("    " + text)
print(f"{passed} passed, {failed} failed, {skipped} skipped")
sys.exit(1 if failed or not passed else 0)
P
}

run_tests() { # DIR ARGS...
	dir=$1
	shift
	echo "test: $dir $*"
	rm -f "$dir/meson-logs/testlog.json" "$dir/meson-logs/again.json"
	meson test -C "$dir" --no-rebuild --print-errorlogs "$@" >"$dir/test.log" 2>&1 || true
	grep -E '^ *[0-9]+/[0-9]+ ' "$dir/test.log" || tail -n 5 "$dir/test.log"
	judge failed "$dir" >"$dir/failed.txt"
	[ -s "$dir/failed.txt" ] && [ "$(wc -l <"$dir/failed.txt")" -le 5 ] || return 0
	set --
	while IFS= read -r name; do
		set -- "$@" "$name"
	done <"$dir/failed.txt"
	echo "test: again, alone: $*"
	meson test -C "$dir" --no-rebuild --logbase again --num-processes 1 "$@" >>"$dir/test.log" 2>&1 || true
}

test_all() {
	interop=
	for a in "$@"; do
		case $a in
		--interop) interop=yes ;;
		*) usage >&2; exit 2 ;;
		esac
	done
	# shellcheck disable=SC2086
	if [ -n "$interop" ]; then setup $packages_interop; else setup; fi
	build
	echo "build: $build/asan (gcc, address and undefined sanitizers)"
	meson_dir $build/asan -Db_sanitize=address,undefined -Db_lundef=false -Dsanitized=true
	echo "build: $build/clang (clang, fuzz targets)"
	CC=clang meson_dir $build/clang -Dfuzz=true -Db_lundef=false
	if [ -n "$interop" ]; then
		run_tests $build
	else
		run_tests $build --no-suite interop
	fi
	ASAN_OPTIONS=detect_leaks=1:abort_on_error=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
		run_tests $build/asan --suite unit --suite fuzz
	judge summary $build $build/asan
}

bench() {
	for a in "$@"; do
		case $a in
		--quick | --long | --only | --server | --no-history) ;;
		-*) usage >&2; exit 2 ;;
		esac
	done
	# shellcheck disable=SC2086
	setup $packages_bench
	build
	as_root python3 bench/run.py --build "$build" "$@" # namespaces and hugepages need root
}

fuzz() {
	seconds=${1:-60}
	setup
	mkdir -p $build
	CC=clang meson_dir $build/clang -Dfuzz=true -Db_lundef=false
	for f in $build/clang/tests/fuzz/fuzz_*; do
		[ -x "$f" ] && [ -f "$f" ] || continue
		name=${f##*/fuzz_}
		mkdir -p "$build/fuzz/$name"
		echo "fuzz: $name for $seconds s"
		"$f" -max_total_time="$seconds" -print_final_stats=0 -artifact_prefix="$build/fuzz/" \
			"$build/fuzz/$name" "tests/fuzz/corpus/$name" >"$build/fuzz/$name.log" 2>&1 || {
			tail -n 30 "$build/fuzz/$name.log" >&2
			die "fuzz target $name found something; the input is under $build/fuzz/"
		}
	done
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
setup) setup ;;
build) setup && build ;;
run) setup && build && if [ "$(id -u)" -eq 0 ]; then exec packaging/demo.sh "$@"; else
	exec sudo packaging/demo.sh "$@"; fi ;;
test) test_all "$@" ;;
bench) bench "$@" ;;
fuzz) fuzz "$@" ;;
-h | --help | help) usage ;;
*) usage >&2; exit 2 ;;
esac
