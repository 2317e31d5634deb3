"""Servers under test, each with start, ready, stop, CPU seconds and memory.

Every one is given one core (1 of 0 and 1) for its relaying, the same addresses, one user and the
same network; a server that can take a number of threads is given one.

    Turnpike       build/turnpike with a generated file, over any port
    Coturn         Debian's coturn, unpacked under build/coturn, never installed
    Pion           rigs/pion, built from Debian's golang packages
    P1Stun         Debian's erlang-p1-stun
    Command        any other server: a command with {address} {port} {user} {password} {realm}
    Testpmd        no TURN server: DPDK's forwarder on the same port, the ceiling of that port
"""
import contextlib
import glob
import os
import shlex
import signal
import subprocess

from rigs.lab import RigError

SERVER, SERVER_NET, PORT = "198.18.0.1", 24, 3478
OUTSIDE = "198.18.0.2"
USER, PASSWORD, REALM = "alice", "secret", "example.org"
CORE_GENERATOR, CORE_SERVER = 0, 1
HERE = os.path.dirname(os.path.abspath(__file__))


def binding_answered(lab, space, address=SERVER, port=PORT):
    """Asks the server once from a namespace, by the kernel."""
    probe = ("import socket,sys\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.settimeout(0.3)\n"
             "s.connect((sys.argv[1],int(sys.argv[2])))\n"
             "s.send(bytes.fromhex('000100002112a442')+b'turnpike-rdy')\n"
             "sys.exit(0 if s.recv(512)[8:20]==b'turnpike-rdy' else 1)")
    command = ["ip", "netns", "exec", lab.space(space), "/usr/bin/python3", "-c", probe, address, str(port)]
    return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0


class Server:
    """What all have in common. `self.process` is the one that was started."""

    name = "server"
    turn = True

    def __init__(self, build):
        self.build = build
        self.process = None

    def missing(self):
        """Why this one cannot run here, or None."""
        return None

    def command(self, lab):
        raise NotImplementedError

    def prepare(self, lab, space):
        """Addresses that a kernel server needs."""
        lab.inside(space, "ip", "addr", "replace", f"{SERVER}/{SERVER_NET}", "dev", "eth0")

    def start(self, lab, space):
        self.prepare(lab, space)
        self.process = lab.start(self.name, self.command(lab), space=space, core=CORE_SERVER,
                                 env=self.environment())
        try:
            self.ready(lab, space)
        except BaseException:
            self.stop()
            raise
        return self

    def environment(self):
        return None

    def ready(self, lab, space):
        self.process.wait_for("answer to a Binding request", lambda: binding_answered(lab, space), 15)

    def stop(self):
        if self.process:
            self.process.stop()

    def pids(self):
        return self.process.pids()

    def cpu_seconds(self):
        return self.process.cpu_seconds()

    def memory(self):
        return self.process.memory()


class Turnpike(Server):
    """`port` is a device line of turnpike.yaml. The worker is pinned to core 1 and polls, so its CPU
    second is a whole one whatever it relays; control stays on core 0."""

    name = "turnpike"

    def __init__(self, build, port, allocations=100000, relays=(SERVER,), relay_ports="49152-65535",
                 idle="poll", routes=(), pinned=True):
        super().__init__(build)
        self.port, self.allocations, self.relays = port, allocations, relays
        self.relay_ports, self.idle, self.routes, self.pinned = relay_ports, idle, routes, pinned
        self.conf = None

    def missing(self):
        for name in ("turnpike", "turnpike-dataplane", "turnpike-control"):
            if not os.access(os.path.join(self.build, name), os.X_OK):
                return f"no {self.build}/{name}; run ./turnpike.sh build"
        return None

    def write(self, lab):
        number = lab.count()
        self.conf = os.path.join(lab.dir, f"turnpike{number}.yaml")
        relays = ", ".join(self.relays)
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(f"""name: bench{number}
run-dir: {lab.dir}/run{number}
ports:
  - device: "{self.port}"
    addresses: [{SERVER}/{SERVER_NET}]
listeners: ["{SERVER}:{PORT}"]
relay:
  addresses: [{relays}]
  ports: {self.relay_ports}
auth:
  realm: {REALM}
  users: {{ {USER}: {PASSWORD} }}
peers:
  allow: [198.18.0.0/15]
limits:
  allocations: {self.allocations}
  allocations-per-user: {self.allocations}
  binding-per-prefix: 100000000
  requests-per-prefix: 100000000
  errors-per-prefix: 1000000
log: {{ level: warning }}
workers: 1
{f"cores: [{CORE_SERVER}]" if self.pinned else ""}
idle: {self.idle}
""")

    def command(self, lab):
        self.write(lab)
        return [os.path.join(self.build, "turnpike"), "run", "-c", self.conf]

    def prepare(self, lab, space):
        pass

    def start(self, lab, space):
        self.process = lab.start(self.name, self.command(lab), space=space)
        try:
            self.process.wait_for("ready line", lambda: self.process.said(r"^ready:"), 30)
            self.place()
            for route in self.routes:
                lab.inside(space, "ip", "route", "replace", *route.split())
        except BaseException:
            self.stop()
            raise
        return self

    def place(self):
        """All but the worker goes to core 0."""
        if not self.pinned:
            return
        for pid in self.pids():
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/comm", encoding="ascii") as f:
                    name = f.read().strip()
                if not name.startswith("turnpike-datap"):
                    os.sched_setaffinity(pid, {CORE_GENERATOR})


class Coturn(Server):
    name = "coturn"

    def path(self):
        return os.path.join(self.build, "coturn", "usr", "bin", "turnserver")

    def missing(self):
        if not os.access(self.path(), os.X_OK):
            return f"no {self.path()}; ./turnpike.sh bench unpacks it"
        done = subprocess.run([self.path(), "--version"], capture_output=True, text=True, check=False)
        if done.returncode:
            return f"coturn does not start: {done.stderr.strip()[-200:]}"
        return None

    def command(self, lab):
        return [self.path(), "-n", "--listening-ip", SERVER, "--relay-ip", SERVER,
                "--listening-port", str(PORT), "--relay-threads", "1", "--lt-cred-mech",
                "--user", f"{USER}:{PASSWORD}", "--realm", REALM, "--userdb", f"{lab.dir}/turndb",
                "--min-port", "1024", "--max-port", "65535", "--no-cli", "--no-tls", "--no-dtls",
                "--no-tcp", "--no-tcp-relay", "--log-file", "stdout", "--simple-log",
                "--pidfile", f"{lab.dir}/coturn{lab.count()}.pid"]


class Pion(Server):
    name = "pion"

    def path(self):
        return os.path.join(self.build, "pion-turn")

    def missing(self):
        source = os.path.join(HERE, "pion", "main.go")
        if os.access(self.path(), os.X_OK) and os.path.getmtime(self.path()) >= os.path.getmtime(source):
            return None
        env = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "",
               "GOCACHE": os.path.join(self.build, "go-cache")}
        try:
            done = subprocess.run(["/usr/bin/go", "build", "-o", self.path(), source], env=env, timeout=120,
                                  capture_output=True, text=True, check=False)
        except (OSError, subprocess.TimeoutExpired) as e:
            return f"cannot build pion's server: {e}"
        return f"cannot build pion's server: {done.stderr.strip()[-300:]}" if done.returncode else None

    def environment(self):
        return {"GOMAXPROCS": "1"}

    def command(self, lab):
        return [self.path(), "-address", SERVER, "-port", str(PORT), "-user", USER, "-password", PASSWORD,
                "-realm", REALM]


class P1Stun(Server):
    name = "p1_stun"

    def missing(self):
        if not glob.glob("/usr/lib/erlang/lib/p1_stun-*"):
            return "no erlang-p1-stun"
        return None if os.access("/usr/bin/escript", os.X_OK) else "no escript (erlang-base)"

    def command(self, lab):
        return ["/usr/bin/escript", os.path.join(HERE, "p1_stun.escript"), SERVER, str(PORT), USER, PASSWORD, REALM]

    def environment(self):
        return {"HOME": "/tmp"}


class Command(Server):
    name = "server"

    def __init__(self, build, template):
        super().__init__(build)
        self.template = template

    def missing(self):
        try:
            words = self._words()
        except (KeyError, IndexError, ValueError) as e:
            return f"--server: {e!r}: known are {{address}} {{port}} {{user}} {{password}} {{realm}}"
        return None if words and os.access(words[0], os.X_OK) else f"--server: cannot run {words[:1]}"

    def _words(self):
        told = {"address": SERVER, "port": PORT, "user": USER, "password": PASSWORD, "realm": REALM}
        return [word.format(**told) for word in shlex.split(self.template)]

    def command(self, lab):
        return self._words()


class Testpmd(Server):
    """DPDK's forwarder. `vdev` is the port, `mode` io, macswap or 5tswap."""

    turn = False

    def __init__(self, build, vdev, mode="macswap", hugepages=False, core=CORE_SERVER, desc=1024):
        super().__init__(build)
        self.vdev, self.mode, self.hugepages, self.core, self.desc = vdev, mode, hugepages, core, desc
        self.name = mode

    def missing(self):
        return None if os.access("/usr/bin/dpdk-testpmd", os.X_OK) else "no dpdk-testpmd (dpdk)"

    def prepare(self, lab, space):
        """The port is the forwarder's alone, as it is Turnpike's: the kernel drops what it gets."""
        if "iface=eth0" not in self.vdev:
            return
        lab.inside(space, "sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=1", check=False)
        lab.inside(space, "ip", "addr", "flush", "dev", "eth0", check=False)
        lab.inside(space, "ethtool", "-K", "eth0", "gro", "off", check=False)
        for words in ("add table netdev bench", "add chain netdev bench mute { type filter hook ingress device eth0 "
                      "priority 0; policy drop; }"):
            lab.inside(space, "nft", words, check=False)

    def command(self, lab):
        kind = ["--in-memory", "--single-file-segments"] if self.hugepages else ["--no-huge", "--no-shconf", "-m", "512"]
        spare = CORE_GENERATOR if self.core == CORE_SERVER else CORE_SERVER
        return ["dpdk-testpmd", "--lcores", f"0@{spare},1@{self.core}", *kind, "--no-pci", "--iova-mode=va",
                "--file-prefix", f"tpb{os.getpid()}x{lab.count()}", "--log-level=3", "--vdev", self.vdev,
                "--", f"--forward-mode={self.mode}", "--total-num-mbufs=32768", f"--rxd={self.desc}",
                f"--txd={self.desc}", "--nb-cores=1", "--stats-period=3600", "--no-mlockall", "--burst=64"]

    def start(self, lab, space):
        self.prepare(lab, space)
        self.process = lab.start(self.name, self.command(lab), space=space)
        try:
            self.process.wait_for("statistics", lambda: self.process.said(r"Port statistics|NIC statistics"), 20)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self):
        if self.process:
            self.process.stop(signal.SIGINT)
