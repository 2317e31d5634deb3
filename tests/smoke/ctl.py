#!/usr/bin/env python3
"""Clients for ctl.sh.

  ctl.py stream SERVER PEER SECONDS FILE   50 packets a second each way over a channel; FILE exists
                                           while it runs; prints sent and received; 1 if any is lost
  ctl.py allocate SERVER USER PASSWORD     exit status 0, or the error code printed and 1
  ctl.py hold SERVER USER PASSWORD FILE    allocates, then FILE; refreshes when FILE is gone
  ctl.py manager PATH                      a service manager: prints what it is told until STOPPING
  ctl.py abuse SOCKET WHAT                 garbage | half | long | crowd | slow
"""

import os
import socket
import sys
import time

import turn

STATUS = b'{"jsonrpc":"2.0","id":1,"method":"status"}\n'
COUNTERS = b'{"jsonrpc":"2.0","id":1,"method":"show counters"}\n'


def touch(path):
    with open(path, "w"):
        pass


def stream(server, peer_host, seconds, flag):
    peer = turn.udp(peer_host)
    client = turn.Client((server, 3478))
    client.allocate()
    client.bind(0x4001, peer.getsockname()[:2])
    touch(flag)
    sent = to_peer = to_client = 0
    seen = [set(), set()]
    peer.setblocking(False)
    client.sock.setblocking(False)
    end = time.monotonic() + float(seconds)

    def drain():
        try:
            while True:
                seen[0].add(peer.recv(2048))
        except BlockingIOError:
            pass
        try:
            while True:
                octets = client.sock.recv(2048)
                if octets[0] == 0x40:
                    seen[1].add(octets[4:])
        except BlockingIOError:
            pass

    while time.monotonic() < end:
        body = b"%08d" % sent + bytes(92)
        client.channel(0x4001, body)
        peer.sendto(body, client.relayed)
        sent += 1
        time.sleep(0.02)
        drain()
    time.sleep(0.5)
    drain()
    to_peer, to_client = len(seen[0]), len(seen[1])
    print(f"sent {sent} each way, {to_peer} to the peer, {to_client} to the client", flush=True)
    os.unlink(flag)
    client.sock.settimeout(2)
    client.refresh(0)
    return 0 if to_peer == to_client == sent else 1


def allocate(server, user, password):
    client = turn.Client((server, 3478), user, password)
    try:
        client.allocate()
        client.refresh(0)
    except turn.Refused as refused:
        print(refused.code)
        return 1
    return 0


def hold(server, user, password, flag):
    client = turn.Client((server, 3478), user, password)
    client.allocate()
    touch(flag)
    while os.path.exists(flag):
        time.sleep(0.05)
    try:
        client.refresh()
    except turn.Refused as refused:
        print(refused.code)
        return 1
    return 0


def manager(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind(path)
    os.chmod(path, 0o666)
    told = ""
    while "STOPPING=1" not in told:
        told = s.recv(4096).decode()
        print(told, flush=True)
    return 0


def dial(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.connect(path)  # waits while the backlog is full; with a timeout it would fail
    s.settimeout(15)
    return s


def line(s):
    got = b""
    while not got.endswith(b"\n"):
        more = s.recv(65536)
        if not more:
            break
        got += more
    return got


def abuse(path, what):
    s = dial(path)
    if what == "garbage":
        for junk in (b"\0\1\2\xff\xfe\n", b"GET / HTTP/1.1\r\n", b"[[[[[[\n", b"\n"):
            s.sendall(junk)
            assert b'"error"' in line(s), junk
    elif what == "half":
        s.sendall(STATUS[:20])
        other = dial(path)
        other.sendall(STATUS)
        assert b'"result"' in line(other)
        s.sendall(STATUS[20:])
        assert b'"result"' in line(s)
        s.sendall(STATUS[:20])
        s.close()
    elif what == "long":
        try:
            s.sendall(b"a" * (10 << 20))
        except OSError:
            pass
        assert b"65536" in line(s)
        try:
            assert line(s) == b"", "hangs up"
        except ConnectionResetError:
            pass
    elif what == "crowd":
        crowd = [dial(path) for _ in range(1000)]
        s.sendall(STATUS)
        assert b'"result"' in line(s), "who is inside goes on"
        crowd[-1].settimeout(5)
        assert b"busy" in line(crowd[-1]), "who comes late is told"
        for c in crowd:
            c.close()
    elif what == "slow":
        s.setblocking(False)
        sent = 0
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                sent += s.send(COUNTERS)
            except BlockingIOError:
                time.sleep(0.1)
            except (BrokenPipeError, ConnectionResetError):
                assert sent < 4 << 20
                return 0
        raise AssertionError("a reader that never reads is still there")
    else:
        raise SystemExit(__doc__)
    return 0


if __name__ == "__main__":
    commands = {"stream": stream, "allocate": allocate, "hold": hold, "manager": manager, "abuse": abuse}
    sys.exit(commands[sys.argv[1]](*sys.argv[2:]))
