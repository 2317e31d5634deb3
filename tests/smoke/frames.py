"""Frames by hand: every field may be wrong. Standard library only."""

import socket
import struct

ETH_IP4, ETH_IP6 = 0x0800, 0x86DD


def packed(a):
    return socket.inet_pton(socket.AF_INET6 if ":" in a else socket.AF_INET, a)


def checksum(octets):
    if len(octets) % 2:
        octets += b"\0"
    s = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while s >> 16:
        s = (s & 0xFFFF) + (s >> 16)
    return ~s & 0xFFFF


def pseudo(src, dst, proto, length):
    a, b = packed(src), packed(dst)
    if len(a) == 4:
        return a + b + struct.pack("!BBH", 0, proto, length)
    return a + b + struct.pack("!IHBB", length, 0, 0, proto)


def udp(src, dst, sport, dport, payload=b"", length=None, sum_=None):
    n = 8 + len(payload) if length is None else length
    if sum_ is None:
        head = struct.pack("!HHHH", sport, dport, n, 0)
        sum_ = checksum(pseudo(src, dst, 17, 8 + len(payload)) + head + payload) or 0xFFFF
    return struct.pack("!HHHH", sport, dport, n, sum_) + payload


def ip4(src, dst, payload, proto=17, options=b"", ttl=64, total=None, version=4, ihl=None, frag=0, ident=1,
        sum_=None, tos=0):
    options += bytes(-len(options) % 4)
    head = lambda s: struct.pack(
        "!BBHHHBBH", version << 4 | (5 + len(options) // 4 if ihl is None else ihl), tos,
        20 + len(options) + len(payload) if total is None else total, ident, frag, ttl, proto, s,
    ) + packed(src) + packed(dst) + options
    return head(checksum(head(0)) if sum_ is None else sum_) + payload


def ip6(src, dst, payload, next_=17, hops=64, length=None, version=6):
    n = len(payload) if length is None else length
    return struct.pack("!IHBB", version << 28, n, next_, hops) + packed(src) + packed(dst) + payload


def extension(next_, body):
    """Hop-by-hop, destination options or routing: padded to eight octets with PadN."""
    pad = -(2 + len(body)) % 8
    body += b"\0" if pad == 1 else (b"\1" + bytes([pad - 2]) + bytes(pad - 2)) if pad else b""
    return bytes([next_, (2 + len(body)) // 8 - 1]) + body


def fragments(packet, at, ident):
    """An IPv4 packet without options cut at these offsets (multiples of eight)."""
    src, dst = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    body = packet[20:]
    edges = [0, *at, len(body)]
    return [
        ip4(src, dst, body[a:b], packet[9], ident=ident, frag=(0x2000 if b < len(body) else 0) | a // 8)
        for a, b in zip(edges, edges[1:])
    ]


class Wire:
    """Frames out of one interface, and what came in on it."""

    def __init__(self, ifname="eth0"):
        self.out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.out.bind((ifname, 0))
        self.out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
        self.mac = self.out.getsockname()[4]
        self.other = None

    def learn(self, host):
        """The MAC of a neighbour that was just spoken to."""
        with open("/proc/net/arp") as f:
            for line in f:
                words = line.split()
                if words[0] == host:
                    self.other = bytes.fromhex(words[3].replace(":", ""))
        assert self.other and any(self.other), f"no MAC for {host}"

    def frame(self, packet, ethertype=None):
        if ethertype is None:
            ethertype = ETH_IP6 if packet and packet[0] >> 4 == 6 else ETH_IP4
        return self.other + self.mac + struct.pack("!H", ethertype) + packet

    def send(self, packet, ethertype=None):
        self.out.send(self.frame(packet, ethertype))


class Ear:
    """Every packet that comes in, on the other side's behalf."""

    def __init__(self, ifname="eth0"):
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
        self.sock.bind((ifname, 3))
        self.sock.setblocking(False)

    def heard(self):
        while True:
            try:
                frame, where = self.sock.recvfrom(65536)
            except BlockingIOError:
                return
            if where[2] != socket.PACKET_OUTGOING:
                yield frame


def unreachable(frame):
    """ICMP unreachable for UDP, whose own business ("fragmentation needed") it is not; else None."""
    kind = struct.unpack_from("!H", frame, 12)[0]
    if kind == ETH_IP4 and frame[23] == 1:
        at = 14 + (frame[14] & 15) * 4
        if frame[at] == 3 and frame[at + 1] != 4 and frame[at + 8 + 9] == 17:
            return frame[at + 8 :]
    if kind == ETH_IP6 and frame[20] == 58 and frame[54] == 1 and frame[62 + 6] in (17, 0, 43, 44, 60):
        return frame[62:]
    return None
