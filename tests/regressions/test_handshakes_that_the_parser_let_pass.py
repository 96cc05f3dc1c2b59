"""An upgrade by HTTP/1.0 was taken; white space behind a value made it another one; a client of another version was not
told which one is spoken.

HTTP's parser accepts the first and leaves the second; both are the hub's to judge (RFC 6455, 4.2.1; RFC 9110, 5.5). The
third is RFC 6455, 4.4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.hubs import Hub, read_until, status_of
from integration.websockets import handshake

PATH = "/hub/v1/ws?subject=none"


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[bytes, bytes], bytes]]:
    """The head of the answer to the usual handshake with some bytes of it replaced."""
    directory: Path = tmp_path_factory.mktemp("hub")
    with Hub(directory) as hub:

        def ask(old: bytes, new: bytes) -> bytes:
            with hub.connect() as plain:
                plain.sendall(handshake(PATH, key=hub.admin_key).replace(old, new, 1))
                return read_until(plain, b"\r\n\r\n").lower().replace(b"http/1.1", b"HTTP/1.1")

        yield ask


@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0"])
def test_other_versions_of_http(answer: Callable[[bytes, bytes], bytes], version: bytes) -> None:
    assert status_of(answer(b"HTTP/1.1", version)) == 400


@pytest.mark.parametrize("blanks", [b" ", b"\t", b" \t "])
@pytest.mark.parametrize("value", [b"Upgrade: websocket", b"Connection: Upgrade", b"Version: 13"])
def test_white_space_behind_a_value(answer: Callable[[bytes, bytes], bytes], value: bytes, blanks: bytes) -> None:
    assert status_of(answer(value + b"\r\n", value + blanks + b"\r\n")) == 101


def test_another_version_of_websocket(answer: Callable[[bytes, bytes], bytes]) -> None:
    head = answer(b"Version: 13", b"Version: 8")
    assert status_of(head) == 400
    assert b"\r\nsec-websocket-version: 13\r\n" in head
