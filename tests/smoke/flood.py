"""Floods from addresses that nobody has, beside a call. Runs where the clients are.

usage: flood.py CONFIG SERVER4 CONTROL-PID DATAPLANE-PID [PACKETS]
Prints what was measured; exits 1 if anything is beyond its bound."""

import os
import random
import struct
import sys
import time
from collections import defaultdict

import frames
import telemetry
import turn
from frames import Ear, Wire, fragments, ip4, ip6, udp
from turn import Client, attribute, build, xor_address

config, server4 = sys.argv[1:3]
pids = {"control": int(sys.argv[3]), "data plane": int(sys.argv[4])}
PACKETS = int(sys.argv[5]) if len(sys.argv) > 5 else 200000
PORT, CHUNK = 3478, 500
PACE = 60000  # a second: what one of two cores takes beside the sender and everything else
CALL = bytes([198, 18, 0, 2])
seed = int(os.environ.get("SEED", time.time()))
random.seed(seed)
wrong = []
wire, ear = Wire(), Ear()
ear.sock.setsockopt(1, 33, 128 << 20)  # SO_RCVBUFFORCE
Client((server4, PORT)).binding()
wire.learn(server4)


def require(what, good):
    if not good:
        wrong.append(what)
    print(("" if good else "WRONG: ") + what, flush=True)


def cpu(pid):
    """Seconds of processor time."""
    words = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid):
    """Kilobytes, without the region's pages that others write."""
    return next(int(l.split()[1]) for l in open(f"/proc/{pid}/status") if l.startswith("VmRSS"))


def settle(want=None):
    """Until the relay has taken what there is."""
    last = -1
    for _ in range(100):
        now = telemetry.counters(config)["rx_packets"]
        if now - last < 30 if last >= 0 else False:
            return
        last = now
        time.sleep(0.1)


class Watch:
    def __enter__(self):
        self.cpu = {k: cpu(p) for k, p in pids.items()}
        self.rss = {k: resident(p) for k, p in pids.items()}
        self.counters = telemetry.counters(config)
        self.at = time.monotonic()
        return self

    def __exit__(self, *_):
        settle()
        self.seconds = time.monotonic() - self.at
        now = telemetry.counters(config)
        self.delta = {k: now[k] - self.counters[k] for k in now}
        self.cpu = {k: cpu(p) - self.cpu[k] for k, p in pids.items()}
        self.grown = {k: resident(p) - self.rss[k] for k, p in pids.items()}


def address(prefixes=512):
    n = random.randrange(prefixes)
    return f"198.{18 + (n >> 8)}.{n & 255}.{random.randrange(200, 254)}"


def paced(n, make):
    """Sends n frames; hands what comes back to `each`."""
    began = time.monotonic()
    for at in range(0, n, CHUNK):
        for i in range(at, min(at + CHUNK, n)):
            wire.out.send(make(i))
        yield from ear.heard()
        late = began + (at + CHUNK) / PACE - time.monotonic()
        if late > 0:
            time.sleep(late)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        yield from ear.heard()
        time.sleep(0.01)


def flood(what, payload, bound, limited):
    """The same question from everywhere. `bound`: out by in, at IP level, for each packet."""
    ready = [wire.frame(ip4(a, server4, udp(a, server4, random.randrange(1024, 65535), PORT, payload)))
             for a in (address() for _ in range(8192))]
    question = len(ready[0]) - 14
    answers, octets, largest = defaultdict(int), defaultdict(int), 0
    with Watch() as w:
        for frame in paced(PACKETS, lambda i: ready[i % len(ready)]):
            if frame[12:14] != b"\x08\0" or frame[23] != 17 or frame[34:36] != b"\x0d\x96":
                continue
            if frame[30:34] == CALL:
                continue
            n = struct.unpack_from("!H", frame, 16)[0]
            largest = max(largest, n)
            answers[frame[30:33]] += 1
            octets[frame[30:33]] += n
    took = w.delta["rx_packets"] / w.seconds
    total = sum(answers.values())
    print(f"{what}: {PACKETS} packets of {question} octets in {w.seconds:.1f} s; {w.delta['rx_packets']} taken, "
          f"{total} answers, {limited} {w.delta[limited]}, not taken by the port "
          f"{max(0, PACKETS - w.delta['rx_packets'])}", flush=True)
    require(f"an answer is at most {largest / question:.2f} times its question", 0 < largest <= bound * question)
    require(f"control used {w.cpu['control']:.2f} s of processor, the data plane {w.cpu['data plane']:.2f} s",
            w.cpu["control"] <= 0.02 * w.seconds + 0.1)
    require(f"grown by {w.grown} kB", w.grown["control"] <= 512 and w.grown["data plane"] <= 4096)
    require(f"control was asked {w.delta['punted']} times, by the call", w.delta["punted"] <= w.seconds + 2)
    return w, answers, octets, question


def unauthenticated():
    ask = build(turn.ALLOCATE, turn.REQUEST, attribute(turn.REQUESTED_TRANSPORT, b"\x11\0\0\0"))
    w, answers, octets, question = flood("Allocate without credentials", ask, 2.5, "limit_error")
    # After a first 64 in a second, no more octets out than in.
    per = PACKETS / 512 * question * 1.25
    worst = max(answers, key=lambda p: octets[p])
    size = octets[worst] // answers[worst]
    free = 64 * (int(w.seconds) + 2) * size
    call = bytes([198, 18, 0])  # whose own requests had a nonce of ours: exempt
    require(f"the prefix that got most got {octets[worst]} octets", octets[worst] <= free + per or worst == call)
    require("some were withheld", w.delta["limit_error"] > PACKETS / 10)


def bindings():
    flood("Binding", build(turn.BINDING, turn.REQUEST), 1.4, "limit_binding")
    # One prefix alone.
    one = wire.frame(ip4("198.19.200.9", server4, udp("198.19.200.9", server4, 999, PORT, build(turn.BINDING, turn.REQUEST))))
    with Watch() as w:
        got = sum(f[34:36] == b"\x0d\x96" and f[30:33] == bytes([198, 19, 200]) for f in paced(40000, lambda i: one))
    require(f"one prefix: {got} answers in {w.seconds:.1f} s, {w.delta['limit_binding']} withheld",
            got <= 2000 * (w.seconds + 2) and w.delta["limit_binding"] > 10000)


def valid(relay_port):
    """Frames of every kind that are as they should be."""
    t = bytes(range(12))
    h4, h6, s6 = "198.18.0.200", "fd00:18::200", "fd00:18::1"
    peer = lambda h: attribute(turn.XOR_PEER, xor_address(h, 4000, t))
    data = attribute(turn.DATA_ATTR, os.urandom(40))
    texts = attribute(turn.USERNAME, b"alice") + attribute(turn.REALM, b"example.org") + attribute(turn.NONCE, b"o" * 31)
    payloads = [
        build(turn.BINDING, turn.REQUEST, fingerprint=True),
        build(turn.BINDING, turn.INDICATION),
        build(turn.ALLOCATE, turn.REQUEST, attribute(turn.REQUESTED_TRANSPORT, b"\x11\0\0\0")),
        build(turn.ALLOCATE, turn.REQUEST, texts, None, b"k" * 16),
        build(turn.CREATE_PERMISSION, turn.REQUEST, peer(h4) + texts, t, b"k" * 16, True),
        build(turn.SEND, turn.INDICATION, peer(h4) + data, t),
        build(turn.SEND, turn.INDICATION, peer(h6) + data, t),
        b"\x40\x01\0\x28" + os.urandom(40),
        b"\x16\xfe\xfd" + bytes(30),
        os.urandom(100),
    ]
    packets = []
    for p in payloads:
        for port in (PORT, relay_port):
            packets.append(ip4(h4, server4, udp(h4, server4, 4000, port, p)))
            packets.append(ip6(h6, s6, udp(h6, s6, 4000, port, p)))
        packets.append(ip4(h4, server4, udp(h4, server4, 4000, PORT, p), options=b"\x07\x0b\x04" + bytes(8)))
        packets.append(ip6(h6, s6, frames.extension(17, b"") + udp(h6, s6, 4000, PORT, p), 60))
        packets += fragments(ip4(h4, server4, udp(h4, server4, 4000, PORT, p + bytes(64))), (48,), random.randrange(65536))
        f = udp(h6, s6, 4000, PORT, p + bytes(64))
        head = lambda at, more: bytes([17, 0]) + struct.pack("!HI", at | more, 99)
        packets += [ip6(h6, s6, head(0, 1) + f[:48], 44), ip6(h6, s6, head(48, 0) + f[48:], 44)]
    inner = ip4(server4, h4, udp(server4, h4, relay_port, 4000, b"x"))
    packets.append(ip4(h4, server4, b"\3\3\0\0\0\0\0\0" + inner, proto=1))
    return [wire.frame(p) for p in packets] + [wire.frame(b"\0\1\x08\0\6\4\0\1" + wire.mac + bytes(14), 0x0806)]


def mutated(n):
    bases = valid(50000)
    rounds = random.randbytes

    def make(_):
        frame = bytearray(bases[int(random.random() * len(bases))])
        r = rounds(12)
        size = len(frame)
        for k in range(r[0] & 3):
            # Behind the destination; the more often in the headers.
            at = 12 + (r[1 + k] % min(size - 12, 80) if r[11] & 7 else (r[1 + k] << 8 | r[4 + k]) % (size - 12))
            frame[at] = r[7 + k]
        if r[10] < 24:
            del frame[max(14, size * r[9] // 256):]
        elif r[10] < 32:
            frame += rounds(r[9])
        # Right again, so that the mutation gets further than the header's checksum.
        if r[11] & 3 and len(frame) >= 34 and frame[12] == 8 and frame[13] == 0 and frame[14] == 0x45:
            frame[24:26] = b"\0\0"
            frame[24:26] = frames.checksum(bytes(frame[14:34])).to_bytes(2, "big")
        return frame

    before = free_buffers()
    with Watch() as w:
        heard = sum(1 for _ in paced(n, make))
    after = free_buffers()
    names = {k: v for k, v in sorted(w.delta.items(), key=lambda x: -x[1]) if v and k[:3] not in ("rx_", "tx_")}
    print(f"{n} mutated packets (seed {seed}) in {w.seconds:.1f} s, {w.delta['rx_packets']} taken, {heard} packets came back; "
          f"{len(names)} counters moved: {names}", flush=True)
    require("at least nine of ten were taken", w.delta["rx_packets"] > 0.9 * n)
    require(f"free packet buffers before and after: {before}, {after}", before == after)
    require(f"grown by {w.grown} kB", w.grown["control"] <= 1024)


def free_buffers():
    """When what may be held is let go: fragments, frames without a neighbour, rings. Of many looks the best,
    because the call goes on."""
    time.sleep(3.5)
    looks = [telemetry.buffers(config) for _ in range(30) if time.sleep(0.007) is None]
    return {k: max(look[k] for look in looks) for k in looks[0]}


for pid in pids.values():
    os.kill(pid, 0)
at = time.monotonic()
unauthenticated()
bindings()
mutated(5 * PACKETS)
for name, pid in pids.items():
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        require(f"{name} is there", False)
missed = telemetry.ask(config, "/ethdev/stats,0").get("imissed", 0)
print(f"{time.monotonic() - at:.0f} s; the port had no room for {missed} frames")
sys.exit(1 if wrong else 0)
