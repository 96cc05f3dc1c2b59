"""Live Data V2: who is let in, what is followed, what a client may send, how it ends."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest

from touchline.feeds.base import Close, EndReason, Follow, Member, Refuse, StreamView, Token
from touchline.feeds.shottracker import errors, frames, session
from touchline.feeds.shottracker.frames import GameSelector, Variant
from touchline.feeds.shottracker.session import LiveSession
from touchline.model import MAX_OFFSET
from touchline.testing.memory import MemoryHub
from touchline.testing.roles import Line

from .worlds import GAME, STORY, TOKEN, body, live, marker, member, new_hub, told_hub


def refused(hub: MemoryHub, query: str) -> tuple[int, str, bool]:
    line = Line(hub, live(query))
    assert isinstance(line.refused, Refuse)
    assert line.accepted is None
    answer = msgspec.json.decode(line.refused.response.body, type=errors.ErrorBody, strict=True)
    assert answer.status == line.refused.response.status
    assert UUID(answer.shottrackerRequestId).version == 4
    return answer.status, answer.message, line.refused.failed_login


def follow(hub: MemoryHub, query: str = f"token={TOKEN}") -> Follow:
    line = Line(hub, live(query))
    assert line.accepted is not None
    assert line.identity is not None
    assert (line.identity.partner, line.identity.token) == ("demo-user", TOKEN)
    return line.follows[1]


def seqs(line: Line) -> list[int]:
    return [int(seq) for message in line.messages if (seq := msgspec.json.decode(message).get("seq"))]


def sources(line: Line) -> list[str]:
    return [msgspec.json.decode(message)["source"] for message in line.messages]


# --- admission ---


@pytest.mark.parametrize(
    ("query", "counts"), [("", False), ("token=", False), ("token=other", True), ("token=" + "x" * 5000, True)]
)
def test_no_good_token(query: str, counts: bool) -> None:
    assert refused(new_hub(), query) == (401, session.BAD_TOKEN, counts)


@pytest.mark.parametrize(
    "token",
    [
        Token("t", "hub", "demo-user", "subscribe", GAME, None),
        Token("t", "shottracker", "demo-user", "other", GAME, None),
        Token("t", "shottracker", "nobody", "subscribe", GAME, None),
        Token("t", "shottracker", "demo-user", "subscribe", GAME, 1),
    ],
)
def test_a_token_of_another_feed_purpose_partner_or_time(token: Token) -> None:
    hub = new_hub()
    hub.tokens["t"] = token
    assert refused(hub, "token=t") == (401, session.BAD_TOKEN, True)


def test_the_token_alone_says_which_game() -> None:
    assert follow(new_hub()).selector == GameSelector(GAME)


def test_a_partner_that_vanished_between_the_answers() -> None:
    hub = new_hub()
    opened = LiveSession(live(), hub.entropy, hub.now())
    (ask,) = opened.events_received()
    opened.told(ask.number, hub.tokens[TOKEN], hub.now())
    (ask,) = opened.events_received()
    opened.told(ask.number, None, hub.now())
    (wish,) = opened.events_received()
    assert isinstance(wish, Refuse)
    assert wish.response.status == 401
    opened.told(ask.number, hub.members[0], hub.now())
    assert opened.events_received() == []


@pytest.mark.parametrize(
    ("who", "query", "status"),
    [
        (member(event_id="other"), "", 403),
        (member(event_id=f"other|{GAME}"), "", 101),
        (member(source="shot"), "&source=location", 403),
        (member(source="shot"), "&source=location&source=shot", 101),
    ],
)
def test_grants(who: Member, query: str, status: int) -> None:
    hub = new_hub(who)
    if status == 403:
        assert refused(hub, f"token={TOKEN}{query}") == (403, errors.ACCESS_DENIED, False)
    else:
        follow(hub, f"token={TOKEN}{query}")


def test_granted_sources_narrow() -> None:
    assert follow(new_hub(member(source="shot|marker"))).selector.sources == {"shot", "marker"}
    narrowed = follow(new_hub(member(source="shot|marker")), f"token={TOKEN}&source=shot&source=clock")
    assert narrowed.selector.sources == {"shot"}


def test_unknown_sources_are_left_out_unless_none_is_left() -> None:
    known = follow(new_hub(), f"token={TOKEN}&source=shot&source=nonsense&source=")
    assert known.selector.sources == {"shot"}
    assert follow(new_hub(), f"token={TOKEN}&source=").selector.sources is None
    assert refused(new_hub(), f"token={TOKEN}&source=nonsense")[:2] == (400, session.NO_SOURCE)


# --- last_seq ---


@pytest.mark.parametrize("value", ["-1", "x", "1.5", "", "+1", "0x1", "١", "1" * 21, "null", "1%0A"])
def test_last_seq_that_is_no_number(value: str) -> None:
    assert refused(told_hub(), f"token={TOKEN}&last_seq={value}")[:2] == (400, session.BAD_LAST_SEQ)


def test_absent_and_zero_begin_at_the_beginning() -> None:
    hub = told_hub()
    for query in (f"token={TOKEN}", f"token={TOKEN}&last_seq=0"):
        line = Line(hub, live(query))
        line.read()
        assert seqs(line) == list(range(2, 19))


def test_older_than_retention() -> None:
    hub = told_hub()
    hub.floor = 10
    assert refused(hub, f"token={TOKEN}&last_seq=1")[:2] == (410, session.LAST_SEQ_GONE)
    follow(hub)


@pytest.mark.parametrize("value", ["20", "99999999999999999999"])
def test_ahead_of_the_head_waits_for_newer(value: str) -> None:
    hub = told_hub(story=STORY[:3])
    line = Line(hub, live(f"token={TOKEN}&last_seq={value}"))
    assert line.follows[1].selector.last_seq == min(int(value), MAX_OFFSET)
    for number in range(20):
        hub.publish("shottracker.shot", GAME, STORY[6][1])
        assert len(hub.stored) == 5 + number
    line.read()
    assert seqs(line) == ([21, 22, 23, 24] if value == "20" else [])


def test_resuming_sessions_share_the_selector_of_those_from_the_beginning() -> None:
    hub = told_hub(story=STORY[:10])
    assert follow(hub, f"token={TOKEN}&last_seq=5").selector == follow(hub).selector


# --- what is sent ---


def test_a_game_that_has_not_begun() -> None:
    hub = new_hub()
    line = Line(hub, live())
    assert line.accepted is not None
    assert line.send('{"action":"ping"}') == ['{"action":"pong"}']
    assert line.read() == []
    hub.publish("shottracker.marker", GAME, marker("GAME_START", 0)[1])
    assert [msgspec.json.decode(message)["seq"] for message in line.read()] == ["1"]


def test_a_game_that_is_over_is_sent_and_ended() -> None:
    line = Line(told_hub(), live())
    assert line.follows[1].finite
    line.read()
    assert line.closed == Close(1000, "game over")


def test_the_end_of_a_live_game_ends_the_session() -> None:
    hub = told_hub(story=STORY[:5])
    line = Line(hub, live())
    assert not line.follows[1].finite
    line.read()
    assert line.closed is None
    hub.publish("shottracker.marker", GAME, marker("GAME_END", 9)[1])
    line.read()
    assert line.closed == Close(1000, "game over")


def test_the_mock_game_has_no_end_and_begins_at_its_loop() -> None:
    hub = new_hub(subject="mock-service")
    for _ in range(2):
        for source, data in STORY:
            hub.publish(f"shottracker.{source}", "mock-service", data)
    line = Line(hub, live())
    line.read()
    assert line.closed is None
    sequenced = sum(1 for record in hub.stored if record.seq)
    assert seqs(line) == list(range(sequenced // 2 + 1, sequenced + 1))


def test_documents_are_not_pushed_and_unknown_sources_are() -> None:
    line = Line(told_hub(), live())
    line.read()
    assert "game" not in sources(line)
    assert "something" in sources(line)
    narrowed = Line(told_hub(), live(f"token={TOKEN}&source=shot&source=location"))
    narrowed.read()
    assert set(sources(narrowed)) == {"shot", "location"}


def test_other_games_are_not_sent() -> None:
    hub = told_hub()
    hub.publish("shottracker.shot", "g2", STORY[6][1])
    other = hub.stored[-1]
    assert not GameSelector(GAME).matches(other)
    assert GameSelector("g2").matches(other)
    assert hash(GameSelector(GAME, frozenset({"shot"}))) == hash(GameSelector(GAME, frozenset({"shot"})))


def test_the_wire_form_is_the_examples_form() -> None:
    hub = new_hub()
    spaced = b'{ "team_id": 461,\n "player_id":2623, "stats": {"PTS":17.0}, "b":1, "a":2 }'
    for _ in range(25):
        record = hub.publish("shottracker.boxscorestatsv2", GAME, spaced)
    place = hub.publish("shottracker.location", GAME, b'{"type":"PLAYER","id":1}')
    encode = hub.feed.websocket and hub.feed.websocket.encode
    assert encode is not None
    assert encode(record, Variant(), None) == (  # type: ignore[arg-type]
        b'{"seq":"25","type":"data","source":"boxscorestatsv2","data":' + spaced + b"}"
    )
    assert encode(place, Variant(), None) == (  # type: ignore[arg-type]
        b'{"type":"data","source":"location","data":{"type":"PLAYER","id":1}}'
    )


def test_the_older_envelope_for_partners_with_the_option() -> None:
    hub = told_hub(member(envelope="event"), story=STORY[:7])
    line = Line(hub, live())
    line.read()
    kinds = [next(iter(msgspec.json.decode(message).items())) for message in line.messages]
    assert [kind for _, kind in kinds] == ["marker", "marker", "lineup", "stats", "shot", "clock", "location"]
    assert all(name == "type" for name, _ in kinds)
    assert line.messages[3] == b'{"type":"stats","data":' + STORY[5][1] + b"}"
    assert not follow(told_hub(member(envelope="v2"))).selector.variant.event_envelope


def test_a_source_name_is_written_as_json() -> None:
    hub = new_hub()
    record = hub.publish('shottracker.a"\\é', GAME, b"1")
    assert msgspec.json.decode(frames.encode(record, Variant(), None) or b"") == {  # type: ignore[arg-type]
        "seq": "1",
        "type": "data",
        "source": 'a"\\é',
        "data": 1,
    }


def test_the_game_stats_level_leaves_the_breakdown_out() -> None:
    hub = new_hub()
    team = b'{"team_id":1,"score":15.0,"players":[{}],"zones":[],"x":9007199254740993}'
    summary = b'{"status":"ACTIVE","new":[1],"players":[],"home":' + team + b',"away":null}'
    hub.publish("shottracker.broadcastsummary", GAME, summary)
    whole = Line(hub, live(f"token={TOKEN}&broadcast_summary_level=other"))
    assert whole.read() == [b'{"type":"data","source":"broadcastsummary","data":' + summary + b"}"]
    cut = Line(hub, live(f"token={TOKEN}&broadcast_summary_level=game_stats"))
    (message,) = cut.read()
    assert message == (
        b'{"type":"data","source":"broadcastsummary","data":{"status":"ACTIVE","new":[1],'
        b'"home":{"team_id":1,"score":15.0,"x":9007199254740993},"away":null}}'
    )


@pytest.mark.parametrize("data", [b"[]", b"{", b'{"home":{]}', b'{"home":' + b"[" * 9000 + b"]" * 9000 + b"}"])
def test_a_summary_that_cannot_be_cut_is_passed(data: bytes) -> None:
    assert frames.without_breakdown(data) == data


# --- what a client sends ---


@pytest.mark.parametrize("text", ['{"action":"ping"}', ' {\n"action" : "ping", "id": 1 } '])
def test_ping(text: str) -> None:
    assert Line(new_hub(), live()).send(text) == ['{"action":"pong"}']


def test_anything_else_is_ignored() -> None:
    line = Line(new_hub(), live())
    for message in ("{}", "[]", "ping", '{"action":"subscribe"}', '{"action":1}', "[" * 10_000, b'{"action":"ping"}'):
        assert line.send(message) == []
    assert line.send('{"action":"ping"' + " " * 5000 + "}") == []
    assert line.closed is None


def test_pongs_do_not_pile_up() -> None:
    hub = new_hub()
    line = Line(hub, live())
    for _ in range(1000):
        line.session.receive_data('{"action":"ping"}', hub.now())
    assert len(line.session.data_to_send()) <= 64


# --- ends ---


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (EndReason.FINISHED, 1000),
        (EndReason.SHUTDOWN, 1001),
        (EndReason.REVOKED, 1008),
        (EndReason.STALLED, 1013),
        (EndReason.IDLE, 1001),
        (EndReason.GAP, 1013),
        (EndReason.FAULT, 1011),
    ],
)
def test_close_codes(reason: EndReason, code: int) -> None:
    hub = new_hub()
    line = Line(hub, live())
    line.session.end(reason, hub.now())
    line.settle()
    assert line.closed is not None
    assert line.closed.code == code
    assert line.send('{"action":"ping"}') == []


@pytest.mark.parametrize(("reason", "status"), [(EndReason.SHUTDOWN, 503), (EndReason.FAULT, 500)])
def test_ended_while_asking(reason: EndReason, status: int) -> None:
    hub = new_hub()
    opened = LiveSession(live(), hub.entropy, hub.now())
    opened.events_received()
    opened.end(reason, hub.now())
    opened.told(1, hub.tokens[TOKEN], hub.now())
    (wish,) = opened.events_received()
    assert isinstance(wish, Refuse)
    assert wish.response.status == status


def test_it_has_no_timers() -> None:
    hub = new_hub()
    opened = LiveSession(live(), hub.entropy, hub.now())
    opened.tick(hub.now())
    assert opened.deadline() is None
    assert hub.feed.websocket is not None
    assert hub.feed.websocket.idle_seconds == 60.0


def test_a_strange_answer_about_the_stream_reads_as_unknown() -> None:
    hub = new_hub()
    opened = LiveSession(live(), hub.entropy, hub.now())
    for number, answer in ((1, hub.tokens[TOKEN]), (2, hub.members[0]), (3, None)):
        opened.events_received()
        opened.told(number, answer, hub.now())
    assert any(isinstance(wish, Follow) and wish.after == StreamView(False).after for wish in opened.events_received())


# --- the last record ---


def test_is_last() -> None:
    hub = new_hub()
    end = marker("GAME_END", 0)[1]
    assert frames.is_last(hub.publish("shottracker.marker", GAME, end))
    assert not frames.is_last(hub.publish("shottracker.marker", GAME, marker("SESSION_END", 0)[1]))
    assert not frames.is_last(hub.publish("shottracker.marker", "mock-service", end))
    assert not frames.is_last(hub.publish("shottracker.something", GAME, body(type="GAME_END")))
    assert frames.marker_type(b"[]") == ""
