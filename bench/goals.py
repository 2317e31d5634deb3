"""What the project set itself, and which part of the bench a figure belongs to."""
import dataclasses
import re

PARTS = (
    ("r0", "R0: the relay function alone", r"r0\.|insn\.|csum\."),
    ("control", "Control plane", r"session\.|ring\.|hmac\.|alloc\.inproc|visible\.|punt\.|mem\.allocation$|mem\.allocation\.100k$|mem\.1m$"),
    ("r1", "R1: rings within a process; the generator", r"r1\.|latency\.r1\.|pdv\.|binding\.r1|gen\."),
    ("r2", "R2: memif, vhost and virtio-user", r"r2\.|latency\.r2\."),
    ("r3", "R3: veth", r"r3\.|latency\.r3\.|alloc\.|binding\.|mem\.allocation\.\d+k$"),
    ("scale", "Scale end to end", r"mem\..*e2e$|scale\."),
    ("ice", "ICE: time to a path, by kinds of NAT", r"ice\."),
)


def part_of(name):
    for key, _, pattern in PARTS:
        if re.match(pattern, name):
            return key
    return "control"


@dataclasses.dataclass(frozen=True)
class Goal:
    """`of` and `over`: (name, baseline or None, "value" or "ratio"). With `over` the goal is about
    the quotient of two lines. A goal about an absolute value takes "abs"."""

    bar: int
    text: str
    of: tuple
    op: str
    bound: float
    unit: str = ""
    over: tuple = None

    def wanted(self):
        bound = f"{self.bound:,.0f}" if self.bound >= 10000 else f"{self.bound:.4g}"
        return f"{self.op} {bound}{' ' + self.unit if self.unit else ''}"


def value(name, baseline=None):
    return name, baseline, "value"


def ratio(name, baseline):
    return name, baseline, "ratio"


def _latency(rig, bar):
    rows = []
    for load in (10, 50, 90):
        for what, bound in (("p50", 2), ("p99", 6), ("p999", 12)):
            rows.append(Goal(bar, f"latency at {load} % of PDR over {rig}, {what}",
                             value(f"latency.{rig}.{load}.{what}"), "<=", bound, "us"))
    return rows


GOALS = [
    Goal(1, "ChannelData to UDP, warm", value("r0.cd2udp.v4.1k"), "<=", 15, "ns"),
    Goal(1, "of the textbook relay", ratio("r0.cd2udp.v4.1k", "textbook"), "<=", 0.35),
    Goal(2, "UDP to ChannelData, warm", value("r0.udp2cd.v4.1k"), "<=", 14, "ns"),
    Goal(3, "ChannelData to UDP at 1 M bindings", value("r0.cd2udp.v4.1m"), "<=", 28, "ns"),
    Goal(3, "UDP to ChannelData at 1 M bindings", value("r0.udp2cd.v4.1m"), "<=", 28, "ns"),
    Goal(3, "R1 throughput at 1 M, of warm", ratio("r1.pdr.1m", "warm"), ">=", 0.75),
    Goal(4, "instructions, ChannelData to UDP", value("insn.cd2udp"), "<=", 240),
    Goal(4, "instructions, UDP to ChannelData", value("insn.udp2cd"), "<=", 220),
    Goal(5, "ring to ring PDR, of 5tswap", ratio("r1.pdr", "5tswap"), ">=", 0.70),
    Goal(5, "ring to ring PDR", value("r1.pdr"), ">=", 20, "Mpps"),
    Goal(6, "NDR / MRR over rings", value("r1.ndr"), ">=", 0.95, "", value("r1.mrr")),
    Goal(7, "memif, of macswap", ratio("r2.memif.pdr", "macswap"), ">=", 0.85),
    Goal(7, "memif", value("r2.memif.pdr"), ">=", 8, "Mpps"),
    Goal(7, "vhost, of macswap", ratio("r2.vhost.pdr", "macswap"), ">=", 0.85),
    Goal(8, "af_packet, of macswap", ratio("r3.af_packet.pps", "macswap"), ">=", 0.85),
    Goal(8, "af_xdp, of macswap", ratio("r3.af_xdp.pps", "macswap"), ">=", 0.85),
    Goal(8, "packets a CPU second, af_packet, of coturn 4.6.1", ratio("r3.af_packet.pps_per_cpu_s", "coturn"), ">=", 2.5),
    Goal(8, "packets a CPU second, af_xdp, of coturn 4.6.1", ratio("r3.af_xdp.pps_per_cpu_s", "coturn"), ">=", 4),
    Goal(9, "best port, of coturn 4.6.1", value("best.pps", "coturn"), ">=", 80),
    Goal(10, "goodput over rings", value("r1.goodput"), ">=", 150, "Gbit/s"),
    Goal(10, "goodput over memif", value("r2.memif.goodput"), ">=", 40, "Gbit/s"),
    Goal(11, "Send / ChannelData", value("r0.send2udp.v4.1k"), "<=", 2.0, "", value("r0.cd2udp.v4.1k")),
    Goal(11, "Data / ChannelData", value("r0.udp2data.v4.1k"), "<=", 2.0, "", value("r0.udp2cd.v4.1k")),
    *[Goal(12, f"{path} {family} / IPv4", value(f"r0.{path}.{family}.1k"), "<=", 1.4, "", value(f"r0.{path}.v4.1k"))
      for path in ("cd2udp", "udp2cd") for family in ("v6", "v4v6", "v6v4")],
    Goal(13, "checksum cost by size, either way", ("csum.slope", None, "abs"), "<=", 1, "ns"),
    *_latency("r1", 14),
    Goal(15, "delay variation of audio under 80 % load", value("pdv.r1"), "<=", 15, "us"),
    Goal(16, "authenticated Allocate in process", value("alloc.inproc"), ">=", 1, "M/s"),
    Goal(17, "allocations end to end", value("alloc.e2e"), ">=", 150000, "1/s"),
    Goal(17, "of coturn", ratio("alloc.e2e", "coturn"), ">=", 50),
    Goal(17, "the same over memif, up to 1 M", value("scale.setup.1m"), ">=", 150000, "1/s"),
    Goal(18, "HMAC-SHA1 verify", value("hmac.verify"), "<=", 200, "ns"),
    Goal(18, "of a new context a message", ratio("hmac.verify", "evp_new"), "<=", 1 / 6),
    Goal(19, "Binding over rings", value("binding.r1"), ">=", 8, "Mpps"),
    Goal(20, "memory an allocation adds at 1 M, all tables", value("mem.allocation"), "<=", 512, "octets"),
    Goal(20, "all memory of both processes by 1 M allocations", value("mem.allocation.1m.e2e"), "<=", 512, "octets"),
    Goal(21, "1 M allocations in", value("mem.1m"), "<=", 1024, "MiB"),
    Goal(21, "1 M allocations with data, both processes, in", value("mem.1m.e2e"), "<=", 1024, "MiB"),
    Goal(22, "ring round trip", value("ring.rtt"), "<=", 250, "ns"),
    Goal(22, "ring stream", value("ring.stream"), ">=", 60, "M/s"),
    Goal(22, "ring stream, of rte_ring", ratio("ring.stream", "rte_ring"), ">=", 3),
    Goal(23, "binding change visible, p99", value("visible.p99"), "<=", 20, "us"),
    Goal(29, "generator back to back, of the relay's R1 PDR", value("gen.r1"), ">=", 1.3, "", value("r1.pdr")),
    Goal(29, "the same without payload checks", value("gen.r1.nocheck"), ">=", 2.0, "", value("r1.pdr")),
]


class Lines:
    """All lines of a run, to be asked by name and baseline."""

    def __init__(self, lines):
        self.lines = lines

    def find(self, name, baseline=None):
        if name == "best.pps":
            return self._best(baseline)
        for made in self.lines:
            if made["name"] == name and (baseline is None or made["baseline"] == baseline):
                return made
        return None

    def _best(self, baseline):
        """The fastest port of ours over what `baseline` carries, both as packets a second."""
        theirs = [made for made in self.lines if re.fullmatch(r"r3\.[a-z_]+\.pps", made["name"])
                  and made["baseline"] == baseline]
        ours = [made for made in self.lines if made["unit"] == "Mpps"
                and made["name"] in ("r1.pdr", "r2.memif.pdr", "r2.vhost.pdr")]
        if not theirs or not ours:
            return None
        best = max(ours, key=lambda made: made["value"])
        base = max(made["value"] / made["ratio"] for made in theirs)
        return {"name": "best.pps", "value": best["value"] * 1000 / base, "ratio": None,
                "noisy": best["noisy"] or theirs[0]["noisy"]}

    def number(self, of):
        """(number, noisy) or None"""
        name, baseline, field = of
        made = self.find(name, baseline)
        if made is None:
            return None
        found = made["ratio"] if field == "ratio" else made["value"]
        if found is None:
            return None
        return abs(found) if field == "abs" else found, made["noisy"]


def judge(goal, lines):
    """(found, met, noisy), or None if this run has no such figure."""
    found = lines.number(goal.of)
    if found is None:
        return None
    number, noisy = found
    if goal.over:
        under = lines.number(goal.over)
        if under is None or not under[0]:
            return None
        number, noisy = number / under[0], noisy or under[1]
    return number, number <= goal.bound if goal.op == "<=" else number >= goal.bound, noisy


def goals_of(made):
    """Those that speak of this line alone."""
    return [g for g in GOALS if not g.over and g.of[0] == made["name"]
            and (g.of[1] is None or g.of[1] == made["baseline"])]


def judged(lines):
    """(goal, found, met, noisy) of every goal that this run can answer."""
    known = Lines(lines)
    answers = [(g, judge(g, known)) for g in GOALS]
    return [(g, *a) for g, a in answers if a is not None]
