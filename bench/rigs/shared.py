"""R2: two processes and a port of shared memory between them, memif or vhost and virtio-user.

The server is on core 1, the generator on core 0. Both kinds need hugepages: without them a figure
says little about either side, and virtio-user has no memory it could share.
"""
from rigs import servers
from rigs.bay import Bay, Rig
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
    for kind in mode.shared:
        with SharedRig(build, mode, clock, out) as rig:
            end, share = clock.part_end, clock.left() / (len(mode.shared) - mode.shared.index(kind))
            clock.part_end = end - clock.left() + share
            rig.put(kind, "turnpike")
            rig.put(kind, "macswap")
            if f"{kind}.turnpike" in rig.bays:
                try:
                    figures(rig, kind)
                except RigError as e:
                    out.left_out(f"r2.{kind}", str(e))
            clock.part_end = end


def figures(rig, kind):
    ours, theirs = f"{kind}.turnpike", f"{kind}.macswap"
    reports, _ = rig.collect([k for k in (ours, theirs) if k in rig.bays], rig.mode.pairs)
    if not reports[ours]:
        return
    base = {"macswap": reports[theirs]} if reports.get(theirs) else {}
    rig.rates(f"r2.{kind}.pdr", "Mpps", 1e6, reports[ours], base)
    rig.latencies(f"r2.{kind}", reports[ours], base)
