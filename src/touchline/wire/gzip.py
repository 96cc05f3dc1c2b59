"""Bounded inflating of gzip bodies: a small body must not become a large one."""

from __future__ import annotations

import zlib
from typing import Final

from touchline.errors import RemoteProtocolError

_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS
_GZIP: Final = 16 + zlib.MAX_WBITS
_PIECE_BYTES: Final = 64 * 1024
"""Given to zlib at a time: of what it does not use of a piece it makes a copy, once for every member."""
_MAX_MEMBERS: Final = 4096


class TooLarge(RemoteProtocolError):
    """The inflated body would exceed the limit."""


def inflate(data: bytes, limit_bytes: int) -> bytes:
    """The content of one gzip (or zlib) stream, of at most ``limit_bytes``; several gzip members are joined.

    Raises:
        TooLarge: the content is larger; nothing beyond the limit was inflated.
        RemoteProtocolError: not gzip, truncated, or followed by something else.
    """
    if len(data) <= _PIECE_BYTES:
        stream = zlib.decompressobj(_GZIP_OR_ZLIB)
        try:
            content = stream.decompress(data, limit_bytes + 1)
        except zlib.error as error:
            raise RemoteProtocolError(f"the body is not gzip: {error}") from None
        if len(content) > limit_bytes:
            raise _too_large(limit_bytes)
        if stream.eof and not stream.unused_data:
            return content  # one member in one piece, as nearly every body is
    return _inflate_members(data, limit_bytes)


def _inflate_members(data: bytes, limit_bytes: int) -> bytes:
    """The same, member by member and piece by piece."""
    parts: list[bytes] = []
    left = limit_bytes
    rest = memoryview(data)
    for _ in range(_MAX_MEMBERS):
        if not rest:
            return b"".join(parts)
        stream = zlib.decompressobj(_GZIP_OR_ZLIB)
        while not stream.eof:
            if not rest:
                raise RemoteProtocolError("the gzip body is truncated")
            piece, rest = rest[:_PIECE_BYTES], rest[_PIECE_BYTES:]
            try:
                parts.append(stream.decompress(piece, left + 1))
            except zlib.error as error:
                raise RemoteProtocolError(f"the body is not gzip: {error}") from None
            left -= len(parts[-1])
            if left < 0:
                raise _too_large(limit_bytes)
        rest = memoryview(data)[len(data) - len(rest) - len(stream.unused_data) :]
    if rest:
        raise RemoteProtocolError(f"the body has more than {_MAX_MEMBERS} gzip members")
    return b"".join(parts)


def _too_large(limit_bytes: int) -> TooLarge:
    return TooLarge(f"the inflated body is larger than {limit_bytes} bytes")


def deflate(data: bytes, level: int = 6) -> bytes:
    """``data`` as one gzip member without name or time, so that equal input gives equal output."""
    stream = zlib.compressobj(level, zlib.DEFLATED, _GZIP)
    return stream.compress(data) + stream.flush()
