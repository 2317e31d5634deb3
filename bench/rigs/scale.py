"""A million allocations with a channel each over 16 relay addresses of their own, data on all.

Over memif, the fastest port between two processes. Before the large relay a small one of the same
rig is searched, so that the cost of a full relay is told against a warm one.
"""
import stats
from rigs import servers
from rigs.bay import Rig
from rigs.lab import RigError
from rigs.shared import SharedBay, server_port

RELAYS = tuple(f"198.19.0.{i}" for i in range(1, 17))
CLIENTS_FROM, PEERS_FROM = "198.18.64.0/26", "198.18.128.0/26"
WARM = 1000


class ScaleRig(Rig):
    part = "scale"
    bay_of = SharedBay

    def start(self, allocations):
        path = f"{self.lab.dir}/memif{self.lab.count()}.sock"
        routes = [f"{net} via {servers.OUTSIDE}" for net in (CLIENTS_FROM, PEERS_FROM)]
        server = servers.Turnpike(self.build, server_port("memif", path)[0], allocations=allocations,
                                  relays=RELAYS, relay_ports="1024-65535", routes=routes)
        server.path = path
        bay = self.bay_of(self, f"memif.{allocations}", server).open()
        bay.generator.poll = False  # control shares its core
        bay.generator.routes = ["198.19.0.0/16 via " + servers.SERVER]
        return bay


def label(n):
    return f"{n // 1000000}m" if n >= 1000000 else f"{n // 1000}k"


def run(build, mode, clock, out, free_hugepages):
    if free_hugepages < 512:
        out.left_out("scale", f"{free_hugepages} free hugepages of 2 MB, 512 needed; sysctl vm.nr_hugepages=1024")
        return
    with ScaleRig(build, mode, clock, out) as rig:
        why = servers.Turnpike(build, "").missing()
        if why:
            out.left_out("scale", why)
            return
        try:
            measure(rig, mode.scale)
        except RigError as e:
            out.left_out("scale", str(e))


def find(bay, n, budget_s, seconds, watch=None):
    where = ["--clients-from", CLIENTS_FROM, "--peers-from", PEERS_FROM, "--setup-window", 1024,
             "--find", "pdr", "--rate", "max", "--trial", "1" if n >= 1000000 else "0.3", "--precision", "0.02",
             "--budget", budget_s, "--drain", "0.1"]
    report = bay.generator.run(n, where, seconds, watch)
    if report.faults():
        bay.out.wrong(f"scale.{n}: the generator saw {report.faults()}")
    return report


def measure(rig, n):
    budget_s = 6 if n >= 1000000 else 1.5
    bay = rig.start(WARM)
    bay.out = rig.out
    warm = [find(bay, WARM, budget_s, budget_s + 25).rate()[0] for _ in range(2 if n >= 1000000 else 1)]
    bay.close()
    bay = rig.start(n)
    bay.out = rig.out
    highest = [bay.server.memory()]
    rig.settle()
    report = find(bay, n, budget_s, max(30, rig.clock.left()),
                  lambda: highest.append(max(highest[-1], bay.server.memory())))
    rig.settle()
    setup = report.setup()
    if setup.get("ready") != n:
        rig.out.wrong(f"scale: {setup.get('ready')} of {n} allocations came up")
        return
    held = highest[-1]
    per_second = report.setups_per_second(n)
    many = label(n)
    once(rig, f"mem.{many}.e2e", "MiB", held / 2**20)
    once(rig, f"mem.allocation.{many}.e2e", "octets", held / n)
    if per_second:
        once(rig, f"scale.setup.{many}", "1/s", per_second)
    pps = report.rate()[0]
    if pps and all(warm):
        note = "the generator is the limit" if report.generator_bound() else None
        rig.line(f"scale.pdr.{many}", "Mpps", [pps / 1e6], "warm", [stats.median(warm) / 1e6], note)


def once(rig, name, unit, value):
    """Counted, not timed: one sample says it all."""
    made = stats.line(name, unit, [value])
    made["noisy"] = False
    rig.out.line(made)
