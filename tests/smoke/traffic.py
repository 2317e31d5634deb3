#!/usr/bin/env python3
"""Small traffic for smoke tests. Each command says what it saw and exits 0 if all was well.

  echo ADDRESS PORT              answers UDP for ever
  ask ADDRESS PORT COUNT         one question from a fresh socket each, like a DNS client
  refused ADDRESS PORT...        sends to each port and waits: 1 if an ICMP error comes back
  serve ADDRESS PORT             TCP: sends back what it reads, for ever
  talk ADDRESS PORT OCTETS SECS  TCP: sends OCTETS spread over SECS, checks what comes back
"""
import os
import select
import socket
import sys
import threading
import time


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def echo(address, port):
    s = socket.socket(family(address), socket.SOCK_DGRAM)
    s.bind((address, int(port)))
    print("ready", flush=True)
    while True:
        data, source = s.recvfrom(65535)
        s.sendto(data, source)


def ask(address, port, count):
    answered = refused = 0
    for i in range(int(count)):
        with socket.socket(family(address), socket.SOCK_DGRAM) as s:
            s.settimeout(1)
            s.connect((address, int(port)))
            question = b"%08d" % i + os.urandom(24)
            for _ in range(1):
                try:
                    s.send(question)
                    if s.recv(2048) == question:
                        answered += 1
                except ConnectionRefusedError:
                    refused += 1
                except TimeoutError:
                    pass
        if i - answered - refused > 10:
            break
    print(f"{answered} of {count} answered, {refused} refused")
    return answered == int(count)


def refused(address, *ports):
    bad = []
    sockets = {}
    for port in ports:
        s = socket.socket(family(address), socket.SOCK_DGRAM)
        s.connect((address, int(port)))
        s.send(b"\x80\x60media, or something like it")
        sockets[s] = port
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        ready, _, _ = select.select(list(sockets), [], [], 0.1)
        for s in ready:
            try:
                s.recv(2048)
            except ConnectionRefusedError:
                bad.append(sockets.pop(s))
    print("refused:", bad)
    return not bad


def serve(address, port):
    s = socket.socket(family(address), socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, int(port)))
    s.listen(8)
    print("ready", flush=True)

    def one(c):
        with c:
            while data := c.recv(65536):
                c.sendall(data)

    while True:
        threading.Thread(target=one, args=(s.accept()[0],), daemon=True).start()


def talk(address, port, octets, seconds):
    octets, seconds = int(octets), float(seconds)
    whole = os.urandom(octets)
    got = bytearray()
    s = socket.create_connection((address, int(port)), timeout=20)
    began = time.monotonic()
    sent = 0
    pieces = max(1, int(seconds * 100))
    step = -(-octets // pieces)

    def listen():
        while len(got) < octets:
            data = s.recv(65536)
            if not data:
                break
            got.extend(data)

    reader = threading.Thread(target=listen, daemon=True)
    reader.start()
    while sent < octets:
        s.sendall(whole[sent:sent + step])
        sent += step
        rest = began + seconds * sent / octets - time.monotonic()
        if rest > 0:
            time.sleep(rest)
    reader.join(20)
    same = bytes(got) == whole
    print(f"{len(got)} of {octets} octets in {time.monotonic() - began:.2f} s, "
          f"{'same' if same else 'DIFFERENT'}")
    return same


if __name__ == "__main__":
    command = {f.__name__: f for f in (echo, ask, refused, serve, talk)}.get(
        sys.argv[1] if len(sys.argv) > 1 else "")
    if command is None:
        sys.exit(__doc__)
    sys.exit(0 if command(*sys.argv[2:]) else 1)
