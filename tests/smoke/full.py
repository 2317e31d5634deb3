"""What is full says so with its STUN error, and serves again when room returns. Runs where the clients are.

usage: full.py WHAT SERVER4 HOST4"""

import sys
import time

import turn
from turn import Client, Refused, attribute

what, server4, host4 = sys.argv[1:4]
SERVER = (server4, 3478)


def code(act):
    try:
        act()
    except Refused as r:
        return r.code
    return 0


def equal(label, got, want):
    if got != want:
        sys.exit(f"{label}: {got}, expected {want}")
    print(f"{label}: {got}", flush=True)


def client(user="alice", password="secret"):
    return Client(SERVER, user, password)


def talks(c):
    peer = turn.udp(host4)
    c.bind(0x4001, peer.getsockname()[:2])
    c.channel(0x4001, b"there")
    assert peer.recv(100) == b"there"
    peer.sendto(b"back", c.relayed)
    assert c.media() == (0x4001, b"back")
    peer.close()


def fill(limit, want, **who):
    """`limit` allocations are had, the next is refused; after one end there is room for one."""
    held = [client(**who) for _ in range(limit)]
    for c in held:
        equal("one more", code(c.allocate), 0) if c is held[0] else c.allocate()
    over = client(**who)
    equal(f"after {limit}", code(over.allocate), want)
    talks(held[-1])
    held[0].refresh(0)
    again = client(**who)
    end = time.monotonic() + 8
    while (got := code(again.allocate)) and time.monotonic() < end:
        time.sleep(0.3)
        again = client(**who)
    equal("after one has gone", got, 0)
    talks(again)
    equal("and full again", code(client(**who).allocate), want)
    for c in held[1:] + [again]:
        c.refresh(0)


def quota():
    fill(3, 486)
    b = client("bob", "builder")
    equal("another user has a quota of his own", code(b.allocate), 0)
    b.refresh(0)


def total():
    """Allocations in total: 3 for alice, and then nobody gets one."""
    held = [client(), client(), client("bob", "builder"), client("bob", "builder")]
    for c in held:
        c.allocate()
    over = client("bob", "builder")
    got = code(over.allocate)
    equal("a fifth, where four are allowed", got in (486, 508) and "refused", "refused")
    print(f"with {got}")
    talks(held[3])
    held[0].refresh(0)
    equal("after one has gone", code(client("bob", "builder").allocate), 0)


def ports():
    fill(4, 508)
    equal("a pair of ports of two", code(lambda: pairs()), 0)


def pairs():
    """EVEN-PORT with the next one reserved, twice in four ports; a third finds none."""
    c, d = client(), client()
    end = time.monotonic() + 8
    while (got := code(lambda: c.allocate(extra=attribute(turn.EVEN_PORT, b"\x80")))) == 508 and time.monotonic() < end:
        time.sleep(0.3)
        c = client()
    equal("first pair", got, 0)
    d.allocate(extra=attribute(turn.EVEN_PORT, b"\x80"))
    equal("even ports", (c.relayed[1] % 2, d.relayed[1] % 2), (0, 0))
    equal("third pair", code(lambda: client().allocate(extra=attribute(turn.EVEN_PORT, b"\x80"))), 508)
    equal("a single one", code(client().allocate), 508)
    c.refresh(0)
    d.refresh(0)


def rows():
    """Permissions and channels of one allocation."""
    c = client()
    c.allocate()
    many = [f"198.18.1.{i}" for i in range(1, 9)]
    c.permit(*many)
    got = code(lambda: c.permit("198.18.2.1"))
    equal("a ninth permission", got, 508)
    equal("one of the eight again", code(lambda: c.permit(many[3])), 0)
    equal("a channel needs a permission too", code(lambda: c.bind(0x4001, ("198.18.2.1", 9))), 508)
    for i in range(4):
        c.bind(0x4000 + i, (many[i], 9000))
    equal("a fifth channel", code(lambda: c.bind(0x4005, (many[4], 9000))), 508)
    equal("a channel again", code(lambda: c.bind(0x4000, (many[0], 9000))), 0)
    c.refresh(0)
    d = client()
    d.allocate()
    talks(d)
    print("and the next allocation has room of its own")
    d.refresh(0)


globals()[what]()
