"""What nobody should send: a frame or a datagram for each name a drop has, each seen to move that counter
and no other. Runs where the clients are, beside a call.

usage: hostile.py CTL CONFIG SERVER4 SERVER6 HOST4 HOST6
CTL is turnpikectl. Prints one line a group; exits 1 if anything was not as it should be."""

import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib

import frames
import telemetry
import turn
from frames import Ear, Wire, extension, fragments, ip4, ip6, udp
from turn import Client, attribute, build, xor_address

ctl, config, server4, server6, host4, host6 = sys.argv[1:7]
PORT = 3478
TRAFFIC = {"rx_packets", "rx_octets", "tx_packets", "tx_octets"}
# What happens to a frame that has its outcome already, or to one made here.
OTHER = {"neighbour_unresolved", "foreign_full", "tx_full", "inject_full", "fragments_sent", "fragmented",
         "reassembled", "from_kernel", "checksum_completed", "commands", "cmd_invalid", "cmd_table_full",
         "transmitted", "sleeps", "leg_copy", "leg_copy_lost", "leg_no_consent"}
CALL = {"channel_to_peer", "peer_to_channel"}
LATE = set()  # what may come of fragments left over, later on
# Not to be had from outside within seconds; each has a unit test.
ELSEWHERE = {
    "frame_short": "the kernel drops a frame shorter than its own header before any port sees it",
    "cd_expired": "a binding lives ten minutes",
    "dtls_malformed": "where DTLS is served",
    "peer_denied": "control refuses such a peer before a row exists",
    "no_mbuf": "takes every buffer of the port",
    "service_full": "takes a stopped service turn",
    "exception_full": "takes 150,000 frames a second",
    "no_control": "errors.sh takes control away",
}
# What comes to a leg of an ICE session, of which there is none here: tests/unit/dataplane/leg_test.c.
ELSEWHERE |= dict.fromkeys(
    ("leg_to_leg", "leg_check", "leg_keepalive", "leg_unauthenticated", "leg_response", "leg_unknown_source",
     "leg_not_connected"), "no session here")
wrong = []
covered = set()


def show(what):
    out = subprocess.run([ctl, "-c", config, "--json", "show", what] if what != "status" else
                         [ctl, "-c", config, "--json", "status"], capture_output=True, text=True, check=True)
    return json.loads(out.stdout)


def counters():
    """The data plane's; control's own counters stand beside them."""
    return {k: n for k, n in show("counters").items() if k in plane}


def fail(what):
    wrong.append(what)
    print("WRONG", what, flush=True)


def moved(what, expected, act, noise=frozenset(), at_least=False):
    """`act` moves these counters by so much, and no other outcome or drop."""
    covered.update(expected)
    before = counters()
    act()
    end = time.monotonic() + 2
    while True:
        after = counters()
        delta = {k: after[k] - before[k] for k in after if after[k] != before[k]}
        if all(delta.get(k, 0) >= n for k, n in expected.items()) or time.monotonic() > end:
            break
        time.sleep(0.01)
    time.sleep(0.01)
    after = counters()
    delta = {k: after[k] - before[k] for k in after if after[k] != before[k]}
    quiet = TRAFFIC | OTHER | CALL | set(noise) | LATE | ({"to_kernel"} - set(expected))
    got = {k: n for k, n in delta.items() if k not in quiet or k in expected}
    if "to_kernel" in expected and got.get("to_kernel", 0) > expected["to_kernel"]:
        got["to_kernel"] = expected["to_kernel"]  # ARP and its like come when they want
    if at_least:
        if set(got) - set(expected) or any(got.get(k, 0) < n for k, n in expected.items()):
            fail(f"{what}: {got}, expected at least {expected}")
    elif got != expected:
        fail(f"{what}: {got}, expected {expected}")


# --- the scene ---


wire, ear = Wire(), Ear()
first = Client((server4, PORT))
assert first.binding()[0] == host4
wire.learn(server4)
began = show("status")
plane = set(telemetry.counters(config))
port = 20000


def ask4(payload, **how):
    """An IPv4 datagram to the listener; `how` for the IP header."""
    global port
    port += 1
    return ip4(how.pop("src", host4), how.pop("dst", server4),
               udp(how.pop("ipsrc", host4), server4, how.pop("sport", port), PORT, payload,
                   length=how.pop("length", None), sum_=how.pop("udp_sum", None)), **how)


def ask6(payload, src=None, next_=17, head=b"", sport=None, **how):
    global port
    port += 1
    datagram = udp(src or host6, server6, sport or port, PORT, payload, length=how.pop("length", None),
                   sum_=how.pop("udp_sum", None))
    return ip6(src or host6, server6, head + datagram, next_, length=how.pop("total", None), **how)


def one(what, name, packet, ethertype=None):
    moved(what, {name: 1}, lambda: wire.send(packet, ethertype))


BINDING = build(turn.BINDING, turn.REQUEST, fingerprint=True)
binding = lambda extra=b"", **k: build(turn.BINDING, k.pop("cls", turn.REQUEST), extra, **k)


def octets_256():
    """DEMUX-002: what the first octet says."""
    for o in range(256):
        if o <= 3:
            name, payload = "stun_bad_cookie", bytes([o, 1, 0, 0]) + bytes(16)
        elif o <= 15 or 80 <= o <= 127 or o >= 192:
            name, payload = "demux_reserved", bytes([o]) + bytes(31)
        elif o <= 19:
            name, payload = "demux_zrtp", bytes([o]) + bytes(31)
        elif o <= 63:
            name, payload = "demux_dtls_off", bytes([o, 0xFE, 0xFD]) + bytes(8) + b"\0\x14" + bytes(20)
        elif o <= 79:
            name, payload = "cd_unbound", bytes([o, 0, 0, 28]) + bytes(28)
        else:
            name, payload = "demux_rtp", bytes([o]) + bytes(31)
        if name != "cd_unbound" or o < 0x50:
            one(f"first octet {o}", name, (ask4 if o % 2 else ask6)(payload))
    one("an empty datagram", "demux_empty", ask4(b""))
    one("an empty datagram, IPv6", "demux_empty", ask6(b""))


def headers():
    good = lambda **k: ask4(BINDING, **k)
    one("IP version 5", "ip_malformed", good(version=5))
    one("header of 16 octets", "ip_malformed", good(ihl=4))
    one("header beyond the packet", "ip_malformed", good(ihl=15, total=40))
    one("total length beyond the frame", "ip_malformed", good(total=1500))
    one("total length of 20", "ip_malformed", good(total=20))
    one("total length of 0", "ip_malformed", good(total=0))
    one("wrong header checksum", "ip_malformed", good(sum_=0x1234))
    for n in (0, 1, 8, 19):
        one(f"{n} octets of IPv4", "ip_malformed", good()[:n], frames.ETH_IP4)
    one("IPv6, version 4", "ip_malformed", ask6(BINDING, version=4), frames.ETH_IP6)
    one("IPv6, longer than its frame", "ip_malformed", ask6(BINDING, total=1400))
    for n in (0, 1, 39):
        one(f"{n} octets of IPv6", "ip_malformed", ask6(BINDING)[:n], frames.ETH_IP6)
    for n in (0, 7, 200, 65535):
        one(f"UDP length {n}", "udp_malformed", good(length=n))
        one(f"UDP length {n}, IPv6", "udp_malformed", ask6(BINDING, length=n))
    one("IPv6 UDP without checksum", "udp_zero_checksum6", ask6(BINDING, udp_sum=0))
    one("IPv4 UDP without checksum is fine", "binding", good(udp_sum=0))
    one("wrong UDP checksum", "udp_checksum", good(udp_sum=0x0BAD))
    one("wrong UDP checksum, IPv6", "udp_checksum", ask6(BINDING, udp_sum=0x0BAD))
    one("octets behind the IP packet are padding", "binding", good() + bytes(18))
    one("a Binding request", "binding", good())
    one("a Binding request, IPv6", "binding", ask6(BINDING))


def sources():
    for a in ("0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "255.255.255.255", "198.18.0.255"):
        one("from " + a, "bad_source", ask4(BINDING, src=a, ipsrc=a))
    for a in ("::", "::1", "ff02::1", "::ffff:198.18.0.2"):
        one("from " + a, "bad_source", ask6(BINDING, src=a))
    one("from port 0", "bad_source", ask4(BINDING, sport=0))
    one("from ourselves", "loop", ask4(BINDING, src=server4, ipsrc=server4))
    one("from ourselves, IPv6", "loop", ask6(BINDING, src=server6))


def disguises():
    hop = socket.inet_aton(server4)
    one("loose source route", "source_route", ask4(BINDING, options=b"\x83\x07\x04" + hop + b"\0"))
    one("strict source route", "source_route", ask4(BINDING, options=b"\x01\x89\x07\x04" + hop))
    one("a source route that is over", "binding", ask4(BINDING, options=b"\x83\x07\x08" + hop))
    one("no-operation options", "binding", ask4(BINDING, options=b"\1\1\1\1"))
    one("record route", "binding", ask4(BINDING, options=b"\x07\x27\x04" + bytes(36)))
    one("options that cannot be", "binding", ask4(BINDING, options=b"\x07\xff\x04\0"))
    one("an empty datagram behind options", "demux_empty", ask4(b"", options=b"\1\1\1\1"))
    hbh, dst = extension(60, b""), extension(17, b"\x1e\x02ab")
    one("hop-by-hop and destination options", "binding", ask6(BINDING, next_=0, head=hbh + dst))
    routed = bytes([17, 2, 0, 1]) + bytes(4) + socket.inet_pton(socket.AF_INET6, server6)
    one("routing header with a hop left", "source_route", ask6(BINDING, next_=43, head=routed))
    over = bytes([17, 2, 0, 0]) + bytes(4) + socket.inet_pton(socket.AF_INET6, server6)
    one("routing header that is over", "binding", ask6(BINDING, next_=43, head=over))
    one("extension header beyond the packet", "ip_malformed", ask6(BINDING, next_=0, head=b"\x11\xff" + bytes(6)))
    nine = b"".join(extension(60, b"") for _ in range(8)) + extension(17, b"")
    one("eight extension headers", "binding", ask6(BINDING, next_=60, head=nine[8:]))
    one("nine extension headers", "ip_malformed", ask6(BINDING, next_=60, head=nine))
    atomic = bytes([17, 0, 0, 0]) + struct.pack("!I", 77)
    moved("an IPv6 fragment that is all", {"fragment_held": 1, "binding": 1},
          lambda: wire.send(ask6(BINDING, next_=44, head=atomic)))


def foreign():
    one("an unknown protocol", "to_kernel", b"\x42" * 60, 0x88B5)
    one("802.3 with a length", "to_kernel", b"\x42" * 60, 60)
    one("ICMP echo", "to_kernel", ip4(host4, server4, b"\x08\0" + struct.pack("!H", frames.checksum(b"\x08\0\0\0\0\1\0\1"))
                                     + b"\0\1\0\1", proto=1))
    one("TCP", "to_kernel", ip4(host4, server4, struct.pack("!HHIIBBHHH", 9, 9, 1, 0, 0x50, 2, 99, 0, 0), proto=6))
    one("IPv4 that is not for us", "to_kernel", ip4(host4, "198.18.0.77", udp(host4, "198.18.0.77", 9, 9, b"x")))
    one("ESP", "to_kernel", ip4(host4, server4, bytes(40), proto=50))
    other = b"\x02\0\0\0\0\x99" + wire.mac + b"\x08\0" + ask4(BINDING)
    moved("another station's frame", {}, lambda: wire.out.send(other), noise={"to_kernel"})


def stun():
    bad = "stun_malformed"
    request = build(turn.BINDING, turn.REQUEST)
    one("STUN of 4 octets", bad, ask4(request[:4]))
    one("STUN of 19 octets", bad, ask4(request[:19]))
    one("length of 3", bad, ask4(request[:2] + b"\0\3" + request[4:] + bytes(3)))
    one("length beyond the datagram", bad, ask4(request[:2] + b"\0\x40" + request[4:]))
    one("octets behind the message", bad, ask4(request + bytes(4)))
    one("attribute beyond the message", bad, ask4(binding(struct.pack("!HH", 0x8022, 99) + b"abcd")))
    one("half an attribute header", bad, ask4(request[:2] + b"\0\4" + request[4:] + b"\x80\x22\0\4"))
    one("truncated at every attribute", bad, ask6(binding(attribute(0x8022, b"x" * 8))[:-4]))
    flipped = bytearray(BINDING)
    flipped[-1] ^= 1
    one("a wrong FINGERPRINT", "stun_fingerprint", ask4(bytes(flipped)))
    for cls in (turn.SUCCESS, turn.ERROR):
        one("a response", "stun_response", ask4(binding(cls=cls)))
    one("a Data indication from outside", "stun_method", ask4(build(turn.DATA, turn.INDICATION)))
    one("an unknown method", "stun_method", ask4(build(0x0FF, turn.REQUEST)))
    one("an Allocate indication", "stun_method", ask4(build(turn.ALLOCATE, turn.INDICATION)))
    unknown = attribute(0x7777, b"huh?")
    one("an indication with what we must know", "stun_unknown_attribute", ask4(binding(unknown, cls=turn.INDICATION)))
    one("a Binding indication", "binding_indication", ask4(binding(cls=turn.INDICATION)))
    one("a Binding request with what we must know", "answer_420", ask4(binding(unknown + bytes(0) + attribute(0x8022, b"x" * 40))))
    bare = lambda extra=b"": build(turn.ALLOCATE, turn.REQUEST, extra)
    transport = attribute(turn.REQUESTED_TRANSPORT, b"\x11\0\0\0")
    one("no credentials", "answer_401", ask4(bare(transport)))
    one("too short to be answered", "amplification", ask4(bare()))
    key = b"k" * 16
    one("half of the credentials", "answer_400",
        ask4(build(turn.ALLOCATE, turn.REQUEST, transport + attribute(turn.USERNAME, b"alice"), None, key)))
    stale = attribute(turn.USERNAME, b"alice") + attribute(turn.REALM, b"x" * 32) + attribute(turn.NONCE, b"o" * 31)
    one("a nonce that is not ours", "answer_438", ask4(build(turn.ALLOCATE, turn.REQUEST, transport + stale, None, key)))
    one("Send without anything", "send_malformed", ask4(build(turn.SEND, turn.INDICATION)))
    one("Send without data", "send_malformed", ask4(build(turn.SEND, turn.INDICATION, attribute(turn.XOR_PEER, bytes(8)))))
    t = os.urandom(12)
    to = lambda h, p: attribute(turn.XOR_PEER, xor_address(h, p, t))
    data = attribute(turn.DATA_ATTR, b"data")
    one("Send without a peer", "send_malformed", ask4(build(turn.SEND, turn.INDICATION, data)))
    one("Send to port 0", "send_malformed", ask4(build(turn.SEND, turn.INDICATION, to(host4, 0) + data, t)))
    one("Send to family 3", "send_malformed",
        ask4(build(turn.SEND, turn.INDICATION, attribute(turn.XOR_PEER, b"\0\3" + bytes(6)) + data, t)))
    one("Send, cut short", "stun_malformed", ask4(build(turn.SEND, turn.INDICATION, to(host4, 9) + data, t)[:-4]))
    one("Send with what we must know", "stun_unknown_attribute",
        ask4(build(turn.SEND, turn.INDICATION, to(host4, 9) + data + unknown, t)))
    crc = zlib.crc32(b"") ^ 1
    one("Send with a wrong FINGERPRINT", "stun_fingerprint",
        ask4(build(turn.SEND, turn.INDICATION, to(host4, 9) + data + attribute(turn.FINGERPRINT, struct.pack("!I", crc)), t)))
    one("Send without an allocation", "no_allocation", ask4(build(turn.SEND, turn.INDICATION, to(host4, 9) + data, t)))
    one("Send, IPv6, without an allocation", "no_allocation",
        ask6(build(turn.SEND, turn.INDICATION, to(host6, 9) + data, t)))
    for n in (1, 2, 3):
        one(f"ChannelData of {n} octets", "cd_malformed", ask4(b"\x40\0\0"[:n]))
    one("ChannelData longer than its datagram", "cd_malformed", ask4(b"\x40\x01\0\x20" + bytes(31)))
    one("ChannelData on no channel", "cd_unbound", ask6(b"\x40\x01\0\x04data"))
    long = binding(attribute(0x8022, b"x" * 1200))
    one("a long Binding request", "binding", ask4(long))


def relayed():
    """An allocation of its own: what peers and clients may not do with it."""
    c = Client((server4, PORT))
    c.allocate()
    peer = turn.udp(host4)
    name = peer.getsockname()[:2]
    away = udp(host4, server4, name[1], c.relayed[1], b"knock knock")
    one("a peer without permission", "no_permission", ip4(host4, server4, away))
    moved("Send without permission", {"no_permission": 1}, lambda: c.send(name, b"nobody asked"))
    free = c.relayed[1] ^ 1
    one("a relayed port without allocation", "relay_no_allocation",
        ip4(host4, server4, udp(host4, server4, 9, free, b"?")))
    one("the same over IPv6", "relay_no_allocation", ip6(host6, server6, udp(host6, server6, 9, free, b"?")))
    c.permit(host4)
    one("a peer with permission", "peer_to_data", ip4(host4, server4, away))
    moved("Send with permission", {"send_to_peer": 1}, lambda: c.send(name, b"hello"))
    one("TTL of 1", "ttl_expired", ip4(host4, server4, away, ttl=1))
    one("TTL of 1 behind options", "ttl_expired", ip4(host4, server4, away, ttl=1, options=b"\1\1\1\1"))
    one("a corrupt datagram stays corrupt, and passes", "peer_to_data", ip4(host4, server4, udp(
        host4, server4, name[1], c.relayed[1], b"knock knock", sum_=0x0BAD)))
    whole = udp(host4, server4, name[1], c.relayed[1], bytes(1472))
    one("1500 octets that may not be cut", "too_big", ip4(host4, server4, whole, frag=0x4000))
    one("1500 octets that may", "peer_to_data", ip4(host4, server4, whole))
    c.permit("198.19.77.1")
    moved("no way to the peer", {"no_route": 1}, lambda: c.send(("198.19.77.1", 9), b"lost"))
    c.permit("198.18.0.99")
    moved("a neighbour that is not there", {"send_to_peer": 1}, lambda: c.send(("198.18.0.99", 9), b"lost"))
    quoted = ip4(server4, host4, udp(server4, host4, c.relayed[1], name[1], b"media"))
    def icmp(inner, kind=3, code=3, sum_=None):
        body = bytes([kind, code, 0, 0, 0, 0, 0, 0]) + inner
        s = frames.checksum(body) if sum_ is None else sum_
        return ip4(host4, server4, body[:2] + struct.pack("!H", s) + body[4:], proto=1)
    one("ICMP about a peer", "icmp_to_client", icmp(quoted))
    one("ICMP with a wrong checksum", "icmp_unmatched", icmp(quoted, sum_=1))
    one("ICMP about nobody", "icmp_unmatched", icmp(ip4(server4, "198.18.0.3", udp(server4, "198.18.0.3", c.relayed[1], 9))))
    one("ICMP about a port without allocation", "icmp_unmatched",
        icmp(ip4(server4, host4, udp(server4, host4, free, 9))))
    one("ICMP that quotes half a header", "icmp_unmatched", icmp(quoted[:21]))
    moved("more ICMP than a client wants", {"icmp_limited": 5}, lambda: [wire.send(icmp(quoted)) for _ in range(40)],
          noise={"icmp_to_client"}, at_least=True)
    d = Client((server4, PORT))
    d.allocate()
    c.permit(server4)
    moved("to another client that does not know us", {"no_permission": 1}, lambda: c.send(d.relayed, b"hi"))
    d.permit(server4)
    moved("to another client that does", {"hairpin": 1}, lambda: c.send(d.relayed, b"hi"))
    d.refresh(0)
    moved("to one that has gone", {"relay_no_allocation": 1}, lambda: c.send(d.relayed, b"hi"))
    c.refresh(0)
    moved("after its own end", {"no_allocation": 1}, lambda: c.send(name, b"late"))


def reassembly():
    ident = random.randrange(1, 60000)
    near = "198.18.0.9"
    request = binding(attribute(0x8022, b"f" * 600))
    whole = lambda: ip4(near, server4, udp(near, server4, 5000, PORT, request))
    a, b, c = fragments(whole(), (160, 320), ident)
    held = lambda n, **more: {"fragment_held": n, **more}
    send = lambda *p: lambda: [wire.send(x) for x in p]
    moved("three fragments", held(3, binding=1), send(a, b, c))
    a, b, c = fragments(whole(), (160, 320), ident + 1)
    moved("three fragments, last first", held(3, binding=1), send(c, b, a))
    a, b, c = fragments(whole(), (160, 320), ident + 2)
    moved("a fragment twice", held(4, binding=1), send(a, b, b, c))
    a, b, c = fragments(whole(), (160, 320), ident + 3)
    _, over, _ = fragments(whole(), (152, 328), ident + 3)
    moved("overlapping fragments", held(2, reassembly_bad=1), send(a, over))
    moved("and what was left of them", held(2), send(b, c))
    LATE.add("reassembly_bad")
    last = ip4(near, server4, b"x" * 100, ident=ident + 4, frag=0x1FFF)
    moved("a datagram of more than 65535 octets", held(1, reassembly_bad=1), send(last))
    odd = ip4(near, server4, b"x" * 13, ident=ident + 5, frag=0x2000)
    moved("a fragment of 13 octets with more to come", held(1, reassembly_bad=1), send(odd))
    tiny = fragments(whole(), (8,), ident + 6)
    moved("a first fragment of 8 octets", held(2, binding=1), send(*tiny))
    moved("first fragments of one source, and nothing more", {"reassembly_full": 4, "fragment_held": 20},
          lambda: [wire.send(fragments(ip4("198.19.9.9", server4, udp("198.19.9.9", server4, 1, PORT, request)), (160,), i)[0])
                   for i in range(20)], noise={"reassembly_bad"}, at_least=True)
    a, b, c = fragments(whole(), (160, 320), ident + 7)
    moved("another source is not in their way", held(3, binding=1), send(a, b, c))
    moved("a fragment alone is given up", held(1, reassembly_bad=1), lambda: (wire.send(a), time.sleep(3)),
          at_least=True)
    request6 = udp(host6, server6, 5001, PORT, request)
    head = lambda at, more, i: bytes([17, 0]) + struct.pack("!HI", at | more, i)
    f1 = ip6(host6, server6, head(0, 1, ident) + request6[:320], 44)
    f2 = ip6(host6, server6, head(320, 0, ident) + request6[320:], 44)
    moved("two fragments, IPv6, last first", held(2, binding=1), send(f2, f1))
    routed = bytes([44, 2, 0, 1]) + bytes(20)
    moved("a fragment behind a routing header", held(1, source_route=1),
          send(ip6(host6, server6, routed + head(0, 1, ident + 9) + request6[:320], 43)))


def jumbo():
    """Frames of another size, or with a tag, than the port was set up for."""
    subprocess.run(["ip", "link", "set", "eth0", "mtu", "3400"], check=True)
    for n in (2000, 3000):
        long = binding(b"".join(attribute(0x8022, b"j" * 496) for _ in range(n // 500)))
        packet = ask4(long)
        moved(f"a frame of {len(packet) + 14} octets", {}, lambda: wire.send(packet),
              noise={"ip_malformed", "binding", "too_big"})
    subprocess.run(["ip", "link", "set", "eth0", "mtu", "1500"], check=True)
    for tag in ("81000005", "88a80005", "8100000581000006"):
        tagged = wire.other + wire.mac + bytes.fromhex(tag) + b"\x08\0" + ask4(BINDING)
        moved("a frame of VLAN 5", {}, lambda: wire.out.send(tagged))


def limits():
    many = lambda n, make: lambda: [wire.send(make(i)) for i in range(n)]
    moved("Binding beyond the prefix's rate", {"limit_binding": 100},
          many(800, lambda i: ip4("198.19.1.7", server4, udp("198.19.1.7", server4, 1000 + i, PORT, BINDING))),
          noise={"binding"}, at_least=True)
    allocate = build(turn.ALLOCATE, turn.REQUEST, attribute(turn.REQUESTED_TRANSPORT, b"\x11\0\0\0"))
    moved("401 beyond the prefix's rate", {"limit_error": 20},
          many(200, lambda i: ip4("198.19.2.7", server4, udp("198.19.2.7", server4, 1000 + i, PORT, allocate))),
          noise={"answer_401"}, at_least=True)
    c = Client((server6, PORT))
    c.allocate(6)
    head = attribute(turn.USERNAME, b"alice") + attribute(turn.REALM, c.realm) + attribute(turn.NONCE, c.nonce)
    forged = build(turn.REFRESH, turn.REQUEST, head, None, b"wrong" * 3 + b"!")
    moved("requests with a good nonce beyond the prefix's rate", {"limit_punt": 50},
          lambda: [c.sock.send(forged) for _ in range(3000)], noise={"punted"}, at_least=True)
    time.sleep(1.1)
    drained(c)
    c.refresh()
    long = build(turn.REFRESH, turn.REQUEST, head + attribute(0x8022, b"x" * 2100), None, c.key)
    moved("a request longer than a record", {"punt_too_long": 1}, lambda: c.sock.send(long),
          noise={"fragment_held"})
    control = show("status")["control"]["pid"]
    os.kill(control, signal.SIGSTOP)
    try:
        before = telemetry.counters(config)
        for _ in range(12):
            for i in range(950):
                c.sock.send(forged if i % 2 else forged[:-24] + forged[-24:])
            time.sleep(1.0)
            if telemetry.counters(config)["punt_full"] > before["punt_full"]:
                break
        full = telemetry.counters(config)["punt_full"] - before["punt_full"]
    finally:
        os.kill(control, signal.SIGCONT)
    covered.add("punt_full")
    if not full:
        fail("a stopped control does not fill the ring to it")
    time.sleep(1.5)
    drained(c)
    c.refresh()
    c.refresh(0)
    print(f"control stopped: {full} requests found the ring full; it answers again", flush=True)


def drained(c):
    c.pending.clear()
    while c._read(0.05) is not None:
        pass


def group(what, run):
    had = len(wrong)
    at = time.monotonic()
    run()
    print(f"{what}: {'as it should be' if len(wrong) == had else 'WRONG'} ({time.monotonic() - at:.1f} s)", flush=True)


group("first octets", octets_256)
group("headers", headers)
group("sources", sources)
group("disguises", disguises)
group("what is the kernel's", foreign)
group("STUN, TURN, ChannelData", stun)
group("relayed addresses", relayed)
group("fragments", reassembly)
group("jumbo frames and tags", jumbo)
group("limits", limits)

time.sleep(0.5)
now = counters()
names = set(now) - TRAFFIC - OTHER
missing = names - covered - set(ELSEWHERE) - CALL - {"punted"}
if missing:
    fail(f"no frame for {sorted(missing)}")
# A fragment is counted when it is taken, its datagram once more when it is whole or given up.
again = now["reassembled"] + now["reassembly_bad"] + now["reassembly_full"] + now["exception_full"]
again += 1  # the fragment behind a routing header
total = sum(now[k] for k in names) - again
if abs(total - now["rx_packets"]) > 4:  # the call goes on while they are read
    fail(f"{now['rx_packets']} frames came in, {total} have an outcome")
else:
    print(f"{now['rx_packets']} frames came in, every one has its outcome", flush=True)
alive = show("status")
for side in ("control", "dataplane"):
    if alive[side]["pid"] != began[side]["pid"]:
        fail(f"{side} has another pid")
bad = [quoted for f in ear.heard() if (quoted := frames.unreachable(f))]
if bad:
    fail(f"ICMP unreachable left, about {[q[:64].hex() for q in bad]}")
sys.exit(1 if wrong else 0)
