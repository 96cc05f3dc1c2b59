"""An answer leaves in one write when the application has all of it."""

from __future__ import annotations

from touchline.server.connection import _Joining


class _Transport:
    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def test_a_head_waits_for_its_body() -> None:
    transport = _Transport()
    joining = _Joining(transport)  # type: ignore[arg-type]
    joining.begin()
    joining.write(b"head")
    assert transport.writes == []
    joining.write(b"body")
    joining.write(b"more")
    assert transport.writes == [b"headbody", b"more"]


def test_an_answer_that_goes_on_is_written_as_it_comes() -> None:
    transport = _Transport()
    joining = _Joining(transport)  # type: ignore[arg-type]
    joining.write(b"head")
    joining.write(b"body")
    assert transport.writes == [b"head", b"body"]


def test_an_empty_body_takes_the_head_along() -> None:
    transport = _Transport()
    joining = _Joining(transport)  # type: ignore[arg-type]
    joining.begin()
    joining.write(b"head")
    joining.write(b"")
    assert transport.writes == [b"head"]


def test_closing_is_the_transports() -> None:
    transport = _Transport()
    joining = _Joining(transport)  # type: ignore[arg-type]
    assert not joining.is_closing()
    joining.close()
    assert joining.is_closing()
    assert transport.closed
