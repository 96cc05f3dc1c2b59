"""The native feed in the consumer role: ``/hub/v1/ws``, subprotocol ``cloudevents.json``, resumed by position. Pure.

Every event carries its ``position``; after a break the role asks to go on after the last one it has handed out. Where
the hub cannot do that it says so with a ``hub.gap`` message, which becomes a Notice ``gap``, and reading goes on from
the oldest position that the hub offers: what was seen may then come again, with the same ids.
"""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec

from touchline.errors import ConfigError
from touchline.feeds.base import ClientSurface, ClientWish, Dice, Instant, Message, Notice, Open
from touchline.wire.backoff import Backoff
from touchline.wire.http import HttpResponse

SUBPROTOCOL: Final = "cloudevents.json"
STEADY_SECONDS: Final = 10.0
_GAP_TYPE: Final = "hub.gap"
_RETRYABLE: Final = frozenset({408, 425, 429})


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Which events of a hub to follow, and after which position; with no position, those from now on."""

    key: Annotated[str, msgspec.Meta(description="an admin key, or a hub partner's key")] = ""
    url: Annotated[str, msgspec.Meta(description="the hub's address")] = "http://127.0.0.1:8080"
    feed: Annotated[tuple[str, ...], msgspec.Meta(description="only events of this feed")] = ()
    subject: Annotated[tuple[str, ...], msgspec.Meta(description="only events of this subject")] = ()
    type: Annotated[tuple[str, ...], msgspec.Meta(description="only events of this type")] = ()
    after: Annotated[str, msgspec.Meta(description="go on after this position; from now on when absent")] = ""

    def __repr__(self) -> str:
        return f"Settings(url={self.url!r}, feed={self.feed!r}, subject={self.subject!r}, type={self.type!r}, key=***)"


class _Envelope(msgspec.Struct):
    type: str
    position: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


_envelope: Final = msgspec.json.Decoder(_Envelope).decode


class HubStream:
    """One native subscription over as many connections as it takes (``ClientRole``)."""

    def __init__(self, settings: Settings, dice: Dice) -> None:
        self.close_reason: str | None = None
        self.position = settings.after
        self._settings = settings
        self._backoff = Backoff(dice)
        self._is_open = False
        self._was_open = False
        self._opened_at = 0.0
        self._wake_at: float | None = None
        self._gap_at: str | None = None
        self._wishes: list[ClientWish] = []

    def begin(self) -> None:
        """Ask for the socket; call once."""
        settings, base = self._settings, urlsplit(self._settings.url.rstrip("/"))
        query = [
            *(("feed", name) for name in settings.feed),
            *(("subject", name) for name in settings.subject),
            *(("type", name) for name in settings.type),
        ]
        if self.position:
            query.append(("after", self.position))
        scheme = "wss" if base.scheme == "https" else "ws"
        url = f"{scheme}://{base.netloc}{base.path}/hub/v1/ws" + (f"?{urlencode(query)}" if query else "")
        headers = (("authorization", f"Bearer {settings.key}"),) if settings.key else ()
        self._wake_at = None
        self._wishes.append(Open(url, headers, (SUBPROTOCOL,)))

    def fetched(self, number: int, response: HttpResponse | None, now: Instant) -> None:
        """Nothing is fetched here."""

    def opened(self, now: Instant) -> None:
        """The WebSocket is open."""
        self._is_open = True
        self._opened_at = now.monotonic
        self._wishes.append(
            Notice("connected", f"{self._settings.url}{' after ' * bool(self.position)}{self.position}")
        )
        if self._was_open and not self.position:
            self._wishes.append(Notice("gap", "no event had come before the break: what came during it is not shown"))
        self._was_open = True

    def receive_data(self, data: str | bytes, now: Instant) -> None:
        """A whole message came: one CloudEvent."""
        del now
        raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
        try:
            raw.decode()
            event = _envelope(raw)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            told = repr(raw[:60].decode("utf-8", "replace"))
            self._wishes.append(Notice("protocol_error", f"not a CloudEvent: {told}; skipped"))
            return
        if event.type == _GAP_TYPE:
            self._take_gap(bytes(event.data))
            return
        if event.position:
            self.position = event.position
            self._backoff.reset()
        self._wishes.append(Message(source=event.type, raw=raw, data=bytes(event.data), resume=event.position))

    def closed(self, code: int | None, reason: str, now: Instant, status: int | None = None) -> None:
        """The WebSocket closed, or its handshake was refused with ``status``."""
        was_open, self._is_open = self._is_open, False
        if was_open and now.monotonic - self._opened_at >= STEADY_SECONDS:
            self._backoff.reset()
        if was_open and code == 1000:
            self._end("finished", f"the hub closed with 1000 {reason}".rstrip())
        elif was_open and code == 1008:
            self._end("refused", f"the hub closed with 1008: {reason or 'the key is no longer good'}")
        elif status is not None and status < 500 and status not in _RETRYABLE:
            self._end("refused", f"the WebSocket handshake was refused with {status}: {reason or 'no reason given'}")
        elif was_open and self._gap_at is not None:
            self.position, self._gap_at = self._gap_at, None
            self._retry(now, "going on after the gap")
        elif was_open:
            self._retry(now, "the line broke" if code in (None, 1006) else f"closed with {code} {reason}".rstrip())
        else:
            answer = "failed" if status is None else f"was answered {status}"
            self._retry(now, f"the WebSocket handshake {answer}: {reason or 'no answer'}")

    def events_received(self) -> list[ClientWish]:
        """The wishes and messages since the last call."""
        wishes, self._wishes = self._wishes, []
        return wishes

    def data_to_send(self) -> list[str | bytes]:
        """Nothing: the subscription stands in the query."""
        return []

    def deadline(self) -> float | None:
        """Monotonic time of the next try, or None."""
        return self._wake_at

    def tick(self, now: Instant, *, is_behind: bool = False) -> None:
        """Time has come: try again."""
        del is_behind
        if self._wake_at is not None and now.monotonic >= self._wake_at:
            self.begin()

    def _take_gap(self, data: bytes) -> None:
        try:
            gap = msgspec.json.decode(data, type=dict[str, Any])
        except (msgspec.MsgspecError, ValueError):
            gap = {}
        self._gap_at = str(gap.get("oldest") or "")
        detail = gap.get("detail") or gap.get("reason") or "the hub cannot go on from there"
        self._wishes.append(Notice("gap", f"{detail}; going on from {self._gap_at or 'now'}"))

    def _retry(self, now: Instant, why: str) -> None:
        wait = self._backoff.next_seconds()
        self._wake_at = now.monotonic + wait
        self._wishes.append(Notice("reconnecting", f"{why}; trying again in {wait:.1f} s"))

    def _end(self, kind: str, reason: str) -> None:
        self.close_reason = reason
        self._wishes.append(Notice(kind, reason))


def connect(settings: Settings, dice: Dice, now: Instant) -> HubStream:
    """A role that has asked for its socket. Raises ConfigError when the URL is no http(s) base URL."""
    del now
    base = urlsplit(settings.url)
    if base.scheme not in ("http", "https") or not base.hostname or base.query:
        raise ConfigError(f"not a hub's address: {settings.url!r}; give one such as http://127.0.0.1:8080")
    role = HubStream(settings, dice)
    role.begin()
    return role


CLIENT: Final = ClientSurface(settings=Settings, connect=connect)
