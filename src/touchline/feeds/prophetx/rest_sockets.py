"""What a client asks on its way to its channels: connection-config, ``mm/pusher`` in both modes (sheet §2.1, §2.2)."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from touchline.feeds.base import Member, Ports
from touchline.feeds.prophetx import apps
from touchline.feeds.prophetx.access import Body, body_of, text_of
from touchline.feeds.prophetx.channels import (
    BROADCAST,
    FEED_NAME,
    GENERAL,
    GRANT,
    HEALTH_CHECK,
    PREFIX,
    SIGNAL,
    TOURNAMENT,
    WAGERS,
    private_channel,
    topic,
)
from touchline.feeds.prophetx.errors import FORBIDDEN, INVALID_PARAM, Refused
from touchline.wire import pusher
from touchline.wire.http import HttpRequest, HttpResponse, json_response

SUBSCRIPTIONS_HEADER: Final = "header-subscriptions"
_MAX_IDS: Final = 1000
_MAX_ID_CHARS: Final = 64
_SECOND: Final = 1_000_000_000


class ConnectionConfig(Struct, frozen=True):
    """Flat, without ``data``. ``ws_port`` is OUR CHOICE: a hub need not be at 80 or 443."""

    app_id: str
    key: str
    cluster: str
    ws_host: str
    ws_port: int
    service: str = "pusher"


class Chosen(Struct, frozen=True):
    """What a client says it wants; delivery is not narrowed by it (sheet §7)."""

    type: str
    ids: tuple[str | int, ...] = ()


class Binding(Struct, frozen=True):
    """An event name to bind to."""

    name: str
    type: str


class Channel(Struct, frozen=True):
    """A channel that the caller may have, with the signature for its socket."""

    channel_name: str
    auth: str
    binding_events: tuple[Binding, ...]


class Registration(Struct, frozen=True):
    """``data`` of the answer; ``updated_at`` in seconds since 1970."""

    success: bool
    status: str
    updated_at: int
    subscriptions: tuple[Chosen, ...]
    authorized_channel: tuple[Channel, ...]


class PusherBody(Struct, frozen=True):
    """``auth`` is what Pusher libraries read, ``data`` what applications do."""

    auth: str
    data: Registration


class Pong(Struct, frozen=True):
    """The answer to ``mm/pusher/ping`` (OUR CHOICE: it is named in every example and documented nowhere)."""

    success: bool = True


class PongBody(Struct, frozen=True):
    """Under ``data``."""

    data: Pong


_CHOSEN: Final = msgspec.json.Decoder(tuple[Chosen, ...])


class SocketsApi:
    """See the module docstring."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    async def _app(self, member: Member) -> apps.App:
        return apps.app_of(await self._ports.directory.secret(apps.SECRET_NAME), member.partner)

    async def config(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``GET /partner/websocket/connection-config``."""
        app, base = await self._app(member), urlsplit(self._ports.base_url)
        # The name by which the client came here, or what a proxy or the operator says it is: the last is the surest.
        try:
            there = urlsplit(f"//{request.hosts[-1]}") if request.hosts else base
            host, port = there.hostname or base.hostname or "", there.port
        except ValueError:
            host, port = base.hostname or "", base.port
        usual = 443 if "https" in (base.scheme, request.scheme) else 80
        return json_response(ConnectionConfig(app.id, app.key, "mt1", host, port or usual))

    async def authorize(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``POST /partner/mm/pusher``: with ``channel_name`` the signature for it, without it for the broadcast one."""
        body = body_of(request)
        socket_id = text_of(body, "socket_id") or ""
        if not pusher.is_socket_id(socket_id):
            raise Refused(INVALID_PARAM, "socket_id must be two numbers with a point between, as the socket was told")
        chosen = _chosen(request, body)
        app = await self._app(member)
        private = private_channel(member.credentials["partner_id"])
        asked = text_of(body, "channel_name")
        if asked is not None and asked not in (BROADCAST, private):
            raise Refused(FORBIDDEN, "This channel is not yours")

        def sign(channel: str) -> str:
            return pusher.authorize(app.key, app.secret, socket_id, channel)

        channels = (
            Channel(BROADCAST, sign(BROADCAST), await self._bindings(member, chosen)),
            Channel(private, sign(private), (Binding(WAGERS, WAGERS), Binding(HEALTH_CHECK, SIGNAL))),
        )
        updated_at = self._ports.now().wall_ns // _SECOND
        data = Registration(True, "CONNECTED", updated_at, chosen, channels)
        return json_response(PusherBody(sign(asked or BROADCAST), data), headers=(("cache-control", "no-store"),))

    async def _bindings(self, member: Member, chosen: tuple[Chosen, ...]) -> tuple[Binding, ...]:
        """The topics of the tournaments that were chosen, or of all there are; under the caller's grants."""
        named = dict.fromkeys(str(number) for one in chosen if one.type == TOURNAMENT for number in one.ids)
        if not named:
            known = await self._ports.log.documents(FEED_NAME, PREFIX + TOURNAMENT)
            named = dict.fromkeys(
                record.event.subject
                for record in known
                if record.event.extensions.get("op") != "d" and record.event.partner is None
            )
        granted = member.grants.get(GRANT)
        allowed = (subject for subject in named if not granted or subject in granted)
        return (*(Binding(topic(subject), TOURNAMENT) for subject in allowed), Binding(GENERAL, GENERAL))

    async def ping(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``/partner/mm/pusher/ping``."""
        del request, member
        return json_response(PongBody(Pong()))


def _chosen(request: HttpRequest, body: Body) -> tuple[Chosen, ...]:
    """What the header chooses, or the body's ``subscriptions``; unknown types stay and change nothing."""
    header = request.header(SUBSCRIPTIONS_HEADER)
    text = header.encode("utf-8", "surrogatepass") if header else bytes(body.get("subscriptions", b"[]"))
    try:
        if text[:1] == b'"':  # a form carries it as text
            text = msgspec.json.decode(text, type=str).encode()
        chosen = _CHOSEN.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Refused(
            INVALID_PARAM, 'The subscriptions must be JSON such as [{"type":"tournament","ids":[]}]'
        ) from None
    ids = [str(number) for one in chosen for number in one.ids]
    if len(ids) + len(chosen) > _MAX_IDS or any(len(number) > _MAX_ID_CHARS for number in ids):
        raise Refused(INVALID_PARAM, f"At most {_MAX_IDS} ids of {_MAX_ID_CHARS} characters")
    return chosen
