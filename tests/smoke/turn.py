"""A small TURN client for tests: every request by hand, so that tests can also send what no real
client would. Standard library only. RFC 8489, RFC 8656."""

import hashlib
import hmac
import ipaddress
import os
import socket
import struct
import time
import zlib

COOKIE = 0x2112A442
BINDING, ALLOCATE, REFRESH, SEND, DATA, CREATE_PERMISSION, CHANNEL_BIND = 1, 3, 4, 6, 7, 8, 9
REQUEST, INDICATION, SUCCESS, ERROR = 0, 1, 2, 3
USERNAME, INTEGRITY, ERROR_CODE, UNKNOWN_ATTRIBUTES = 0x06, 0x08, 0x09, 0x0A
CHANNEL_NUMBER, LIFETIME, XOR_PEER, DATA_ATTR, REALM, NONCE = 0x0C, 0x0D, 0x12, 0x13, 0x14, 0x15
XOR_RELAYED, REQUESTED_FAMILY, EVEN_PORT, REQUESTED_TRANSPORT = 0x16, 0x17, 0x18, 0x19
DONT_FRAGMENT, INTEGRITY256, ALGORITHM, USERHASH, XOR_MAPPED = 0x1A, 0x1C, 0x1D, 0x1E, 0x20
RESERVATION_TOKEN, ADDITIONAL_FAMILY, ALGORITHMS, ICMP, FINGERPRINT = 0x22, 0x8000, 0x8002, 0x8004, 0x8028


def message_type(method, cls):
    return (method & 0xF80) << 2 | (method & 0x70) << 1 | (method & 0xF) | (cls & 2) << 7 | (cls & 1) << 4


def split_type(t):
    method = (t & 0x3E00) >> 2 | (t & 0xE0) >> 1 | (t & 0xF)
    return method, (t & 0x100) >> 7 | (t & 0x10) >> 4


def attribute(kind, value=b""):
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def xor_address(host, port, txid):
    ip = ipaddress.ip_address(host)
    key = struct.pack("!I", COOKIE) + txid
    packed = bytes(a ^ b for a, b in zip(ip.packed, key))
    return struct.pack("!BBH", 0, 1 if ip.version == 4 else 2, port ^ COOKIE >> 16) + packed


def read_xor_address(value, txid):
    key = struct.pack("!I", COOKIE) + txid
    port = struct.unpack_from("!H", value, 2)[0] ^ COOKIE >> 16
    return str(ipaddress.ip_address(bytes(a ^ b for a, b in zip(value[4:], key)))), port


def build(method, cls, attributes=b"", txid=None, key=None, fingerprint=False):
    txid = txid or os.urandom(12)
    body = attributes
    head = lambda n: struct.pack("!HHI", message_type(method, cls), n, COOKIE) + txid
    if key:
        body += attribute(INTEGRITY, hmac.new(key, head(len(body) + 24) + body, hashlib.sha1).digest())
    if fingerprint:
        crc = zlib.crc32(head(len(body) + 8) + body) ^ 0x5354554E
        body += attribute(FINGERPRINT, struct.pack("!I", crc))
    return head(len(body)) + body


class Message:
    def __init__(self, octets):
        kind, length, cookie = struct.unpack_from("!HHI", octets)
        assert cookie == COOKIE and length == len(octets) - 20, "not a STUN message"
        self.method, self.cls = split_type(kind)
        self.txid, self.octets, self.attributes = octets[8:20], octets, []
        at = 20
        while at < len(octets):
            t, n = struct.unpack_from("!HH", octets, at)
            self.attributes.append((t, octets[at + 4 : at + 4 + n], at))
            at += 4 + n + (-n % 4)

    def get(self, kind):
        return next((v for t, v, _ in self.attributes if t == kind), None)

    @property
    def code(self):
        e = self.get(ERROR_CODE)
        return e[2] * 100 + e[3] if e else 0

    def signed_by(self, key):
        for t, v, at in self.attributes:
            if t == INTEGRITY:
                head = self.octets[:2] + struct.pack("!H", at + 4) + self.octets[4:at]
                return hmac.compare_digest(v, hmac.new(key, head, hashlib.sha1).digest())
        return False


class Refused(Exception):
    def __init__(self, method, code):
        super().__init__(f"method {method} was answered {code}")
        self.code = code


class Client:
    """One UDP five-tuple. `server` and `local` are (host, port)."""

    def __init__(self, server, user="alice", password="secret", local=None, buffer=4 << 20):
        six = ":" in server[0]
        self.sock = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        # Path MTU discovery off, so that the kernel fragments what is large.
        self.sock.setsockopt(*((socket.IPPROTO_IPV6, 23, 0) if six else (socket.IPPROTO_IP, 10, 0)))
        if local:
            self.sock.bind(local)
        self.sock.connect(server)
        self.server, self.user, self.password = server, user, password
        self.realm = self.nonce = self.key = None
        self.pending = []
        self.relayed = self.mapped = None

    def close(self):
        self.sock.close()

    def receive(self, timeout=2.0):
        """('stun', Message), ('channel', number, data), or None after the timeout."""
        if self.pending:
            return self.pending.pop(0)
        return self._read(timeout)

    def _read(self, timeout):
        self.sock.settimeout(max(timeout, 0.001))
        try:
            octets = self.sock.recv(65536)
        except (socket.timeout, ConnectionRefusedError):
            return None
        if octets and 0x40 <= octets[0] <= 0x7F:
            number, length = struct.unpack_from("!HH", octets)
            assert length == len(octets) - 4, "ChannelData length"
            return "channel", number, octets[4:]
        return "stun", Message(octets)

    def exchange(self, octets, tries=4):
        """Sends a request, RFC timers in short; returns the response."""
        for i in range(tries):
            self.sock.send(octets)
            end = time.monotonic() + 0.5 * 2**i
            while (left := end - time.monotonic()) > 0:
                got = self._read(left)
                if got and got[0] == "stun" and got[1].txid == octets[8:20] and got[1].cls >= SUCCESS:
                    return got[1]
                if got:
                    self.pending.append(got)
        raise TimeoutError(f"no answer to method {split_type(struct.unpack('!H', octets[:2])[0])[0]}")

    def request(self, method, attributes=b"", txid=None, fingerprint=False):
        for _ in range(3):
            t = txid or os.urandom(12)
            body = attributes(t) if callable(attributes) else attributes
            if self.key:
                body += attribute(USERNAME, self.user.encode()) + attribute(REALM, self.realm)
                body += attribute(NONCE, self.nonce)
            answer = self.exchange(build(method, REQUEST, body, t, self.key, fingerprint))
            if answer.cls == SUCCESS:
                if self.key:
                    assert answer.signed_by(self.key), "success without right integrity"
                return answer
            if answer.code == 401 and self.key or answer.code not in (401, 438):
                raise Refused(method, answer.code)
            self.realm, self.nonce = answer.get(REALM), answer.get(NONCE)
            text = self.user.encode() + b":" + self.realm + b":" + self.password.encode()
            self.key = hashlib.md5(text).digest()
        raise Refused(method, answer.code)

    def binding(self):
        a = self.exchange(build(BINDING, REQUEST, fingerprint=True))
        return read_xor_address(a.get(XOR_MAPPED), a.txid)

    def allocate(self, family=None, extra=b"", lifetime=None):
        body = attribute(REQUESTED_TRANSPORT, b"\x11\0\0\0") + extra
        if family:
            body += attribute(REQUESTED_FAMILY, bytes([1 if family == 4 else 2, 0, 0, 0]))
        if lifetime is not None:
            body += attribute(LIFETIME, struct.pack("!I", lifetime))
        a = self.request(ALLOCATE, body)
        self.relayed = read_xor_address(a.get(XOR_RELAYED), a.txid)
        self.mapped = read_xor_address(a.get(XOR_MAPPED), a.txid)
        return a

    def refresh(self, lifetime=None):
        return self.request(REFRESH, b"" if lifetime is None else attribute(LIFETIME, struct.pack("!I", lifetime)))

    def permit(self, *hosts):
        return self.request(
            CREATE_PERMISSION, lambda t: b"".join(attribute(XOR_PEER, xor_address(h, 0, t)) for h in hosts)
        )

    def bind(self, number, peer):
        return self.request(
            CHANNEL_BIND,
            lambda t: attribute(CHANNEL_NUMBER, struct.pack("!HH", number, 0)) + attribute(XOR_PEER, xor_address(*peer, t)),
        )

    def send(self, peer, data, extra=b""):
        t = os.urandom(12)
        body = attribute(XOR_PEER, xor_address(*peer, t)) + attribute(DATA_ATTR, data) + extra
        self.sock.send(build(SEND, INDICATION, body, t))

    def channel(self, number, data, padding=b""):
        self.sock.send(struct.pack("!HH", number, len(data)) + data + padding)

    def media(self, timeout=2.0):
        """The next datagram from a peer: (peer or channel number, data), or None."""
        got = self.receive(timeout)
        if got is None:
            return None
        if got[0] == "channel":
            return got[1], got[2]
        m = got[1]
        assert (m.method, m.cls) == (DATA, INDICATION), "a Data indication was expected"
        return read_xor_address(m.get(XOR_PEER), m.txid), m.get(DATA_ATTR)


def udp(host, port=0):
    """A peer's plain socket, fragmenting freely."""
    six = ":" in host
    s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    s.setsockopt(*((socket.IPPROTO_IPV6, 23, 0) if six else (socket.IPPROTO_IP, 10, 0)))
    s.bind((host, port))
    s.settimeout(2.0)
    return s
