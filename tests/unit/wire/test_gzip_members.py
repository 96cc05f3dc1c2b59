"""A gzip body of very many members costs no more than a body of one."""

from __future__ import annotations

import gzip

import pytest

from touchline.errors import RemoteProtocolError
from touchline.wire.gzip import TooLarge, inflate

EMPTY = gzip.compress(b"", mtime=0)


def test_members_are_joined_up_to_a_number() -> None:
    assert inflate(gzip.compress(b"ab", mtime=0) * 1000, 2000) == b"ab" * 1000
    with pytest.raises(RemoteProtocolError, match="members"):
        inflate(EMPTY * 100_000, 10)


def test_members_of_every_length_and_place() -> None:
    """Whatever ends at the edge of what zlib is given at a time."""
    for size in (0, 1, 65_535, 65_536, 200_000):
        data = bytes(number * 7 % 256 for number in range(size))
        stored = gzip.compress(data, 0, mtime=0)
        for more in (b"", EMPTY, stored):
            expected = data if more is not stored else data + data
            assert inflate(stored + more, len(expected)) == expected
            if expected:
                with pytest.raises(TooLarge):
                    inflate(stored + more, len(expected) - 1)
        with pytest.raises(RemoteProtocolError):
            inflate(stored + EMPTY[:-1], size)
