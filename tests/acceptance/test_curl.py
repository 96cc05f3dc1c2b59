"""``curl`` publishes the seed's example payloads as they stand there; their bytes arrive unchanged everywhere."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from .hubs import SHARED, Hub, clean_environment, game
from .readers import SseReader, open_socket

GAME = "062a3726-3b0f-11eb-86c4-02420043683b"
SEED = SHARED / "seeds" / "000_7de013f4cf6f65ae.txt"

# The `data` objects of the page, to the byte.
STATS = b"""{
"occurred_at": 1500571319432,
"team_id": 461,
"player_id": 2623,
"stats": {
"FGA": 15,
"FG": 8,
"PTS": 17
},
"classification": "TWO_POINT_MAKE",
"version": 1941
}"""
SHOT = b"""{
"occurred_at": 1500571319432,
"team_id": 461,
"player_id": 2623,
"is_make": true,
"is_3point": false,
"zone": 1,
"hoop_player_x": 685,
"hoop_player_y": -475,
"status": "RECORDED"
}"""
LOCATION = b"""{
"occurred_at": 1500571321532,
"type": "PLAYER",
"id": 2942,
"x": 2314,
"y": -8635,
"z": 69,
"speed": 0.1,
"dist": 1.3
}"""
EXAMPLES = {"boxscorestatsv2": STATS, "shot": SHOT, "location": LOCATION}
# Everything that a parser on the way would spoil: numbers beyond 2^53, spellings, key order, escapes, unknown members.
AWKWARD = (
    b'{ "version" : 9007199254740993,"zz":1e2,"team_id":461 , "player_id":2623,\t"stats":{"PTS":15.0,"FG":1E+2,'
    b'"AST":-0.0,"DIST":123456789012345678901234567890},"aa":"\\u00e9\\/ \xc3\xa9","version_text":"\\ud83c\\udfc0",'
    b'"nested":{"b":[1.10,{}],"a":null} }'
)


class Frame(msgspec.Struct):
    """What of a frame is looked at, whichever protocol it is of."""

    type: str
    data: msgspec.Raw
    source: str = ""
    seq: str | int = 0


@pytest.fixture
def curl() -> str:
    """The program."""
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not here")
    return program


def event(name: str, data: bytes) -> bytes:
    """A pretty-printed CloudEvent with ``data`` in its own bytes."""
    return b"""{
  "specversion": "1.0",
  "id": "example-%b",
  "source": "/venue/12",
  "type": "shottracker.%b",
  "subject": "%b",
  "time": "2026-11-20T12:00:00Z",
  "data": %b
}
""" % (name.encode(), name.encode(), GAME.encode(), data)


def publish_by_curl(curl: str, hub: Hub, file: Path, body: bytes) -> dict[str, Any]:
    """Publish a file; the answer."""
    file.write_bytes(body)
    done = subprocess.run(
        [curl, "-sS", "--fail-with-body", f"{hub.url}/hub/v1/events", "--data-binary", f"@{file}",
         "-H", "Content-Type: application/cloudevents+json", "-H", f"Authorization: Bearer {hub.publisher_key}"],
        env=clean_environment(), capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout, done.stderr)
    answer: dict[str, Any] = msgspec.json.decode(done.stdout)
    return answer


def test_the_examples_are_the_seed_s() -> None:
    if not SEED.is_file():
        pytest.skip("the seeds are not here")
    text = SEED.read_bytes()
    for name, data in {"stats": STATS, "shot": SHOT, "location": LOCATION}.items():
        assert b'{\n"type": "%b",\n"data": %b\n}' % (name.encode(), data) in text


async def test_what_curl_publishes_arrives_byte_for_byte(hub: Hub, curl: str, tmp_path: Path) -> None:
    plain = hub.add_shottracker("plain")
    older = hub.add_shottracker("older", options={"envelope": "event"})
    key = hub.add_partner("app", "hub")["key"]
    hub.publish(game(GAME, ("home_team_id", 461)))
    start = hub.events()[-1].position
    sse = SseReader(hub, "sse", key, start)
    async with (
        open_socket(hub.live_url(hub.token(plain, GAME))) as live,
        open_socket(hub.live_url(hub.token(older, GAME))) as enveloped,
        open_socket(hub.ws_url("/hub/v1/ws", after=start), key) as native,
        asyncio.timeout(40),
    ):
        reading = asyncio.create_task(sse.run())
        bodies = EXAMPLES | {"boxscorestatsv2 ": AWKWARD}
        for number, (name, data) in enumerate(bodies.items()):
            source = name.strip()
            body = event(source, data).replace(b"example-", b"example-%d-" % number)
            answer = await asyncio.to_thread(publish_by_curl, curl, hub, tmp_path / "event.json", body)
            assert (answer["accepted"], answer["duplicates"]) == (1, 0)

            seq = {"boxscorestatsv2": b'"seq":"2",', "shot": b'"seq":"3",', "boxscorestatsv2 ": b'"seq":"4",'}.get(name)
            expected = b'{%b"type":"data","source":"%b","data":%b}' % (seq or b"", source.encode(), data)
            assert await _receive(live, source) == expected

            old_name = "stats" if source == "boxscorestatsv2" else source
            assert await _receive(enveloped, old_name) == b'{"type":"%b","data":%b}' % (old_name.encode(), data)

            given = msgspec.json.decode(await _receive(native, f"shottracker.{source}"), type=Frame)
            assert bytes(given.data) == data
            assert given.seq == (0 if seq is None else int(seq[7:8]))
        await sse.reached(3)
        reading.cancel()
    stored = [one for one in hub.events() if one.type != "shottracker.game"]
    assert [(one.type.removeprefix("shottracker."), bytes(one.data)) for one in stored] == [
        (name.strip(), data) for name, data in bodies.items()
    ]
    # A server-sent event has lines, so a reader gets line feeds of `data` back from as many data fields.
    assert [seen.data for seen in sse.seen] == [STATS, SHOT, AWKWARD]


async def _receive(socket: Any, wanted: str) -> bytes:
    """The next frame of that type or source, skipping summaries that the hub makes by itself."""
    while True:
        text = (await socket.recv()).encode()
        frame = msgspec.json.decode(text, type=Frame)
        if wanted in (frame.source, frame.type):
            return text


def test_curl_gets_them_back_from_the_native_page(hub: Hub, curl: str, tmp_path: Path) -> None:
    for name, data in EXAMPLES.items():
        publish_by_curl(curl, hub, tmp_path / "event.json", event(name, data))
    again = publish_by_curl(curl, hub, tmp_path / "event.json", event("stats", STATS).replace(b".stats", b".shot"))
    assert again["accepted"] == 1
    repeated = publish_by_curl(curl, hub, tmp_path / "event.json", event("shot", SHOT))
    assert (repeated["accepted"], repeated["duplicates"]) == (0, 1)
    done = subprocess.run(
        [curl, "-sS", f"{hub.url}/hub/v1/events?type=shottracker.location&type=shottracker.boxscorestatsv2",
         "-H", f"Authorization: Bearer {hub.admin_key}"],
        env=clean_environment(), capture_output=True, timeout=30, check=True,
    )  # fmt: skip
    assert b'"data":' + STATS in done.stdout
    assert b'"data":' + LOCATION in done.stdout
    assert SHOT not in done.stdout
