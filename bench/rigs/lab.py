"""Network namespaces, processes in them, and what a process costs.

Names carry our process id, so that two benches do not meet; everything made here is unmade at the
end, also after a failure, and what a killed bench left behind is swept at the next start. Only
processes started here are signalled.
"""
import collections
import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

TICKS = os.sysconf("SC_CLK_TCK")
PREFIX = "tpb"
CLONE_NEWNET = 0x40000000


class RigError(RuntimeError):
    """A rig that cannot be measured: what, and what to do."""


def run(*command, check=True, timeout=20):
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    if check and done.returncode:
        raise RigError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def tail(path, n=15):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return "".join("    " + text for text in f.readlines()[-n:])
    except OSError:
        return ""


# --- what a process costs ---


def family(pid):
    """The process and all its descendants."""
    found, left = [], [pid]
    while left:
        p = left.pop()
        found.append(p)
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{p}/task"):
                with open(f"/proc/{p}/task/{task}/children", encoding="ascii") as f:
                    left += [int(c) for c in f.read().split()]
    return found


def cpu_seconds(pids):
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
                fields = f.read().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS


def memory(pids):
    """Octets of all these processes: what they hold alone, shared pages once, and hugepages, which
    the kernel leaves out of the resident set, by mapped file once."""
    total = 0
    huge = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            key = None
            with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as f:
                for text in f:
                    words = text.split()
                    if "-" in words[0] and not words[0].endswith(":"):
                        key = (words[3], words[4]) if words[4] != "0" else (pid, words[0])
                        parts = (words[2], key)
                        held = 0
                    elif words[0] == "Pss:":
                        total += int(words[1]) * 1024
                    elif words[0] in ("Shared_Hugetlb:", "Private_Hugetlb:") and words[1] != "0":
                        held = int(words[1]) * 1024
                        mine = huge.setdefault(parts, collections.Counter())
                        mine[pid] += held
    return total + sum(max(by_pid.values()) for by_pid in huge.values())


# --- processes ---


class Process:
    """One program in a namespace, with its output in a file."""

    def __init__(self, lab, name, command, space=None, core=None, env=None):
        self.name = name
        self.log = os.path.join(lab.dir, f"{name}.{lab.count()}.log")
        self.command = command
        chain = ["setpriv", "--pdeathsig", "KILL"]
        if space:
            chain += ["ip", "netns", "exec", lab.space(space)]
        if core is not None:
            chain += ["taskset", "-c", str(core)]
        with open(self.log, "wb") as out:
            self.popen = subprocess.Popen(chain + command, stdin=subprocess.DEVNULL, stdout=out,
                                          stderr=subprocess.STDOUT, start_new_session=True,
                                          env={**os.environ, **(env or {})}, cwd=lab.dir)
        self.pid = self.popen.pid
        self.others = []
        lab.processes.append(self)

    def pids(self):
        return family(self.pid)

    def alive(self):
        return self.popen.poll() is None

    def cpu_seconds(self):
        return cpu_seconds(self.pids())

    def memory(self):
        return memory(self.pids())

    def wait_for(self, what, good, seconds):
        """Until good() is true; a process that ends before is an error."""
        end = time.monotonic() + seconds
        while not good():
            if not self.alive():
                raise RigError(f"{self.name} ended ({self.popen.returncode}) before {what}\n{tail(self.log)}")
            if time.monotonic() > end:
                raise RigError(f"{self.name}: no {what} within {seconds} s\n{tail(self.log)}")
            time.sleep(0.05)

    def said(self, pattern):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return re.search(pattern, f.read(), re.M) is not None

    def stop(self, sig=signal.SIGTERM, seconds=10):
        if self.alive():
            self.others = self.pids()[1:]
            self.popen.send_signal(sig)
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.popen.returncode

    def kill(self):
        for pid in set(self.others + self.pids()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(5)


# --- the lab ---


class Lab:
    """Namespaces and a directory for one rig; a context manager."""

    def __init__(self):
        self.dir = None
        self.spaces = []
        self.processes = []
        self.counted = 0

    def count(self):
        self.counted += 1
        return self.counted

    def __enter__(self):
        if os.geteuid() != 0:
            raise RigError("needs root for network namespaces; run it with sudo")
        for tool in ("ip", "nft", "taskset", "setpriv", "ethtool"):
            if not shutil.which(tool):
                raise RigError(f"needs {tool}; ./turnpike.sh bench installs it")
        sweep()
        self.dir = tempfile.mkdtemp(prefix="turnpike-bench.", dir="/tmp")
        return self

    def __exit__(self, *_):
        for p in reversed(self.processes):
            with contextlib.suppress(Exception):
                p.stop(seconds=5)
        for name in self.spaces:
            run("ip", "netns", "del", name, check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    def space(self, name):
        return f"{PREFIX}{os.getpid()}-{name}"

    def add_space(self, name):
        run("ip", "netns", "add", self.space(name))
        self.spaces.append(self.space(name))
        self.inside(name, "ip", "link", "set", "lo", "up")

    def remove_space(self, name):
        run("ip", "netns", "del", self.space(name), check=False)
        if self.space(name) in self.spaces:
            self.spaces.remove(self.space(name))

    def inside(self, name, *command, check=True):
        return run("ip", "netns", "exec", self.space(name), *command, check=check)

    def cable(self, a, b):
        """A veth pair with an eth0 at both ends; queues as deep as a trial needs."""
        run("ip", "-n", self.space(a), "link", "add", "eth0", "type", "veth", "peer", "name", "eth0",
            "netns", self.space(b))
        for name in (a, b):
            self.inside(name, "ip", "link", "set", "eth0", "up")

    def start(self, name, command, **how):
        return Process(self, name, command, **how)


def sweep():
    """Namespaces of a bench that was killed."""
    for text in run("ip", "netns", "list", check=False).splitlines():
        name = text.split()[0] if text.split() else ""
        found = re.fullmatch(PREFIX + r"(\d+)-.+", name)
        if found and not os.path.exists(f"/proc/{found[1]}"):
            run("ip", "netns", "del", name, check=False)


class Sampler:
    """Packets that left a namespace's eth0 and CPU seconds of a server, twenty times a second, from
    a thread inside the namespace."""

    STEP_S = 0.05

    def __init__(self, space, process):
        self.rows = []
        self.ending = threading.Event()
        self.process = process
        self.thread = threading.Thread(target=self._run, args=(space,), daemon=True)
        self.thread.start()

    def _run(self, space):
        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/run/netns/{space}", "rb") as f:
            if libc.setns(f.fileno(), CLONE_NEWNET) != 0:
                return
        pids = self.process.pids()
        while not self.ending.wait(self.STEP_S):
            with open("/proc/thread-self/net/dev", encoding="ascii") as f:
                row = [text.split() for text in f if text.lstrip().startswith("eth0:")]
            if row:
                self.rows.append((time.monotonic(), int(row[0][10]), cpu_seconds(pids)))

    def stop(self):
        self.ending.set()
        self.thread.join(5)
        return self

    def packets_per_cpu_s(self, pps):
        """While the output was within a tenth of `pps`; None if that was less than half a second."""
        packets = seconds = cpu = 0.0
        for (t0, p0, c0), (t1, p1, c1) in zip(self.rows, self.rows[1:]):
            if abs((p1 - p0) / (t1 - t0) - pps) <= 0.1 * pps:
                packets, seconds, cpu = packets + p1 - p0, seconds + t1 - t0, cpu + c1 - c0
        return packets / cpu if seconds >= 0.5 and cpu > 0 else None
