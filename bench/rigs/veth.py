"""R3: one server thread behind a veth, the same generator, the same packets.

The generator is the same for all, over af_xdp on its end of the veth: it must not be the slower side.
What a veth hides: frames that the generator sends are carried into the other end's queue or socket
by the generator's core, and the server's frames into the generator's by the server's core. This is
the same for all servers.
"""
from rigs import servers
from rigs.bay import Bay, Rig
from rigs.lab import RigError

BINDING_PPS = 1000000  # more than a veth carries: an open-loop flood


class VethBay(Bay):
    device = "af_xdp:eth0"
    sampled = True

    def cable(self):
        self.lab.cable(self.inside, self.outside)
        self.lab.inside(self.outside, "ip", "addr", "add", f"{servers.OUTSIDE}/{servers.SERVER_NET}", "dev", "eth0")
        self.mac = self.lab.inside(self.inside, "cat", "/sys/class/net/eth0/address").strip()


class VethRig(Rig):
    part = "r3"
    clients = 128
    bay_of = VethBay


def testpmd_port(port):
    """The port with the data plane's own arguments."""
    if port == "af_packet":
        return "net_af_packet0,iface=eth0,blocksz=4096,framesz=2048,framecnt=4096,qdisc_bypass=1"
    return "net_af_xdp0,iface=eth0"


def run(build, mode, clock, out, template=None):
    """The whole of R3. `template` is a server command that stands where coturn does."""

    def other():
        return servers.Command(build, template) if template else servers.Coturn(build)

    with VethRig(build, mode, clock, out) as rig:
        for port in mode.ports:
            rig.add(f"turnpike.{port}", servers.Turnpike(build, f"{port}:eth0"))
            rig.add(f"macswap.{port}", servers.Testpmd(build, testpmd_port(port)))
        rig.add(other().name, other())
        throughput(rig, other().name)
        if mode.others:
            lesser(rig)
    with VethRig(build, mode, clock, out) as rig:
        one_shot(rig, mode.ports[-1], other)


def throughput(rig, other):
    if not any(key.startswith("turnpike.") for key in rig.bays):
        return
    reports, efficiency = rig.collect(list(rig.bays), rig.mode.pairs)
    for port in rig.mode.ports:
        ours = reports.get(f"turnpike.{port}")
        if not ours:
            continue
        named = {"macswap": f"macswap.{port}", other: other}
        theirs = {baseline: reports[key] for baseline, key in named.items() if reports.get(key)}
        rig.rates(f"r3.{port}.pps", "kpps", 1000, ours, theirs)
        for baseline in theirs:
            pairs = [(a / 1000, b / 1000) for a, b in zip(efficiency[f"turnpike.{port}"], efficiency[named[baseline]])
                     if a and b]
            rig.line(f"r3.{port}.pps_per_cpu_s", "kpps", [a for a, _ in pairs], baseline, [b for _, b in pairs])
        rig.latencies(f"r3.{port}", ours, {b: r for b, r in theirs.items() if b == other})


def lesser(rig):
    """Debian's other TURN servers: a few searches each, told beside the rest."""
    for server in (servers.Pion(rig.build), servers.P1Stun(rig.build)):
        name = server.name
        if rig.clock.left() < 3 * rig.mode.budget_s:
            rig.out.left_out(f"r3.{name}", "no time left")
            continue
        rig.add(name, server)
        if name not in rig.bays:
            continue
        reports, efficiency = rig.collect([name], 3)
        rig.rates(f"r3.{name}.pps", "kpps", 1000, reports[name], {}) if reports[name] else None
        rig.line(f"r3.{name}.pps_per_cpu_s", "kpps", [e / 1000 for e in efficiency[name] if e])
        rig.bays.pop(name).close()


# --- what needs a server that has seen nothing yet ---


def fresh(rig, key, server, measure):
    """measure(bay) with a new server; None if it cannot be had."""
    bay = None
    try:
        bay = rig.bay_of(rig, key, server)
        return measure(bay.open())
    except RigError as e:
        rig.say(f"{key}: {e}")
        return None
    finally:
        if bay:
            bay.close()


def one_shot(rig, port, other):
    """Allocations a second to n with a channel each, octets each of them costs, Binding a second.

    Memory: what the server holds with n, less what one holds that never had any. Turnpike takes its
    tables at the start, so its empty one is configured for a single allocation."""
    n = rig.mode.allocations

    def ours(allocations=n):
        return servers.Turnpike(rig.build, f"{port}:eth0", allocations=allocations)

    if ours().missing():
        return
    empty = fresh(rig, "empty", ours(1), lambda bay: bay.server.memory())
    got = {"turnpike": {}, other().name: {}}
    rig.settle()
    for _ in rig.clock.rounds(rig.mode.storms, enough=1):
        for make in (ours, other):
            server = make()
            if server.missing():
                continue
            before = empty if server.name == "turnpike" else None
            for what, value in (fresh(rig, server.name, server, lambda bay, b=before: capacity(bay, n, b)) or {}).items():
                got[server.name].setdefault(what, []).append(value)
    rig.settle()
    baseline = other().name
    for what, name, unit in (("alloc", "alloc.e2e", "1/s"), ("memory", f"mem.allocation.{n // 1000}k", "octets"),
                             ("binding", f"binding.r3.{port}", "kpps")):
        own, base = got["turnpike"].get(what), got[baseline].get(what)
        rig.line(name, unit, own, baseline if base else None, base)


def capacity(bay, n, empty):
    found = {}
    before = empty or bay.server.memory()
    highest = [before]

    def watch():
        highest.append(max(highest[-1], bay.server.memory()))

    report = bay.generator.run(n, ["--setup-window", 512, "--rate", "2kpps", "--duration", "1.5"], 90, watch)
    per_second = report.setups_per_second(n)
    if per_second:
        found["alloc"] = per_second
    if highest[-1] > before:
        found["memory"] = (highest[-1] - before) / n
    per_second = bay.generator.run(0, ["--storm", "binding", "--storm-rate", BINDING_PPS, "--duration", "1.5"],
                                   40).answers_per_second()
    if per_second:
        found["binding"] = per_second / 1000
    return found
