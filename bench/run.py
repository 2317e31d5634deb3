#!/usr/bin/env python3
"""The bench: every part, one table, build/bench.jsonl, bench/results/HOST.jsonl, build/bench.html;
build/bench.md has the tables for docs/benchmark.md.

    run.py [--quick | --long] [--only PART[,PART]] [--server COMMAND] [--build DIR] [--no-history]

`./turnpike.sh bench` calls it with what it needs installed and built. Exit status: 0, 1 if a figure
could not be trusted at all (a malformed line, a relay that corrupted packets, a bench that failed),
2 usage. A goal that is missed is told, and is no failure.
"""
import argparse
import contextlib
import datetime
import glob
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import goals  # noqa: E402
import report  # noqa: E402
import stats  # noqa: E402
from rigs import generator, ice, plan, scale, shared, veth  # noqa: E402

HUGEPAGES = 1024
CONTROL_FIRST = ("bench_ring", "bench_alloc", "bench_session", "bench_visible", "bench_scale")
SHORT = ("bench_fleet",)  # steady in its quick form: the rest would take a part's whole time


class Out:
    """Where lines go, and what is said beside them."""

    def __init__(self, path):
        self.path, self.lines, self.omitted, self.errors = path, [], [], []
        self.start = time.monotonic()
        with open(path, "w", encoding="utf-8"):
            pass

    def say(self, text):
        print(f"[{time.monotonic() - self.start:5.0f} s] {text}", flush=True)

    def line(self, made):
        try:
            stats.check(made)
        except stats.Malformed as e:
            self.wrong(f"line refused: {e}")
            return
        self.lines.append(made)
        with open(self.path, "a", encoding="utf-8") as f:
            f.write(json.dumps({k: round6(v) for k, v in made.items()}) + "\n")
        ratio = f"  {made['ratio']:.3g} x {made['baseline']}" if made["baseline"] else ""
        self.say(f"{made['name']} {made['value']:.4g} {made['unit']}{ratio}{'  noisy' if made['noisy'] else ''}")

    def left_out(self, what, why):
        self.omitted.append((what, why.strip()))
        self.say(f"left out: {what}: {why.strip()}")

    def wrong(self, text):
        self.errors.append(text)
        self.say(f"WRONG: {text}")


def round6(v):
    return float(f"{v:.6g}") if isinstance(v, float) else v


# --- the machine ---


def first_line(path, default=""):
    with contextlib.suppress(OSError):
        with open(path, encoding="ascii", errors="replace") as f:
            return f.readline().strip()
    return default


def proc_key(path, key):
    with contextlib.suppress(OSError):
        with open(path, encoding="ascii", errors="replace") as f:
            for text in f:
                if text.startswith(key):
                    return text.split(":", 1)[1].strip()
    return ""


def hugepages(which):
    return int(proc_key("/proc/meminfo", f"HugePages_{which}") or 0)


def machine(build):
    found = {"cpu": proc_key("/proc/cpuinfo", "model name"), "cores": len(os.sched_getaffinity(0)),
             "memory_mib": int((proc_key("/proc/meminfo", "MemTotal") or "0").split()[0]) // 1024,
             "kernel": platform.release(), "hugepages": hugepages("Total"), "hugepages_free": hugepages("Free"),
             "page_table_isolation": first_line("/sys/devices/system/cpu/vulnerabilities/meltdown", "?"),
             "hypervisor": "hypervisor" in proc_key("/proc/cpuinfo", "flags").split(),
             "load": first_line("/proc/loadavg").split()[:1]}
    with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
        done = subprocess.run([os.path.join(build, "bench", "machine")], capture_output=True, text=True, timeout=20,
                              check=False)
        found.update(json.loads(done.stdout))
    with contextlib.suppress(OSError, ValueError):
        with open(os.path.join(build, "meson-info", "intro-buildoptions.json"), encoding="utf-8") as f:
            options = {o["name"]: o["value"] for o in json.load(f)}
        found["flags"] = " ".join([options.get("buildtype", ""), *options.get("c_args", [])]).strip()
    return found


def describe(m):
    return (f"{m['cpu']}, {m['cores']} cores, core {m.get('core_ghz', '?')} GHz, TSC {m.get('tsc_ghz', '?')} GHz, "
            f"line there and back {m.get('pingpong_ns', '?')} ns; linux {m['kernel']}, gcc {m.get('compiler', '?')} "
            f"({m.get('flags', '')}), {m.get('dpdk', 'DPDK ?')}; hugepages of 2 MB: {m['hugepages']}, "
            f"{m['hugepages_free']} free; load before {' '.join(m['load'])}")


def commit():
    def git(*words):
        done = subprocess.run(["git", "-c", "safe.directory=*", "-C", HERE, *words], capture_output=True, text=True,
                              check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    try:
        head = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no")
        return head, bool(changed), git("log", "-1", "--format=%s")
    except OSError:
        return None, False, None


class Hugepages:
    """As many as the rigs want while the bench runs; given back at the end if nobody uses them."""

    def __init__(self, out):
        self.out, self.before = out, hugepages("Total")

    def __enter__(self):
        room_mib = int((proc_key("/proc/meminfo", "MemAvailable") or "0").split()[0]) // 1024
        wanted = min(HUGEPAGES, room_mib // 2 // 2)
        if self.before < wanted and os.geteuid() == 0:
            self._write(wanted)
        self.out.say(f"hugepages of 2 MB: {hugepages('Total')}, {hugepages('Free')} free")
        return self

    @staticmethod
    def _write(n):
        with contextlib.suppress(OSError):
            with open("/proc/sys/vm/nr_hugepages", "w", encoding="ascii") as f:
                f.write(str(n))

    def __exit__(self, *_):
        if hugepages("Total") > self.before and hugepages("Free") == hugepages("Total"):
            self._write(self.before)


# --- programs in C ---


def run_program(out, clock, path, arguments):
    """A bench in C: its lines are checked, then kept. Ended when the time of its part has gone."""
    name = os.path.basename(path)
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as lines:
        env = {**os.environ, "TURNPIKE_BENCH_OUT": lines.name}
        with subprocess.Popen([path, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env,
                              start_new_session=True) as p:
            late = threading.Event()
            timer = threading.Timer(max(5.0, clock.left()), lambda: (late.set(), stop_group(p)))
            timer.start()
            for text in p.stdout:
                if not text.startswith("#   bar") and not re.match(r"# |name  ", text):
                    out.say(f"{name}: {text.rstrip()}")
            status = p.wait()
            timer.cancel()
        made, refused = stats.read(lines.name)
        for line in made:
            out.lines.append(line)
            with open(out.path, "a", encoding="utf-8") as f:
                f.write(json.dumps(line) + "\n")
        for text in refused:
            out.wrong(f"{name}: line refused: {text}")
        if late.is_set():
            out.left_out(f"{name} {' '.join(arguments)}", f"its time was over after {len(made)} lines")
        elif status:
            out.wrong(f"{name} {' '.join(arguments)} ended with {status}")


def stop_group(p):
    for sig in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(p.pid, sig)
        with contextlib.suppress(subprocess.TimeoutExpired):
            p.wait(3)
            return


def programs(build, part):
    """Every build/bench/bench_*, by the part it belongs to."""
    found = [p for p in sorted(glob.glob(os.path.join(build, "bench", "bench_*")))
             if os.path.isfile(p) and os.access(p, os.X_OK)]
    names = {"r0": ["bench_r0", "bench_leg"], "r1": ["bench_r1"]}
    if part in names:
        return [p for p in found if os.path.basename(p) in names[part]]
    rest = [p for p in found if os.path.basename(p) not in ("bench_r0", "bench_leg", "bench_r1")]
    order = {name: i for i, name in enumerate(CONTROL_FIRST)}
    return sorted(rest, key=lambda p: (order.get(os.path.basename(p), len(order)), p))


# --- all ---


def run_part(part, args, mode, clock, out):
    if part in ("r0", "control", "r1"):
        found = programs(args.build, part)
        if not found:
            out.left_out(part, f"no program for it in {args.build}/bench")
        for path in found:
            short = os.path.basename(path) in SHORT and mode.name == "full"
            run_program(out, clock, path, ["--quick"] if short else {"full": []}.get(mode.name, [f"--{mode.name}"]))
        return
    if part == "ice":
        ice.run(args.build, mode, out)
        return
    why = generator.missing(args.build)
    if why:
        out.left_out(part, why)
    elif part == "r2":
        shared.run(args.build, mode, clock, out, hugepages("Free"))
    elif part == "r3":
        veth.run(args.build, mode, clock, out, args.server)
    elif part == "scale":
        scale.run(args.build, mode, clock, out, hugepages("Free"))


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0], allow_abbrev=False)
    group = p.add_mutually_exclusive_group()
    group.add_argument("--quick", action="store_const", dest="mode", const="quick", help="under 3 minutes")
    group.add_argument("--long", action="store_const", dest="mode", const="long", help="for publication: up to 2 hours")
    p.add_argument("--only", help="parts, separated by commas: " + ", ".join(k for k, _, _ in goals.PARTS))
    p.add_argument("--server", metavar="COMMAND", help="another TURN server instead of coturn in R3, with {address} "
                   "{port} {user} {password} {realm}")
    p.add_argument("--build", default=os.path.join(HERE, "..", "build"))
    p.add_argument("--no-history", action="store_true", help="do not append to bench/results")
    p.set_defaults(mode="full")
    args = p.parse_args()
    args.build = os.path.abspath(args.build)
    args.parts = args.only.split(",") if args.only else [k for k, _, _ in goals.PARTS]
    for part in args.parts:
        if part not in [k for k, _, _ in goals.PARTS]:
            p.error(f"--only: no part '{part}'; there are " + ", ".join(k for k, _, _ in goals.PARTS))
    if not os.path.isdir(args.build):
        p.error(f"no {args.build}; run ./turnpike.sh build")
    return args


def history_path():
    return os.path.join(HERE, "results", re.sub(r"[^A-Za-z0-9_.-]", "_", platform.node() or "host") + ".jsonl")


def past(path):
    found = []
    with contextlib.suppress(OSError):
        with open(path, encoding="utf-8") as f:
            for text in f:
                with contextlib.suppress(ValueError):
                    found.append(json.loads(text))
    return found


def main():
    args = arguments()
    mode = plan.MODES[args.mode]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    out = Out(os.path.join(args.build, "bench.jsonl"))
    clock, steal = plan.Clock(mode), stats.Steal()
    with Hugepages(out):
        m = machine(args.build)
        out.say(describe(m))
        for i, part in enumerate(args.parts):
            clock.begin(part, args.parts[i + 1:])
            if clock.left() < 5:
                out.left_out(part, "no time left")
                continue
            out.say(f"--- {part}: {clock.left():.0f} s at most")
            try:
                run_part(part, args, mode, clock, out)
            except (OSError, RuntimeError, subprocess.SubprocessError) as e:
                out.wrong(f"{part}: {type(e).__name__}: {e}")
    head, changed, subject = commit()
    entry = {"commit": head, "changed": changed, "subject": subject, "mode": mode.name,
             "time": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
             "seconds": round(time.monotonic() - out.start), "machine": m,
             "noise": {"steal": round6(steal.since()), "noisy": sum(x["noisy"] for x in out.lines),
                       "lines": len(out.lines)},
             "left_out": [[what, why.split("\n")[0]] for what, why in out.omitted], "errors": out.errors, "lines": out.lines}
    path = history_path()
    if not args.no_history and out.lines:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "a", encoding="utf-8") as f:
            f.write(json.dumps(entry) + "\n")
    page = os.path.join(args.build, "bench.html")
    report.html(page, entry, past(path))
    with open(os.path.join(args.build, "bench.md"), "w", encoding="utf-8") as f:
        report.markdown(entry, f)
    report.table(entry, sys.stdout)
    print(f"bench: {len(out.lines)} lines in {entry['seconds']} s; wrote {out.path}, {page}"
          + ("" if args.no_history else f", appended to {path}"))
    return 1 if out.errors or not out.lines else 0


if __name__ == "__main__":
    sys.exit(main())
