"""A call that goes on beside whatever else a test does: ChannelData both ways, 50 packets a second
each, over IPv4, counted.

usage: call.py SERVER PEER FLAG [refresh]
FLAG exists while the call stands; it ends when FLAG is taken away. Prints one line of JSON; exits 1 if
anything was lost. With `refresh`, the allocation is refreshed every second, unanswered ones counted."""

import json
import os
import sys
import time

from turn import LIFETIME, REFRESH, Client, attribute, udp

server, host, flag = sys.argv[1:4]
refreshing = "refresh" in sys.argv[4:]
RATE = 50

peer = udp(host)
client = Client((server, 3478))
client.allocate()
client.bind(0x4001, peer.getsockname()[:2])
open(flag, "w").close()
seen = [{}, {}]
sent = 0
refused = answered = asked = 0
peer.setblocking(False)
client.sock.setblocking(False)


def drain():
    global refused, answered
    now = time.monotonic()
    for s, box in ((peer, seen[0]), (client.sock, seen[1])):
        while True:
            try:
                octets = s.recv(2048)
            except (BlockingIOError, ConnectionRefusedError):
                break
            if box is seen[1] and octets[0] != 0x40:
                answered += octets[0] == 1 and octets[1] == 4  # Refresh, success
                refused += octets[0] == 1 and octets[1] == 0x14
                continue
            body = octets if box is seen[0] else octets[4:]
            number = int(body[:8])
            box[number] = box.get(number, 0) + 1
            times[number] = max(times.get(number, 0), now)


times = {}
began = time.monotonic()
at = began
beat = began + 1
stamps = []
while os.path.exists(flag):
    body = b"%08d" % sent + bytes(92)
    client.channel(0x4001, body)
    peer.sendto(body, client.relayed)
    stamps.append(time.monotonic())
    sent += 1
    if refreshing and time.monotonic() >= beat:
        from turn import NONCE, REALM, REQUEST, USERNAME, build

        head = attribute(LIFETIME, b"\0\0\2\x58") + attribute(USERNAME, client.user.encode())
        head += attribute(REALM, client.realm) + attribute(NONCE, client.nonce)
        client.sock.send(build(REFRESH, REQUEST, head, None, client.key))
        asked += 1
        beat += 1
    at += 1 / RATE
    while (left := at - time.monotonic()) > 0:
        time.sleep(min(left, 0.005))
        drain()
    drain()
time.sleep(0.4)
drain()
lost = [[n for n in range(sent) if n not in box] for box in seen]
gap = max((max(l) - min(l) + 1 for l in lost if l), default=0) / RATE
result = {
    "seconds": round(time.monotonic() - began, 1),
    "sent": sent,
    "lost_to_peer": len(lost[0]),
    "lost_to_client": len(lost[1]),
    "twice": sum(v > 1 for box in seen for v in box.values()),
    "longest_s": round(gap, 2),
    "refreshes": asked,
    "refreshed": answered,
    "refused": refused,
}
print(json.dumps(result), flush=True)
client.sock.settimeout(2)
try:
    client.refresh(0)
except (TimeoutError, Exception) as e:
    print("the end was not answered:", e)
sys.exit(lost[0] != [] or lost[1] != [] or result["twice"] > 0)
