#!/usr/bin/env python3
"""A forwarder that swaps MAC addresses and sends everything back where it came from: swapper.py DEVICE."""
import socket
import sys

ETH_P_ALL, SOL_PACKET, PACKET_IGNORE_OUTGOING = 3, 263, 23
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
s.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
s.bind((sys.argv[1], 0))
print("ready", flush=True)
while True:
    frame = s.recv(65536)
    if frame[12:14] in (b"\x08\x00", b"\x86\xdd") and not frame[0] & 1:
        s.send(frame[6:12] + frame[0:6] + frame[12:])
