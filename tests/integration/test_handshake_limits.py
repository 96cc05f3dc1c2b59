"""How long a WebSocket handshake may be, line by line, and that it has no body."""

from __future__ import annotations

import pytest

from .hubs import Hub, read_until, status_of
from .websockets import handshake

LINE_BYTES = 8192
"""What the ``websockets`` library reads of a line, its end included."""
HEADERS = 128
END = b"\r\n\r\n"


def answer(hub: Hub, path: str = "/hub/v1/ws?subject=none", more: bytes = b"") -> int:
    """The status of the answer to a handshake with more headers."""
    head = handshake(path, key=hub.admin_key)
    assert head.endswith(END)
    with hub.connect() as plain:
        plain.sendall(head[:-2] + more + b"\r\n")
        return status_of(read_until(plain, END))


def padded(size: int) -> bytes:
    """A header line of so many bytes, its end included."""
    return b"X-Pad: " + b"a" * (size - len("X-Pad: \r\n")) + b"\r\n"


@pytest.mark.parametrize(("size", "status"), [(LINE_BYTES - 1, 101), (LINE_BYTES, 101), (LINE_BYTES + 1, 400)])
def test_a_line_of_the_longest_kind(hub: Hub, size: int, status: int) -> None:
    assert answer(hub, more=padded(size)) == status


def test_a_head_may_be_longer_than_a_line(hub: Hub) -> None:
    assert answer(hub, more=padded(6000) * 3) == 101


def test_a_request_line_that_is_too_long(hub: Hub) -> None:
    assert answer(hub, "/hub/v1/ws?subject=" + "a" * 7000) == 101
    assert answer(hub, "/hub/v1/ws?subject=" + "a" * LINE_BYTES) == 400


def test_how_many_headers_there_may_be(hub: Hub) -> None:
    had = handshake("/", key=hub.admin_key).count(b"\r\n") - 2
    assert answer(hub, more=b"X-Pad: a\r\n" * (HEADERS - had)) == 101
    assert answer(hub, more=b"X-Pad: a\r\n" * (HEADERS - had + 1)) == 400


def test_a_handshake_has_no_body(hub: Hub) -> None:
    assert answer(hub, more=b"Content-Length: 0\r\n") == 101
    assert answer(hub, more=b"Content-Length: 5\r\n") == 400
    assert answer(hub, more=b"Transfer-Encoding: chunked\r\n") == 400
