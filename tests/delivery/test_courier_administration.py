"""Changes under way: pause, suspension, removal, other addresses and secrets; dead letters, replay, retention."""

from __future__ import annotations

import msgspec

from touchline.delivery.courier import CourierLimits
from touchline.delivery.courier.transport import Reply
from touchline.feeds.base import Admitted

from .courier_world import Behaviour, Codec, Got, World, event, feed, inversions, never, ok, says


def failing_for(subject: str, *, below: int) -> Behaviour:
    return lambda got: says(500)(got) if got.subject == subject and got.offset < below else ok(got)


def newest(world: World, url: str) -> dict[str, int]:
    """What a receiver that keeps the last arrival per stream holds."""
    return {got.subject: got.offset for got in world.got[url] if got.status == 200}


async def poisoned(world: World, url: str = "http://a", **options: str) -> str:
    """An endpoint with dead letters 1 and 4 of stream a, and everything after delivered."""
    made = await world.endpoint(url, failing_for("a", below=5), **options)
    await world.append(*[event("abc"[n % 3]) for n in range(6)])
    for _ in range(200):
        await world.append(event("b"))
        await world.run(1)
    assert [letter.offset for letter in await world.courier.dead_letters(made.id)] == [1, 4]
    world.behaviours[url] = ok
    await world.append(event("a"))
    await world.run(1)
    return made.id


async def test_redriving_an_ordered_stream_leaves_the_receiver_with_the_newest() -> None:
    world = await World().start()
    made = await poisoned(world)
    head = newest(world, "http://a")["a"]
    before = len(world.got["http://a"])
    assert await world.courier.redrive(made, [1]) == 1
    await world.run(5)
    again = world.got["http://a"][before:]
    assert [got.offset for got in again] == [1, 4, head]
    assert all(got.replay for got in again)
    assert newest(world, "http://a")["a"] == head
    assert await world.courier.dead_letters(made) == []
    await world.crash()
    assert (await world.courier.report(made)).dead_letters == 0


async def test_a_dead_letter_outlives_retention_and_a_crash() -> None:
    world = await World().start()
    made = await poisoned(world)
    await world.log.trim(world.log.head - 1)
    await world.crash()
    assert (await world.courier.report(made)).dead_letters == 2
    before = len(world.got["http://a"])
    assert await world.courier.redrive(made) == 2
    await world.run(5)
    assert [got.offset for got in world.got["http://a"][before:]][:2] == [1, 4]
    assert newest(world, "http://a")["a"] == world.log.head
    assert await world.courier.dead_letters(made) == []


async def test_redriving_without_order_sends_that_record_alone() -> None:
    world = await World().start()
    made = await poisoned(world, order="none")
    before = len(world.got["http://a"])
    assert await world.courier.redrive(made, [4, 99]) == 1
    await world.run(5)
    assert [got.offset for got in world.got["http://a"][before:]] == [4]
    assert [letter.offset for letter in await world.courier.dead_letters(made)] == [1]


async def test_redriving_under_strict_order_goes_from_there_to_the_head() -> None:
    world = await World().start()
    made = await world.endpoint("http://a", lambda got: says(422)(got) if got.offset == 3 else ok(got),
                                order="strict", final_4xx="true")  # fmt: skip
    await world.append(*[event("abc"[n % 3]) for n in range(9)])
    await world.run(1)
    assert world.taken("http://a") == [1, 2, 4, 5, 6, 7, 8, 9]
    world.behaviours["http://a"] = ok
    await world.log.trim(5)
    assert await world.courier.redrive(made.id) == 1
    await world.run(1)
    assert world.taken("http://a")[8:] == [3, 6, 7, 8, 9]
    assert await world.courier.dead_letters(made.id) == []


async def test_replay_repeats_exactly_the_same_and_leaves_the_newest() -> None:
    world = await World().start()
    await world.append(*[event("ab"[n % 2]) for n in range(5)])
    made = await world.endpoint("http://a")
    await world.append(*[event("ab"[n % 2]) for n in range(50)])
    await world.run(5)
    first = world.got["http://a"]
    assert len(first) == 50
    assert not any(got.replay for got in first)
    for after, count in ((30, 25), (0, 55)):
        before = len(world.got["http://a"])
        await world.courier.replay(made.id, after)
        await world.run(5)
        again = world.got["http://a"][before:]
        assert len(again) == count
        assert all(got.replay for got in again)
        old = {got.offset: (got.message_id, got.body) for got in first}
        assert all(old.get(got.offset, (got.message_id, got.body)) == (got.message_id, got.body) for got in again)
        for stream in "ab":
            offsets = [got.offset for got in again if got.subject == stream]
            assert offsets == sorted(offsets)
    assert newest(world, "http://a") == newest(world, "http://a") | {"b": 55, "a": 54}
    await world.append(event("a"))
    await world.run(1)
    assert not world.got["http://a"][-1].replay


async def test_a_replay_waits_for_what_is_in_flight_of_the_same_stream() -> None:
    world = await World().start()
    made = await world.endpoint("http://a")
    await world.append(event("a"), event("a"))
    await world.run(1)
    world.behaviours["http://a"] = lambda got: (2.0, Reply(200))
    await world.append(event("a"))
    await world.run(0.5)
    await world.courier.replay(made.id, 0)
    await world.run(1)
    assert [got.offset for got in world.got["http://a"]] == [1, 2, 3]
    await world.run(20)
    assert [got.offset for got in world.got["http://a"]] == [1, 2, 3, 1, 2, 3]


async def test_at_the_bound_of_dead_letters_it_is_paused_and_nothing_is_dropped() -> None:
    world = await World(limits=CourierLimits(dead_letters=3)).start()
    made = await world.endpoint("http://a", says(400), final_4xx="true", order="none")
    for _ in range(5):
        await world.append(event())
        await world.run(1)
    found = world.endpoints.get(made.id)
    assert (found.status, found.by_hub) == ("paused", True)
    assert "dead letters" in found.reason
    world.behaviours["http://a"] = ok
    await world.run(8 * 24 * 3600)
    assert world.endpoints.get(made.id).status == "paused", "it is not probed"
    await world.endpoints.set_status(made.id, "active")
    await world.courier.redrive(made.id)
    await world.run(1)
    assert sorted(world.taken("http://a")) == [1, 2, 3, 4, 6], "5 is the pause itself"


async def test_a_suspended_partner_gets_nothing_more_and_goes_on_in_order_when_it_is_back() -> None:
    world = await World().start()
    await world.endpoint("http://a", lambda got: (3.0, Reply(200)))
    await world.endpoint("http://b", partner="other")
    await world.append(*[event("a") for _ in range(5)])
    await world.run(1)
    await world.directory.suspend("acme")
    assert world.cancelled == ["http://a"]
    await world.append(*[event("a") for _ in range(5)])
    await world.run(30)
    assert len(world.got["http://a"]) == 1
    assert len(world.taken("http://b")) == 10
    world.behaviours["http://a"] = ok
    await world.crash()
    await world.run(30)
    assert len(world.got["http://a"]) == 1
    await world.directory.resume("acme")
    await world.run(5)
    assert world.taken("http://a")[-10:] == list(range(1, 11))


async def test_a_removed_endpoint_leaves_nothing_behind() -> None:
    world = await World().start()
    made = await poisoned(world)
    world.behaviours["http://a"] = never
    await world.append(*[event(str(n)) for n in range(20)])
    await world.run(0.05)
    assert world.under
    await world.endpoints.remove(made)
    assert not world.under
    await world.run(5)
    assert await world.log.directory.list("cursors") == {}
    assert await world.log.directory.list(f"dead_letters.{made}") == {}
    sent = len(world.got["http://a"])
    await world.append(event())
    await world.run(60)
    assert len(world.got["http://a"]) == sent


async def test_a_removal_that_was_cut_off_is_finished_at_the_next_start() -> None:
    world = await World().start()
    made = await poisoned(world)
    await world.endpoints.remove(made)
    await world.crash()
    assert await world.log.directory.list("cursors") == {}
    assert await world.log.directory.list(f"dead_letters.{made}") == {}


async def test_the_next_attempt_has_the_new_address_the_new_secrets_and_the_new_headers() -> None:
    world = await World().start()
    made = await world.endpoint("http://a", says(500))
    await world.append(event("a"), event("b"))
    await world.run(0.1)
    await world.endpoints.rotate_secret(made.id, "s2", 60)
    await world.endpoints.rotate_secret(made.id, "s3", 60)
    await world.endpoints.change(made.id, url="http://b", options={"header.X-Mine": "yes", "order": "none"})
    await world.run(2)
    assert world.taken("http://b") == [1, 2] or world.taken("http://b") == [2, 1]
    headers = dict(world.got["http://b"][0].headers)
    assert (headers["secrets"], headers["x-mine"]) == ("s3,s2,s1", "yes")
    assert headers["user-agent"].startswith("Touchline/")
    await world.run(60)
    await world.append(event("a"))
    await world.run(1)
    assert dict(world.got["http://b"][-1].headers)["secrets"] == "s3"


async def test_changing_the_order_with_a_backlog_inverts_nothing() -> None:
    world = await World().start()
    made = await world.endpoint("http://a", lambda got: (1.0, Reply(200)))
    await world.append(*[event("ab"[n % 2]) for n in range(60)])
    await world.run(3)
    await world.endpoints.change(made.id, options={"order": "strict"})
    await world.run(4)
    await world.crash()
    await world.run(5)
    await world.endpoints.change(made.id, options={})
    await world.run(120)
    arrived = list(dict.fromkeys(world.taken("http://a")))
    assert sorted(arrived) == list(range(1, 61))
    for parity in (0, 1):
        offsets = [offset for offset in arrived if offset % 2 == parity]
        assert offsets == sorted(offsets)


async def test_attempts_are_bounded_readable_and_silent_where_payloads_are_personal() -> None:
    world = await World(feed(), feed("p", personal=True)).start()
    said = b"no\x1b[31m \r\n<b>\xff" + b"x" * 2000
    behaviour = lambda got: (0.2, Reply(500, body=said))  # noqa: E731
    made = await world.endpoint("http://a", behaviour)
    secret = await world.endpoint("http://p", behaviour, feed_name="p")
    await world.append(*[event("ab"[n % 2]) for n in range(8)], event(feed="p"), event("b", feed="p"))
    await world.run(4 * 3600)
    attempts = world.courier.attempts(made.id)
    assert len(attempts) == 100
    one = attempts[0]
    assert (one.kind, one.status, one.seconds, one.type) == ("delivery", 500, 0.2, "f.x")
    assert one.excerpt.startswith("no\N{REPLACEMENT CHARACTER}[31m ")
    assert len(one.excerpt) == 500
    assert all(character.isprintable() for character in one.excerpt)
    assert {found.excerpt for found in world.courier.attempts(secret.id)} == {""}
    report = await world.courier.report(made.id)
    assert report.success_rate == 0.0
    assert report.backlog == 8
    assert report.last_error == "answered 500"
    assert report.oldest_undelivered_seconds is not None
    assert report.oldest_undelivered_seconds > 14_000


async def test_what_retention_overtakes_is_said_and_nothing_stops() -> None:
    world = await World(limits=CourierLimits(recent_records=8)).start()
    made = await world.endpoint("http://a")
    await world.endpoints.set_status(made.id, "paused")
    await world.append(*[event("ab"[n % 2]) for n in range(100)])
    await world.log.trim(70)
    await world.endpoints.set_status(made.id, "active")
    await world.run(5)
    assert sorted(offset for offset in world.taken("http://a")) == list(range(71, 101))
    assert (await world.courier.report(made.id)).expired == 70


async def test_another_epoch_goes_on_at_the_head_at_most() -> None:
    world = await World().start()
    made = await world.endpoint("http://a")
    await world.append(*[event() for _ in range(10)])
    await world.run(20)
    stored = msgspec.json.decode((await world.log.directory.get("cursors", made.id)).value)
    stored |= {"epoch": "another", "cursor": 5000}
    await world.log.directory.put("cursors", made.id, msgspec.json.encode(stored))
    await world.crash()
    await world.append(event())
    await world.run(5)
    assert world.taken("http://a") == list(range(1, 12))


async def test_a_stored_cursor_that_cannot_be_read_begins_where_the_endpoint_was_made() -> None:
    world = await World().start()
    await world.append(event())
    made = await world.endpoint("http://a")
    await world.append(event())
    await world.log.directory.put("cursors", made.id, b"{")
    await world.crash()
    await world.run(5)
    assert world.taken("http://a") == [2]


async def test_grants_that_need_the_state_of_a_stream_wait_for_it() -> None:
    codec = Codec(needs_state=True)
    world = await World(feed(codec=codec), limits=CourierLimits(lane_records=2)).start()
    await world.partner("acme", subject=["team 1"])
    world.states = {("f", "a"): "team 1", ("f", "b"): "team 2"}
    await world.endpoint("http://a", lambda got: (0.3, Reply(200)))
    await world.append(*[event("abc"[n % 3]) for n in range(30)])
    await world.run(20)
    assert world.taken("http://a") == list(range(1, 31, 3))


async def test_topics_that_must_be_confirmed_are_skipped_before_and_repeated_by_a_replay() -> None:
    world = await World(feed(codec=Codec(Admitted.CONFIRMED))).start()
    made = await world.endpoint("http://a", ask=["a", "quiet"])
    await world.append(event("a"), event("b"))
    await world.run(2)
    asked = [got for got in world.got["http://a"] if got.handshake]
    assert [got.handshake for got in asked] == ["a"]
    assert world.taken("http://a") == []
    subscription = world.endpoints.find("f", "acme", "a", made.id)
    assert subscription is not None
    assert not subscription.to_tell
    await world.endpoints.confirm(subscription)
    await world.append(event("a"), event("b"))
    await world.run(2)
    assert world.taken("http://a") == [3]
    await world.courier.replay(made.id, 0)
    await world.run(2)
    assert world.taken("http://a") == [3, 1, 3]


async def test_a_handshake_is_repeated_with_its_id_until_it_is_answered_and_opens_no_breaker() -> None:
    world = await World(feed(codec=Codec(Admitted.CONFIRMED))).start()
    behaviour = lambda got: says(500)(got) if got.handshake == "slow" else ok(got)  # noqa: E731
    made = await world.endpoint("http://a", behaviour, ask=["a", "slow"])
    await world.run(1)
    await world.endpoints.confirm(world.endpoints.find("f", "acme", "a", made.id))
    for _ in range(120):
        await world.append(event("a"))
        await world.run(1)
    assert len(world.taken("http://a")) == 120
    slow = [got for got in world.got["http://a"] if got.handshake == "slow"]
    assert 8 <= len(slow) <= 20
    assert len({got.message_id for got in slow}) == 1
    assert (await world.courier.report(made.id)).state == "active"
    assert {one.kind for one in world.courier.attempts(made.id)} == {"delivery", "handshake"}
    await world.crash()
    world.behaviours["http://a"] = ok
    await world.run(60)
    assert world.endpoints.to_tell() == []
    assert world.got["http://a"][-1].message_id == slow[0].message_id


async def test_a_handshake_ends_with_its_time() -> None:
    world = await World(feed(codec=Codec(Admitted.CONFIRMED))).start()
    made = await world.endpoint("http://a", never, ask=["a"])
    await world.run(49 * 3600)
    assert world.endpoints.to_tell() == []
    subscription = world.endpoints.find("f", "acme", "a", made.id)
    await world.endpoints.confirm(subscription)
    subscription = world.endpoints.find("f", "acme", "a", made.id)
    await world.endpoints.end(subscription, tell=True)
    assert len(world.endpoints.to_tell()) == 1
    await world.run(2 * 3600)
    assert world.endpoints.to_tell() == []


async def test_a_called_topic_is_delivered_from_the_call_until_it_is_taken_back() -> None:
    world = await World(feed(codec=Codec(Admitted.CALLED))).start()
    await world.endpoint("http://a")
    await world.endpoint("http://b")
    await world.append(event("a"))
    begun = await world.endpoints.begin("f", "acme", "a")
    await world.append(event("a"), event("b"))
    await world.run(1)
    await world.endpoints.end(begun)
    await world.append(event("a"))
    await world.run(1)
    assert world.taken("http://a") == world.taken("http://b") == [2]


async def test_the_native_feed_s_endpoints_see_every_feed_and_each_message_has_its_own_id() -> None:
    world = await World(feed(), feed("g"), feed("hub")).start()
    await world.endpoint("http://hub", feed_name="hub")
    await world.endpoint("http://f")
    await world.append(event("a"), event("a", feed="g"))
    await world.run(1)
    assert world.taken("http://hub") == [1, 2]
    assert world.taken("http://f") == [1]
    assert world.got["http://hub"][0].message_id != world.got["http://f"][0].message_id


async def test_records_are_prepared_once_for_all_endpoints_of_a_variant() -> None:
    codec = Codec()
    world = await World(feed(codec=codec)).start()
    for n in range(10):
        await world.endpoint(f"http://{n}", colour="red" if n % 2 else "blue")
    await world.append(*[event(str(n)) for n in range(7)])
    await world.run(2)
    assert all(len(world.taken(f"http://{n}")) == 7 for n in range(10))
    assert codec.prepared == 14


async def test_a_test_is_one_post_past_the_queues() -> None:
    import asyncio

    world = await World().start()
    made = await world.endpoint("http://a", says(418))
    await world.endpoints.set_status(made.id, "paused")
    asked = asyncio.ensure_future(world.courier.test(made.id))
    await asyncio.sleep(0)
    await world.run(1)
    attempt = await asked
    assert (attempt.kind, attempt.status, attempt.offset) == ("test", 418, 0)
    assert len(world.got["http://a"]) == 1
    assert world.courier.attempts(made.id) == []
    assert (await world.courier.report(made.id)).failed == 0


async def test_nothing_goes_out_before_there_is_anything_to_sign_with() -> None:
    world = World()
    world.signing = False
    await world.start()
    await world.endpoint("http://a")
    await world.append(event())
    await world.run(5)
    assert world.got["http://a"] == []
    world.signing = True
    await world.run(2)
    assert world.taken("http://a") == [1]


async def test_stop_waits_shortly_and_saves_where_everything_stands() -> None:
    world = await World(limits=CourierLimits(stop_seconds=0.0)).start()
    await world.endpoint("http://a")
    await world.endpoint("http://b", never)
    await world.append(event("a"), event("b"))
    await world.run(0.2)
    await world.courier.stop()
    assert world.cancelled.count("http://b") == len(world.cancelled) > 0
    world.behaviours["http://b"] = ok
    await world.crash()
    await world.run(5)
    assert world.taken("http://a") == [1, 2]
    assert sorted(world.taken("http://b")) == [1, 2]
    assert not inversions(world.got["http://b"])


def test_the_id_of_a_message_is_a_uuid_and_never_changes() -> None:
    from uuid import UUID

    from touchline.delivery.courier.messages import message_id

    made = message_id("ep_1", 42)
    assert made == message_id("ep_1", 42) == "" + str(UUID(made))
    assert (UUID(made).version, UUID(made).variant) == (5, "specified in RFC 4122")
    assert len({message_id("ep_1", n) for n in range(100)} | {message_id("ep_2", n) for n in range(100)}) == 200


def test_a_world_shows_inversions() -> None:
    got = [Got(0, n, "a", "", False, 200, b"", ()) for n in (1, 3, 2)]
    assert inversions(got) == [("a", 3, 2)]
