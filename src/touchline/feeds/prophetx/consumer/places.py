"""On the way to the channels: where to connect, and which channels a socket may have (sheet §2.1, §2.2)."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

import msgspec

import touchline
from touchline.errors import RemoteProtocolError
from touchline.wire.http import HttpRequest, HttpResponse

PROTOCOL: Final = "7"
VERSION: Final = touchline.__version__
_HOST: Final = re.compile(r"(?=.{1,253}\Z)(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?\Z")
_ALL_TOURNAMENTS: Final = '[{"type":"tournament","ids":[]}]'
_CLUSTER: Final = re.compile(r"[A-Za-z0-9-]{1,32}\Z")


class _Config(msgspec.Struct):
    key: str = ""
    cluster: str | None = None
    ws_host: str | None = None
    ws_port: int | None = None
    service: str | None = None
    data: msgspec.Raw = msgspec.Raw()


class _Channel(msgspec.Struct):
    channel_name: str
    auth: str = ""


class _Registration(msgspec.Struct):
    authorized_channel: tuple[_Channel, ...] = ()


class _Pusher(msgspec.Struct):
    data: _Registration


class Channels(msgspec.Struct, frozen=True):
    """The two channels, each with the signature for the socket that asked; ``private`` is None where there is none."""

    broadcast: tuple[str, str]
    private: tuple[str, str] | None


def config_request(base: str) -> HttpRequest:
    """Where to connect?"""
    return HttpRequest("GET", headers=(("accept", "application/json"),), url=f"{base}/websocket/connection-config")


def find_socket_url(response: HttpResponse, base: str) -> str:
    """The socket's address from a connection-config, flat or under ``data``.

    ``ws_port`` is this project's hub alone; the scheme follows the base URL. Without ``ws_host`` it is the cluster's
    own host. Raises RemoteProtocolError.
    """
    try:
        config = msgspec.json.decode(response.body, type=_Config, strict=False)
        if not config.key and bytes(config.data):
            config = msgspec.json.decode(config.data, type=_Config, strict=False)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise RemoteProtocolError("connection-config cannot be read") from None
    if not config.key:
        raise RemoteProtocolError("connection-config names no key")
    if config.service not in ("pusher", "", None):
        raise RemoteProtocolError(f"connection-config names the service {config.service[:40]!r}; only pusher is spoken")
    if config.ws_host:
        host = f"[{config.ws_host}]" if _is_ipv6(config.ws_host) else config.ws_host
        if host == config.ws_host and not _HOST.match(host):
            raise RemoteProtocolError(f"connection-config names a ws_host that is none: {host[:80]!r}")
    elif config.cluster and _CLUSTER.match(config.cluster):
        host = f"ws-{config.cluster}.pusher.com"
    else:
        raise RemoteProtocolError("connection-config names neither ws_host nor a cluster")
    if config.ws_port is not None and not 0 < config.ws_port < 65536:
        raise RemoteProtocolError(f"connection-config names a ws_port that is none: {config.ws_port}")
    scheme = "wss" if urlsplit(base).scheme == "https" else "ws"
    port = "" if config.ws_port is None else f":{config.ws_port}"
    query = urlencode({"protocol": PROTOCOL, "client": "touchline", "version": VERSION})
    return f"{scheme}://{host}{port}/app/{quote(config.key, safe='')}?{query}"


def channels_request(base: str, socket_id: str) -> HttpRequest:
    """Which channels may this socket have? A form, as the provider's example sends it.

    It asks for all tournaments, whichever are wanted: the channel is one for all and carries them all, and a provider's
    sandbox answered 500 to explicit ids (sheet §2.2).
    """
    headers = (
        ("content-type", "application/x-www-form-urlencoded"),
        ("accept", "application/json"),
        ("header-subscriptions", _ALL_TOURNAMENTS),
    )
    return HttpRequest(
        "POST", headers=headers, body=urlencode({"socket_id": socket_id}).encode(), url=f"{base}/mm/pusher"
    )


def find_channels(response: HttpResponse) -> Channels:
    """The channels of an answer; the broadcast one has that word in its name. Raises RemoteProtocolError."""
    try:
        found = msgspec.json.decode(response.body, type=_Pusher).data.authorized_channel
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise RemoteProtocolError("mm/pusher cannot be read") from None
    named = [(one.channel_name, one.auth) for one in found if one.auth]
    broadcast = next((one for one in named if "broadcast" in one[0]), None)
    if broadcast is None:
        raise RemoteProtocolError("mm/pusher authorised no broadcast channel")
    return Channels(broadcast, next((one for one in named if "broadcast" not in one[0]), None))


def _is_ipv6(host: str) -> bool:
    try:
        return IPv6Address(host).scope_id is None
    except ValueError:
        return False
