"""What became of the last tries at an endpoint: kept for the operator, bounded, and without payloads."""

from __future__ import annotations

from collections import deque
from typing import Final

from touchline.delivery.courier.report import Attempt
from touchline.delivery.courier.transport import Reply

EXCERPT_CHARACTERS: Final = 500
_Kept = tuple[int, str, str, int, str, str, int, int | None, str, str, float, str, bool]
"""The fields of an ``Attempt``."""
_VISIBLE: Final = dict.fromkeys((*range(32), *range(127, 160)), "\N{REPLACEMENT CHARACTER}")


def excerpt(body: bytes) -> str:
    """The beginning of an answer as one line of text that nothing can be hidden in."""
    if not body:
        return ""
    return body[: 4 * EXCERPT_CHARACTERS].decode("utf-8", "replace")[:EXCERPT_CHARACTERS].translate(_VISIBLE)


class Attempts:
    """The last ``most`` attempts; a plain tuple each until somebody looks, as there is one per delivery."""

    __slots__ = ("_kept", "_personal")

    def __init__(self, most: int, *, personal: bool) -> None:
        self._kept: deque[_Kept] = deque(maxlen=most)
        self._personal = personal

    def add(
        self,
        at: int,
        kind: str,
        message_id: str,
        offset: int,
        event_type: str,
        subject: str,
        number: int,
        reply: Reply,
        *,
        replay: bool = False,
    ) -> None:
        """Note one."""
        trouble = "" if reply.trouble is None else reply.trouble.value
        said = "" if self._personal or not reply.body else excerpt(reply.body)
        self._kept.append(
            (at, kind, message_id, offset, event_type, subject, number, reply.status, trouble, reply.detail,
             reply.seconds, said, replay)
        )  # fmt: skip

    def all(self) -> list[Attempt]:
        """Oldest first."""
        return [Attempt(*values) for values in self._kept]
