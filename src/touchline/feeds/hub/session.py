"""The native WebSocket session: ``/hub/v1/ws``, subprotocol ``cloudevents.json`` (CloudEvents WebSockets Binding, 2).

One CloudEvent per text frame. The query is the subscription: ``feed``, ``subject``, ``type`` (each may repeat) and
``after``, a position; without it only live events come. A position that cannot be continued from is answered by a
``hub.gap`` message that says where reading can go on, then the session ends: nothing is skipped silently. Messages from
the client are ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from touchline.errors import RemoteProtocolError
from touchline.feeds import registry
from touchline.feeds.base import (
    Accept,
    Admission,
    Answer,
    Ask,
    Close,
    EndReason,
    FindAdmission,
    FindPosition,
    Follow,
    Identify,
    Instant,
    PositionView,
    Refuse,
    Wish,
)
from touchline.feeds.hub.selection import presented_key, selector
from touchline.wire import rfc3339
from touchline.wire.http import HttpRequest, problem

PATH: Final = "/hub/v1/ws"
SUBPROTOCOL: Final = "cloudevents.json"

GAP_CLOSE_CODE: Final = 4410
"""Records were missed: read on from a position that the gap message names (OUR CHOICE; 4000-4999 are private use)."""

_CLOSE: Final = {
    EndReason.FINISHED: (1000, "over"),
    EndReason.SHUTDOWN: (1001, "the hub is stopping, come back"),
    EndReason.REVOKED: (1008, "the key is no longer good"),
    EndReason.STALLED: (1013, "no progress, resume later"),
    EndReason.IDLE: (1001, "idle"),
    EndReason.GAP: (GAP_CLOSE_CODE, "gap"),
    EndReason.FAULT: (1011, "internal error"),
}
_ADMISSION, _POSITION = 1, 2
_READ: Final = HttpRequest("GET")
"""In place of a request that was read to its end."""


class HubSession:
    """Sans-I/O server side of one native WebSocket reader (see ``feeds.base.ServerSession``)."""

    def __init__(self, request: HttpRequest, entropy: Callable[[int], bytes], now: Instant) -> None:
        del entropy, now
        self._request = request
        self._admission: Admission | None = None
        self._messages: list[str | bytes] = []
        self._closed = False
        self._waiting_for = _ADMISSION
        self._wishes: list[Wish] = [Ask(_ADMISSION, FindAdmission(presented_key(request)))]

    def told(self, number: int, answer: Answer, now: Instant) -> None:
        """Admission, then position, then the stream; an answer that was not asked for is ignored."""
        if not number or number != self._waiting_for or self._closed:
            return
        self._waiting_for = 0
        if number == _ADMISSION:
            if not isinstance(answer, Admission):
                refusal = problem(401, "Unauthorized", "a good key is needed: Authorization: Bearer <key>")
                self._wishes.append(
                    Refuse(
                        msgspec.structs.replace(
                            refusal, headers=(*refusal.headers, ("www-authenticate", 'Bearer realm="touchline"'))
                        ),
                        failed_login=True,
                    )
                )
                return
            self._admission = answer
            self._waiting_for = _POSITION
            self._wishes.append(Ask(_POSITION, FindPosition(self._request.param("after"))))
        elif isinstance(answer, PositionView) and self._admission is not None:
            self._begin(self._admission, answer, now)

    def _begin(self, admission: Admission, view: PositionView, now: Instant) -> None:
        try:
            chosen = selector(admission, self._request, registry.NAMES)
        except RemoteProtocolError as error:
            self._wishes.append(Refuse(problem(400, "Bad Request", str(error))))
            return
        if view.gone == "invalid":
            self._wishes.append(Refuse(problem(400, "Bad Request", view.detail)))
            return
        self._wishes += [
            Accept(SUBPROTOCOL),
            Identify(admission.partner, key_id=admission.key_id, grants=admission.grants),
        ]
        if view.gone:
            self._messages.append(gap(view, now))
            self.end(EndReason.GAP, now)
        else:
            asked = self._request.param("after") is not None
            self._wishes.append(Follow(1, chosen, view.after if asked else None))
        self._request, self._admission = _READ, None  # its headers are most of what an idle session would hold

    def receive_data(self, data: str | bytes, now: Instant) -> None:
        """Nothing is expected from the client."""

    def end(self, reason: EndReason, now: Instant) -> None:
        """Close with the code of the reason; readers reconnect on any but 1000 and 1008."""
        del now
        if not self._closed:
            self._closed = True
            self._wishes.append(Close(*_CLOSE[reason]))

    def events_received(self) -> list[Wish]:
        """The wishes since the last call."""
        wishes, self._wishes = self._wishes, []
        return wishes

    def data_to_send(self) -> list[str | bytes]:
        """The messages since the last call."""
        messages, self._messages = self._messages, []
        return messages

    def deadline(self) -> float | None:
        """No timers; the shell keeps the socket alive."""
        return None

    def tick(self, now: Instant) -> None:
        """Nothing is due."""

    def drained(self, now: Instant) -> None:
        """Nothing waited for it."""


def gap(view: PositionView, now: Instant) -> bytes:
    """The message that says that records between the asked position and ``oldest`` cannot be had."""
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": f"gap-{view.head}",
            "source": "/hub",
            "type": "hub.gap",
            "subject": "gap",
            "time": rfc3339.encode(now.wall_ns),
            "data": {"reason": view.gone, "detail": view.detail, "oldest": view.oldest, "head": view.head},
        }
    )
