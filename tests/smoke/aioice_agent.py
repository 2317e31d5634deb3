#!/usr/bin/python3
"""The other side of a turnpike-agent, by aioice: reads and writes its one-line descriptions.

aioice_agent.py (offer|answer) LOCAL REMOTE [TURN_HOST TURN_PORT]

Sends twenty lines, wants twenty; prints the path it selected and the time from the moment the other
side's description was there; exit status 0 if all came. LINES=0 in the environment: only the path.
"""
import asyncio
import os
import time
import sys
import zlib

import aioice

COUNT = int(os.environ.get("LINES", "20"))


def describe(connection):
    words = [f"ice1 ice2 stream=0,1,{connection.local_username},{connection.local_password}"]
    for c in connection.local_candidates:
        word = f"c={c.foundation},{c.component},udp,{c.type},{c.priority},{c.host},{c.port}"
        if c.related_address:
            word += f",{c.related_address},{c.related_port}"
        words.append(word)
    text = " ".join(words + ["end"])
    return f"{text} #{zlib.crc32(text.encode()):08x}\n"


async def understand(connection, text):
    for word in text.split():
        kind, _, rest = word.partition("=")
        if kind == "stream":
            _, _, connection.remote_username, connection.remote_password = rest.split(",")
        elif word == "lite":
            connection.remote_is_lite = True
        elif kind == "c":
            foundation, component, protocol, what, priority, host, port, *related = rest.split(",")
            if protocol == "udp":
                await connection.add_remote_candidate(aioice.Candidate(
                    foundation=foundation, component=int(component), transport="udp",
                    priority=int(priority), host=host, port=int(port), type=what,
                    related_address=related[0] if related else None,
                    related_port=int(related[1]) if related else None))
    await connection.add_remote_candidate(None)


async def main(role, local, remote, turn):
    connection = aioice.Connection(
        ice_controlling=role == "offer", use_ipv6=False,
        **({"turn_server": turn, "turn_username": "alice", "turn_password": "secret"} if turn else {}),
        **({"stun_server": turn} if os.environ.get("STUN") else {}))
    await connection.gather_candidates()
    with open(local + ".new", "w") as f:
        f.write(describe(connection))
    os.rename(local + ".new", local)
    while not os.path.exists(remote):
        await asyncio.sleep(0.02)
    told = time.monotonic()
    await understand(connection, open(remote).read())
    await connection.connect()
    pair = connection._nominated[1]
    print("selected", pair.local_candidate.type, pair.remote_candidate.type, "after",
          round((time.monotonic() - told) * 1000), "ms", flush=True)
    got = set()

    async def listen():
        while len(got) < COUNT:
            data = await connection.recv()
            if data[:2] == b"\xf5\x00":  # a line of turnpike-agent's
                got.add(data[8:])

    listener = asyncio.ensure_future(listen())
    for i in range(COUNT):
        await connection.send(b"aioice %d" % (i + 1))
        await asyncio.sleep(0.05)
    try:
        await asyncio.wait_for(listener, 10)
    except asyncio.TimeoutError:
        sys.exit(f"heard only {sorted(got)}")
    await asyncio.sleep(0 if COUNT else 0.5)
    await connection.close()


role, local, remote, *turn = sys.argv[1:]
asyncio.run(main(role, local, remote, (turn[0], int(turn[1])) if turn else None))
