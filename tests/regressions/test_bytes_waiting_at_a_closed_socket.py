"""What waits at a connection can be asked when its socket has just been closed.

A timer asked it of a connection whose client had reset it a moment before; that raised, and the hub's log had an error
for a client that had only gone away.
"""

from __future__ import annotations

import asyncio
import socket
import struct

import uvloop

from touchline.server.sockets import untaken_bytes

_RESET = struct.pack("ii", 1, 0)


def test_a_socket_that_is_closed_holds_nothing() -> None:
    async def ask() -> tuple[int, int]:
        served: asyncio.Future[asyncio.Transport] = asyncio.get_running_loop().create_future()

        class Peer(asyncio.Protocol):
            def __init__(self) -> None:
                self.lost = asyncio.Event()

            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                assert isinstance(transport, asyncio.Transport)
                served.set_result(transport)

            def connection_lost(self, error: Exception | None) -> None:
                self.lost.set()

        peer = Peer()
        server = await asyncio.get_running_loop().create_server(lambda: peer, "127.0.0.1", 0)
        client = socket.create_connection(server.sockets[0].getsockname())
        transport = await served
        transport.write(b"x" * 100)
        before = untaken_bytes(transport)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        client.close()
        await peer.lost.wait()
        for _ in range(3):  # the loop lets go of the socket after it has said so
            await asyncio.sleep(0)
        assert transport.get_extra_info("socket").fileno() == -1
        after = untaken_bytes(transport)
        server.close()
        return before, after

    before, after = uvloop.run(ask())
    assert 0 <= before <= 100
    assert after == 0
