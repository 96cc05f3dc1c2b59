"""The codec as provider: what goes to which endpoint, and that the provider's own receiver reads it."""

from __future__ import annotations

import gzip
import io
import json

import msgspec
import pytest

from touchline.feeds.base import Admitted, EndpointView, Hosting, Instant, Outgoing, Subscription
from touchline.feeds.roanuz.webhooks import WEBHOOKS
from touchline.model import Record
from touchline.testing.memory import MemoryHub

from .worlds import KEY, MATCH, SCENARIOS, STORY, ball, endpoint, new_hub, payload, push, scenario, told_hub

NOW = Instant(1_733_148_600_000_000_000, 5.0)
HOSTING = Hosting("http://127.0.0.1:8080")


def send(record: Record, to: EndpointView) -> Outgoing:
    prepared = WEBHOOKS.prepare(record, WEBHOOKS.variant(to))
    assert prepared is not None
    return WEBHOOKS.finish(prepared, to, "id", NOW, HOSTING)


def sent(hub: MemoryHub, to: EndpointView) -> list[bytes]:
    return [gzip.decompress(send(record, to).body) for record in hub.stored if WEBHOOKS.wants(record, to)]


def flask_example(data: bytes) -> object:
    """What the provider's own receiver does with a body (seed, "Handle the data received")."""
    c_data = io.BytesIO(data)
    text_data = gzip.GzipFile(fileobj=c_data, mode="r")
    byte_str = text_data.read()
    dict_str = byte_str.decode("UTF-8")
    return json.loads(dict_str)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_sample_of_the_seed_arrives_as_it_stands_there(name: str) -> None:
    record = new_hub().publish(*scenario(name, match=b'{"x":[1]}'))
    outgoing = send(record, endpoint())
    assert gzip.decompress(outgoing.body) == payload(name)
    assert flask_example(outgoing.body) == json.loads(payload(name))


def test_the_headers_are_those_that_the_vendors_receivers_take() -> None:
    record = new_hub().publish(*scenario("toss"))
    plain = send(record, endpoint())
    assert plain.headers == (("content-type", "application/octet-stream"),)
    assert plain.body[:2] == b"\x1f\x8b"
    assert send(record, endpoint(webhook_key="k")).headers == (*plain.headers, ("rs-api-key", "k"))


def test_a_body_is_the_same_for_everybody_and_on_every_try() -> None:
    record = new_hub().publish(*scenario("toss"))
    one = WEBHOOKS.prepare(record, False)
    assert one is not None
    assert one == WEBHOOKS.prepare(record, False)
    late = Instant(NOW.wall_ns * 2, 9.0)
    assert WEBHOOKS.finish(one, endpoint(), "id", NOW, HOSTING) == WEBHOOKS.finish(
        one, endpoint(), "other", late, HOSTING
    )


def test_the_older_data_kind_changes_nothing_else() -> None:
    odd = payload("ball_new").replace(b'"ts": 1234567890', b'"ts": 12345678901234567890, "new": 1.10')
    older = endpoint(legacy_data_kind="true")
    assert WEBHOOKS.variant(older) != WEBHOOKS.variant(endpoint())
    assert WEBHOOKS.variant(endpoint(legacy_data_kind="false")) == WEBHOOKS.variant(endpoint())
    record = new_hub().publish("roanuz.ball", MATCH, b'{"notification":%b}' % odd)
    text = gzip.decompress(send(record, older).body)
    wanted = json.loads(odd)
    assert json.loads(text) == wanted | {"data_kind": "match-related-update"}
    assert b'"new": 1.10' in text
    assert json.loads(gzip.decompress(send(record, endpoint()).body)) == wanted
    detail = new_hub().publish(*scenario("toss"))
    assert gzip.decompress(send(detail, older).body) == payload("toss")
    bare = new_hub().publish("roanuz.toss", MATCH, b'{"notification":{"data":{"matchkey":"matchkey"}}}')
    assert gzip.decompress(send(bare, older).body) == b'{"data":{"matchkey":"matchkey"}}'


def test_an_escaped_data_kind_is_the_same_kind() -> None:
    message = b'{"data_kind":"match-entry\\u002dupdate","data":{"matchkey":"matchkey"}}'
    record = new_hub().publish("roanuz.toss", MATCH, b'{"notification":%b}' % message)
    older = send(record, endpoint(legacy_data_kind="true"))
    assert json.loads(gzip.decompress(older.body))["data_kind"] == "match-related-update"


def test_everything_but_the_announcement_is_pushed() -> None:
    hub = told_hub()
    messages = sent(hub, endpoint(subscribe="all"))
    assert len(messages) == len(STORY) - 1
    published = [msgspec.json.decode(data, type=dict[str, msgspec.Raw]) for _, _, data in STORY[1:]]
    assert messages == [bytes(each["notification"]) for each in published]


@pytest.mark.parametrize("data", [b"[1]", b"{}", b'{"notification":null}', b'{"notification":[{}]}', b"5"])
def test_an_unknown_type_without_a_message_is_not_sent(data: bytes) -> None:
    record = new_hub().publish("roanuz.something_new", MATCH, data)
    assert WEBHOOKS.prepare(record, False) is None


def test_grants_open_matches() -> None:
    record = new_hub().publish(*push("Toss"))
    assert WEBHOOKS.permits({}, record, None)
    assert WEBHOOKS.permits({"match_key": frozenset({"x", MATCH})}, record, None)
    assert not WEBHOOKS.permits({"match_key": frozenset({"x"})}, record, None)


def test_how_an_endpoint_comes_to_its_matches() -> None:
    assert WEBHOOKS.admitted_for(endpoint()) is Admitted.CALLED
    assert WEBHOOKS.admitted_for(endpoint(subscribe="called")) is Admitted.CALLED
    assert WEBHOOKS.admitted_for(endpoint(subscribe="all")) is Admitted.AT_ONCE
    assert WEBHOOKS.topic(new_hub().publish(*ball(0, 1))) == MATCH


def test_topics_are_refused_with_the_way_to_choose_matches() -> None:
    assert WEBHOOKS.topics((), {}, {}) == ()
    with pytest.raises(ValueError, match=r"updates-subscribe.*subscribe=all"):
        WEBHOOKS.topics((MATCH,), {}, {})


@pytest.mark.parametrize("key", ["", "a b", "a\r\nx: y", "schlüssel", "x" * 257, "\x7f", "a\x00"])
def test_a_key_that_no_header_can_be_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="rs-api-key"):
        WEBHOOKS.topics((), {"webhook_key": key}, {})


def test_a_good_key_is_taken() -> None:
    assert WEBHOOKS.topics((), {"webhook_key": KEY, "subscribe": "all"}, {}) == ()


def test_there_is_no_handshake() -> None:
    subscription = Subscription("1", "roanuz", "demo", "", MATCH, "confirmed")
    assert WEBHOOKS.handshake(endpoint(), subscription, "id", NOW, HOSTING) is None
    assert WEBHOOKS.mint is None


def test_the_sample_is_the_seeds_first_scenario() -> None:
    outgoing = send(WEBHOOKS.sample(endpoint(), NOW), endpoint())
    found, seeds = json.loads(gzip.decompress(outgoing.body)), json.loads(payload("non_ball"))
    assert found["data"].pop("ts") == 1_733_148_600
    assert found["data"].pop("matchkey") == "touchline-test"
    del seeds["data"]["ts"], seeds["data"]["matchkey"]
    assert found == seeds
