"""R3: one server thread behind a veth, the same generator, the same packets.

The generator is the same for all, over af_xdp on its end of the veth: it must not be the slower side.
What a veth hides: frames that the generator sends are carried into the other end's queue or socket
by the generator's core, and the server's frames into the generator's by the server's core. This is
the same for all servers.
"""
from rigs import generator, servers
from rigs.bay import Bay, Rig
from rigs.lab import RigError


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

    def __init__(self, build, mode, clock, out):
        super().__init__(build, mode, clock, out)
        self.search_s = mode.veth_s


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
        with clock.portion(0.66):
            throughput(rig, other().name)
        if mode.others:
            with clock.portion(0.3):
                lesser(rig)
    with VethRig(build, mode, clock, out) as rig:
        one_shot(rig, mode.ports[-1], other)


def throughput(rig, other):
    ours = [key for key in rig.bays if key.startswith("turnpike.")]
    if not ours:
        return
    found = rig.collect(list(rig.bays), rig.mode.pairs, [*ours, other])
    for port in rig.mode.ports:
        key, named = f"turnpike.{port}", {"macswap": f"macswap.{port}", other: other}
        if not any(key in f for f in found):
            continue
        rig.rates(f"r3.{port}.pps", "kpps", 1000, found, key, named)
        rig.efficiency(f"r3.{port}.pps_per_cpu_s", found, key, named)
        rig.latencies(f"r3.{port}", found, key, {other: other})


def lesser(rig):
    """Debian's other TURN servers: a few searches each, told beside the rest."""
    for server in (servers.Pion(rig.build), servers.P1Stun(rig.build)):
        name = server.name
        if rig.clock.left() < rig.search_s[0] + 3:
            rig.out.left_out(f"r3.{name}", "no time left")
            continue
        rig.add(name, server)
        if name not in rig.bays:
            continue
        found = rig.collect([name], 2)
        if any(name in f for f in found):
            rig.rates(f"r3.{name}.pps", "kpps", 1000, found, name, {})
            per_cpu = [f[name][1] / 1000 for f in found if name in f and f[name][1]]
            rig.line(f"r3.{name}.pps_per_cpu_s", "kpps", per_cpu)
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
            for what, value in (fresh(rig, server.name, server, lambda bay, b=before: capacity(bay, n, b, rig.clock)) or {}).items():
                got[server.name].setdefault(what, []).append(value)
    rig.settle()
    baseline = other().name
    for what, name, unit in (("alloc", "alloc.e2e", "1/s"), ("memory", f"mem.allocation.{n // 1000}k", "octets"),
                             ("binding", f"binding.r3.{port}", "kpps")):
        own, base = got["turnpike"].get(what), got[baseline].get(what)
        rig.line(name, unit, own, baseline if base else None, base)


def capacity(bay, n, empty, clock):
    found = {}
    bay.generator.poll = False  # our control shares its core
    before = empty or bay.server.memory()
    highest = [before]

    def watch():
        highest.append(max(highest[-1], bay.server.memory()))

    report = bay.generator.run(n, ["--setup-window", 256, "--rate", "2kpps", "--duration", "1.5"],
                               max(25, min(90, clock.left())), watch)
    per_second = report.setups_per_second(n)
    if per_second:
        found["alloc"] = per_second
    if highest[-1] > before:
        found["memory"] = (highest[-1] - before) / n
    rate = bindings_per_second(bay, clock)
    if rate:
        found["binding"] = rate / 1000
    return found


def bindings_per_second(bay, clock):
    """The highest rate of Binding requests of which all but 0.5 % are answered: up by half until that
    fails, then halving the gap."""
    good, bad, rate = 0.0, None, 30000.0
    for _ in range(8):
        if clock.left() < 2 and good:
            break
        sent, answered, seconds = bay.generator.storm("binding", rate, 0.3)
        held = sent and answered >= (1 - generator.LOSS) * sent
        if held:
            good = max(good, answered / seconds)
            if sent < 0.95 * rate * seconds:
                break  # the generator cannot send faster
        else:
            bad = rate
        if bad and bad - good < 0.05 * bad:
            break
        rate = (good + bad) / 2 if bad and good else rate * (1.5 if held else 0.5)
    return good
