"""How long two agents take to find a path, by kinds of NAT: turnpike-agent with itself, and aioice with
itself between the same hosts, in turn (connect.sh)."""
import os
import subprocess

import stats

PAIRS = ("public-public", "cone-cone", "address-port", "port-port", "port-symmetric", "symmetric-symmetric",
         "blocked-symmetric")


def percentile(sample, p):
    s = sorted(sample)
    return s[min(len(s) - 1, int(p * len(s)))]


def run(build, mode, out):
    rounds = {"quick": 3, "full": 5, "long": 30}[mode.name]
    pairs = ("public-public", "port-port") if mode.name == "quick" else PAIRS
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "connect.sh")
    done = subprocess.run([script, str(rounds), *pairs], env={**os.environ, "TURNPIKE_BUILD": build},
                          capture_output=True, text=True, timeout=1800)
    rows = [line.split() for line in done.stdout.splitlines() if line.count(" ") == 2]
    for pair in pairs:
        found = [(ours, theirs) for name, ours, theirs in rows if name == pair]
        ours = [max(float(a), 1.0) for a, _ in found if a != "-"]
        theirs = [max(float(b), 1.0) for _, b in found if b != "-"]
        if len(ours) < 2:
            out.left_out(f"ice.connect.{pair}", f"{len(ours)} of {rounds} runs found a path; exit {done.returncode} "
                         + done.stderr[-200:])
            continue
        base = theirs if len(theirs) > 1 else None
        note = f"p95 {percentile(ours, 0.95):.0f} ms of {len(ours)}"
        if base:
            note += f"; aioice p95 {percentile(theirs, 0.95):.0f} ms of {len(theirs)}"
        out.line(stats.line(f"ice.connect.{pair}", "ms", ours, "aioice" if base else None, base, 0.0, note))
