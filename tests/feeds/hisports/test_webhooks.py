"""The webhook codec: bodies, topics, grants, signatures; and the receiver against what may come."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.errors import LocalProtocolError, RemoteProtocolError
from touchline.feeds.base import EndpointView, Hosting, Instant, Outgoing, Received, Trust
from touchline.feeds.hisports.webhooks import HisportsWebhooks
from touchline.model import Record
from touchline.testing.memory import START_NS
from touchline.wire import standard_webhooks
from touchline.wire.http import first

from .worlds import CREATE, GAME, OLD_SECRET, SECRET, SHEET, UPDATE, data, endpoint, game, new_hub, sheet

CODEC = HisportsWebhooks()
ID = "0b5f9b0e-5d1f-4c35-9b3a-6f3a6f1f2c11"
NOW = Instant(START_NS, 0.0)
KEY_PAIR = standard_webhooks.new_secret("ed25519", lambda count: bytes(range(count)))


def record(kind: str = SHEET, body: bytes | None = None, subject: str = GAME) -> Record:
    return new_hub().publish(kind, subject, body or data(game=game(), scoresheet=sheet()))


def sent(of: Record, to: EndpointView, now: Instant = NOW) -> Outgoing:
    prepared = CODEC.prepare(of, CODEC.variant(to))
    assert prepared is not None
    return CODEC.finish(prepared, to, ID, now, Hosting("http://hub"))


def later(seconds: float) -> Instant:
    return Instant(NOW.wall_ns + round(seconds * 1e9), seconds)


# --- bodies ---


@pytest.mark.parametrize("kind", [CREATE, UPDATE, SHEET])
def test_the_body_is_type_game_and_scoresheet(kind: str) -> None:
    outgoing = sent(record(kind), endpoint())
    assert outgoing.headers == (("content-type", "application/json; charset=utf-8"),)
    told = json.loads(outgoing.body)
    assert list(told) == ["type", "game", "scoresheet"]
    assert told == {"type": kind.removeprefix("hisports."), "game": game(), "scoresheet": sheet()}


def test_values_leave_as_they_were_published() -> None:
    body = (
        b' {"scoresheet" : {"notes":"\\u00e9\\/", "n": 9007199254740993},"x" : [1.0e0 ], "game":{"id":4100,  "a":1.50}}'
    )
    assert sent(record(body=body), endpoint()).body == (
        b'{"type":"scoresheet.update","game":{"id":4100,  "a":1.50}'
        b',"scoresheet":{"notes":"\\u00e9\\/", "n": 9007199254740993},"x":[1.0e0 ]}'
    )


def test_the_number_is_not_filled_in() -> None:
    assert b'"number"' not in sent(record(body=data(game=game(number=...))), endpoint()).body


def test_a_type_that_is_published_in_the_data_does_not_replace_ours() -> None:
    outgoing = sent(record(body=data(type="game.create", game=game())), endpoint())
    assert outgoing.body.count(b'"type"') == 1
    assert json.loads(outgoing.body)["type"] == "scoresheet.update"


@pytest.mark.parametrize(
    ("subject", "told"), [("4100", 4100), ("a-b", "a-b"), ("007", "007"), ("9" * 30, "9" * 30), ("-1", "-1")]
)
def test_a_scoresheet_alone_is_told_with_the_id_of_its_game(subject: str, told: object) -> None:
    for members in ({}, {"game": None}):
        outgoing = sent(record(body=data(scoresheet={}, **members), subject=subject), endpoint())
        assert json.loads(outgoing.body) == {"type": "scoresheet.update", "game": {"id": told}, "scoresheet": {}}
        received = CODEC.receive(outgoing.headers, outgoing.body, Trust(), NOW)
        assert received.events[0].subject == subject


def test_a_new_type_goes_to_who_takes_all_and_only_as_an_object() -> None:
    new = record("hisports.game.remove", data(game={"id": 4100}, why="snow"))
    assert CODEC.wants(new, endpoint("*"))
    assert not CODEC.wants(new, endpoint("game.update"))
    outgoing = sent(new, endpoint())
    assert json.loads(outgoing.body) == {"type": "game.remove", "game": {"id": 4100}, "why": "snow"}
    received = CODEC.receive(outgoing.headers, outgoing.body, Trust(), NOW)
    assert received.events[0].type == "hisports.game.remove"
    assert CODEC.prepare(record("hisports.news", b"[1]"), "") is None


# --- topics, options, grants ---


def test_topics() -> None:
    assert CODEC.topics((), {}, {}) == ("*",)
    assert CODEC.topics(("game.update", "*"), {}, {}) == ("*",)
    assert CODEC.topics(("game.update", UPDATE, "scoresheet.update"), {}, {}) == (UPDATE, SHEET)
    for text in ("game", "game.*", "", "hisports.", "hisports.game", "GAME.UPDATE", "insights.insight", "game.update "):
        with pytest.raises(ValueError, match=r"game\.create, game\.update, scoresheet\.update, and \* for all"):
            CODEC.topics((text,), {}, {})


def test_an_endpoint_gets_the_types_that_it_names() -> None:
    to = endpoint("hisports.game.update", "game.create")
    assert [CODEC.wants(record(kind), to) for kind in (CREATE, UPDATE, SHEET)] == [True, True, False]
    assert all(CODEC.wants(record(kind), endpoint()) for kind in (CREATE, UPDATE, SHEET))


@pytest.mark.parametrize(
    ("grants", "permitted"),
    [
        ({}, True),
        ({"office_id": {"8"}}, True),
        ({"office_id": {"245"}}, False),  # a team's office is not the game's
        ({"office_id": {"7", "8"}}, True),
        ({"schedule_id": {"7"}}, True),
        ({"schedule_id": {"8"}}, False),
        ({"team_id": {"2177"}}, True),
        ({"team_id": {"2178", "5"}}, True),
        ({"team_id": {"217"}}, False),
        ({"team_id": {"2177"}, "office_id": {"8"}, "schedule_id": {"7"}}, True),
        ({"team_id": {"2177"}, "office_id": {"9"}}, False),
        ({"match_key": {"x"}}, False),
    ],
)
def test_grants_open_games(grants: dict[str, Any], permitted: bool) -> None:
    allowed = {name: frozenset(values) for name, values in grants.items()}
    hub = new_hub()
    create = hub.publish(CREATE, GAME, data(game=game()))
    whole = hub.publish(SHEET, GAME, data(game=game(), scoresheet=sheet()))
    alone = hub.publish(SHEET, GAME, data(scoresheet=sheet()))
    named = hub.publish(SHEET, GAME, data(game={"id": 4100}, scoresheet=sheet()))
    state = hub.fold(GAME)
    for each in (create, whole):
        assert CODEC.permits(allowed, each, None) is permitted
    for each in (alone, named):
        assert CODEC.permits(allowed, each, state) is permitted
        assert CODEC.permits(allowed, each, None) is (not grants)


def test_ids_are_compared_as_texts_and_teams_may_be_named_by_their_objects_alone() -> None:
    other = record(CREATE, data(game={"id": 4100, "officeId": "8", "homeTeam": {"id": 5}, "awayTeam": {"id": "6"}}))
    for name, value in (("office_id", "8"), ("team_id", "5"), ("team_id", "6")):
        assert CODEC.permits({name: frozenset({value})}, other, None)


# --- signatures ---


def test_hmac_is_over_the_raw_body_with_the_secret_s_own_text() -> None:
    outgoing = sent(record(), endpoint(signature="hmac"))
    digest = hmac.new(SECRET.encode(), outgoing.body, hashlib.sha256).hexdigest()
    assert outgoing.headers[1:] == (("x-hisports-signature", f"sha256={digest}"),)


def test_trace_headers_are_added_when_asked_for() -> None:
    outgoing = sent(record(), endpoint(trace="on"))
    assert outgoing.headers[1:] == (
        ("x-hisports-delivery", ID),
        ("x-hisports-timestamp", str(START_NS // 1_000_000)),
    )
    assert len(sent(record(), endpoint(trace="off")).headers) == 1
    received = CODEC.receive(outgoing.headers, outgoing.body, Trust(), NOW)
    assert received.message_id == received.events[0].id == ID


@pytest.mark.parametrize(("scheme", "told"), [("hmac", None), ("standard", ID)])
def test_the_message_id_when_the_sender_gives_one(scheme: str, told: str | None) -> None:
    outgoing = sent(record(), endpoint(signature=scheme))
    assert CODEC.receive(outgoing.headers, outgoing.body, Trust((SECRET,)), NOW).message_id == told


def test_a_receiver_with_a_secret_takes_nothing_unsigned() -> None:
    outgoing = sent(record(), endpoint())
    with pytest.raises(RemoteProtocolError, match="missing"):
        CODEC.receive(outgoing.headers, outgoing.body, Trust((SECRET,)), NOW)
    for secrets in ((), (SECRET,)):
        signed = sent(record(), endpoint(signature="hmac"))
        assert isinstance(CODEC.receive(signed.headers, signed.body, Trust(secrets), NOW), Received)


@pytest.mark.parametrize(
    "value", ["", "sha256=", "sha256=é", "sha1=00", "\ud800", "sha256=" + "0" * 64, "0" * 64, "x" * 100_000]
)
def test_wrong_signatures(value: str) -> None:
    body = sent(record(), endpoint()).body
    for headers in (
        (("x-hisports-signature", value),),
        (("x-hisports-signature", value),) * 2,
        (*sent(record(), endpoint(signature="standard")).headers, ("x-hisports-signature", value)),
    ):
        with pytest.raises(RemoteProtocolError) as caught:
            CODEC.receive(headers, body, Trust((SECRET,)), NOW)
        assert SECRET not in str(caught.value)


def test_a_signature_is_given_once() -> None:
    outgoing = sent(record(), endpoint(signature="hmac"))
    for more in (outgoing.headers[-1], ("x-hisports-signature", "sha256=00")):
        with pytest.raises(RemoteProtocolError, match="given twice"):
            CODEC.receive((*outgoing.headers, more), outgoing.body, Trust((SECRET,)), NOW)


def test_a_signature_does_not_fit_another_body_or_the_same_written_anew() -> None:
    for scheme in ("hmac", "standard"):
        outgoing = sent(record(), endpoint(signature=scheme))
        anew = json.dumps(json.loads(outgoing.body)).encode()
        with pytest.raises(RemoteProtocolError):
            CODEC.receive(outgoing.headers, anew, Trust((SECRET,)), NOW)


def test_a_public_key_signs_nothing() -> None:
    """Everybody may know ``whpk_…``; as a text it must not be a secret of the HMAC scheme."""
    public = standard_webhooks.shown(KEY_PAIR)
    body = sent(record(), endpoint()).body
    forged = hmac.new(public.encode(), body, hashlib.sha256).hexdigest()
    with pytest.raises(RemoteProtocolError):
        CODEC.receive((("x-hisports-signature", f"sha256={forged}"),), body, Trust((public,)), NOW)
    signed = sent(record(), endpoint(signature="ed25519", secrets=(KEY_PAIR,)))
    assert isinstance(CODEC.receive(signed.headers, signed.body, Trust((public,)), NOW), Received)


def test_a_secret_of_any_text_serves_hmac_and_is_none_for_the_other_scheme() -> None:
    word = "pass wörd"
    signed = sent(record(), endpoint(signature="hmac", secrets=(word,)))
    assert isinstance(CODEC.receive(signed.headers, signed.body, Trust((word,)), NOW), Received)
    standard = sent(record(), endpoint(signature="standard"))
    with pytest.raises(RemoteProtocolError):
        CODEC.receive(standard.headers, standard.body, Trust((word,)), NOW)


def test_hmac_without_a_secret_is_our_own_fault() -> None:
    with pytest.raises(LocalProtocolError):
        sent(record(), endpoint(signature="hmac", secrets=()))


def test_during_a_rotation_standard_webhooks_has_both_signatures_and_hmac_the_newest() -> None:
    standard = sent(record(), endpoint(signature="standard"))
    assert len((first(standard.headers, "webhook-signature") or "").split()) == 2
    for secret in (SECRET, OLD_SECRET):
        assert isinstance(CODEC.receive(standard.headers, standard.body, Trust((secret,)), NOW), Received)
    own = sent(record(), endpoint(signature="hmac"))
    with pytest.raises(RemoteProtocolError):
        CODEC.receive(own.headers, own.body, Trust((OLD_SECRET,)), NOW)


@pytest.mark.parametrize("options", [{"signature": "standard"}, {"signature": "hmac", "trace": "on"}, {"trace": "on"}])
def test_old_messages_are_refused_where_they_say_their_time(options: dict[str, str]) -> None:
    outgoing = sent(record(), endpoint(**options))
    secrets = (SECRET,) if "signature" in options else ()
    for seconds in (0, 299, -299):
        trust = Trust(secrets, tolerance_seconds=300)
        assert isinstance(CODEC.receive(outgoing.headers, outgoing.body, trust, later(seconds)), Received)
    for seconds in (301, -301, 1e9):
        with pytest.raises(RemoteProtocolError, match="s are allowed"):
            CODEC.receive(outgoing.headers, outgoing.body, Trust(secrets, tolerance_seconds=300), later(seconds))
        assert isinstance(CODEC.receive(outgoing.headers, outgoing.body, Trust(secrets), later(seconds)), Received)


@pytest.mark.parametrize("stamp", ["", "-1", "1e9", "٣", "9" * 400])
def test_times_that_are_none(stamp: str) -> None:
    with pytest.raises(RemoteProtocolError):
        CODEC.receive(
            (("x-hisports-timestamp", stamp),), sent(record(), endpoint()).body, Trust(tolerance_seconds=9), NOW
        )


# --- the receiver ---


def test_what_is_received_can_be_published_again() -> None:
    outgoing = sent(record(), endpoint())
    received = CODEC.receive(outgoing.headers, outgoing.body, Trust(), NOW)
    (event,) = received.events
    assert (event.feed, event.type, event.subject) == ("hisports", SHEET, GAME)
    assert received.answer.status == 200
    assert received.payload == outgoing.body
    again = new_hub().publish(event.type, event.subject, event.data)
    assert sent(again, endpoint()).body == outgoing.body


@pytest.mark.parametrize(
    "body",
    [
        b'{"type":"game.update","game":{"id":1},"more":[1.50]}',
        b'{"type":"game.update","game":{"id":1},"more":[1.50]}\n',
        b'{ "type": "game.update", "game": {"id": 1}, "more": [1.50] }',
        b'{"game":{"id":1},"more":[1.50],"type":"game.update"}',
        b'{"\\u0074ype":"game.update","game":{"id":1},"more":[1.50]}',
        b'{"type":"game.create","game":{"id":2},"more":[1.50],"type":"game.update","game":{"id":1}}',
    ],
)
def test_type_is_not_in_the_data_however_the_message_is_spelled(body: bytes) -> None:
    (event,) = CODEC.receive((), body, Trust(), NOW).events
    assert (event.type, event.subject) == (UPDATE, "1")
    assert json.loads(event.data) == {"game": {"id": 1}, "more": [1.5]}
    assert b"1.50" in event.data
    assert event.data == event.data.strip()


def test_a_type_that_is_said_twice_is_sent_on_once() -> None:
    body = b'{"type":"game.update","game":{"id":1},"\\u0074ype":"game.update"}'
    (event,) = CODEC.receive((), body, Trust(), NOW).events
    assert sent(record(event.type, event.data, event.subject), endpoint()).body == (
        b'{"type":"game.update","game":{"id":1}}'
    )


@pytest.mark.parametrize(
    "body",
    [
        data(type="game.update"),
        data(type="game.update", game=None),
        data(type="game.update", game={}),
        data(type="game.update", game={"id": ""}),
        data(type="game.update", game={"id": "a\nb"}),
        data(type="game.update", game={"id": "x" * 300}),
        data(type="game.update", game={"id": 1}, scoresheet=[]),
        data(type="scoresheet.update", scoresheet={}),
        data(type="", game={"id": 1}),
        data(type=5, game={"id": 1}),
        data(type="a b", game={"id": 1}),
        data(type="x" * 1000, game={"id": 1}),
        data(game={"id": 1}),
        b'{"type":"game.update","game":{"id":1},"x":"\xff"}',
        b'{"type":"game.update","game":{"id":1},"x":' + b"[" * 100_000,
        "\u00a0{}".encode(),
    ],
)
def test_what_is_no_webhook_of_hisports(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        CODEC.receive((), body, Trust(), NOW)


def test_today_s_values_and_unknown_members_are_taken() -> None:
    body = data(type="game.update", game=game(division="U13", category={"id": 1}, isLive=True), more=[1])
    (event,) = CODEC.receive((), body, Trust(), NOW).events
    assert json.loads(event.data) == {"game": game(division="U13", category={"id": 1}, isLive=True), "more": [1]}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
MESSAGES = st.fixed_dictionaries(
    {}, optional={"type": JSON, "game": st.fixed_dictionaries({"id": JSON}) | JSON, "scoresheet": JSON}
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "x-hisports-signature",
                "x-hisports-timestamp",
                "x-hisports-delivery",
                *("webhook-id", "webhook-timestamp"),
                "webhook-signature",
            ]
        ),
        st.text(max_size=20),
    ),
    max_size=5,
)


@given(st.binary(max_size=50) | MESSAGES.map(lambda each: json.dumps(each).encode()), HEADERS, st.booleans())
def test_a_receiver_raises_nothing_but_what_it_declares(
    body: bytes, headers: list[tuple[str, str]], with_secret: bool
) -> None:
    trust = Trust((SECRET, "word", standard_webhooks.shown(KEY_PAIR)) if with_secret else (), tolerance_seconds=300)
    try:
        received = CODEC.receive(tuple(headers), body, trust, NOW)
    except RemoteProtocolError:
        return
    assert not with_secret
    assert received.events[0].subject
