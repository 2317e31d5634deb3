"""R2: two processes and a port of shared memory between them, memif or vhost and virtio-user.

The server is on core 1, the generator on core 0. Both kinds need hugepages: without them a figure
says little about either side, and virtio-user has no memory it could share.
"""
from rigs import servers
from rigs.bay import Bay, Rig, limits
from rigs.lab import RigError


def server_port(kind, path):
    """The port as turnpike.yaml has it, and as testpmd does."""
    if kind == "memif":
        return (f"memif:{path},role=server,id=0,rsize=11",
                f"net_memif0,role=server,id=0,socket={path},socket-abstract=no,rsize=11")
    vdev = f"net_vhost0,iface={path},queues=1"
    return vdev, vdev


def generator_port(kind, path):
    if kind == "memif":
        return f"memif:{path},role=client,id=0,rsize=11"
    return f"net_virtio_user0,path={path},queues=1,packed_vq=1,queue_size=1024,in_order=1,mrg_rxbuf=0"


class SharedBay(Bay):
    """The key is KIND.SERVER; the socket lies in the lab's directory."""

    def cable(self):
        self.device = generator_port(self.key.split(".")[0], self.server.path)


class SharedRig(Rig):
    part = "r2"
    bay_of = SharedBay

    def __init__(self, build, mode, clock, out):
        super().__init__(build, mode, clock, out)
        self.search_s = mode.shared_s

    def after_round(self, found):
        """A generator that is the limit sums no payloads from then on: stamps, order, loss and
        arrival are still checked. The first round is dropped anyway."""
        if not self.how and any(r.generator_bound() for r, _ in found.values()):
            self.how, self.remark = ["--no-check"], "payloads are not summed"

    def put(self, kind, name):
        path = f"{self.lab.dir}/{kind}{self.lab.count()}.sock"
        ours, theirs = server_port(kind, path)
        server = servers.Turnpike(self.build, ours) if name == "turnpike" else \
            servers.Testpmd(self.build, theirs, name, hugepages=True)
        server.path = path
        self.add(f"{kind}.{name}", server)


def run(build, mode, clock, out, free_hugepages):
    if free_hugepages < 512:
        out.left_out("r2", f"{free_hugepages} free hugepages of 2 MB, 512 needed; sysctl vm.nr_hugepages=1024")
        return
    for i, kind in enumerate(mode.shared):
        with clock.portion(1 / (len(mode.shared) - i)), SharedRig(build, mode, clock, out) as rig:
            rig.put(kind, "turnpike")
            rig.put(kind, "macswap")
            if f"{kind}.turnpike" in rig.bays:
                try:
                    figures(rig, kind)
                except RigError as e:
                    out.left_out(f"r2.{kind}", str(e))


def figures(rig, kind):
    ours, theirs = f"{kind}.turnpike", f"{kind}.macswap"
    with rig.clock.portion(0.75 if rig.mode.goodput else 1):
        found = rig.collect(list(rig.bays), rig.mode.pairs, list(rig.bays))
    if not any(ours in f for f in found):
        return
    rig.rates(f"r2.{kind}.pdr", "Mpps", 1e6, found, ours, {"macswap": theirs})
    rig.latencies(f"r2.{kind}", found, ours, {"macswap": theirs})
    if rig.mode.goodput and rig.clock.left() > rig.search_s[0] + 3:
        rig.how = rig.how + ["--size", 1200]
        large = [f[ours][0] for f in rig.collect([ours], 4) if ours in f]
        rig.line(f"r2.{kind}.goodput", "Gbit/s", [r.gbps() for r in large], note=limits(large, ""))
