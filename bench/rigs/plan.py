"""How long everything may take. The whole bench ends within 20 minutes, --quick within 3."""
import contextlib
import dataclasses
import time


@dataclasses.dataclass(frozen=True)
class Mode:
    """Seconds and counts of one way to run the bench."""

    name: str
    total_s: float      # nothing new is begun when so much has gone
    pairs: int          # the first is dropped
    veth_s: tuple       # of R3: seconds that one search may take, and of its last trials
    shared_s: tuple     # of R2
    precision: float    # of a search
    latency_pairs: int
    ports: tuple        # of R3
    shared: tuple       # of R2
    goodput: bool       # of R2, with large packets
    others: bool        # pion, p1_stun
    storms: int         # pairs of allocation and Binding figures
    allocations: int    # for memory an allocation
    scale: int          # allocations of the scale rig
    share: dict         # part -> seconds at most


QUICK = Mode("quick", 174, 3, (4.5, 0.4), (2, 0.4), 0.05, 0, ("af_packet",), ("memif",), False, False, 1, 2000, 10000,
             {"r0": 46, "control": 20, "r1": 23, "r3": 40, "r2": 20, "scale": 13, "ice": 12})
FULL = Mode("full", 1140, 5, (7, 1.5), (5, 1.0), 0.01, 3, ("af_packet", "af_xdp"), ("memif", "vhost"), True, True, 4,
            10000, 1000000, {"r0": 215, "control": 80, "r1": 190, "r3": 335, "r2": 165, "scale": 95, "ice": 60})
LONG = Mode("long", 7200, 12, (60, 10.0), (40, 5.0), 0.005, 8, ("af_packet", "af_xdp"), ("memif", "vhost"), True, True,
            8, 10000, 1000000, {"r0": 900, "control": 400, "r1": 1200, "r3": 2500, "r2": 1600, "scale": 300, "ice": 300})
MODES = {m.name: m for m in (QUICK, FULL, LONG)}


class Clock:
    """Time left, of all and of the part that runs. What is left out for want of time is told."""

    def __init__(self, mode):
        self.mode, self.start = mode, time.monotonic()
        self.part_end = self.start + mode.total_s

    def begin(self, part, later=()):
        """A part may take its share and what earlier parts left over; `later` parts keep theirs."""
        now = time.monotonic()
        rest = self.start + self.mode.total_s - now
        kept = sum(self.mode.share[p] for p in later)
        self.part_end = now + max(min(self.mode.share[part], rest), rest - kept)

    def left(self):
        return self.part_end - time.monotonic()

    @contextlib.contextmanager
    def portion(self, of):
        """Inside, the time left is that fraction of what is left."""
        end = self.part_end
        self.part_end = time.monotonic() + of * self.left()
        try:
            yield
        finally:
            self.part_end = end

    def rounds(self, n, enough=2):
        """0..n-1, ending early when another round as long as the longest would not fit; `enough`
        are done while there is any time."""
        longest = 0.0
        for i in range(n):
            if self.left() < (longest if i >= enough else 0.0):
                return
            began = time.monotonic()
            yield i
            longest = max(longest, time.monotonic() - began)
