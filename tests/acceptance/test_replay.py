"""Recordings of feeds that are not served yet: replayed and published, stored, and read back natively to the byte."""

from __future__ import annotations

import re

from .hubs import ROOT, Event, Hub, touchline
from .recordings import Recorded, recorded, recording


def same(stored: list[Event], lines: list[Recorded]) -> None:
    """Everything is there, in order, its data to the byte."""
    assert [(event.type, event.subject) for event in stored] == [(line.type, line.subject) for line in lines]
    for event, line in zip(stored, lines, strict=True):
        assert bytes(event.data) == bytes(line.data)


def test_the_hockey_game_is_replayed_and_read_natively(hub: Hub) -> None:
    path = recording("whl_game.ndjson")
    options = ("--speed", "max", "--url", hub.url, "--data", hub.data, "--json")
    done = touchline("replay", path, *options, cwd=ROOT)
    assert done.code == 0, done
    assert (done.json["events"], done.json["accepted"], done.json["duplicates"]) == (48, 48, 0)

    lines, stored = recorded("whl_game.ndjson"), hub.events(feed="hisports")
    assert len(stored) == len(lines) == 48
    same(stored, lines)
    assert [event.seq for event in stored] == list(range(1, 49))
    assert [event.id.endswith(f"-{line.id}") for event, line in zip(stored, lines, strict=True)] == [True] * 48
    sheets = [event.id for event in hub.events(type="hisports.scoresheet.update", limit=7)]  # page by page
    assert sheets == [event.id for event in stored if event.type == "hisports.scoresheet.update"]
    assert len(sheets) == 45

    again = touchline("replay", path, *options, cwd=ROOT)  # a run has ids of its own
    assert again.json["accepted"] == 48
    same(hub.events(feed="hisports"), lines * 2)


def test_the_exchange_is_published_with_its_large_integers(hub: Hub) -> None:
    path = recording("exchange.ndjson")
    options = (path, "--url", hub.url, "--data", hub.data, "--json")
    done = touchline("publish", *options, cwd=ROOT)
    assert done.code == 0, done
    lines = recorded("exchange.ndjson")
    assert (done.json["accepted"], done.json["duplicates"], done.json["errors"]) == (len(lines), 0, [])

    stored = hub.events(feed="prophetx")
    same(stored, lines)
    assert [event.id for event in stored] == [line.id for line in lines]
    large = [number for event in stored for number in re.findall(rb"(?<![\d.\"])\d{16,19}(?![\d.\"])", event.data)]
    assert sum(int(number) > 2**53 for number in large) > 1000

    again = touchline("publish", *options, cwd=ROOT)  # ids as they are: nothing new
    assert (again.json["accepted"], again.json["duplicates"]) == (0, len(lines))
    assert done.json["position"] == stored[-1].position
