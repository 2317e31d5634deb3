"""turnpike-gen as the rigs use it: one call, one JSON report."""
import json
import math
import os
import re
import signal
import time

from rigs.lab import RigError
from rigs.servers import CORE_GENERATOR, OUTSIDE, PASSWORD, PORT, SERVER, SERVER_NET, USER

LOADS = (10, 50, 90)
SIZE = 160
LOSS = 0.005


def program(build):
    return os.path.join(build, "turnpike-gen")


def missing(build):
    return None if os.access(program(build), os.X_OK) else f"no {program(build)}; the build makes it with -Ddataplane=true"


class Report:
    """What one run found. Numbers that were not asked for are None."""

    def __init__(self, found):
        self.found = found

    def rate(self, which="pdr"):
        """(packets a second, why it ended)"""
        part = self.found.get(which) or {}
        return part.get("pps"), str(part.get("end", ""))

    def narrow(self):
        """Found, or as good as: what held and what was lost are within a tenth of each other."""
        part = self.found.get("pdr") or {}
        pps, end = self.rate()
        return bool(pps) and (end in ("found", "generator") or part.get("upper_pps", math.inf) <= 1.1 * pps)

    def gbps(self, which="pdr"):
        """Of payload."""
        return (self.found.get(which) or {}).get("gbps")

    def generator_bound(self):
        return self.rate()[1] == "generator"

    def at(self, percent, what):
        """Microseconds at a load."""
        for row in self.found.get("latency") or []:
            if row.get("percent") == percent:
                return (row.get("latency_us") or {}).get(what)
        return None

    def setup(self):
        return self.found.get("setup") or {}

    def setups_per_second(self, n):
        """Clients that came up a second, if all of them did."""
        setup = self.setup()
        seconds = setup.get("seconds")
        return n / seconds if seconds and setup.get("ready") == n else None

    def faults(self):
        """Faults of a relay that is not overloaded: none of these is loss."""
        total = {}
        for t in self.found.get("trials") or []:
            for name in ("duplicated", "corrupted", "misdelivered", "checksum"):
                if t.get(name):
                    total[name] = total.get(name, 0) + t[name]
        return total


class Generator:
    """`port` is a device as in turnpike.yaml, in namespace `space`."""

    pinned = True
    poll = True  # spin; else sleep while nothing is due, for what else runs on that core

    def __init__(self, build, lab, space, port, routes=()):
        self.build, self.lab, self.space, self.port, self.routes = build, lab, space, port, routes

    def words(self, path, clients, more):
        words = [program(self.build), "--port", self.port, "--address", f"{OUTSIDE}/{SERVER_NET}",
                 "--server", f"{SERVER}:{PORT}", "--user", USER, "--password", PASSWORD,
                 "--clients", str(clients), "--setup-rate", "0", "--direction", "both", "--json", path, "--quiet"]
        if "--size" not in more:
            words += ["--size", str(SIZE)]
        if self.pinned:
            words += ["--cores", str(CORE_GENERATOR)]
        if self.poll:
            words.append("--poll")
        return words + [str(w) for w in more]

    def start(self, clients, more):
        path = os.path.join(self.lab.dir, f"gen{self.lab.count()}.json")
        process = self.lab.start("turnpike-gen", self.words(path, clients, more), space=self.space)
        process.json = path
        return process

    def add_routes(self):
        """Behind a port without a kernel device there is nothing to route by before its TAP is."""
        for text in self.lab.inside(self.space, "ip", "-o", "link", check=False).splitlines():
            found = re.match(r"\d+: ([^:@ ]+)", text)
            if found and found[1] != "lo":
                for route in self.routes:
                    self.lab.inside(self.space, "ip", "route", "replace", *route.split(), "dev", found[1],
                                    "onlink", check=False)

    def run(self, clients=128, more=(), seconds=60, watch=None):
        """Runs to its end, `seconds` at most. `watch` is called about twice a second meanwhile."""
        process = self.start(clients, more)
        end = time.monotonic() + seconds
        turn = 0
        while process.alive():
            time.sleep(0.02)
            turn += 1
            if time.monotonic() > end:
                process.stop(signal.SIGTERM, 5)
                raise RigError(f"turnpike-gen did not end within {seconds:.0f} s\n{self.said(process)}")
            if self.routes and turn % 10 == 0 and turn < 500:
                self.add_routes()
            if watch and turn % 25 == 0:
                watch()
        try:
            with open(process.json, encoding="utf-8") as f:
                found = json.load(f)
        except (OSError, ValueError) as e:
            raise RigError(f"turnpike-gen ended with {process.popen.returncode} and no report ({e})\n"
                           f"{self.said(process)}") from e
        if not found.get("ok", process.popen.returncode == 0):
            raise RigError(f"turnpike-gen: {found.get('why') or process.popen.returncode}\n{self.said(process)}")
        return Report(found)

    def said(self, process):
        with open(process.log, encoding="utf-8", errors="replace") as f:
            return "".join("    " + t for t in f.readlines()[-12:])

    def find(self, clients, budget_s, trial_s, precision=0.01, latency=False, how=(), seconds=None):
        more = ["--find", "pdr", "--rate", "max", "--loss", LOSS, "--trial", trial_s, "--precision", precision,
                "--budget", budget_s, "--drain", "0.1", *how]
        if latency:
            more.append("--latency")
        return self.run(clients, more, seconds or budget_s + 6 * trial_s + 25)

    def storm(self, name, rate, duration_s):
        """Without media beside it: (sent, answered, seconds)."""
        report = self.run(0, ["--storm", name, "--storm-rate", int(rate), "--duration", duration_s], duration_s + 30)
        found = report.found.get("storm") or {}
        return found.get("sent", 0), found.get("answered", 0), found.get("seconds") or duration_s
