"""The hub as its parts see it: holds log, directory, endpoints, feeds, fan-out, courier and snapshots, and answers what
feeds may ask.

Implements ``feeds.base.Ports`` for the feeds' REST, and answers the questions of pure sessions. Builds nothing
(``app`` does) and knows no HTTP.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import uuid
from collections.abc import Mapping, Sequence
from typing import Final

from touchline.clock import Clock
from touchline.delivery.courier import Courier
from touchline.delivery.fanout import Fanout
from touchline.errors import PositionGone, RemoteProtocolError, TouchlineError
from touchline.feeds.base import (
    Admission,
    Answer,
    EnginePort,
    Feed,
    FindAdmission,
    FindMember,
    FindPosition,
    FindSecret,
    FindStream,
    FindToken,
    Hosting,
    Instant,
    PositionView,
    Question,
    StreamView,
)
from touchline.feeds.intake import Intake
from touchline.log.base import EventLog
from touchline.log.directory import Directory
from touchline.log.endpoints import Endpoints
from touchline.model import Lane, Position, Record
from touchline.server.config import Settings
from touchline.server.engines import Engines
from touchline.server.limits import LoginLimits
from touchline.server.metrics import Metrics
from touchline.server.publishers import Publishers
from touchline.server.snapshots import Snapshots
from touchline.server.streams import Streams
from touchline.wire import position as position_token

_log: Final = logging.getLogger(__name__)

_RETRY_SECONDS: Final = 1.0


def new_id() -> str:
    """A random UUID."""
    return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))


class Reading:
    """The feeds' way to read the log. Implements ``feeds.base.ReadPort``."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def documents(self, feed: str, event_type: str) -> Sequence[Record]:
        """The newest record per subject of a document type."""
        return await self._log.documents(feed, event_type)

    async def document(self, feed: str, event_type: str, subject: str) -> Record | None:
        """The newest record of that type and subject."""
        return await self._log.document(feed, event_type, subject)

    async def records(
        self, feed: str, subject: str, *, after: int = 0, limit: int = 1000, types: frozenset[str] | None = None
    ) -> Sequence[Record]:
        """Records of one stream after an offset, both lanes; what retention removed is passed over."""
        page = await self._log.read(max(after, self._log.floor), limit, feed=feed, subject=subject, types=types)
        return page.records


class Hub:
    """See the module docstring."""

    def __init__(
        self,
        *,
        settings: Settings,
        clock: Clock,
        log: EventLog,
        directory: Directory,
        endpoints: Endpoints,
        feeds: Mapping[str, Feed],
        fanout: Fanout,
        courier: Courier,
        snapshots: Snapshots,
        engines: Engines,
        intake: Intake,
        logins: LoginLimits,
        metrics: Metrics,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.event_log = log
        self.directory = directory
        self.endpoints = endpoints
        self.subscriptions = endpoints
        self.feeds = feeds
        self.fanout = fanout
        self.courier = courier
        self.snapshots = snapshots
        self.logins = logins
        self.metrics = metrics
        self.engines = engines
        self.intake = intake
        self.log = Reading(log)
        self.streams = Streams(log)
        self.publishers = Publishers(log.append, directory.keys, clock, settings.publisher_stale_seconds)
        self.public_url = settings.public_url
        self._over: dict[tuple[str, str], float] = {}
        self._ending = {
            name: feed.websocket
            for name, feed in feeds.items()
            if feed.websocket is not None and feed.websocket.tokens_outlive_seconds is not None
        }
        self._signing = {
            name: "" for name, feed in feeds.items() if feed.webhook is not None and feed.webhook.mint is None
        }
        self.ready = False
        self.stopping = False

    @property
    def base_url(self) -> str:
        """The hub's address as clients see it."""
        return self.public_url

    def hosting(self, feed: str) -> Hosting | None:
        """What a codec may know of this hub; None until its signing material is made (``prepare_signing``)."""
        signing = self._signing.get(feed)
        return None if signing is None else Hosting(self.public_url, signing, self.event_log.epoch)

    async def prepare_signing(self) -> None:
        """Make what the feeds' webhook codecs sign with, once; it is found again later. Tried until it is stored: the
        endpoints of a feed wait for it.
        """
        waiting = [name for name, feed in self.feeds.items() if feed.webhook is not None and name not in self._signing]
        while waiting:
            for name in tuple(waiting):
                try:
                    self._signing[name] = await self.signing(name)
                except TouchlineError as error:
                    _log.warning("a feed's signing key cannot be kept yet", extra={"feed": name, "reason": str(error)})
                else:
                    waiting.remove(name)
                    self.courier.tick()  # what came meanwhile has waited for this
            if waiting:
                await asyncio.sleep(_RETRY_SECONDS)

    async def signing(self, feed: str) -> str:
        """What the feed's webhook codec signs with, made once for this hub; '' where it needs nothing."""
        codec = self.feeds[feed].webhook
        if codec is None or codec.mint is None:
            return ""
        return await self.directory.secret(f"{feed}.signing", codec.mint)

    def engine(self, feed: str) -> EnginePort | None:
        """The feed's sandbox engine, where this hub runs it."""
        return self.engines.find(feed)

    def now(self) -> Instant:
        """Now, on both clocks."""
        return Instant(self.clock.wall_ns(), self.clock.monotonic())

    def new_id(self) -> str:
        """A random UUID."""
        return new_id()

    def on_records(self, records: Sequence[Record]) -> None:
        """What the log appended: into the folds first, then out."""
        self.streams.apply(records)
        self.snapshots.apply(records)
        self.fanout.dispatch(records)
        self.courier.dispatch(records)
        for record in records:
            surface = self._ending.get(record.event.feed)
            if surface is not None and surface.is_last is not None and surface.is_last(record):
                self._over[record.stream] = surface.tokens_outlive_seconds or 0.0

    async def end_tokens(self) -> None:
        """Now and then: the tokens of streams that came to their end get an end too."""
        over, self._over = self._over, {}
        for (feed, subject), seconds in over.items():
            await self.directory.end_tokens(feed, subject, self.clock.wall_ns() + int(seconds * 1e9))

    # what sessions ask

    async def answer(self, question: Question) -> Answer:
        """The answer to a session's question."""
        match question:
            case FindStream(feed, subject, after_seq):
                return await self._stream(feed, subject, after_seq)
            case FindSecret(name):
                return await self.directory.secret(name)
            case _:
                return self.answer_at_once(question)

    def answer_at_once(self, question: FindToken | FindMember | FindAdmission | FindPosition) -> Answer:
        """The answer to a question for which nothing has to be waited for."""
        match question:
            case FindToken(token):
                return self.directory.find_token(token)
            case FindMember(feed, lookup, partner):
                return self.directory.member(feed, lookup=lookup, partner=partner)
            case FindAdmission(key):
                return self.directory.admission(key)
            case FindPosition(token):
                return self.position(token)

    async def _stream(self, feed: str, subject: str, after_seq: int | None) -> StreamView:
        newest = self.streams.newest  # before anything is waited for: what is appended meanwhile must not be skipped
        info = await self.streams.info(feed, subject)
        fold = self.snapshots.fold(feed)
        state = await self.snapshots.state(feed, subject) if fold else None
        over = fold is not None and state is not None and fold.is_over(state)
        self.derive_states([(feed, subject)])  # whoever comes now finds what follows from the fold so far
        if info is None:
            return StreamView(exists=state is not None, after=newest, over=over)
        begin = max(info.first_seq, fold.first_seq(state) if fold and state is not None else 1)
        wanted = begin if after_seq is None else after_seq + 1
        return StreamView(
            exists=True,
            first_seq=info.first_seq,
            last_seq=info.last_seq,
            after=await self._after(feed, subject, max(wanted, info.first_seq), info.last_seq, newest),
            gone=after_seq is not None and wanted < info.first_seq,
            over=over,
        )

    async def _after(self, feed: str, subject: str, seq: int, last_seq: int, newest: int) -> int:
        """The offset after which the stream's records from ``seq`` on are read; ``last_seq`` was its newest when
        ``newest`` or more had been appended.
        """
        return newest if seq > last_seq else await self.streams.offset_before(feed, subject, seq)

    def position(self, token: str | None) -> PositionView:
        """Whether reading can go on after a token (None: from now); an unreadable token is gone for 'invalid'."""
        log = self.event_log
        oldest = position_token.encode(Position(log.epoch, log.floor))
        head = position_token.encode(Position(log.epoch, log.head))
        if token is None:
            return PositionView(log.head, oldest, head)
        try:
            position = position_token.decode(token)
        except RemoteProtocolError as error:
            return PositionView(0, oldest, head, "invalid", str(error))
        try:
            self.check_position(position)
        except PositionGone as error:
            return PositionView(0, oldest, head, error.reason, str(error))
        return PositionView(position.offset, oldest, head)

    def check_position(self, position: Position) -> None:
        """Raises PositionGone when reading cannot go on after a position without a gap."""
        log = self.event_log
        if position.epoch != log.epoch:
            raise PositionGone("epoch", "the position is of another epoch: this log's history is not continued from it")
        if position.offset < log.floor:
            raise PositionGone("expired", "records after this position have been removed by retention")
        if position.offset > log.head:
            raise PositionGone("ahead", "the position is ahead of the newest record")

    def admission(self, key: str) -> Admission | None:
        """Who may read natively with this key."""
        return self.directory.admission(key)

    def derive_states(self, streams: Sequence[tuple[str, str]] | None = None) -> None:
        """Once a second: send what follows from the folds of the streams that sessions follow (or of these)."""
        records = self.snapshots.derive(self.fanout.followed_streams() if streams is None else streams, self.now())
        if records:
            assert all(record.event.lane is Lane.STATE for record in records)
            self.fanout.dispatch(records)
