"""The Feed contract: all that shared code knows of a provider, and all that a provider may ask of the hub.

A feed is one frozen value, ``FEED``, in ``feeds/<name>/__init__.py``. Everything here is either data about the feed
or pure code: bytes and times in, messages and wishes out. Sockets, storage, clocks and randomness belong to the shell
(``server``, ``delivery``, ``client``), which carries out the wishes and tells the answers. A surface that a feed does
not have is None. Shared code branches on these values and never on a feed's name.

Nothing here imports a server library; ``http.py`` of a feed is named, not imported, and loaded by the server.

One module a surface; this one puts them together and is what everybody imports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from touchline.feeds.base.consumers import ClientRole, ClientSurface, ClientWish, Fetch, Hangup, Message, Notice, Open
from touchline.feeds.base.dice import Dice
from touchline.feeds.base.engines import Change, Decision, Engine, EnginePort, Players, Refusal
from touchline.feeds.base.events import Capabilities, EventType, Order, Resume, Transport
from touchline.feeds.base.partners import Admission, CredentialField, Form, Grants, Keep, Member, Token
from touchline.feeds.base.ports import DirectoryPort, LoginLimitPort, Ports, ReadPort, SnapshotPort
from touchline.feeds.base.rest import Answered, Operation, Parameter
from touchline.feeds.base.sandboxes import Deriver, SandboxCommand, SandboxOptions, SandboxSurface, Timed
from touchline.feeds.base.sessions import (
    Accept,
    Answer,
    Ask,
    Close,
    EndReason,
    FindAdmission,
    FindMember,
    FindPosition,
    FindSecret,
    FindStream,
    FindToken,
    Follow,
    Identify,
    Instant,
    PositionView,
    Question,
    Refuse,
    Selector,
    ServerSession,
    StreamView,
    Unfollow,
    WebSocketSurface,
    Wish,
)
from touchline.feeds.base.snapshots import Owned, SnapshotFold, State, Upgrading
from touchline.feeds.base.webhooks import (
    Admitted,
    EndpointView,
    Hosting,
    NeedCertificate,
    Outgoing,
    Prepared,
    Received,
    Subscription,
    SubscriptionPort,
    Trust,
    WebhookCodec,
    subscription_id,
)
from touchline.model import Event

__all__ = [
    "Accept",
    "Admission",
    "Admitted",
    "Answer",
    "Answered",
    "Ask",
    "Capabilities",
    "Change",
    "ClientRole",
    "ClientSurface",
    "ClientWish",
    "Close",
    "CredentialField",
    "Decision",
    "Deriver",
    "Dice",
    "DirectoryPort",
    "EndReason",
    "EndpointView",
    "Engine",
    "EnginePort",
    "EventType",
    "Feed",
    "Fetch",
    "FindAdmission",
    "FindMember",
    "FindPosition",
    "FindSecret",
    "FindStream",
    "FindToken",
    "Follow",
    "Form",
    "Grants",
    "Hangup",
    "Hosting",
    "Identify",
    "Instant",
    "Keep",
    "LoginLimitPort",
    "Member",
    "Message",
    "NeedCertificate",
    "Notice",
    "Open",
    "Operation",
    "Order",
    "Outgoing",
    "Owned",
    "Parameter",
    "Players",
    "Ports",
    "PositionView",
    "Prepared",
    "Question",
    "ReadPort",
    "Received",
    "Refusal",
    "Refuse",
    "Resume",
    "SandboxCommand",
    "SandboxOptions",
    "SandboxSurface",
    "Selector",
    "ServerSession",
    "SnapshotFold",
    "SnapshotPort",
    "State",
    "StreamView",
    "Subscription",
    "SubscriptionPort",
    "Timed",
    "Token",
    "Transport",
    "Trust",
    "Unfollow",
    "Upgrading",
    "WebSocketSurface",
    "WebhookCodec",
    "Wish",
    "subscription_id",
]


class Feed(msgspec.Struct, frozen=True):
    """One provider's push product. See the module docstring.

    ``document`` and ``compared_on`` say which of the provider's texts the code follows, and when it was compared.
    ``http`` is the dotted name of the module with ``operations(ports) -> Sequence[Operation]``.
    ``options`` are the partner options that the feed knows, with their allowed values (empty: any that
    ``check_options`` lets pass; it raises ValueError). ``check_unknown`` is ``EventType.check`` for the types that the
    feed does not declare, which are passed on as they are.
    """

    name: str
    title: str
    document: str
    compared_on: str
    types: tuple[EventType, ...]
    capabilities: Capabilities
    credentials: tuple[CredentialField, ...] = ()
    grant_keys: frozenset[str] = frozenset()
    options: Mapping[str, tuple[str, ...]] = {}
    check_options: Callable[[Mapping[str, str]], None] | None = None
    check_unknown: Callable[[Event], tuple[str, str] | None] | None = None
    websocket: WebSocketSurface | None = None
    webhook: WebhookCodec | None = None
    http: str | None = None
    snapshot: SnapshotFold[Any] | None = None
    sandbox: SandboxSurface | None = None
    client: ClientSurface | None = None
