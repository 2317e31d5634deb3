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

    def __init__(self, build, mode, clock, out):
        self.build, self.mode, self.clock, self.out = build, mode, clock, out
        self.lab = None
        self.bays = {}
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
        with bay.awake():
            sampler = Sampler(bay.space, bay.server.process) if bay.sampled else None
            try:
                report = bay.generator.find(self.clients, self.mode.budget_s, self.mode.trial_s,
                                            self.mode.precision, latency, bay.how)
            finally:
                if sampler:
                    sampler.stop()
        pps, end = report.rate()
        if not pps:
            raise RigError(f"{bay.key}: no rate with {generator.LOSS:.1%} loss was found ({end})")
        if report.faults():
            self.out.wrong(f"{self.part}.{bay.key}: the generator saw {report.faults()}")
        return report, sampler.packets_per_cpu_s(pps) if sampler else None

    def collect(self, keys, rounds):
        """Searches in turn: {key: [report]}, {key: [packets per CPU second]}. Every key has one
        sample a round; a round in which one of them failed is not kept."""
        reports, efficiency = {k: [] for k in keys}, {k: [] for k in keys}
        failed = 0
        for i in self.clock.rounds(rounds):
            found = {}
            for key in keys:
                try:
                    found[key] = self.search(self.bays[key], rounds - i <= self.mode.latency_pairs)
                except RigError as e:
                    self.say(str(e))
                    break
            if len(found) < len(keys):
                failed += 1
                if failed == 2:
                    self.out.left_out(f"{self.part} {' '.join(keys)}", "two rounds failed")
                    break
                continue
            for key, (report, per_cpu) in found.items():
                reports[key].append(report)
                efficiency[key].append(per_cpu)
            self.say(", ".join(f"{k} {reports[k][-1].rate()[0] / 1000:.1f} kpps" for k in keys))
        self.settle()
        return reports, efficiency

    def settle(self):
        """What was stolen since the last time belongs to the lines that follow."""
        self.steal_now = self.steal.since()

    def line(self, name, unit, sample, baseline=None, base=None, note=None):
        if sample:
            self.out.line(stats.line(name, unit, sample, baseline, base, self.steal_now, note))

    def rates(self, name, unit, scale, ours, theirs):
        """What was found, in one line for each baseline. theirs: {baseline: reports}"""
        sample = [r.rate()[0] / scale for r in ours]
        note = "the generator is the limit" if bound(ours) else None
        for baseline, reports in theirs.items():
            said = [text for text in (note, f"the generator is the limit of {baseline}" if bound(reports) else None) if text]
            self.line(name, unit, sample, baseline, [r.rate()[0] / scale for r in reports], "; ".join(said) or None)
        if not theirs:
            self.line(name, unit, sample, note=note)

    def latencies(self, name, ours, theirs):
        """p50, p99, p999 at 10, 50 and 90 % of the rate that each one carries itself."""
        for load in generator.LOADS:
            for what in ("p50", "p99", "p999"):
                own = [r.at(load, what) for r in ours if r.at(load, what)]
                if not own:
                    continue
                # These runs come late: none of them is warm-up, so the first stands twice.
                made, own = f"latency.{name}.{load}.{what}", own[:1] + own
                given = {b: [r.at(load, what) for r in rs if r.at(load, what)] for b, rs in theirs.items()}
                for baseline, base in given.items():
                    if base:
                        self.line(made, "us", own, baseline, base[:1] + base)
                if not any(given.values()):
                    self.line(made, "us", own)


def bound(reports):
    return any(r.generator_bound() for r in stats.kept(reports))
