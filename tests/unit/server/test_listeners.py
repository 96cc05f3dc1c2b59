"""Connections that wait at the listener are taken many at a time: a turn may be long when thousands come."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import uvloop

from touchline.server import config
from touchline.server.app import bind

COUNT = 64
TURNS = 16
"""One connection a turn, as libuv takes them from one listener, would need ``COUNT``."""


async def turns_until_all_are_taken(listeners: list[socket.socket]) -> int:
    made: list[asyncio.BaseTransport] = []

    class Made(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.append(transport)

    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(Made, sock=one, backlog=COUNT) for one in listeners]
    address = listeners[0].getsockname()
    clients = [socket.create_connection(address, timeout=5) for _ in range(COUNT)]
    turns = 0
    try:
        async with asyncio.timeout(20):
            while len(made) < COUNT:
                await asyncio.sleep(0)
                turns += 1
    finally:
        for server in servers:
            server.close()
        for transport in made:
            transport.abort()
        for client in clients:
            client.close()
        await asyncio.sleep(0.01)
    return turns


def test_connections_that_wait_are_taken_in_a_few_turns(tmp_path: Path) -> None:
    listeners = bind(config.load({"port": 0}, {}, tmp_path))
    assert len({one.getsockname() for one in listeners}) == 1
    assert uvloop.run(turns_until_all_are_taken(listeners)) <= TURNS


def test_of_one_listener_they_are_taken_one_by_one(tmp_path: Path) -> None:
    """Why there are several. When this fails, uvloop takes more at a time itself, and one is enough."""
    first, *others = bind(config.load({"port": 0}, {}, tmp_path))
    for other in others:
        other.close()
    assert uvloop.run(turns_until_all_are_taken([first])) > TURNS
