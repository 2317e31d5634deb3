"""One short run of the veth rig: the relay over af_packet, the generator beside it, a search of two
seconds. That it works, not how fast: everything sleeps, nothing is pinned.

usage: rig_test.py SOURCE BUILD     exit status 77: skipped
"""
import dataclasses
import os
import sys
import unittest

SOURCE, BUILD = sys.argv[1:3]
sys.path.insert(0, os.path.join(SOURCE, "bench"))

import stats  # noqa: E402
from rigs import generator, lab, plan, servers, veth  # noqa: E402

TINY = dataclasses.replace(plan.QUICK, total_s=60, pairs=1, veth_s=(2, 0.3))


class Told:
    """In place of run.py's Out."""

    def __init__(self):
        self.lines, self.omitted, self.errors = [], [], []

    def say(self, text):
        print(text)

    def line(self, made):
        self.lines.append(stats.check(made))

    def left_out(self, what, why):
        self.omitted.append((what, why))

    def wrong(self, text):
        self.errors.append(text)


class Veth(unittest.TestCase):
    def setUp(self):
        self.told = Told()

    def rig(self):
        return veth.VethRig(BUILD, TINY, plan.Clock(TINY), self.told)

    def open(self, rig):
        rig.add("turnpike.af_packet", servers.Turnpike(BUILD, "af_packet:eth0", allocations=1000, idle="adaptive",
                                                       pinned=False))
        self.assertEqual(self.told.omitted, [])
        bay = rig.bays["turnpike.af_packet"]
        bay.generator.pinned = bay.generator.poll = False
        return bay

    def test_fixed_rate_then_search(self):
        with self.rig() as rig:
            bay = self.open(rig)
            spaces, pids = list(rig.lab.spaces), bay.server.pids()
            self.assertEqual(len(pids), 3, "supervisor, control and data plane")
            with bay.awake():
                sampler = lab.Sampler(bay.space, bay.server.process)
                report = bay.generator.run(8, ["--rate", "2kpps", "--duration", "1.5"], 30)
                sampler.stop()
            trial = report.found["trials"][-1]
            self.assertEqual(report.setup().get("ready"), 8)
            self.assertGreater(report.setups_per_second(8), 0)
            self.assertGreater(trial["received"], 1000)
            self.assertEqual(trial["sent"], trial["received"] + trial["lost"] + trial["in_flight"])
            self.assertEqual(report.faults(), {})
            self.assertTrue(any(p1 > p0 for (_, p0, _), (_, p1, _) in zip(sampler.rows, sampler.rows[1:])))
            self.assertGreater(bay.server.memory(), 10 << 20)
            self.assertGreater(bay.server.cpu_seconds(), 0)
            found = rig.collect(["turnpike.af_packet"], 1)
            if "turnpike.af_packet" in found[0]:  # a busy machine may hold no rate
                rig.rates("r3.af_packet.pps", "kpps", 1000, found, "turnpike.af_packet", {})
                self.assertGreater(self.told.lines[0]["value"], 0)
                self.assertTrue(self.told.lines[0]["noisy"], "one sample claims nothing")
        self.assertEqual(self.told.errors, [])
        left = lab.run("ip", "netns", "list")
        for name in spaces:
            self.assertNotIn(name, left)
        for pid in pids:
            self.assertFalse(os.path.exists(f"/proc/{pid}"), f"process {pid} is still there")
        self.assertFalse(os.path.exists(rig.lab.dir))

    def test_a_server_that_dies_is_told_and_left_out(self):
        with self.rig() as rig:
            rig.add("other", servers.Command(BUILD, "/bin/false {address} {port}"))
            self.assertEqual(rig.bays, {})
        self.assertIn("ended (1) before answer to a Binding request", self.told.omitted[0][1])

    def test_a_template_is_checked(self):
        for template, word in (("/bin/true {adress}", "adress"), ("/no/such/server", "cannot run"), ("", "cannot run")):
            self.assertIn(word, servers.Command(BUILD, template).missing())
        self.assertIsNone(servers.Command(BUILD, "/bin/true -L {address}:{port} -u {user}:{password} -r {realm}").missing())


if os.geteuid() != 0:
    print("skipped: needs root for network namespaces")
    sys.exit(77)
if generator.missing(BUILD):
    print("skipped: " + generator.missing(BUILD))
    sys.exit(77)
unittest.main(argv=sys.argv[:1])
