"""The statistics of the bench: known medians, marks of noise, lines that must be refused, goals.

usage: stats_test.py SOURCE SAME     SAME: the program of same.c, to compare C with Python
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

SOURCE, SAME = sys.argv[1:3]
sys.path.insert(0, os.path.join(SOURCE, "bench"))

import goals  # noqa: E402
import report  # noqa: E402
import stats  # noqa: E402
from rigs import lab, plan  # noqa: E402

OURS = [99, 12.5, 13.25, 11, 14.75, 12, 16, 10.5, 13, 12.25]
THEIRS = [1, 25, 26, 24, 31, 23.5, 30, 22, 27, 24.25]
GOOD = {"name": "a.b", "value": 2.0, "unit": "ns", "low": 1.0, "high": 3.0, "baseline": None, "ratio": None,
        "noisy": False}


class Statistics(unittest.TestCase):
    def test_median(self):
        self.assertEqual(stats.median([3, 1, 2]), 2)
        self.assertEqual(stats.median([4, 1, 2, 3]), 2.5)
        with self.assertRaises(stats.Malformed):
            stats.median([])

    def test_first_sample_is_dropped(self):
        made = stats.line("a.b", "ns", [1000, 1, 2, 3])
        self.assertEqual((made["value"], made["low"] >= 1, made["high"] <= 3), (2, True, True))
        self.assertEqual(stats.line("a.b", "ns", [7])["value"], 7)

    def test_ratio_is_of_pairs(self):
        # The medians are 20 and 2, their quotient 10; pair by pair it is 2, 20, 20.
        made = stats.line("a.b", "ns", [9, 2, 40, 20], "base", [9, 1, 2, 1])
        self.assertEqual(made["ratio"], 20)

    def test_interval_holds_the_median(self):
        low, high = stats.interval([10, 11, 12, 13, 14, 15, 16])
        self.assertTrue(10 <= low < 13 < high <= 16)
        self.assertEqual(stats.interval([5, 5, 5]), (5, 5))

    def test_noise(self):
        steady = [0, 100, 100.5, 99.5, 100, 100]
        self.assertFalse(stats.line("a.b", "ns", steady)["noisy"])
        self.assertTrue(stats.line("a.b", "ns", steady, steal=0.011)["noisy"], "steal")
        self.assertFalse(stats.line("a.b", "ns", steady, steal=0.009)["noisy"])
        self.assertTrue(stats.line("a.b", "ns", [0, 90, 110, 95, 105, 100])["noisy"], "wide")
        self.assertTrue(stats.line("a.b", "ns", [0, 100, 100])["noisy"], "too few")
        # 3 % either way is the line
        self.assertFalse(stats.is_noisy(100, 97, 103, 5, 0))
        self.assertTrue(stats.is_noisy(100, 96.9, 103, 5, 0))

    def test_same_as_c(self):
        with tempfile.NamedTemporaryFile(suffix=".jsonl") as out:
            subprocess.run([SAME, "--out", out.name], check=True, stdout=subprocess.DEVNULL, timeout=30)
            made, refused = stats.read(out.name)
        self.assertEqual(refused, [])
        here = [stats.line("same.odd", "x", OURS, "theirs", THEIRS), stats.line("same.even", "x", OURS[:9]),
                stats.line("same.one", "x", OURS[:1])]
        self.assertEqual(len(made), len(here))
        for c, python in zip(made, here):
            for key in ("name", "unit", "baseline"):
                self.assertEqual(c[key], python[key])
            for key in ("value", "low", "high", "ratio"):
                if python[key] is None:
                    self.assertIsNone(c[key])
                else:
                    self.assertAlmostEqual(c[key], python[key], delta=1e-5 * abs(python[key]), msg=f"{c['name']} {key}")


class Lines(unittest.TestCase):
    def test_good(self):
        self.assertEqual(stats.check(dict(GOOD)), GOOD)
        stats.check({**GOOD, "baseline": "x", "ratio": 0.5, "note": "the generator is the limit"})

    def test_malformed_is_refused(self):
        for change in ({"name": ""}, {"name": "plain"}, {"name": "a b.c"}, {"name": 3}, {"value": "2"}, {"value": True},
                       {"value": float("nan")}, {"low": float("inf")}, {"low": 2.5}, {"high": 1.5}, {"unit": ""},
                       {"unit": None}, {"noisy": 0}, {"noisy": None}, {"baseline": "x"}, {"ratio": 1.0},
                       {"baseline": "x", "ratio": "1"}, {"baseline": 1, "ratio": 1.0}, {"other": 1}):
            with self.assertRaises(stats.Malformed, msg=str(change)):
                stats.check({**GOOD, **change})
        for key in stats.KEYS:
            with self.assertRaises(stats.Malformed, msg=f"without {key}"):
                stats.check({k: v for k, v in GOOD.items() if k != key})
        for what in (None, [], "text", 3):
            with self.assertRaises(stats.Malformed):
                stats.check(what)

    def test_read_keeps_the_good_and_names_the_rest(self):
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
            f.write(json.dumps(GOOD) + "\n\n{\"name\":\n" + json.dumps({**GOOD, "low": 9}) + "\n" + json.dumps(GOOD) + "\n")
            f.flush()
            made, refused = stats.read(f.name)
            self.assertEqual(len(made), 2)
            self.assertEqual([r.split(": ")[0] for r in refused], [f"{f.name}:3", f"{f.name}:4"])


class Goals(unittest.TestCase):
    @staticmethod
    def made(name, value, baseline=None, ratio=None, noisy=False, unit="ns"):
        return {"name": name, "value": value, "unit": unit, "low": value, "high": value, "baseline": baseline,
                "ratio": ratio, "noisy": noisy}

    def answers(self, *lines):
        return {(g.bar, g.text): (found, met, noisy) for g, found, met, noisy in goals.judged(list(lines))}

    def test_value_and_ratio(self):
        got = self.answers(self.made("r0.cd2udp.v4.1k", 15, "textbook", 0.36))
        self.assertEqual(got[(1, "ChannelData to UDP, warm")], (15, True, False))
        self.assertEqual(got[(1, "of the textbook relay")], (0.36, False, False))
        self.assertEqual(len(got), 2)

    def test_baseline_is_the_named_one(self):
        got = self.answers(self.made("r3.af_xdp.pps_per_cpu_s", 300, "macswap", 9), )
        self.assertEqual(got, {})
        got = self.answers(self.made("r3.af_xdp.pps_per_cpu_s", 300, "macswap", 9),
                           self.made("r3.af_xdp.pps_per_cpu_s", 300, "coturn", 3.9, True))
        self.assertEqual(list(got.values()), [(3.9, False, True)])

    def test_quotient_of_two_lines(self):
        got = self.answers(self.made("r0.send2udp.v4.1k", 30), self.made("r0.cd2udp.v4.1k", 14))
        self.assertAlmostEqual(got[(11, "Send / ChannelData")][0], 30 / 14)
        self.assertFalse(got[(11, "Send / ChannelData")][1])

    def test_best_port(self):
        got = self.answers(self.made("r3.af_packet.pps", 200, "coturn", 2.0, unit="kpps"),
                           self.made("r2.memif.pdr", 9, "macswap", 0.9, unit="Mpps"))
        self.assertAlmostEqual(got[(9, "best port, of coturn 4.6.1")][0], 90)

    def test_absolute(self):
        self.assertFalse(self.answers(self.made("csum.slope", -1.2))[(13, "checksum cost by size, either way")][1])

    def test_every_part_is_found(self):
        for name, part in (("r0.cd2udp.v4.1k", "r0"), ("insn.cd2udp", "r0"), ("ring.rtt", "control"), ("r1.pdr", "r1"),
                           ("latency.r1.50.p99", "r1"), ("latency.r3.af_xdp.50.p99", "r3"), ("alloc.inproc", "control"),
                           ("alloc.e2e", "r3"), ("mem.allocation", "control"), ("mem.allocation.10k", "r3"),
                           ("mem.allocation.1m.e2e", "scale"), ("mem.1m.e2e", "scale"), ("mem.allocation.100k", "control"),
                           ("binding.r1", "r1"), ("binding.r3.af_xdp", "r3"), ("anything.else", "control")):
            self.assertEqual(goals.part_of(name), part, name)


class Page(unittest.TestCase):
    def test_page_stands_alone_and_quotes(self):
        entry = {"commit": "c0ffee", "changed": False, "subject": "<script>alert(1)</script>", "mode": "quick", "time": "t",
                 "seconds": 1, "machine": {"cpu": "x"}, "noise": {"steal": 0.0, "noisy": 0, "lines": 1},
                 "left_out": [["r2", "no <b>hugepages</b>"]], "errors": [],
                 "lines": [Goals.made("r0.cd2udp.v4.1k", 12.0, "textbook", 0.3), Goals.made("csum.slope", 0.0)]}
        with tempfile.NamedTemporaryFile("r", suffix=".html") as f:
            report.html(f.name, entry, [entry, entry])
            text = f.read()
        self.assertNotIn("<script", text)
        self.assertNotIn("<b>huge", text)
        for word in ("http://", "https://", "src=", "@import"):
            self.assertNotIn(word, text.replace("http://www.w3.org", ""))
        self.assertIn("r0.cd2udp.v4.1k", text)


class Rigs(unittest.TestCase):
    def test_cpu_seconds_and_memory_of_a_process(self):
        with subprocess.Popen([sys.executable, "-c", "b=bytearray(64<<20)\nwhile True: pass"]) as p:
            try:
                before = lab.cpu_seconds([p.pid])
                for _ in range(200):
                    if lab.cpu_seconds([p.pid]) - before > 0.3:
                        break
                    __import__("time").sleep(0.05)
                self.assertGreater(lab.cpu_seconds([p.pid]) - before, 0.3)
                self.assertGreater(lab.memory([p.pid]), 60 << 20)
                self.assertLess(lab.memory([p.pid]), 200 << 20)
                self.assertEqual(lab.family(p.pid), [p.pid])
            finally:
                p.kill()

    def test_clock(self):
        clock = plan.Clock(plan.QUICK)
        clock.begin("r0", ["control", "r1", "r3", "r2", "scale"])
        self.assertLess(clock.left(), plan.QUICK.total_s)
        clock.part_end = 0
        self.assertEqual(list(clock.rounds(5)), [])
        clock.part_end = clock.start + 1000
        self.assertEqual(list(clock.rounds(3)), [0, 1, 2])

    def test_modes_fit_their_shares(self):
        for mode in plan.MODES.values():
            self.assertEqual(set(mode.share), {k for k, _, _ in goals.PARTS})
        self.assertLess(plan.QUICK.total_s, 180)
        self.assertLess(plan.FULL.total_s, 1200)


unittest.main(argv=sys.argv[:1])
