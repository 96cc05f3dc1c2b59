"""A broadcast by ``websockets.broadcast`` as its documentation writes it. Usage: websockets_server PORT CONTROL."""

from __future__ import annotations

import asyncio
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

CONNECTIONS: set[ServerConnection] = set()


async def _session(connection: ServerConnection) -> None:
    CONNECTIONS.add(connection)
    try:
        await connection.wait_closed()
    finally:
        CONNECTIONS.remove(connection)


async def _control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        broadcast(CONNECTIONS, line.decode().rstrip())
    writer.close()


async def main() -> None:
    """Serve until it is ended."""
    async with (
        serve(_session, "127.0.0.1", int(sys.argv[1]), compression=None),
        await asyncio.start_server(_control, "127.0.0.1", int(sys.argv[2])),
    ):
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    uvloop.run(main())
