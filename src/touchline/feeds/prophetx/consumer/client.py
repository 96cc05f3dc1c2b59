"""ProphetX in the consumer role: one subscriber over as many connections as it takes (``ClientRole``). Pure.

Log in, ask where to connect, open the socket, have both channels signed for it, subscribe, then read by REST what no
push will tell (``reconcile``). There is no resume in this protocol: after a break all of that begins again, with the
token there is. A user who folds the messages in order has what the provider's REST has.

A push comes out as ``Message(source=<change_type>, raw=<the data of the event as text>, data=<the payload's bytes>)``;
its ``op`` stands in ``raw``. What REST adds is told in ``reconcile``. Health checks are not handed out.
"""

from __future__ import annotations

import enum
from typing import Final
from urllib.parse import urlsplit

from touchline.errors import RemoteProtocolError
from touchline.feeds.base import ClientWish, Dice, Hangup, Instant, Open
from touchline.feeds.prophetx.consumer import places
from touchline.feeds.prophetx.consumer.address import CONFIG, Address
from touchline.feeds.prophetx.consumer.answers import Answers
from touchline.feeds.prophetx.consumer.books import Books
from touchline.feeds.prophetx.consumer.calls import Calls, Outlet, explain
from touchline.feeds.prophetx.consumer.intake import Heard, Intake
from touchline.feeds.prophetx.consumer.login import Login
from touchline.feeds.prophetx.consumer.places import Channels
from touchline.feeds.prophetx.consumer.reconcile import Reconcile
from touchline.feeds.prophetx.consumer.settings import Settings
from touchline.wire import pusher
from touchline.wire.backoff import Backoff
from touchline.wire.http import HttpResponse

HEALTH_SECONDS: Final = 30.0
"""Without a health check for so long: drop the line and come back (sheet §6)."""
GREETING_SECONDS: Final = 15.0
SUBSCRIBE_SECONDS: Final = 15.0
STEADY_SECONDS: Final = 10.0
"""A connection that held this long was a good one: the next backoff begins small. OUR CHOICE."""
PAUSE_SECONDS: Final = 1.0
"""At least, before coming back after a code of 4100 to 4199 (protocol page)."""

_CHANNELS: Final = "mm/pusher"
_AT_ONCE: Final = range(4200, 4300)
_PAUSE: Final = range(4100, 4200)
_FINAL: Final = range(4000, 4100)


class _Phase(enum.Enum):
    ASKING = "asking where to connect"
    OPENING = "waiting for the socket"
    OPEN = "connected"
    HANGING = "waiting for the socket to close"
    WAITING = "waiting to try again"
    ENDED = "ended"


class ExchangeClient:
    """See the module docstring."""

    def __init__(self, settings: Settings, base: str, dice: Dice, now: Instant) -> None:
        self.close_reason: str | None = None
        self._settings, self._base = settings, base
        self._outlet = Outlet()
        self._calls = Calls(self._outlet, dice)
        self._login = Login(settings, base, self._calls, self._outlet, self._refuse)
        books = Books()
        self._intake = Intake(settings.tournaments, self._outlet, books)
        answers = Answers(settings.tournaments, self._outlet, books)
        self._reconcile = Reconcile(base, self._calls, self._outlet, answers, self._intake.hand_out)
        self._intake.holds = self._reconcile.holds
        self._backoff = Backoff(dice)
        self._phase = _Phase.ASKING
        self._address = Address(base, self._calls, self._outlet, self._moved, self._refuse)
        self._url = ""
        self._wake_at = 0.0
        self._protocol = pusher.PusherClient(now.monotonic)
        self._channels: Channels | None = None
        self._why = ""
        self._code: int | None = None
        self._opened_at = self._healthy_at = 0.0
        self._confirm_by: float | None = None

    def begin(self) -> None:
        """Log in and ask where to connect; call once."""
        self._login.begin()
        self._address.ask()

    # what the shell reports

    def fetched(self, number: int, response: HttpResponse | None, now: Instant) -> None:
        """The answer to Fetch ``number``; None when there was none."""
        if self._phase is not _Phase.ENDED:
            self._calls.fetched(number, response, now)

    def opened(self, now: Instant) -> None:
        """The WebSocket is open; the server speaks first."""
        if self._phase is not _Phase.OPENING:
            return
        self._phase = _Phase.OPEN
        self._opened_at = self._healthy_at = now.monotonic
        self._confirm_by = now.monotonic + GREETING_SECONDS
        self._protocol = pusher.PusherClient(now.monotonic)
        self._channels, self._why, self._code = None, "", None
        if self._url != self._address.url:
            self._hang_up(f"{CONFIG} has changed")

    def receive_data(self, data: str | bytes, now: Instant) -> None:
        """A whole message came. One that cannot be read is a Notice ``protocol_error``; the rest goes on."""
        if self._phase is not _Phase.OPEN:
            return
        try:
            incoming = self._protocol.receive(data, now.monotonic)
            match incoming:
                case pusher.Established(socket_id):
                    self._confirm_by = None
                    self._ask_channels(socket_id)
                case pusher.Subscribed(channel):
                    self._subscribed(channel, now)
                case pusher.SubscriptionRefused():
                    self._subscription_refused(incoming)
                case pusher.Failed(code, message):
                    self._failed(code, message)
                case pusher.ChannelEvent():
                    self._event(incoming, now)
        except RemoteProtocolError as problem:
            self._outlet.notice("protocol_error", f"{problem}: {_elide(data)}; skipped")
        # Reading takes many small steps: in a market that never pauses they must not be a second apart, as ticks are.
        self._go_on(now)

    def closed(self, code: int | None, reason: str, now: Instant, status: int | None = None) -> None:
        """The WebSocket closed, or its handshake was refused with ``status``."""
        if self._phase is _Phase.OPENING:
            what = "failed" if status is None else f"was answered {status}"
            why = f"the WebSocket handshake {what}: {reason or code or 'no answer'}"
            if status is not None and 400 <= status < 500 and status not in (408, 425, 429):
                self._doubt(why)
            else:
                self._wait(now, why, self._backoff.next_seconds())
        elif self._phase in (_Phase.OPEN, _Phase.HANGING):
            self._lost(code, reason, now)

    # what the shell takes

    def events_received(self) -> list[ClientWish]:
        """The wishes and messages since the last call."""
        return self._outlet.take()

    def data_to_send(self) -> list[str | bytes]:
        """The messages to send since the last call."""
        return self._protocol.drain() if self._phase is _Phase.OPEN else []

    def deadline(self) -> float | None:
        """Monotonic time at which ``tick`` wants to be called, or None."""
        if self._phase is _Phase.ENDED:
            return None
        times = [self._calls.deadline(), self._login.deadline(), self._address.deadline()]
        if self._phase is _Phase.WAITING:
            times.append(self._wake_at)
        elif self._phase is _Phase.OPEN:
            times += [self._healthy_at + HEALTH_SECONDS, self._protocol.deadline(), self._confirm_by]
            times.append(self._reconcile.deadline())
        return min((one for one in times if one is not None), default=None)

    def tick(self, now: Instant, *, is_behind: bool = False) -> None:
        """Time has come for whatever was waiting for it."""
        if self._phase is _Phase.ENDED:
            return
        self._go_on(now)
        if self._phase is _Phase.WAITING and now.monotonic >= self._wake_at:
            self._open()
        elif self._phase is _Phase.OPEN and is_behind:
            self._reconcile.tick(now)
        elif self._phase is _Phase.OPEN:
            self._watch(now)

    def _go_on(self, now: Instant) -> None:
        self._calls.tick(now)
        self._login.tick(now)
        self._address.tick(now)
        if self._phase is _Phase.OPEN:
            self._reconcile.read_on(now)

    # on the way to the socket

    def _moved(self, is_new: bool) -> None:
        if self._phase is _Phase.ASKING:
            self._open()
        elif self._phase is _Phase.OPEN and is_new:
            self._hang_up(f"{CONFIG} has changed")

    def _open(self) -> None:
        self._phase, self._url = _Phase.OPENING, self._address.url
        self._outlet.wish(Open(self._url))

    def _ask_channels(self, socket_id: str) -> None:
        request = places.channels_request(self._base, socket_id)
        self._calls.ask(_CHANNELS, request, self._registered)

    def _registered(self, response: HttpResponse, now: Instant) -> str | None:
        if response.status != 200:
            code, words = explain(response)
            return f"was refused with {response.status} {words or code}".rstrip()
        try:
            self._channels = places.find_channels(response)
        except RemoteProtocolError as problem:
            return f"cannot be used: {problem}"
        # The private one first: what is one's own is read when the broadcast channel is there.
        for channel in (self._channels.private, self._channels.broadcast):
            if channel is not None:
                self._protocol.subscribe(*channel)
        self._confirm_by = now.monotonic + SUBSCRIBE_SECONDS
        return None

    def _subscribed(self, channel: str, now: Instant) -> None:
        if self._channels is None:
            return
        if self._channels.private is not None and channel == self._channels.private[0]:
            if not self._settings.pushes_only:
                self._reconcile.begin_private(now)
        elif channel == self._channels.broadcast[0]:
            self._confirm_by = None
            host = urlsplit(self._url).netloc
            which = ", ".join(self._settings.tournaments) or "all"
            self._outlet.notice("connected", f"tournaments {which} at {host}")
            if not self._settings.pushes_only:
                self._reconcile.begin(now)

    def _subscription_refused(self, refused: pusher.SubscriptionRefused) -> None:
        detail = f"{refused.channel} was refused with {refused.status} {refused.reason}".rstrip()
        if self._channels is None or refused.channel != self._channels.broadcast[0]:
            self._outlet.notice("subscription_refused", f"{detail}; going on without it")
        else:
            self._outlet.notice("subscription_refused", detail)
            self._hang_up("the broadcast channel was refused")

    # what comes

    def _event(self, event: pusher.ChannelEvent, now: Instant) -> None:
        if event.event.startswith("pusher"):
            return  # of the protocol's own; those that matter to us have names of their own
        heard = self._intake.take(event, now)
        if heard is Heard.HEALTH:
            self._healthy_at = now.monotonic
        elif heard is Heard.DISCONNECT:
            self._code = _AT_ONCE.start
            self._hang_up("the provider asked to come back")

    def _failed(self, code: int | None, message: str) -> None:
        if code is None or code >= _AT_ONCE.stop:
            self._outlet.notice("protocol_error", f"the provider reports {code or 'an error'}: {message[:200]}")
            return
        self._code = code
        self._hang_up(f"the provider reports {code}: {message[:200]}")

    def _watch(self, now: Instant) -> None:
        if now.monotonic >= self._healthy_at + HEALTH_SECONDS:
            self._hang_up(f"no health check for {HEALTH_SECONDS:.0f} s")
        elif self._protocol.tick(now.monotonic):
            self._hang_up("a ping was not answered")
        elif self._confirm_by is not None and now.monotonic >= self._confirm_by:
            self._hang_up("no greeting" if self._protocol.socket_id is None else "the subscription was not answered")
        else:
            self._reconcile.tick(now)

    # how it goes on

    def _hang_up(self, why: str) -> None:
        if self._phase is _Phase.OPEN:
            self._phase, self._why = _Phase.HANGING, why
            self._outlet.wish(Hangup(1000))

    def _lost(self, code: int | None, reason: str, now: Instant) -> None:
        self._calls.cancel(_CHANNELS)
        self._reconcile.stop()
        is_steady = now.monotonic - self._opened_at >= STEADY_SECONDS
        if is_steady:
            self._backoff.reset()
        code = code if self._code is None else self._code
        told = "the line broke" if code in (None, 1006) else f"closed with {code} {reason}".rstrip()
        why = self._why or told
        if code in _FINAL:
            self._doubt(why)
        elif code in _AT_ONCE and is_steady:
            self._wait(now, why, 0.0)
        else:
            wait = self._backoff.next_seconds()
            self._wait(now, why, max(wait, PAUSE_SECONDS) if code in _PAUSE else wait)

    def _doubt(self, why: str) -> None:
        """Coming back unchanged is of no use: ask whether the address has changed."""
        self._phase = _Phase.ASKING
        self._outlet.notice("reconnecting", f"{why}; asking for {CONFIG} again")
        self._address.doubt(why)

    def _wait(self, now: Instant, why: str, seconds: float) -> None:
        self._phase, self._wake_at = _Phase.WAITING, now.monotonic + seconds
        self._outlet.notice("reconnecting", f"{why}; trying again in {seconds:.1f} s")

    def _refuse(self, reason: str) -> None:
        if self._phase is _Phase.OPEN:
            self._outlet.wish(Hangup(1000))
        self._phase, self.close_reason = _Phase.ENDED, reason
        self._calls.cancel_all()
        self._reconcile.stop()
        self._outlet.notice("refused", reason)


def _elide(data: str | bytes) -> str:
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    return repr(raw[:60].decode("utf-8", "replace")) + ("…" if len(raw) > 60 else "")
