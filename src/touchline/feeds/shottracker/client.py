"""ShotTracker in the consumer role: token, Live Data V2 socket, pings, resuming. Pure: a shell has socket and clock.

What the role owes its user: every sequenced message once and in order, whatever the line does. It holds the highest seq
it has handed out, asks to go on from there after each break, and drops what it has seen, so that it does not matter
whether the peer reads ``last_seq`` inclusively or exclusively (the provider does not say). A gap that cannot be
avoided is a Notice ``gap``, never silence. A jump in seq is no gap: all sources share one counter and a
subscription may see only some of them (LIVE).

Sections are those of the fact sheet: Event API pages AUTH and LIVE, and the examples page.
"""

from __future__ import annotations

import enum
from typing import Annotated, Final
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from touchline.errors import ConfigError, RemoteProtocolError
from touchline.feeds.base import (
    ClientSurface,
    ClientWish,
    Dice,
    Fetch,
    Hangup,
    Instant,
    Message,
    Notice,
    Open,
)
from touchline.feeds.shottracker import auth
from touchline.wire.backoff import Backoff
from touchline.wire.http import HttpRequest, HttpResponse

PING_SECONDS: Final = 25.0
"""A ping is due at intervals not above 30 s while nothing else arrives (LIVE); 25 leaves the line some time."""
SILENCE_SECONDS: Final = 60.0
"""Two pings without an answer: the peer drops us by then too. OUR CHOICE."""
STEADY_SECONDS: Final = 10.0
"""A connection that held this long was a good one: the next backoff begins small. OUR CHOICE."""
MAX_RETRY_AFTER_SECONDS: Final = 300.0

_PING: Final = '{"action":"ping"}'
_FINISHED: Final = 1000
_POLICY: Final = 1008
_RETRYABLE: Final = frozenset({408, 425, 429})
_OLD_NAMES: Final = {"stats": "boxscorestatsv2"}
"""The older envelope's ``type`` where Live Data V2 has another ``source`` for the same content (sheet 4.1, 9)."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a ShotTracker consumer is told: where, who, which game, which sources, and from which seq to go on."""

    username: Annotated[str, msgspec.Meta(description="the issued username")]
    secret: Annotated[str, msgspec.Meta(description="the issued secret")]
    event_id: Annotated[str, msgspec.Meta(description="the game's event_id", extra={"option": "game"})]
    url: Annotated[str, msgspec.Meta(description="base URL of the hub or the provider")] = "http://127.0.0.1:8080"
    sources: Annotated[
        tuple[str, ...], msgspec.Meta(description="only this data source; all when absent", extra={"option": "source"})
    ] = ()
    summary_level: Annotated[
        str, msgspec.Meta(description="broadcast_summary_level, such as game_stats (source broadcastsummary only)")
    ] = ""
    last_seq: Annotated[int, msgspec.Meta(ge=0, description="go on after this seq; 0 is the start of the game")] = 0
    strict_envelope: Annotated[
        bool, msgspec.Meta(description="refuse messages in the older envelope (type and data, no source)")
    ] = False

    def __repr__(self) -> str:
        return f"Settings(url={self.url!r}, username={self.username!r}, event_id={self.event_id!r}, secret=***)"


class _Frame(msgspec.Struct):
    """Both envelopes: ``seq`` is a string of digits though last_seq is a number (sheet 9); unknown members pass."""

    seq: str | int | None = None
    type: str | None = None
    source: str | None = None
    action: str | None = None
    data: msgspec.Raw = msgspec.Raw()


_frame: Final = msgspec.json.Decoder(_Frame).decode


class _Phase(enum.Enum):
    FETCHING = "waiting for the token"
    OPENING = "waiting for the socket"
    OPEN = "receiving"
    HANGING = "waiting for the socket to close"
    WAITING = "waiting to try again"
    ENDED = "ended"


class ShotTrackerClient:
    """One subscription to one game, over as many connections as it takes (``ClientRole``)."""

    def __init__(self, settings: Settings, dice: Dice) -> None:
        self.close_reason: str | None = None
        self.last_seq = settings.last_seq
        self._settings = settings
        self._base = urlsplit(settings.url.rstrip("/"))
        self._backoff = Backoff(dice)
        self._phase = _Phase.WAITING
        self._token = ""
        self._fetches = 0
        self._restarting = False
        self._renewed = False
        self._opened_at = self._received_at = self._ping_at = self._wake_at = 0.0
        self._wishes: list[ClientWish] = []
        self._sends: list[str | bytes] = []

    def begin(self, now: Instant) -> None:
        """Ask for the token; call once."""
        self._fetch(now)

    # what the shell reports

    def fetched(self, number: int, response: HttpResponse | None, now: Instant) -> None:
        """The answer to Fetch ``number``; None when there was none."""
        if self._phase is not _Phase.FETCHING or number != self._fetches:
            return
        if response is None:
            self._retry(now, "no answer to _subscribe")
        elif response.status == 200:
            token = _find_token(response.body)
            if token is None:
                self._retry(now, f"_subscribe answered 200 without a token: {_elide(response.body)}")
            else:
                self._token = token
                self._open()
        elif response.status >= 500 or response.status in _RETRYABLE:
            wait = _retry_after_seconds(response)
            self._retry(now, f"_subscribe answered {response.status}", min(wait, MAX_RETRY_AFTER_SECONDS))
        else:
            self._refuse(_explain(response, self._settings.event_id))

    def opened(self, now: Instant) -> None:
        """The WebSocket is open."""
        if self._phase is not _Phase.OPENING:
            return
        self._phase = _Phase.OPEN
        self._opened_at = self._received_at = now.monotonic
        self._ping_at = now.monotonic + PING_SECONDS
        resumed = f", going on after seq {self.last_seq}" if self.last_seq else ""
        self._notice("connected", f"game {self._settings.event_id} at {self._base.netloc}{resumed}")

    def receive_data(self, data: str | bytes, now: Instant) -> None:
        """A whole message came. One that cannot be read is a Notice ``protocol_error``; the rest goes on."""
        if self._phase is not _Phase.OPEN:
            return
        self._received_at = now.monotonic
        self._ping_at = now.monotonic + PING_SECONDS
        raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
        try:
            message = _decode(raw, strict=self._settings.strict_envelope)
        except RemoteProtocolError as problem:
            self._notice("protocol_error", f"{problem}: {_elide(raw)}; skipped")
            return
        if message is None:
            return
        if message.resume:
            seq = int(message.resume)
            if seq <= self.last_seq:
                return
            self.last_seq = seq
            self._restarting = False
            self._steady()
        self._wishes.append(message)

    def closed(self, code: int | None, reason: str, now: Instant, status: int | None = None) -> None:
        """The WebSocket closed, or its handshake was refused with ``status``."""
        if self._phase is _Phase.OPENING:
            self._unopened(code, reason, now, status)
        elif self._phase is _Phase.HANGING:
            self._retry(now, f"the peer was silent for {SILENCE_SECONDS:.0f} s")
        elif self._phase is _Phase.OPEN:
            if now.monotonic - self._opened_at >= STEADY_SECONDS:
                self._steady()
            if code == _FINISHED:
                self._finish(f"the game is over: the provider closed with 1000 {reason}".rstrip())
            elif code == _POLICY and self._renewed:
                self._refuse(f"closed with 1008 again after a new token: {reason or 'access was taken away'}")
            elif code == _POLICY:
                self._renew(now, f"closed with 1008 {reason}".rstrip())
            else:
                self._retry(now, "the line broke" if code in (None, 1006) else f"closed with {code} {reason}".rstrip())

    # what the shell takes

    def events_received(self) -> list[ClientWish]:
        """The wishes and messages since the last call."""
        wishes, self._wishes = self._wishes, []
        return wishes

    def data_to_send(self) -> list[str | bytes]:
        """The messages to send since the last call."""
        sends, self._sends = self._sends, []
        return sends

    def deadline(self) -> float | None:
        """Monotonic time at which ``tick`` wants to be called, or None."""
        if self._phase is _Phase.WAITING:
            return self._wake_at
        if self._phase is _Phase.OPEN:
            return min(self._ping_at, self._received_at + SILENCE_SECONDS)
        return None

    def tick(self, now: Instant, *, is_behind: bool = False) -> None:
        """Time has come: try again, ping, or give a silent line up."""
        if self._phase is _Phase.WAITING and now.monotonic >= self._wake_at:
            if self._token:
                self._open()
            else:
                self._fetch(now)
        elif self._phase is _Phase.OPEN:
            if now.monotonic >= self._received_at + SILENCE_SECONDS and not is_behind:
                self._phase = _Phase.HANGING
                self._wishes.append(Hangup(1001))
            elif now.monotonic >= self._ping_at:
                self._ping_at = now.monotonic + PING_SECONDS
                self._sends.append(_PING)

    # steps

    def _fetch(self, now: Instant) -> None:
        settings = self._settings
        path = f"{self._base.path}/v1/data/schedule/games/{quote(settings.event_id, safe='')}/_subscribe"
        host, date = self._base.netloc, auth.http_date(now.wall_ns)
        signature = auth.sign(settings.username, settings.secret, method="GET", target_path=path, host=host, date=date)
        headers = (("host", host), ("date", date), ("authorization", signature), ("accept", "application/json"))
        self._fetches += 1
        self._phase = _Phase.FETCHING
        url = f"{self._base.scheme}://{host}{path}"
        self._wishes.append(Fetch(self._fetches, HttpRequest("GET", path, path, headers=headers, url=url)))

    def _open(self) -> None:
        settings = self._settings
        query = [("token", self._token), *(("source", name) for name in settings.sources)]
        if settings.summary_level:
            query.append(("broadcast_summary_level", settings.summary_level))
        if self.last_seq and not self._restarting:
            query.append(("last_seq", str(self.last_seq)))
        scheme = "wss" if self._base.scheme == "https" else "ws"
        self._phase = _Phase.OPENING
        self._wishes.append(Open(f"{scheme}://{self._base.netloc}{self._base.path}/live/v2/games?{urlencode(query)}"))

    def _unopened(self, code: int | None, reason: str, now: Instant, status: int | None) -> None:
        """The handshake failed. Refusals are NOT DOCUMENTED; the statuses are OUR CHOICE (sheet 8.2, 8.7)."""
        if status == 401:
            if self._renewed:
                self._token = ""
                self._retry(now, "the handshake was refused with 401 and a new token did not help")
            else:
                self._renew(now, "the handshake was refused with 401")
        elif status == 410 and self.last_seq and not self._restarting:
            self._restarting = True
            self._notice(
                "gap", f"what followed seq {self.last_seq} is no longer kept; going on from the oldest there is"
            )
            self._open()
        elif status is not None and status < 500 and status not in (*_RETRYABLE, 410):
            self._refuse(f"the WebSocket handshake was refused with {status}: {reason or 'no reason given'}")
        else:
            answer = "failed" if status is None else f"was answered {status}"
            self._retry(now, f"the WebSocket handshake {answer}: {reason or code or 'no answer'}")

    def _renew(self, now: Instant, why: str) -> None:
        self._renewed = True
        self._token = ""
        self._notice("token", f"{why}; fetching a new token")
        self._fetch(now)

    def _retry(self, now: Instant, why: str, at_least_seconds: float = 0.0) -> None:
        wait = max(self._backoff.next_seconds(), at_least_seconds)
        self._phase = _Phase.WAITING
        self._wake_at = now.monotonic + wait
        self._notice("reconnecting", f"{why}; trying again in {wait:.1f} s")

    def _steady(self) -> None:
        self._backoff.reset()
        self._renewed = False

    def _finish(self, reason: str) -> None:
        self._end("finished", reason)

    def _refuse(self, reason: str) -> None:
        self._end("refused", reason)

    def _end(self, kind: str, reason: str) -> None:
        self._phase = _Phase.ENDED
        self.close_reason = reason
        self._notice(kind, reason)

    def _notice(self, kind: str, detail: str) -> None:
        self._wishes.append(Notice(kind, detail))


def _decode(raw: bytes, *, strict: bool) -> Message | None:
    """The message of a frame; None for one that carries nothing for the user (a pong)."""
    try:
        raw.decode()
        frame = _frame(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise RemoteProtocolError("not a message of Live Data V2") from None
    if frame.action is not None and frame.source is None and frame.type is None:
        return None
    source = frame.source
    if source is None and not strict and frame.type not in (None, "data"):
        source = _OLD_NAMES.get(frame.type or "", frame.type)
    if source is None:
        raise RemoteProtocolError("a message without a source")
    digits = str(frame.seq if frame.seq is not None else "")
    if digits and not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise RemoteProtocolError("a seq that is no number")
    return Message(source=source, raw=raw, data=bytes(frame.data), resume=str(int(digits)) if digits else "")


def _find_token(body: bytes) -> str | None:
    """The token of a ``_subscribe`` answer. Its shape is NOT DOCUMENTED: ``{"token":…}`` is ours, bare text too."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        answer = body.decode("utf-8", "replace").strip()
    if isinstance(answer, dict):
        names = ("token", *(name for name in answer if "token" in name.lower()))
        answer = next((answer[name] for name in names if isinstance(answer.get(name), str)), None)
    usable = isinstance(answer, str) and 0 < len(answer) <= 512 and answer.isascii() and answer.isprintable()
    usable = usable and not any(sign in " <>" for sign in answer)
    return answer if usable else None


def _explain(response: HttpResponse, event_id: str) -> str:
    """Why ``_subscribe`` refused, in the provider's words where there are some, and what to do."""
    advice = {
        401: "check username, secret, that the clock is right to 5 minutes, and that no proxy rewrites Host",
        403: "this username may not see the game; ask the provider for access",
        404: f"there is no game {event_id!r}; the schedule lists those there are",
    }.get(response.status, "redirects are not followed; check the URL" if response.status < 400 else "check the URL")
    try:
        told = msgspec.json.decode(response.body, type=dict[str, object]).get("message")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        told = None
    words = f" {told}" if isinstance(told, str) and told else ""
    return f"_subscribe was refused with {response.status}{words}: {advice}"


def _retry_after_seconds(response: HttpResponse) -> float:
    text = response.header("retry-after") or ""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0.0


def _elide(raw: bytes) -> str:
    return repr(raw[:60].decode("utf-8", "replace")) + ("…" if len(raw) > 60 else "")


def connect(settings: Settings, dice: Dice, now: Instant) -> ShotTrackerClient:
    """A role that has asked for its token: drain it, and carry out what it wishes.

    Raises:
        ConfigError: the URL is no http(s) base URL, or username or event_id cannot stand in a request.
    """
    base = urlsplit(settings.url)
    if base.scheme not in ("http", "https") or not base.hostname or base.query or base.username is not None:
        raise ConfigError(f"not a base URL: {settings.url!r}; give one such as https://api.shottracker.com")
    if settings.event_id in ("", ".", ".."):
        raise ConfigError(f"not an event_id: {settings.event_id!r}; the schedule lists those there are")
    if not settings.username.isascii() or not settings.username.isprintable() or '"' in settings.username:
        raise ConfigError(f"not a username: {settings.username!r}; it stands in a header: printable ASCII, no quotes")
    role = ShotTrackerClient(settings, dice)
    role.begin(now)
    return role


CLIENT: Final = ClientSurface(settings=Settings, connect=connect)
