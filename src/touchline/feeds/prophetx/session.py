"""The WebSocket at ``/app/{key}``, server role: whose socket it is, which channels it may have, health checks.

The key names the partner (``apps``), so that the session acts for somebody from the first moment. A channel is given
when the signature says that this partner's app allowed it for this socket; which node signed does not matter. Every
refused channel is refused alike, whether it exists or not. Owns no frame: ``wire.pusher`` has the protocol,
``channels`` what is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from touchline.feeds.base import (
    Accept,
    Answer,
    Ask,
    Close,
    EndReason,
    FindMember,
    FindSecret,
    Follow,
    Identify,
    Instant,
    Member,
    Refuse,
    Selector,
    Unfollow,
    Wish,
)
from touchline.feeds.prophetx import apps, errors
from touchline.feeds.prophetx.channels import (
    BROADCAST,
    FEED_NAME,
    GRANT,
    BroadcastSelector,
    PrivateSelector,
    health_check,
    private_channel,
)
from touchline.wire import pusher
from touchline.wire.http import HttpRequest
from touchline.wire.pusher import CloseCode

PATH: Final = pusher.PATH
HEALTH_SECONDS: Final = 5.0

NOT_AUTHORIZED: Final = "Not authorized for this channel"

_SECRET, _MEMBER = 1, 2
_FOLLOW_BROADCAST, _FOLLOW_PRIVATE = 1, 2
# The classes of codes decide what a client does (protocol page); who has lost its rights need not come back.
_END: Final = {
    EndReason.FINISHED: (CloseCode.RECONNECT, "Over, come back"),
    EndReason.SHUTDOWN: (CloseCode.RECONNECT, "The server is going away, come back"),
    EndReason.REVOKED: (CloseCode.APP_DISABLED, "The application is disabled"),
    EndReason.STALLED: (CloseCode.OVER_CAPACITY, "Messages are not taken, come back later"),
    EndReason.IDLE: (CloseCode.NO_PONG, "Nothing was heard, come back"),
    EndReason.GAP: (CloseCode.RECONNECT, "Messages are gone, come back and read the state by REST"),
    EndReason.FAULT: (CloseCode.RECONNECT, "Server fault, come back"),
}


class ExchangeSession:
    """Sans-I/O server side of one subscriber (see ``feeds.base.ServerSession``)."""

    def __init__(self, request: HttpRequest, entropy: Callable[[int], bytes], now: Instant) -> None:
        self._key = request.path.rpartition("/")[2]
        self._version = pusher.check_version(request.param("protocol"))
        self._socket_id = pusher.socket_id(entropy)
        self._wishes: list[Wish] = []
        self._messages: list[str | bytes] = []
        self._protocol: pusher.PusherServer | None = None
        self._app: apps.App | None = None
        self._partner = ""
        self._channels: dict[str, tuple[int, Selector]] = {}
        self._private = ""
        self._health_at = now.monotonic + HEALTH_SECONDS
        self._waiting_for = 0
        self._ended = False
        self._ask(_SECRET, FindSecret(apps.SECRET_NAME))

    def _ask(self, number: int, question: FindSecret | FindMember) -> None:
        self._waiting_for = number
        self._wishes.append(Ask(number, question))

    def told(self, number: int, answer: Answer, now: Instant) -> None:
        """The secret, then the partner; an answer that was not asked for is ignored."""
        if not number or number != self._waiting_for or self._ended:
            return
        self._waiting_for = 0
        if number == _MEMBER:
            self._told_member(answer, now)
        elif isinstance(answer, str):
            self._told_secret(answer)
        else:
            self._unavailable()

    def _told_secret(self, secret: str) -> None:
        if self._version is not None:
            self._turn_away(*self._version)
            return
        partner = apps.partner_of(secret, self._key)
        if partner is None:
            self._turn_away(CloseCode.UNKNOWN_APP, "There is no application with this key")
            return
        self._app, self._partner = apps.app_of(secret, partner), partner
        self._ask(_MEMBER, FindMember(FEED_NAME, partner=partner))

    def _told_member(self, answer: Answer, now: Instant) -> None:
        if not isinstance(answer, Member):
            self._turn_away(CloseCode.APP_DISABLED, "The application is disabled")
            return
        partner_id = answer.credentials["partner_id"]
        self._private = private_channel(partner_id)
        self._channels = {
            BROADCAST: (_FOLLOW_BROADCAST, BroadcastSelector(answer.grants.get(GRANT) or None)),
            self._private: (_FOLLOW_PRIVATE, PrivateSelector(partner_id)),
        }
        self._protocol = pusher.PusherServer(self._socket_id, now.monotonic)
        self._health_at = now.monotonic + HEALTH_SECONDS
        self._wishes += [Accept(), Identify(self._partner, grants=answer.grants)]

    def _turn_away(self, code: CloseCode, message: str) -> None:
        """Errors of the handshake are told on the open socket: a refused upgrade says nothing to a client."""
        self._ended = True
        self._messages.append(pusher.error(code, message))
        self._wishes += [Accept(), Close(code, message)]

    def _unavailable(self) -> None:
        self._ended = True
        self._wishes.append(Refuse(errors.refusal(errors.UNAVAILABLE, "Not ready, come back")))

    def receive_data(self, data: str | bytes, now: Instant) -> None:
        """A message of the protocol; what is wrong gets an error and the socket stays."""
        if self._ended or self._protocol is None:
            return
        match self._protocol.receive(data, now.monotonic):
            case pusher.Subscribe(channel, auth):
                self._subscribe(self._protocol, channel, auth)
            case pusher.Unsubscribe(channel):
                self._wishes.append(Unfollow(self._channels[channel][0]))
        self._check_health(now)

    def _subscribe(self, protocol: pusher.PusherServer, channel: str, auth: str) -> None:
        app, found = self._app, self._channels.get(channel)
        signed = app is not None and pusher.is_authorized(auth, app.key, app.secret, self._socket_id, channel)
        if found is None or not signed:
            protocol.refuse(channel, 401, NOT_AUTHORIZED)
        elif protocol.accept(channel):
            self._wishes.append(Follow(found[0], found[1]))

    def end(self, reason: EndReason, now: Instant) -> None:
        """The error that tells the client whether to come back, then the close; before the handshake, a refusal."""
        del now
        if self._ended:
            return
        if self._protocol is None:
            self._unavailable()
            return
        self._end(*_END[reason])

    def _end(self, code: CloseCode, message: str) -> None:
        self._ended = True
        if self._protocol is not None:
            self._messages += self._protocol.drain()
        self._messages.append(pusher.error(code, message))
        self._wishes.append(Close(code, message))

    def events_received(self) -> list[Wish]:
        """The wishes since the last call."""
        wishes, self._wishes = self._wishes, []
        return wishes

    def data_to_send(self) -> list[str | bytes]:
        """The messages since the last call."""
        messages, self._messages = self._messages, []
        if self._protocol is not None and not self._ended:
            messages = self._protocol.drain() + messages
        return messages

    def deadline(self) -> float | None:
        """The next health check or ping."""
        if self._ended or self._protocol is None:
            return None
        return min(self._health_at, self._protocol.deadline())

    def tick(self, now: Instant) -> None:
        """A health check is due, or the client is silent."""
        if self._ended or self._protocol is None:
            return
        self._check_health(now)
        if (expired := self._protocol.tick(now.monotonic)) is not None:
            self._end(expired.code, "No pong was received")

    def drained(self, now: Instant) -> None:
        """A client that reads slowly but reads is alive: its answer to a ping may be minutes away."""
        if self._protocol is not None:
            self._protocol.heard(now.monotonic)

    def _check_health(self, now: Instant) -> None:
        """Every five seconds from the beginning on; those that a stopped process missed are not made up for."""
        if self._protocol is None or now.monotonic < self._health_at:
            return
        missed = (now.monotonic - self._health_at) // HEALTH_SECONDS
        self._health_at += (missed + 1) * HEALTH_SECONDS
        held = self._protocol.channels
        channel = self._private if self._private in held else BROADCAST if BROADCAST in held else None
        self._messages.append(health_check(channel, now.wall_ns))
