"""ProphetX Service API: a betting exchange's broadcast and private channels over the Pusher protocol, and its REST."""

from __future__ import annotations

from typing import Final

from touchline.feeds.base import (
    Capabilities,
    CredentialField,
    EventType,
    Feed,
    Form,
    Keep,
    Transport,
    WebSocketSurface,
)
from touchline.feeds.prophetx.channels import (
    ACCOUNT,
    BROADCAST_CHANGES,
    FEED_NAME,
    GRANT,
    PREFIX,
    PRIVATE_CHANGES,
    TOURNAMENT,
    encode,
)
from touchline.feeds.prophetx.consumer import CLIENT
from touchline.feeds.prophetx.messages import Payload, check, check_unknown
from touchline.feeds.prophetx.sandbox import BALANCE_OPTION, SANDBOX, check_options
from touchline.feeds.prophetx.session import PATH, ExchangeSession
from touchline.feeds.prophetx.state import ExchangeFold
from touchline.wire.pusher import MAX_DATA_BYTES

FEED: Final = Feed(
    name=FEED_NAME,
    title="ProphetX Service API WebSocket events",
    document="ProphetX Service API, WebSocket Events",
    compared_on="2026-11-20",
    types=tuple(
        EventType(PREFIX + change, Payload, document=change == TOURNAMENT, check=check)
        for change in (*BROADCAST_CHANGES, *PRIVATE_CHANGES, ACCOUNT)
    ),
    capabilities=Capabilities(
        transports=frozenset({Transport.WEBSOCKET, Transport.REST}), max_message_bytes=MAX_DATA_BYTES
    ),
    credentials=(
        CredentialField("access_key", Form.HEX32, Keep.HASHED, lookup=True),
        CredentialField("secret_key", Form.TOKEN, Keep.HASHED),
        CredentialField("partner_id", Form.UUID, Keep.PLAIN, permanent=True),
    ),
    grant_keys=frozenset({GRANT}),
    check_unknown=check_unknown,
    options={BALANCE_OPTION: ()},
    check_options=check_options,
    websocket=WebSocketSurface(path=PATH, open=ExchangeSession, encode=encode),
    http="touchline.feeds.prophetx.http",
    snapshot=ExchangeFold(),
    client=CLIENT,
    sandbox=SANDBOX,
)
