"""aioice's TURN client, an independent implementation, relays through the server both ways.

usage: aioice_client.py SERVER PORT USER PASSWORD PEER_HOST"""

import asyncio
import os
import sys

try:
    from aioice import turn
except ImportError:
    print("aioice is not installed")
    sys.exit(77)

server, port, user, password, host = sys.argv[1], int(sys.argv[2]), *sys.argv[3:6]


class Client(asyncio.DatagramProtocol):
    def __init__(self):
        self.got = asyncio.Queue()

    def datagram_received(self, data, addr):
        self.got.put_nowait((data, addr))


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.transport.sendto(data[::-1], addr)


async def main():
    loop = asyncio.get_running_loop()
    echo, _ = await loop.create_datagram_endpoint(Echo, local_addr=(host, 0))
    peer = echo.get_extra_info("sockname")[:2]
    relay, client = await turn.create_turn_endpoint(
        Client, server_addr=(server, port), username=user, password=password, lifetime=600
    )
    for i in range(50):
        data = os.urandom(20 + 20 * i)
        relay.sendto(data, peer)
        got, addr = await asyncio.wait_for(client.got.get(), 3)
        assert (got, tuple(addr[:2])) == (data[::-1], peer), f"datagram {i} differs"
    print("aioice: 50 datagrams there and back, relayed at", relay.get_extra_info("sockname"))
    relay.close()
    echo.close()
    await asyncio.sleep(0.2)
    try:
        await turn.create_turn_endpoint(Client, server_addr=(server, port), username=user, password=password + "x")
    except Exception as error:
        print("aioice: wrong password refused:", error)
    else:
        sys.exit("aioice: a wrong password was accepted")


asyncio.run(main())
