"""Notes, signatures and names reach who is granted the game, and nobody and nothing else."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from said import SAID
from touchline.errors import RemoteProtocolError
from touchline.feeds import registry
from touchline.feeds.base import Hosting, Received, Trust
from touchline.feeds.hisports import FEED, http
from touchline.feeds.intake import Intake
from touchline.testing.memory import MemoryHub
from touchline.wire.cloudevents import Envelope

from .worlds import GAME, KEY, OTHER_KEY, SECRET, SHEET, UPDATE, answer, ask, data, endpoint, game, member, sheet

NOTES, SIGNATURE, NAME = "canary-notes-7d1", "data:image/png;base64,Y2FuYXJ5LTFhMg==", "CANARY-NAME-93C"
CANARIES = (NOTES, SIGNATURE, NAME)
SAID.never(*CANARIES)
FIRST_OFFICE = {"office_id": "8"}


def telling_sheet(**changed: Any) -> dict[str, Any]:
    whole = sheet(notes=NOTES, **changed)
    whole["lineups"]["2177"]["members"][0]["participant"] |= {"fullName": NAME, "lastName": NAME}
    whole["lineups"]["2177"]["approval"]["signature"] = SIGNATURE
    whole["approvals"]["scorekeeper"] |= {"name": NAME, "signature": SIGNATURE}
    whole["goals"][0]["participantId"] = whole["lineups"]["2177"]["members"][0]["participantId"]
    return whole


def told_hub() -> MemoryHub:
    hub = MemoryHub(FEED, (member(**FIRST_OFFICE), member("other", OTHER_KEY, office_id="9")), "http://hub")
    hub.publish(SHEET, GAME, data(game=game(), scoresheet=telling_sheet()))
    hub.publish(UPDATE, GAME, data(game=game()))
    hub.publish(UPDATE, "5", data(game=game(5, officeId=9)))
    return hub


def found(text: object) -> list[str]:
    return [canary for canary in CANARIES if canary in str(text)]


@pytest.fixture(autouse=True)
def _nothing_is_printed(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    assert found(caplog.text) == []
    assert found(capfd.readouterr()) == []


def test_the_feed_says_that_it_is_about_people() -> None:
    assert FEED.capabilities.personal


def test_the_granted_receiver_gets_everything() -> None:
    hub = told_hub()
    codec = FEED.webhook
    assert codec is not None
    record, to = hub.stored[0], endpoint(signature="hmac", trace="on")
    assert codec.permits({"office_id": frozenset({"8"})}, record, None)
    assert not codec.permits({"office_id": frozenset({"9"})}, record, hub.fold(GAME))
    prepared = codec.prepare(record, "")
    assert prepared is not None
    outgoing = codec.finish(prepared, to, "id", hub.now(), Hosting("http://hub"))
    assert found(outgoing.body.decode()) == list(CANARIES)
    assert found(outgoing.headers) == []
    received = codec.receive(outgoing.headers, outgoing.body, Trust((SECRET,)), hub.now())
    assert isinstance(received, Received)
    assert found((received.detail, received.message_id, received.answer)) == []
    whole = answer(hub, ask("/games/4100/scoresheet"))
    assert found(whole.body.decode()) == list(CANARIES)


def test_summaries_of_the_granted_hold_names_and_nothing_else() -> None:
    hub = told_hub()
    for path in ("/games/4100/boxScore", "/games/4100/lineups"):
        assert found(answer(hub, ask(path)).body.decode()) == [NAME]
    for path in ("/games", "/games/4100", "/games/count", "/teams"):
        response = answer(hub, ask(path))
        assert response.status == 200
        assert found(response.body.decode()) == []


@pytest.mark.parametrize("key", [OTHER_KEY, "0" * 40, None])
def test_nobody_else_reads_anything(key: str | None) -> None:
    hub = told_hub()
    filters = ("", '{"where":{"id":4100}}', f'{{"where":{{"notes":"{NOTES}"}}}}', "{")
    for operation in http.operations(hub):
        for asked in filters:
            for query in ({}, {"filter": asked}, {"where": asked}):
                path = operation.path.removeprefix("/api").replace("{id}", GAME)
                response = answer(hub, ask(path, key, **query))
                assert found((response.body.decode(), response.headers)) == []
                if key == OTHER_KEY and "{id}" in operation.path:
                    assert response.status in (400, 404)


def broken() -> Iterator[bytes]:
    """Bodies that are refused at every place where a name, a note or a signature stands."""
    whole = data(type="scoresheet.update", game=game(), scoresheet=telling_sheet())
    yield whole[:-1]
    yield whole[: len(whole) // 2]
    yield whole.replace(b'"4100"', b"{}", 1).replace(b'"id":4100', b'"id":[]', 1)
    for name in ("goals", "keepers", "lineups", "approvals", "notes", "status", "settings"):
        yield data(
            type="scoresheet.update", game=game(), scoresheet=telling_sheet() | {name: [NOTES, {NAME: SIGNATURE}]}
        )
        yield data(type="scoresheet.update", game=game(), scoresheet=telling_sheet() | {name: {NAME: {"goals": NOTES}}})
    bad = telling_sheet()
    bad["lineups"][NAME] = {"members": NOTES}
    yield data(type="scoresheet.update", game=game(), scoresheet=bad)
    yield data(type=NAME + " " + NOTES, game=game())
    yield data(type="game.update", game=game(NAME + "\n" + NOTES))


def test_errors_tell_nothing(caplog: pytest.LogCaptureFixture) -> None:
    codec = FEED.webhook
    assert codec is not None
    now = told_hub().now()
    intake = Intake(registry.feeds())
    refusals = 0
    for body in broken():
        published = intake.event(Envelope("1", "/test", SHEET, GAME, body), 0)
        assert not isinstance(published, tuple) or found(published) == []
        refusals += isinstance(published, tuple)
        for headers in ((), (("x-hisports-signature", f"sha256={NAME}"),)):
            for trust in (Trust(), Trust((SECRET,))):
                try:
                    codec.receive(headers, body, trust, now)
                except RemoteProtocolError as error:
                    refusals += 1
                    chain = (error, error.__cause__, None if error.__suppress_context__ else error.__context__)
                    assert found(chain) == []
    assert refusals > 40


def test_the_sample_and_what_is_shown_of_things_name_nobody() -> None:
    codec = FEED.webhook
    assert codec is not None
    hub = told_hub()
    assert found(codec.sample(endpoint(), hub.now())) == []
    assert found(http.operations(hub)) == []
    assert json.loads(codec.sample(endpoint(), hub.now()).event.data)["game"]["id"] == 0
    assert KEY not in repr(hub.members)
