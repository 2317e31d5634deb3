#!/usr/bin/python3
"""Hosts talk through the legs of sessions: one to one, one to many, and what happens to them.

session.py DIRECTORY BUILD CONFIG PREFIX [CASE...]

Namespaces are PREFIX-NAME, made by session.sh. Prints "ok - ..." or "not ok - ..." for each case."""
import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import threading
import time

place, build, config, prefix = sys.argv[1:5]
chosen = sys.argv[5:]
lock = threading.Lock()
everything = []


def ctl(*words):
    run = subprocess.run([f"{build}/turnpikectl", "-c", config, "--json", *words], capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f"{' '.join(words[:3])}: {run.stderr.strip()}")
    return json.loads(run.stdout)


def until(seconds, what, test):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        got = test()
        if got:
            return got
        time.sleep(0.1)
    raise RuntimeError(f"{what}: not within {seconds} s")


class Host:
    """A turnpike-agent in a namespace, at the other side of a leg."""

    def __init__(self, session, leg, space, role="offer", command=None):
        self.session, self.leg, self.lines = session["id"], leg, []
        self.name = os.path.join(place, f"{self.session}.{leg}")
        self.keep("remote", session["legs"][leg - 1]["line"] + "\n")
        command = command or [f"{build}/turnpike-agent", f"--{role}", "--timeout", "30"]
        command = ["ip", "netns", "exec", f"{prefix}-{space}", *command]
        if command[4].endswith("turnpike-agent"):
            command += ["--local", self.name + ".local", "--remote", self.name + ".remote"]
            command += ["--stats", self.name + ".stats"]
        self.log = open(self.name + ".log", "w")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
                                        text=True)
        everything.append(self.process)
        threading.Thread(target=self.read, daemon=True).start()
        until(10, f"{space} describes itself", lambda: os.path.exists(self.name + ".local"))
        ctl("session", "set-remote", str(self.session), str(leg), f"@{self.name}.local")

    def keep(self, kind, text):
        with open(f"{self.name}.{kind}.new", "w") as file:
            file.write(text)
        os.rename(f"{self.name}.{kind}.new", f"{self.name}.{kind}")

    def read(self):
        for line in self.process.stdout:
            self.lines.append((time.monotonic(), line.rstrip("\n")))

    def say(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def heard(self, text):
        return any(line == text for _, line in list(self.lines))

    def state(self):
        return ctl("session", "show", str(self.session))["legs"][self.leg - 1]

    def connected(self):
        until(15, f"leg {self.leg} of session {self.session} is connected",
              lambda: self.state()["state"] == "completed")
        return self


def create(*options):
    return ctl("session", "create", *options)


def works(*words):
    try:
        return ctl(*words)
    except (RuntimeError, ValueError):
        return None


def told():
    lines = open(os.path.join(place, "events")).read().split("\n")
    return [json.loads(line) for line in lines[:-1]]


def tell(sender, *receivers, text=None):
    tell_within(10, sender, *receivers, text=text)


def tell_within(seconds, sender, *receivers, text=None):
    """Said once a tenth of a second until all have heard it: a path may be a moment younger than its state."""
    text = text or f"from {sender.name} at {time.monotonic()}"

    def all_heard():
        sender.say(text)
        time.sleep(0.05)
        return all(r.heard(text) for r in receivers)

    until(seconds, f"leg {sender.leg} is heard", all_heard)


def both_ways(a, b):
    tell(a, b)
    tell(b, a)
    for n in (1, 2, 100, 1000, 1200):
        tell(a, b, text="x" * n)
    one, other = a.state(), b.state()
    for leg in (one, other):
        assert leg["pair"] and leg["from_peer"]["packets"] > 0 and leg["to_peer"]["packets"] > 0, leg


def pair(spaces, *options, roles=("offer", "offer")):
    session = create(*options)
    a, b = (Host(session, i + 1, spaces[i], roles[i]) for i in range(2))
    return session, a.connected(), b.connected()


# --- cases ---

def case_direct():
    """one to one, lite legs, IPv4"""
    session, a, b = pair(("h1", "h2"))
    both_ways(a, b)
    assert ctl("session", "delete", str(session["id"]))["deleted"] == session["id"]


def case_families():
    """an IPv4 host and an IPv6 host"""
    _, a, b = pair(("h1", "six"))
    both_ways(a, b)
    assert ":" in b.state()["pair"]["remote"].rsplit(":", 1)[0], b.state()


def case_nats():
    """both behind NATs: port-restricted, symmetric"""
    _, a, b = pair(("port", "sym"))
    both_ways(a, b)


def case_full():
    """full legs: one is offered to, one offers"""
    _, a, b = pair(("h1", "port"), "--role", "full", "--controlling", "2", roles=("offer", "answer"))
    both_ways(a, b)


def case_conference():
    """four legs: each is heard by all others; copies are byte-equal"""
    session = create("--legs", "4")
    hosts = [Host(session, i + 1, space) for i, space in enumerate(("h1", "h2", "six", "port"))]
    for host in hosts:
        host.connected()
    for host in hosts:
        others = [h for h in hosts if h is not host]
        tell(host, *others)
        tell(host, *others, text=f"{host.leg}" * 1200)


def case_directions():
    """one sends, two receive: what receivers send is not heard"""
    session = create("--legs", "3", "--direction", "sendonly,recvonly")
    speaker, *listeners = [Host(session, i + 1, space).connected() for i, space in enumerate(("h1", "h2", "sym"))]
    tell(speaker, *listeners)
    for listener in listeners:
        listener.say("not to be heard")
    time.sleep(1)
    assert not any(h.heard("not to be heard") for h in (speaker, *listeners))


def case_restart():
    """a leg restarted by command: media goes on, then over the new pair"""
    session, a, b = pair(("h1", "h2"))
    tell(a, b)
    before = a.state()["ufrag"]
    leg = ctl("session", "restart", str(session["id"]), "1")
    assert leg["ufrag"] != before and leg["pwd"]
    tell(b, a)
    os.remove(a.name + ".local")
    a.keep("remote", leg["line"] + "\n")
    until(15, "the host answers the restart", lambda: os.path.exists(a.name + ".local"))
    ctl("session", "set-remote", str(session["id"]), "1", f"@{a.name}.local")
    until(15, "the new generation is connected", lambda: a.state()["state"] == "completed"
          and a.state()["generation"] > 0)
    both_ways(a, b)


def case_aioice():
    """aioice at a leg, turnpike-agent at the other"""
    session = create()
    name = os.path.join(place, f"{session['id']}.1")
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "aioice_agent.py")
    a = Host(session, 1, "h1", command=["/usr/bin/python3", script, "offer", name + ".local", name + ".remote"])
    b = Host(session, 2, "h2")

    def answer():
        b.say(f"line {len(b.lines)} of the agent")
        return a.process.poll() is not None

    a.connected()
    b.connected()
    for n in range(40):
        b.say(f"{n}")
        time.sleep(0.05)
    until(20, "aioice has heard and was heard", answer)
    assert a.process.returncode == 0, open(a.name + ".log").read()


def pids(program):
    """Of this test's relay: children of its supervisor."""
    found = subprocess.run(["pgrep", "-f", f"{program} -c {config}"], capture_output=True, text=True).stdout.split()
    assert found, f"no {program}"
    return [int(p) for p in found]


def flowing(a, b, seconds):
    """Numbered lines both ways, ten a second each. The longest silence of each side, in seconds."""
    start, said = time.monotonic(), 0
    while time.monotonic() - start < seconds:
        for h in (a, b):
            h.say(f"{h.leg} says {said} at {start}")
        said += 1
        time.sleep(0.1)
    gaps = []
    for h in (a, b):
        times = [t for t, line in list(h.lines) if line.endswith(f"at {start}")] or [start]
        times = [start, *times, max(times[-1], start + seconds - 0.3)]
        gaps.append(max(y - x for x, y in zip(times, times[1:])))
    return gaps


def case_control_dies():
    """kill -9 of the control process: media goes on, the session lives"""
    session, a, b = pair(("k1", "k2"))
    tell(a, b)
    killer = threading.Timer(1.5, lambda: [os.kill(p, signal.SIGKILL) for p in pids("turnpike-control")])
    killer.start()
    gaps = flowing(a, b, 5)
    until(10, "control is back", lambda: works("status"))
    assert max(gaps) < 0.6, gaps
    assert a.state()["state"] == "completed" and a.state()["pair"], a.state()
    both_ways(a, b)
    print(f"#   longest silence {max(gaps) * 1000:.0f} ms at ten lines a second", flush=True)
    leg = ctl("session", "restart", str(session["id"]), "1")
    assert leg["generation"] == 1, leg


def case_dataplane_dies():
    """kill -9 of the data plane: media comes back, the session lives"""
    _, a, b = pair(("k1", "k2"), "--role", "full", "--controlling", "1,2", roles=("answer", "answer"))
    tell(a, b)
    killer = threading.Timer(1.5, lambda: [os.kill(p, signal.SIGKILL) for p in pids("turnpike-dataplane")])
    killer.start()
    gaps = flowing(a, b, 8)
    assert max(gaps) < 4, gaps
    both_ways(a, b)
    print(f"#   longest silence {max(gaps):.1f} s", flush=True)


def case_consent_lost():
    """one host dies: its consent ends, its leg is silent, the other leg lives (ICE-194)"""
    session, a, b = pair(("h1", "h2"))
    both_ways(a, b)
    b.process.kill()
    start = time.monotonic()

    def lost():
        a.say("into the void")
        return any(e["event"] == "consent-lost" and e["session"] == session["id"] and e["leg"] == 2 for e in told())

    until(45, "consent-lost is told", lost)
    after = time.monotonic() - start
    before = b.state()["to_peer"]["packets"]
    for _ in range(10):
        a.say("into the void")
        time.sleep(0.05)
    assert b.state()["to_peer"]["packets"] == before, "sent without consent"
    assert b.state()["state"] == "failed" and a.state()["state"] == "completed", (a.state(), b.state())
    print(f"#   told {after:.1f} s after the death", flush=True)


def case_rebind():
    """a NAT forgets a host in mid-stream: the lite leg follows it (ICE-169)"""
    _, a, b = pair(("h1", "moving"))
    both_ways(a, b)
    before = b.state()["pair"]["remote"]
    open(os.path.join(place, "rebind"), "w").close()
    until(3, "the NAT forgets", lambda: not os.path.exists(os.path.join(place, "rebind")))
    start = time.monotonic()
    tell_within(10, a, b)
    after = time.monotonic() - start
    assert b.state()["pair"]["remote"] != before, before
    both_ways(a, b)
    print(f"#   media is back after {after:.1f} s", flush=True)


def case_refused():
    """errors say what to do, and change nothing"""
    for words, hint in (
        (("session", "show", "999999"), "no session 999999"),
        (("session", "set-remote", "999999", "1", "x"), "no session"),
        (("session", "create", "--direction", "up"), "'direction' must be"),
        (("session", "create", "--controlling", "1"), "'controlling' must be"),
    ):
        try:
            ctl(*words)
        except RuntimeError as error:
            assert hint in str(error), error
        else:
            raise AssertionError(words)
    session = create()
    try:
        ctl("session", "set-remote", str(session["id"]), "1", "nonsense")
    except RuntimeError:
        pass
    else:
        raise AssertionError("nonsense was taken")


def case_churn():
    """sessions made, shown and deleted one after the other"""
    n, start = 300, time.monotonic()
    import socket
    path = next(line.split(":", 1)[1].strip() for line in open(config) if line.startswith("run-dir"))
    s = socket.socket(socket.AF_UNIX)
    s.connect(path + "/control.sock")
    f = s.makefile("rw")

    def ask(method, **params):
        f.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}) + "\n")
        f.flush()
        reply = json.loads(f.readline())
        return reply["result"]

    for _ in range(n):
        ask("session delete", id=ask("session create", legs=2)["id"])
    rate = n / (time.monotonic() - start)
    print(f"#   {rate:.0f} sessions of two legs a second, one client, made and deleted", flush=True)
    s.close()


def run(case):
    what = case.__doc__
    try:
        case()
    except Exception as error:
        with lock:
            print(f"not ok - {what}: {type(error).__name__}: {error}", flush=True)
        return False
    with lock:
        print(f"ok - {what}", flush=True)
    return True


events = open(os.path.join(place, "events"), "w")
listener = subprocess.Popen([f"{build}/turnpikectl", "-c", config, "--json", "session", "events"], stdout=events)
everything.append(listener)
cases = {name[5:]: value for name, value in list(globals().items()) if name.startswith("case_")}
cases = {name: case for name, case in cases.items() if not chosen or name in chosen}
last = ("control_dies", "dataplane_dies")  # they disturb the others
try:
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        results = list(pool.map(run, [case for name, case in cases.items() if name not in last]))
    seen = {event["event"] for event in told()}
    results += [run(cases[name]) for name in last if name in cases]
finally:
    for process in everything:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
if not chosen and not {"created", "candidate", "state", "selected", "consent-lost", "ended"} <= seen:
    print(f"not ok - events: only {sorted(seen)}")
    results.append(False)
print(f"{sum(results)} good, {len(results) - sum(results)} bad")
sys.exit(not all(results))
