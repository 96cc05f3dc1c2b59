"""The SDK as a ProphetX client of a real hub: it receives, it survives a restart, and its books are those of REST."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from acceptance.hubs import free_port
from touchline.client import connect
from touchline.errors import UpstreamError
from touchline.feeds.base import Message, Notice
from touchline.feeds.prophetx import FEED
from touchline.feeds.prophetx.consumer import Settings

from .hubs import Hub, cloud_event

MakeHub = Callable[..., Hub]
SEQ = 1_709_130_007_835_319_000
RECORDING = Path(__file__).parents[3] / "shared" / "recordings" / "exchange.ndjson"


def settings(hub: Hub, credentials: dict[str, str], **more: Any) -> Settings:
    return Settings(access_key=credentials["access_key"], secret_key=credentials["secret_key"], url=hub.url, **more)


def public(kind: str, data: dict[str, Any], op: str = "u") -> dict[str, Any]:
    return cloud_event(f"prophetx.{kind}", "109", data, op=op)


def sport_event(status: str, number: int) -> dict[str, Any]:
    info = {"event_id": 7, "name": "A at B", "status": status, "sequence_number": SEQ + number}
    return public("sport_event", {"id": "7", "tournament_id": "109", "info": info})


def market(status: str, number: int) -> dict[str, Any]:
    info = {"id": 5, "sport_event_id": 7, "name": "Moneyline", "status": status, "sequence_number": SEQ + number}
    return public("market", {"id": "7", "info": info})


def book(odds: int, number: int) -> dict[str, Any]:
    sides = [[{"line_id": "a", "odds": odds, "stake": 45.3}], [{"line_id": "b", "odds": 0, "stake": 0}]]
    info = {"id": 5, "type": "moneyline", "line": 0, "selections": sides, "sequence_number": SEQ + number}
    return public("market_selections", {"sport_event_id": 7, "market_id": 5, "info": info})


def wager(owner: str, matched: float, number: int) -> dict[str, Any]:
    info = {"id": "w1", "status": "open", "matched_stake": matched, "sequence_number": SEQ + number}
    return cloud_event("prophetx.wager", owner, {"info": info}, op="u", partner=owner)


def opening() -> list[dict[str, Any]]:
    tournament = {"id": "109", "info": {"id": 109, "name": "MLB", "sequence_number": SEQ + 1}}
    return [public("tournament", tournament, "c"), sport_event("not_started", 2), market("active", 3), book(124, 4)]


class View:
    """What a user has who takes every message in its turn, of the one event, market and wager that there are."""

    def __init__(self, messages: Iterable[Message]) -> None:
        self.status: Any = None
        self.book: Any = None
        self.matched: Any = None
        for message in messages:
            data = json.loads(message.data)
            match message.source:
                case "get_sport_events":
                    (row,) = data["sport_events"]
                    self.status = row["status"]
                case "get_multiple_markets":
                    (row,) = data["markets"]
                    self.book = row["selections"]
                case "get_wagers":
                    (row,) = data["wagers"]
                    self.matched = row["matched_stake"]
                case "sport_event":
                    self.status = data["info"]["status"]
                case "market_selections":
                    self.book = data["info"]["selections"]
                case "wager":
                    self.matched = data["info"]["matched_stake"]

    @property
    def odds(self) -> Any:
        return self.book[0][0]["odds"]


class Reader:
    """What came so far; ``until`` goes on to a notice or a message."""

    def __init__(self, items: Any) -> None:
        self.items = items
        self.messages: list[Message] = []
        self.notices: list[Notice] = []

    async def until(self, found: Callable[[Message | Notice], bool]) -> None:
        async for item in self.items:
            if isinstance(item, Message):
                self.messages.append(item)
            else:
                self.notices.append(item)
            if found(item):
                return
        raise AssertionError("the connection ended")


def is_notice(kind: str) -> Callable[[Message | Notice], bool]:
    return lambda item: isinstance(item, Notice) and item.kind == kind


def is_message(source: str, part: bytes = b"") -> Callable[[Message | Notice], bool]:
    return lambda item: isinstance(item, Message) and item.source == source and part in item.data


def rest(hub: Hub, credentials: dict[str, str], path: str) -> Any:
    keys = {name: credentials[name] for name in ("access_key", "secret_key")}
    token = hub.request("POST", "/partner/auth/login", json.dumps(keys).encode()).json["data"]["access_token"]
    answer = hub.request("GET", f"/partner/mm/{path}", headers={"Authorization": f"Bearer {token}"})
    assert answer.status == 200, answer
    return answer.json["data"]


async def test_books_equal_rest_after_the_hub_was_stopped_and_started_again(make_hub: MakeHub) -> None:
    hub = make_hub(port=free_port())  # nobody is given it while the hub is away
    credentials = hub.partner("alice", "prophetx")
    owner = credentials["partner_id"]

    hub.publish_all([*opening(), wager(owner, 0, 5)])
    async with connect(FEED, settings(hub, credentials)) as items:
        reader = Reader(items)
        await reader.until(is_notice("reconciled"))
        view = View(reader.messages)
        assert (view.status, view.odds, view.matched) == ("not_started", 124, 0)

        sent = book(126, 12)
        hub.publish_all([sent, wager(owner, 3, 13)])
        await reader.until(lambda _: {"wager", "market_selections"} <= {message.source for message in reader.messages})
        (pushed,) = [message for message in reader.messages if message.source == "market_selections"]
        assert json.loads(pushed.data) == sent["data"]
        view = View(reader.messages)
        assert (view.odds, view.matched) == (126, 3)

        hub.stop()
        with Hub(hub.directory, port=hub.port) as again:
            # This test's own loop stands still meanwhile: the client cannot be back yet.
            again.publish_all([book(118, 20), sport_event("live", 21), wager(owner, 7, 22)])
            await reader.until(is_notice("reconciled"))
            view = View(reader.messages)
            (row,) = rest(again, credentials, "get_multiple_markets?event_ids=7")["7"]
            assert view.book == row["selections"]
            assert (view.status, view.odds, view.matched) == ("live", 118, 7)
            assert [m.source for m in reader.messages].count("market_selections") == 1, "missed, and read by REST"

            again.publish_all([book(130, 30)])
            await reader.until(is_message("market_selections", b"130"))
            assert View(reader.messages).odds == 130
    assert "reconnecting" in {notice.kind for notice in reader.notices}


async def test_the_recording_comes_through_whole(make_hub: MakeHub) -> None:
    if not RECORDING.exists():
        pytest.skip("the recordings are not here")
    hub = make_hub()
    credentials = hub.partner("alice", "prophetx")
    lines = RECORDING.read_bytes().splitlines()
    async with connect(FEED, settings(hub, credentials)) as items:
        reader = Reader(items)
        await reader.until(is_notice("reconciled"))
        for start in range(0, len(lines), 500):
            assert hub.publish(b"\n".join(lines[start : start + 500]), "application/x-ndjson").status == 202
        last = lines[-1][lines[-1].index(b'"data":') + 7 : -1]
        await reader.until(lambda item: isinstance(item, Message) and item.data == last)
    assert [line.endswith(b'"data":' + m.data + b"}") for line, m in zip(lines, reader.messages, strict=True)].count(
        True
    ) == len(lines)


async def test_wrong_keys_are_an_error_with_its_reason(hub: Hub) -> None:
    wrong = {"access_key": "0" * 32, "secret_key": "nobody"}
    with pytest.raises(UpstreamError, match="login was refused with 401"):
        async with connect(FEED, settings(hub, wrong)) as items:
            await Reader(items).until(lambda _: False)


async def test_who_is_removed_is_told_why(make_hub: MakeHub) -> None:
    hub = make_hub()
    async with connect(FEED, settings(hub, hub.partner("alice", "prophetx"))) as items:
        reader = Reader(items)
        await reader.until(is_notice("reconciled"))
        assert hub.admin("DELETE", "/hub/v1/partners/alice").status in (200, 204)
        with pytest.raises(UpstreamError, match="login was refused with 401"):
            await reader.until(lambda _: False)


def test_tail_prints_what_is_read_and_what_is_pushed(make_hub: MakeHub) -> None:
    hub = make_hub()
    credentials = hub.partner("alice", "prophetx")
    hub.publish_all(opening())
    program = "import sys; from touchline.cli import main; sys.exit(main())"
    options = ["--url", hub.url, "--access-key", credentials["access_key"], "--tournament", "109"]
    command = [sys.executable, "-c", program, "tail", "prophetx", *options, "--json", "--count", "5"]
    environment = {"TOUCHLINE_TAIL_PROPHETX_SECRET_KEY": credentials["secret_key"], "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        printed = [json.loads(process.stdout.readline()) for _ in range(3)]
        hub.publish_all([market("suspended", 16), market("closed", 17)])
        printed += [json.loads(process.stdout.readline()) for _ in range(2)]
        assert process.wait(20) == 0
        said = process.stderr.read()
    assert [one["call"] for one in printed[:3]] == ["get_tournaments", "get_sport_events", "get_multiple_markets"]
    assert printed[2]["data"]["markets"][0]["sequence_number"] == SEQ + 3
    assert [(one["change_type"], one["op"]) for one in printed[3:]] == [("market", "u")] * 2
    assert "-- connected: tournaments 109" in said
    assert credentials["secret_key"] not in said
