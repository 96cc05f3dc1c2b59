"""A WebSocket client that can also do what no library lets one do."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from typing import Any, Self

from .hubs import Hub, read_until

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, 1.3
TEXT, BINARY, CONT, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


def handshake(path: str, *more: str, key: str | None = None, host: str = "h") -> bytes:
    """The bytes of an upgrade request; ``more`` are further header lines."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {KEY}",
        *more,
    ]
    if key is not None:
        lines.append(f"Authorization: Bearer {key}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def frame(
    opcode: int, data: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bool = True, length: int = -1
) -> bytes:
    """One frame; ``length`` other than the data's own is a lie."""
    said = len(data) if length < 0 else length
    head = bytes([(fin << 7) | (rsv << 4) | opcode])
    bit = 0x80 if mask else 0
    if said < 126:
        head += bytes([bit | said])
    elif said < 1 << 16:
        head += bytes([bit | 126]) + struct.pack("!H", said)
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", said)
    if not mask:
        return head + data
    key = os.urandom(4)
    return head + key + bytes(byte ^ key[index % 4] for index, byte in enumerate(data))


BROKEN_FRAMES = [
    (frame(TEXT, b"x", mask=False), 1002),
    (frame(3, b"x"), 1002),
    (frame(11), 1002),
    (frame(TEXT, b"x", rsv=1), 1002),
    (frame(TEXT, b"x", rsv=4), 1002),
    (frame(PING, b"x", fin=False), 1002),
    (frame(PING, b"x" * 126), 1002),
    (frame(CONT, b"x"), 1002),
    (frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), 1002),
    (frame(BINARY, length=1 << 62), 1009),
    (frame(BINARY, length=(1 << 64) - 1), 1009),
    (frame(BINARY, length=70_000), 1009),
    (frame(TEXT, b"x" * 40_000, fin=False) + frame(CONT, b"x" * 40_000), 1009),
    (frame(TEXT, b"\xff"), 1007),
    (frame(TEXT, b"\xed\xa0\x80"), 1007),
    (frame(TEXT, b"\xf0\x9f", fin=False) + frame(CONT, b"\x98x"), 1007),
    (frame(TEXT, b"\xf0\x9f"), 1007),
    (frame(CLOSE, b"x"), 1002),
    (frame(CLOSE, struct.pack("!H", 1005)), 1002),
    (frame(CLOSE, struct.pack("!H", 999)), 1002),
    (frame(CLOSE, struct.pack("!H", 1000) + b"\xff"), 1007),
]
"""What RFC 6455 forbids, and the code with which the hub closes then."""


class Client:
    """An open connection. ``receive`` gives (opcode, data) frame by frame, None when the hub has closed."""

    def __init__(
        self,
        hub: Hub,
        path: str,
        *more: str,
        key: str | None = None,
        behind: bytes = b"",
        receive_buffer: int | None = None,
    ) -> None:
        self.plain = hub.connect(receive_buffer=receive_buffer)
        with contextlib.ExitStack() as stack:
            stack.callback(self.plain.close)
            self.plain.sendall(handshake(path, *more, key=key) + behind)
            got = read_until(self.plain, b"\r\n\r\n")
            self.head, _, self._got = got.partition(b"\r\n\r\n")
            assert self.head.startswith(b"HTTP/1.1 101 "), got
            assert ACCEPT in self.head
            stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.plain.close()

    def send(self, data: bytes) -> None:
        self.plain.sendall(data)

    def send_text(self, text: str) -> None:
        self.send(frame(TEXT, text.encode()))

    def _take(self, count: int) -> bytes | None:
        while len(self._got) < count:
            part = b""
            with contextlib.suppress(ConnectionResetError):
                part = self.plain.recv(1 << 18)
            if not part:
                return None
            self._got += part
        taken, self._got = self._got[:count], self._got[count:]
        return taken

    def receive(self) -> tuple[int, bytes] | None:
        head = self._take(2)
        if head is None:
            return None
        assert head[0] & 0x70 == 0, "no reserved bits"
        assert head[1] & 0x80 == 0, "a server does not mask"
        assert head[0] & 0x80, "the hub's frames are whole messages"
        length = head[1]
        if length == 126:
            (length,) = struct.unpack("!H", self._take(2) or b"")
        elif length == 127:
            (length,) = struct.unpack("!Q", self._take(8) or b"")
        data = self._take(length)
        return None if data is None else (head[0] & 15, data)

    def event(self) -> dict[str, Any]:
        """The next message, as JSON; pings are passed over."""
        while True:
            got = self.receive()
            assert got is not None, "closed"
            opcode, data = got
            if opcode == PING:
                continue
            assert opcode == TEXT, got
            value: dict[str, Any] = json.loads(data)
            return value

    def closed(self) -> int | None:
        """The code of the close that comes, after whatever else comes; None when there is none."""
        code = None
        while True:
            got = self.receive()
            if got is None:
                return code
            if got[0] == CLOSE:
                code = struct.unpack("!H", got[1][:2])[0]
                with contextlib.suppress(OSError):
                    self.send(frame(CLOSE, got[1][:2]))

    def reset(self) -> None:
        """Go away without a word."""
        self.plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.plain.close()
