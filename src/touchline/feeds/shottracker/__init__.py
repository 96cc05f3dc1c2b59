"""ShotTracker: Event API (HMAC-signed REST) and Live Data V2 (WebSocket with ``seq``, resumed by ``last_seq``)."""

from __future__ import annotations

from typing import Final

from touchline.feeds.base import (
    Capabilities,
    CredentialField,
    EventType,
    Feed,
    Form,
    Keep,
    Order,
    Resume,
    Transport,
    WebSocketSurface,
)
from touchline.feeds.shottracker import messages
from touchline.feeds.shottracker.checks import check_game, check_stream, check_team
from touchline.feeds.shottracker.client import CLIENT
from touchline.feeds.shottracker.frames import encode, is_last
from touchline.feeds.shottracker.sandbox import SANDBOX
from touchline.feeds.shottracker.session import ENVELOPE_OPTION, IDLE_SECONDS, PATH, LiveSession
from touchline.feeds.shottracker.sources import FEED_NAME, GAME_TYPE, PREFIX, SOURCES, TEAM_TYPE, state_key
from touchline.feeds.shottracker.state import GameFold

FEED: Final = Feed(
    name=FEED_NAME,
    title="ShotTracker Event API and Live Data V2",
    document="developer.shottracker.com/docs/basketball/event/examples",
    compared_on="2026-11-20",
    types=(
        *(
            EventType(PREFIX + name, source.data, source.lane, state_key=state_key(name), check=check_stream)
            for name, source in SOURCES.items()
        ),
        EventType(GAME_TYPE, messages.Game, document=True, check=check_game),
        EventType(TEAM_TYPE, messages.Team, document=True, check=check_team),
    ),
    capabilities=Capabilities(
        transports=frozenset({Transport.WEBSOCKET, Transport.REST}), resume=Resume.SEQ, order=Order.STREAM
    ),
    credentials=(
        CredentialField("username", Form.NAME, Keep.PLAIN, lookup=True),
        CredentialField("secret", Form.TOKEN, Keep.PLAIN),
    ),
    grant_keys=frozenset({"team_id", "event_id", "source"}),
    options={ENVELOPE_OPTION: ("v2", "event")},
    websocket=WebSocketSurface(
        path=PATH,
        open=LiveSession,
        encode=encode,
        is_last=is_last,
        tokens_outlive_seconds=24 * 3600.0,
        idle_seconds=IDLE_SECONDS,
    ),
    http="touchline.feeds.shottracker.http",
    snapshot=GameFold(),
    sandbox=SANDBOX,
    client=CLIENT,
)
