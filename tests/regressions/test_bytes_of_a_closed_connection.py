"""A timer of an HTTP connection asked how much its closed socket holds, and the loop logged an error for it."""

from __future__ import annotations

import asyncio
import socket

from touchline.server.sockets import untaken_bytes


class Closed(asyncio.Transport):
    """A transport as the loop leaves it: it still names its socket, which has no number any more."""

    def __init__(self) -> None:
        super().__init__({"socket": socket.socket()})
        self.get_extra_info("socket").close()

    def get_write_buffer_size(self) -> int:
        return 7


def test_a_closed_connection_can_be_asked() -> None:
    assert untaken_bytes(Closed()) == 7
