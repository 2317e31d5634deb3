"""The other side of the join, of another version or out of its mind.

usage: stranger.py control SOCKET VERSION    joins a data plane as control would; prints its answer
       stranger.py dataplane SOCKET VERSION  waits for control as a data plane would; prints nothing"""

import os
import socket
import struct
import sys

MAGIC, OFFER, JOIN, WELCOME, REFUSE = 0x5455524E50494B45, 1, 2, 3, 4
HELLO = struct.Struct("<QHHIQQII88s")
side, path, version = sys.argv[1], sys.argv[2], int(sys.argv[3])


def hello(kind, octets=4096, workers=1):
    return HELLO.pack(MAGIC, version, 0, kind, 7, octets, workers, os.getpid(), b"")


s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
if side == "control":
    s.settimeout(5)
    s.connect(path)
    offer, fds, _, _ = socket.recv_fds(s, 4096, 4)
    fields = HELLO.unpack(offer)
    print("offer of version", fields[1], "with", len(fds), "descriptors")
    memory = os.memfd_create("stranger")
    os.ftruncate(memory, 4096)
    socket.send_fds(s, [hello(JOIN)], [memory])
    answer = s.recv(4096)
    if answer:
        fields = HELLO.unpack(answer)
        print({WELCOME: "welcome", REFUSE: "refused"}[fields[3]], fields[8].split(b"\0")[0].decode())
    print("hung up" if s.recv(4096) == b"" else "more")
else:
    s.bind(path)
    s.listen(4)
    s.settimeout(10)
    print("waiting", flush=True)
    c, _ = s.accept()
    memory = os.memfd_create("stranger")
    os.ftruncate(memory, 4096)
    wake = [os.eventfd(0), os.eventfd(0)]
    socket.send_fds(c, [hello(OFFER)], [memory, *wake])
    c.settimeout(3)
    try:
        print("answered" if c.recv(4096) else "hung up", flush=True)
    except OSError as e:
        print(e)
