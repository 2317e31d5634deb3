"""Servers that stand side by side and are measured in turn.

A bay is a server in a namespace of its own and the generator in another. All servers of a rig stay
up, stopped (SIGSTOP) while another is measured, so that A and B alternate without paying for a
start each time.
"""
import contextlib
import os
import signal

import stats
from rigs import generator, servers
from rigs.lab import Lab, RigError, Sampler


class Bay:
    """A server and its generator. Subclasses lay the cable between them: `device` is the
    generator's end, `mac` where it sends to when there is no kernel to ask."""

    device = None
    mac = "02:00:00:00:00:01"
    sampled = False  # packets can be counted at the server's eth0

    def __init__(self, rig, key, server):
        self.key, self.server, self.lab = key, server, rig.lab
        number = rig.lab.count()
        self.inside, self.outside = f"s{number}", f"g{number}"
        self.space = rig.lab.space(self.inside)
        for space in (self.inside, self.outside):
            rig.lab.add_space(space)
        self.cable()
        self.generator = generator.Generator(rig.build, rig.lab, self.outside, self.device)
        self.how = [] if server.turn else ["--setup", "swap" if server.name == "5tswap" else "reflect",
                                           "--next-hop", self.mac]

    def cable(self):
        pass

    def open(self):
        self.server.start(self.lab, self.inside)
        return self

    @contextlib.contextmanager
    def awake(self):
        self.signal(signal.SIGCONT)
        try:
            yield self
        finally:
            self.signal(signal.SIGSTOP)

    def signal(self, sig):
        for pid in self.server.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sig)

    def close(self):
        self.signal(signal.SIGCONT)
        self.server.stop()
        for space in (self.inside, self.outside):
            self.lab.remove_space(space)


class Rig:
    """Bays, and the figures taken in turn from them."""

    part = "?"
    clients = 1000
    bay_of = Bay
    remark = None  # stands beside every rate
    search_s = (5, 1.0)

    def __init__(self, build, mode, clock, out):
        self.build, self.mode, self.clock, self.out = build, mode, clock, out
        self.lab = None
        self.bays = {}
        self.how = []  # for every search
        self.steal, self.steal_now = stats.Steal(), 0.0

    def __enter__(self):
        self.lab = Lab().__enter__()
        return self

    def __exit__(self, *e):
        for bay in self.bays.values():
            with contextlib.suppress(Exception):
                bay.signal(signal.SIGCONT)
        self.lab.__exit__(*e)

    def say(self, text):
        self.out.say(f"{self.part}: {text}")

    def add(self, key, server):
        """Starts it and puts it to sleep; what cannot run here is told and left out."""
        why = server.missing()
        if not why:
            try:
                bay = self.bay_of(self, key, server).open()
                bay.signal(signal.SIGSTOP)
                self.bays[key] = bay
                return
            except RigError as e:
                why = str(e)
        self.out.left_out(f"{self.part}.{key}", why)

    def search(self, bay, latency):
        """(report, packets per CPU second of the server or None)"""
        budget_s, trial_s = self.search_s
        with bay.awake():
            sampler = Sampler(bay.space, bay.server.process) if bay.sampled else None
            try:
                report = bay.generator.find(self.clients, budget_s, trial_s, self.mode.precision, latency,
                                            bay.how + self.how)
            finally:
                if sampler:
                    sampler.stop()
        pps, end = report.rate()
        if not report.narrow():
            raise RigError(f"{bay.key}: no rate with at most {generator.LOSS:.1%} loss was found ({end})")
        if report.faults():
            self.out.wrong(f"{self.part}.{bay.key}: the generator saw {report.faults()}")
        return report, sampler.packets_per_cpu_s(pps) if sampler else None

    def collect(self, keys, rounds, latency=()):
        """Searches in turn: [{key: (report, packets per CPU second)}]. A key that failed is not in its
        round, and in none after its second failure. The last rounds measure the latency of some."""
        found, failures = [], {k: 0 for k in keys}
        for i in self.clock.rounds(rounds):
            found.append({})
            for key in keys:
                if failures[key] >= 2:
                    continue
                try:
                    late = key in latency and rounds - i <= self.mode.latency_pairs
                    found[-1][key] = self.search(self.bays[key], late)
                except RigError as e:
                    failures[key] += 1
                    self.say(str(e))
                    if failures[key] == 2:
                        self.out.left_out(f"{self.part}.{key}", f"failed twice, the last time: {e}")
            self.say(", ".join(f"{k} {r.rate()[0] / 1000:.1f} kpps" for k, (r, _) in found[-1].items()))
            self.after_round(found[-1])
        self.settle()
        return found

    def after_round(self, found):
        pass

    def settle(self):
        """What was stolen since the last time belongs to the lines that follow."""
        self.steal_now = self.steal.since()

    def line(self, name, unit, sample, baseline=None, base=None, note=None):
        if sample:
            self.out.line(stats.line(name, unit, sample, baseline, base, self.steal_now, note))

    def rates(self, name, unit, scale, found, ours, theirs):
        """What was found, in one line for each baseline. theirs: {baseline: key}"""
        given = {b: k for b, k in theirs.items() if any(ours in f and k in f for f in found)}
        for baseline, key in given.items():
            pairs = [(f[ours][0], f[key][0]) for f in found if ours in f and key in f]
            own, base = [a for a, _ in pairs], [b for _, b in pairs]
            said = [limits(own, ""), limits(base, f" of {baseline}"), self.remark]
            self.line(name, unit, [r.rate()[0] / scale for r in own], baseline, [r.rate()[0] / scale for r in base],
                      "; ".join(t for t in said if t) or None)
        if not given:
            own = [f[ours][0] for f in found if ours in f]
            self.line(name, unit, [r.rate()[0] / scale for r in own], note=limits(own, "") or self.remark)

    def efficiency(self, name, found, ours, theirs):
        """Packets a CPU second of the server, where they could be counted."""
        for baseline, key in theirs.items():
            pairs = [(f[ours][1] / 1000, f[key][1] / 1000) for f in found
                     if ours in f and key in f and f[ours][1] and f[key][1]]
            self.line(name, "kpps", [a for a, _ in pairs], baseline, [b for _, b in pairs])

    def latencies(self, name, found, ours, theirs):
        """p50, p99, p999 at 10, 50 and 90 % of the rate that each one carries itself."""
        for load in generator.LOADS:
            for what in ("p50", "p99", "p999"):
                def told(key, f, at=(load, what)):
                    return f[key][0].at(*at) if key in f else None

                made = f"latency.{name}.{load}.{what}"
                lines = 0
                # These rounds come late: none of them is warm-up, so the first stands twice.
                for baseline, key in theirs.items():
                    pairs = [(told(ours, f), told(key, f)) for f in found if told(ours, f) and told(key, f)]
                    pairs = pairs[:1] + pairs
                    self.line(made, "us", [a for a, _ in pairs], baseline, [b for _, b in pairs])
                    lines += bool(pairs)
                if not lines:
                    own = [told(ours, f) for f in found if told(ours, f)]
                    self.line(made, "us", own[:1] + own)


def limits(reports, whose):
    """What keeps a rate from being the server's own, or None."""
    for words, say in (("generator", "the generator is the limit"), ("budget", "the search was not at its end"),
                       ("trials", "the search was not at its end")):
        if any(r.rate()[1] == words for r in stats.kept(reports)):
            return say + whose
    return None
