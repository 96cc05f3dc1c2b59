"""What waits at a connection can be asked when its socket has just been closed.

A timer asked it of a connection that had ended a moment before; that raised, and the hub's log had an error for a
client that had only gone away.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from touchline.server.sockets import untaken_bytes


class Ended(asyncio.Transport):
    """A transport whose socket is closed, with bytes that were never sent."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        plain = socket.socket()
        plain.close()
        return plain

    def get_write_buffer_size(self) -> int:
        return 7


def test_a_socket_that_is_closed_holds_nothing() -> None:
    assert untaken_bytes(Ended()) == 7
