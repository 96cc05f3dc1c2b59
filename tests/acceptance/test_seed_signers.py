"""The provider's own two signers and WebSocket clients made by others, against the running hub."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec
import pytest

from .games import Play, sandbox_game
from .hubs import Credentials, Hub, clean_environment
from .nodes import NODE, need_package, node
from .readers import OVER, LiveReader, open_socket
from .recordings import seed

GAME = "game-1"
PYTHON_SIGNER = Path(__file__).parent / "programs" / "seed_signer.py"
JS_SIGNER = NODE / "seed_signer.js"
SEED = "000_7de013f4cf6f65ae.txt"
TEAM_EVENTS = "/v1/data/teams/123/events"


@pytest.fixture(params=["python", "node"])
def signer(request: pytest.FixtureRequest) -> list[str]:
    """The command of one of the two signers."""
    if request.param == "node":
        return [node(), str(JS_SIGNER)]
    return [sys.executable, str(PYTHON_SIGNER)]


def ask(
    signer: Sequence[str], hub: Hub, who: Credentials, path: str, *query: str, host: str | None = None
) -> tuple[int, Any]:
    """Run a signer; the hub's answer."""
    done = subprocess.run(
        [*signer, hub.url, host or hub.host, path, *query],
        env=clean_environment(EVENT_USERNAME=who.username, EVENT_SECRET=who.secret),
        capture_output=True,
        timeout=30,
        check=True,
    )
    answer = msgspec.json.decode(done.stdout)
    return answer["status"], msgspec.json.decode(answer["body"])


@pytest.fixture
def plays() -> list[Play]:
    """A short game of teams 123 and 456."""
    return sandbox_game(GAME, seed=3, quarter=200, state_every=40)


@pytest.mark.parametrize(
    ("file", "begin", "end", "changes"),
    [
        (
            JS_SIGNER,
            'var crypto = require("crypto");',
            "Authorization: <hmacAuth>",
            {"process.argv[3]": '"api.shottracker.com"', "process.argv[4]": '"/v1/data/teams/123/events"'},
        ),
        (
            PYTHON_SIGNER,
            "import hmac",
            "# Send headers: date, host, Authorization",
            {"sys.argv[2]": '"api.shottracker.com"', "sys.argv[3]": '"/v1/data/teams/123/events"'},
        ),
    ],
    ids=["node", "python"],
)
def test_the_signers_are_the_seed_s_but_for_line_breaks(
    file: Path, begin: str, end: str, changes: dict[str, str]
) -> None:

    def squeezed(text: str) -> str:
        text = text[text.index(begin) : text.index(end)]
        return "".join(text.replace("\\n", "").split())

    ours = file.read_text()
    for here, there in changes.items():
        assert ours.count(here) == 1
        ours = ours.replace(here, there)
    assert squeezed(ours) == squeezed(seed(SEED))


def test_the_signed_request_of_the_seed_is_answered_with_sessions(
    hub: Hub, signer: list[str], plays: list[Play]
) -> None:
    who = hub.add_shottracker("academy")
    hub.publish(*(play.line for play in plays))
    for query in ((), ("gamesonly=true&from=0&to=1900000000000",)):
        status, body = ask(signer, hub, who, TEAM_EVENTS, *query)
        assert status == 200, body
        (event,) = body["events"]
        assert event["id"] == GAME
        assert event["game_type"] == "QUARTER"
        assert len(event["results"]) >= 4
        for session in event["results"]:
            assert session["type"] == "GAME_ROUND"
            assert session["started_at"] < session["ended_at"]
            links = [session[name] for name in ("_stats", "_stats_details", "_shots", "_possessions")]
            assert all(link.startswith(f"{hub.url}/v1/data/stats/{session['id']}/") for link in links)
    # The links lead somewhere, signed the same way.
    for link in (links[0], links[2], event["totals"]["_shots"]):
        status, body = ask(signer, hub, who, link.removeprefix(hub.url))
        assert status == 200, (link, body)


def test_a_wrong_signature_is_refused(hub: Hub, signer: list[str], plays: list[Play]) -> None:
    who = hub.add_shottracker("academy")
    hub.publish(*(play.line for play in plays))
    refused = {
        "HMAC signature does not match": (who._replace(secret="not the secret"), TEAM_EVENTS),
        "HMAC signature cannot be verified": (who._replace(username="nobody"), TEAM_EVENTS),
    }
    for message, (credentials, path) in refused.items():
        status, body = ask(signer, hub, credentials, path)
        assert (status, body["status"], body["message"]) == (401, 401, message)
        assert set(body) == {"status", "message", "shottrackerRequestId"}


def test_the_host_of_the_seed_is_good_when_it_is_sent_as_signed(hub: Hub, signer: list[str], plays: list[Play]) -> None:
    who = hub.add_shottracker("academy")
    hub.publish(*(play.line for play in plays))
    status, body = ask(signer, hub, who, TEAM_EVENTS, host="api.shottracker.com")
    assert (status, len(body["events"])) == (200, 1)


async def test_websockets_receives_the_game_drops_and_resumes(hub: Hub, signer: list[str], plays: list[Play]) -> None:
    who = hub.add_shottracker("academy")
    half = len(plays) // 2
    hub.publish(*(play.line for play in plays[:half]))
    status, body = await asyncio.to_thread(ask, signer, hub, who, f"/v1/data/schedule/games/{GAME}/_subscribe")
    assert (status, list(body)) == (200, ["token"])
    expected = await asyncio.to_thread(_expected, hub)

    reader = LiveReader(hub, "first", body["token"])
    task = asyncio.create_task(reader.run())
    await reader.reached(len(expected))
    task.cancel()  # in the middle of the game the line is gone
    await asyncio.to_thread(hub.publish, *(play.line for play in plays[half:]))
    again = LiveReader(hub, "again", body["token"])
    again.last_seq = reader.last_seq
    async with asyncio.timeout(20):
        await again.run()
    assert again.ended == OVER
    assert (reader.repeats, again.repeats) == (0, 0)
    assert reader.states + again.states > 0
    whole = await asyncio.to_thread(_expected, hub)
    assert len(whole) == sum(play.is_pushed for play in plays)
    assert [seen.seq for seen in reader.seen + again.seen] == whole


async def test_ping_is_answered_with_pong(hub: Hub, plays: list[Play]) -> None:
    who = hub.add_shottracker("academy")
    hub.publish(plays[2].line)
    async with open_socket(hub.live_url(hub.token(who, GAME))) as socket, asyncio.timeout(10):
        for _ in range(3):
            await socket.send('{\n"action": "ping"\n}')  # as the seed spells it
            assert await socket.recv() == '{"action":"pong"}'


def test_ws_receives_the_game_drops_and_resumes(hub: Hub, plays: list[Play]) -> None:
    program = node()
    need_package("ws")
    who = hub.add_shottracker("academy")
    half = len(plays) // 2
    hub.publish(*(play.line for play in plays[:half]))
    status, body = ask([program, str(JS_SIGNER)], hub, who, f"/v1/data/schedule/games/{GAME}/_subscribe")
    assert status == 200
    first = len(_expected(hub))
    drops = [first // 3, first - first // 3]
    with subprocess.Popen(
        [program, str(NODE / "ws_client.js"), hub.live_url(body["token"]), *map(str, drops)],
        stdout=subprocess.PIPE,
        env=clean_environment(),
    ) as client:
        try:
            assert client.stdout is not None
            told = _until(client.stdout, lambda line: line.get("connected") == 3)
            assert told["last_seq"] == _expected(hub)[-1]  # both drops were before the second half
            hub.publish(*(play.line for play in plays[half:]))
            summary = _until(client.stdout, lambda line: "seqs" in line)
            assert client.wait(15) == 0
        finally:
            client.kill()
    assert summary["seqs"] == _expected(hub)
    assert summary["repeats"] == 0
    assert summary["connections"] == 3
    assert summary["pongs"] >= 1  # a dropped connection may not have seen its own
    assert summary["unsequenced"] > 0
    assert summary["closes"] == [1000]


def _expected(hub: Hub) -> list[int]:
    """The seqs that a ShotTracker session of the game is owed now."""
    events = hub.events(feed="shottracker", subject=GAME)
    return [event.seq for event in events if event.lane == "event" and event.type != "shottracker.game"]


def _until(lines: IO[bytes], wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    for line in lines:
        told: dict[str, Any] = msgspec.json.decode(line)
        if wanted(told):
            return told
    raise AssertionError("the client ended before")
