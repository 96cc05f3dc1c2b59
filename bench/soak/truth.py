"""The log as it is read natively at the end: every record of the event lane, with what receivers know it by."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from sys import intern
from typing import Final, NamedTuple

import msgspec

from bench.soak.receivers import digest, number_of
from touchline.client.hub import HubClient
from touchline.delivery.courier.messages import message_id
from touchline.feeds.insights.topics import matching
from touchline.wire import rfc3339

_UNPUSHED: Final = frozenset({"shottracker.game", "shottracker.team"})


class Entry(NamedTuple):
    """A record. ``check`` is of its data, ``coded`` of its data in base64; ``number`` is what a receiver of its own
    feed knows it by, where that is not made of the endpoint."""

    offset: int
    seq: int
    stamp: int
    feed: str
    type: str
    subject: str
    partner: str | None
    check: int
    coded: int
    number: int


class _Event(msgspec.Struct):
    id: str
    source: str
    type: str
    subject: str
    position: str
    lane: str
    appendedat: str
    data: msgspec.Raw
    seq: int = 0
    partner: str | None = None


class _Notified(msgspec.Struct):
    notification: msgspec.Raw = msgspec.Raw(b"")


class _Named(msgspec.Struct, frozen=True):
    id: str = ""


class _Wager(msgspec.Struct):
    info: _Named = _Named()


_event = msgspec.json.Decoder(_Event).decode
_notified = msgspec.json.Decoder(_Notified).decode
_wager = msgspec.json.Decoder(_Wager).decode
_named = msgspec.json.Decoder(_Named).decode


class Truth:
    """All records, and what is wrong with the log by itself."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.states = 0
        self.ids: set[tuple[str, str]] = set()
        self.twice = 0
        """Ids that are stored more than once."""
        self.wagers: set[str] = set()
        self.holes = 0
        """Streams whose seq does not rise by one."""
        self._seqs: dict[tuple[str, str], int] = {}
        self._kept: dict[object, list[Entry]] = {}
        self._by_game: dict[str, list[Entry]] = {}

    @classmethod
    def read(cls, hub: HubClient) -> Truth:
        """The whole log, page by page."""
        truth = cls()
        for text in hub.events(limit=1000):
            truth.add(_event(text))
        return truth

    def add(self, event: _Event) -> None:
        """The next event."""
        if event.lane == "state":
            self.states += 1
            return
        name = event.source, event.id
        self.twice += name in self.ids
        self.ids.add(name)
        feed = event.type.partition(".")[0]
        stream = feed, event.subject
        self.holes += event.seq != self._seqs.get(stream, 0) + 1
        self._seqs[stream] = event.seq
        data = bytes(event.data)
        number = 0
        if feed == "insights":
            number = number_of(_named(data).id)
        elif event.type == "prophetx.wager":
            self.wagers.add(_wager(data).info.id)
        elif feed == "roanuz":
            notification = bytes(_notified(data).notification)
            number = digest(notification) if notification else 0
        self.entries.append(
            Entry(
                int(event.position.rpartition("-")[2], 36),
                event.seq,
                rfc3339.parse(event.appendedat),
                intern(feed),
                intern(event.type),
                intern(event.subject),
                event.partner,
                zlib.crc32(data),
                zlib.crc32(base64.b64encode(data)) if feed == "prophetx" else 0,
                number,
            )
        )

    def where(self, name: object, condition: Callable[[Entry], bool]) -> list[Entry]:
        """The entries that meet a condition; ``name`` stands for it and is looked up first."""
        if name not in self._kept:
            self._kept[name] = [entry for entry in self.entries if condition(entry)]
        return self._kept[name]

    # what readers are owed

    def native(self, filters: Mapping[str, Sequence[str]]) -> list[Entry]:
        """What a native reader with these filters is owed."""
        feeds, types = set(filters.get("feed", ())), set(filters.get("type", ()))

        def is_owed(entry: Entry) -> bool:
            return (
                entry.partner is None
                and entry.feed != "hub"
                and (not feeds or entry.feed in feeds)
                and (not types or entry.type in types)
            )

        return self.where(("native", *sorted(feeds), "", *sorted(types)), is_owed)

    def live(self, game: str, sources: Sequence[str]) -> list[Entry]:
        """What a ShotTracker session of a game is owed."""
        wanted = {f"shottracker.{source}" for source in sources}

        def is_owed(entry: Entry) -> bool:
            return entry.type not in _UNPUSHED and (not wanted or entry.type in wanted)

        return [entry for entry in self._games().get(game, ()) if is_owed(entry)]

    def _games(self) -> dict[str, list[Entry]]:
        if not self._by_game:
            for entry in self.entries:
                if entry.feed == "shottracker":
                    self._by_game.setdefault(entry.subject, []).append(entry)
        return self._by_game

    def public(self) -> list[Entry]:
        """The changes of the broadcast channel."""
        return self.where("public", lambda entry: entry.feed == "prophetx" and entry.partner is None)

    def private(self, partner_id: str) -> list[Entry]:
        """The changes of a partner's channel; accounts are kept for REST alone."""
        return self.where(
            ("private", partner_id),
            lambda entry: entry.feed == "prophetx" and entry.partner == partner_id and entry.type != "prophetx.account",
        )

    def pushed(self, feed: str, topics: Sequence[str], endpoint: str) -> Iterator[tuple[int, Entry]]:
        """What an endpoint is owed, each with the number that its receiver knows it by."""
        match feed:
            case "hub":
                beginnings = tuple(topic.removesuffix("*") for topic in topics)
                for entry in self.native({}):
                    if entry.type.startswith(beginnings):
                        yield entry.offset, entry
            case "insights":
                wanted = matching(tuple(topics))
                for entry in self.entries:
                    if entry.feed == feed and entry.subject in wanted:
                        yield entry.number, entry
            case "hisports":
                for entry in self.entries:
                    if entry.feed == feed:
                        yield number_of(message_id(endpoint, entry.offset)), entry
            case _:
                for entry in self.entries:
                    if entry.feed == feed and entry.type != "roanuz.match":
                        yield entry.number, entry
