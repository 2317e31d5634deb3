"""The statistics of every figure that Python measures: bench/bench.c says the same in C.

A figure is a list of samples. The first is warm-up and dropped; `value` is the median of the rest,
`low` and `high` are its bootstrap 95 % interval, `ratio` is the median of the ratios pair by pair.
A line is noisy if the hypervisor stole more than 1 % while it was measured, if the interval's
half-width is above 3 % of the value, or if fewer than three samples are left.
"""
import json
import math

RESAMPLES = 1000
STEAL_MAX = 0.01
HALF_WIDTH_MAX = 0.03
SAMPLES_MIN = 3
KEYS = ("name", "value", "unit", "low", "high", "baseline", "ratio", "noisy")


class Malformed(ValueError):
    """A line that must not reach a file."""


def median(sample):
    s = sorted(sample)
    if not s:
        raise Malformed("a figure without samples")
    middle = len(s) // 2
    return s[middle] if len(s) % 2 else (s[middle - 1] + s[middle]) / 2


def _random(state):
    """xorshift32: the same draws every time, and the same as in C."""
    while True:
        state ^= (state << 13) & 0xFFFFFFFF
        state ^= state >> 17
        state ^= (state << 5) & 0xFFFFFFFF
        yield state


def interval(sample):
    """The middle 95 % of the medians of resamples."""
    n = len(sample)
    draw = _random(0x9E3779B9)
    medians = sorted(median([sample[next(draw) % n] for _ in range(n)]) for _ in range(RESAMPLES))
    return medians[RESAMPLES * 25 // 1000], medians[RESAMPLES * 975 // 1000 - 1]


def kept(sample):
    return sample[1:] if len(sample) > 1 else sample


def is_noisy(value, low, high, n, steal):
    return steal > STEAL_MAX or n < SAMPLES_MIN or abs(high - low) / 2 > HALF_WIDTH_MAX * abs(value)


def line(name, unit, sample, baseline=None, base=None, steal=0.0, note=None):
    """One line of bench.jsonl. `sample` and `base` were taken in turn, the first of each is dropped.
    Another length of `base` (a run that failed) is judged by the ratio of the medians."""
    own = kept(sample)
    value = median(own)
    low, high = interval(own)
    ratio = None
    if baseline is not None:
        theirs = kept(base)
        if len(theirs) == len(own):
            ratio = median([a / b for a, b in zip(own, theirs)])
        else:
            ratio = value / median(theirs)
    made = {"name": name, "value": value, "unit": unit, "low": low, "high": high,
            "baseline": baseline, "ratio": ratio,
            "noisy": is_noisy(value, low, high, len(own), steal)}
    if note:
        made["note"] = note
    return check(made)


def _number(v):
    return isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v)


def check(made):
    """Returns the line, or raises Malformed with what is wrong with it."""
    if not isinstance(made, dict):
        raise Malformed("not an object")
    missing = [k for k in KEYS if k not in made]
    unknown = [k for k in made if k not in KEYS + ("note",)]
    if missing or unknown:
        raise Malformed(f"missing {missing}, unknown {unknown}")
    name = made["name"]
    if not isinstance(name, str) or not name or "." not in name or " " in name:
        raise Malformed(f"name {name!r}: words joined by dots")
    for key in ("value", "low", "high"):
        if not _number(made[key]):
            raise Malformed(f"{name}: {key} {made[key]!r} is no number")
    slack = 1e-5 * abs(made["value"])  # six digits are written
    if not made["low"] - slack <= made["value"] <= made["high"] + slack:
        raise Malformed(f"{name}: {made['value']} is outside {made['low']} to {made['high']}")
    if not isinstance(made["unit"], str) or not made["unit"]:
        raise Malformed(f"{name}: no unit")
    if not isinstance(made["noisy"], bool):
        raise Malformed(f"{name}: noisy {made['noisy']!r}")
    if (made["baseline"] is None) != (made["ratio"] is None):
        raise Malformed(f"{name}: baseline and ratio come together")
    if made["ratio"] is not None and not (_number(made["ratio"]) and isinstance(made["baseline"], str)):
        raise Malformed(f"{name}: ratio {made['ratio']!r} to {made['baseline']!r}")
    return made


def read(path):
    """Lines of a bench.jsonl, and what was refused, as text."""
    lines, refused = [], []
    with open(path, encoding="utf-8") as f:
        for number, text in enumerate(f, 1):
            if not text.strip():
                continue
            try:
                lines.append(check(json.loads(text)))
            except ValueError as e:
                refused.append(f"{path}:{number}: {e}")
    return lines, refused


class Steal:
    """What the hypervisor took since the last question, as a share of all time."""

    def __init__(self):
        self.before = self._read()

    @staticmethod
    def _read():
        with open("/proc/stat", encoding="ascii") as f:
            v = [int(x) for x in f.readline().split()[1:9]]
        return v[7], sum(v)

    def since(self):
        now = self._read()
        steal, total = now[0] - self.before[0], now[1] - self.before[1]
        self.before = now
        return steal / total if total else 0.0
