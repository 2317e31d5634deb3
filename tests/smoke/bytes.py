"""Every path of the relay with every payload length, byte by byte. Runs where the clients are.

usage: bytes.py SERVER4 SERVER6 HOST4 HOST6 [long]
Prints one line per path; exits 1 at the first difference."""

import os
import sys

from turn import Client, udp

server4, server6, host4, host6 = sys.argv[1:5]
long = "long" in sys.argv[5:]
# 1472 octets fill a 1500-octet IPv4 packet; as ChannelData or an indication they outgrow it.
lengths = list(range(0, 9)) + [63, 64, 65, 159, 160, 1199, 1200, 1432, 1433, 1436, 1440, 1444, 1452, 1453]
lengths += [1456, 1460, 1464, 1468, 1469, 1472, 1473, 1500, 2000, 3000]
if long:
    lengths += [9000, 32767, 65000]


def check(what, got, want):
    if got != want:
        shown = lambda x: (x[0], len(x[1])) if isinstance(x, tuple) else x
        sys.exit(f"{what}: got {shown(got)}, expected {shown(want)}")


def payload(length):
    """Random, but for a first octet that no protocol begins with: tshark would dissect it."""
    return (b"\x05" + os.urandom(length))[:length]


def path(client_family, peer_family):
    server = server4 if client_family == 4 else server6
    host = host4 if peer_family == 4 else host6
    c = Client((server, 3478))
    c.allocate(peer_family)
    peer, other = udp(host), udp(host)
    name, second = peer.getsockname()[:2], other.getsockname()[:2]
    c.permit(host)
    c.bind(0x4001, name)
    relayed = c.relayed
    n = 0
    for length in lengths:
        what = f"client IPv{client_family}, peer IPv{peer_family}, {length} octets"
        data = payload(length)
        c.channel(0x4001, data)
        got, source = peer.recvfrom(65536)
        check(what + ", ChannelData out", (source[:2], got), (relayed, data))
        c.channel(0x4001, data, padding=os.urandom(-length % 4))
        check(what + ", padded ChannelData out", peer.recvfrom(65536)[0], data)
        peer.sendto(data, relayed)
        check(what + ", ChannelData in", c.media(), (0x4001, data))
        if length <= 65000 - 36:
            c.send(second, data)
            got, source = other.recvfrom(65536)
            check(what + ", Send", (source[:2], got), (relayed, data))
            other.sendto(data, relayed)
            check(what + ", Data", c.media(), (second, data))
        n += 5
    c.refresh(0)
    print(f"client IPv{client_family}, peer IPv{peer_family}: {n} datagrams, {len(lengths)} lengths, equal")


def hairpin(a_family, b_family, relay_family):
    """Two clients of the same relay, each the other's peer, by channel and by indication."""
    pick = lambda f: ((server4 if f == 4 else server6), 3478)
    a, b = Client(pick(a_family)), Client(pick(b_family))
    a.allocate(relay_family)
    b.allocate(relay_family)
    a.permit(b.relayed[0])
    what = f"hairpin IPv{a_family} to IPv{b_family} over IPv{relay_family}"
    a.send(b.relayed, b"no permission at b")
    check(what + ", one permission only", b.media(0.3), None)
    b.permit(a.relayed[0])
    for length in (0, 1, 160, 1200):
        data = payload(length)
        a.send(b.relayed, data)
        check(what + ", Send to Data", b.media(), (a.relayed, data))
    a.bind(0x4002, b.relayed)
    b.bind(0x4003, a.relayed)
    for length in lengths:
        if length > 3000:
            continue
        data = payload(length)
        a.channel(0x4002, data)
        check(what + f", {length} octets", b.media(), (0x4003, data))
        b.channel(0x4003, data)
        check(what + f", {length} octets back", a.media(), (0x4002, data))
    # One's own relayed address comes back once (TURN-213).
    a.permit(a.relayed[0])
    a.bind(0x4004, a.relayed)
    a.channel(0x4004, b"to myself")
    check(what + ", to itself", a.media(), (0x4004, b"to myself"))
    check(what + ", and once", a.media(0.2), None)
    a.refresh(0)
    b.refresh(0)
    print(what + ": equal")


for families in ((4, 4), (6, 6), (4, 6), (6, 4)):
    path(*families)
for families in ((4, 4, 4), (6, 6, 6), (4, 6, 4)):
    hairpin(*families)
