"""Partners, keys, tokens and secrets, on the store in memory and on the one that outlives the process."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from touchline.errors import AlreadyExists, NotFound
from touchline.feeds.base import Admission, CredentialField, Form, Keep
from touchline.log.base import Entry
from touchline.log.directory import Directory
from touchline.log.memory import MemoryKeyValue
from touchline.log.sqlite import SqliteLog
from touchline.testing.clock import FakeClock

BASKETBALL = (
    CredentialField("username", Form.NAME, Keep.PLAIN, lookup=True),
    CredentialField("secret", Form.HEX, Keep.PLAIN),
)
EXCHANGE = (
    CredentialField("access_key", Form.HEX, Keep.PLAIN, lookup=True),
    CredentialField("secret_key", Form.TOKEN, Keep.HASHED),
    CredentialField("partner_id", Form.UUID, Keep.PLAIN),
)
NATIVE = (CredentialField("key", Form.TOKEN, Keep.HASHED, lookup=True),)
HOUR = 3600 * 10**9


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def kv() -> MemoryKeyValue:
    return MemoryKeyValue()


async def started(kv: MemoryKeyValue, clock: FakeClock, seed: int = 1) -> Directory:
    directory = Directory(kv, clock, random.Random(seed).randbytes)
    await directory.start()
    return directory


@pytest.fixture
async def directory(kv: MemoryKeyValue, clock: FakeClock) -> AsyncIterator[Directory]:
    directory = await started(kv, clock)
    yield directory
    await directory.close()


async def issue(
    directory: Directory, partner: str, feed: str = "shottracker", subject: str = "g", **more: int | None
) -> str:
    expires_at = more.get("expires_at")
    token = await directory.issue_token(feed, partner, "live", subject, form=Form.TOKEN, expires_at=expires_at)
    return token.value


class TestPartners:
    async def test_a_member_is_found_by_its_lookup_credential_and_by_name(self, directory: Directory) -> None:
        plain = await directory.add_member(
            "acme", "shottracker", BASKETBALL, {"team_id": ["2", "1", "2"]}, {"envelope": "event"}
        )
        assert plain["username"] == "acme"
        assert re.fullmatch(r"[0-9a-f]{40}", plain["secret"])
        member = directory.member("shottracker", lookup="acme")
        assert member is not None
        assert member == directory.member("shottracker", partner="acme")
        assert (member.partner, member.feed, member.credentials) == ("acme", "shottracker", plain)
        assert member.grants == {"team_id": frozenset({"1", "2"})}
        assert member.options == {"envelope": "event"}
        assert directory.member("shottracker", lookup="other") is None
        assert directory.member("prophetx", lookup="acme") is None
        assert directory.member("shottracker") is None

    async def test_forms_and_how_they_are_kept(self, directory: Directory) -> None:
        plain = await directory.add_member("acme", "prophetx", EXCHANGE, {}, {})
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}", plain["secret_key"])
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", plain["partner_id"])
        member = directory.member("prophetx", lookup=plain["access_key"])
        assert member is not None
        assert member.credentials["secret_key"] == hashlib.sha256(plain["secret_key"].encode()).hexdigest()
        assert member.credentials["partner_id"] == plain["partner_id"]

    async def test_a_hash_does_not_open_what_its_secret_opens(self, directory: Directory) -> None:
        plain = await directory.add_member("acme", "hub", NATIVE, {}, {})
        assert directory.member("hub", lookup=plain["key"]) is not None
        assert directory.member("hub", lookup=hashlib.sha256(plain["key"].encode()).hexdigest()) is None

    async def test_one_name_in_several_feeds(self, directory: Directory) -> None:
        await directory.add_member("acme", "shottracker", BASKETBALL, {}, {})
        await directory.add_member("acme", "hub", NATIVE, {"feed": ["roanuz"]}, {})
        with pytest.raises(AlreadyExists):
            await directory.add_member("acme", "hub", NATIVE, {}, {})
        assert sorted(directory.partner("acme").members) == ["hub", "shottracker"]
        assert [partner.name for partner in directory.partners()] == ["acme"]
        await directory.remove_member("acme", "hub")
        assert list(directory.partner("acme").members) == ["shottracker"]
        assert directory.member("shottracker", lookup="acme") is not None
        with pytest.raises(NotFound):
            await directory.remove_member("acme", "hub")

    @pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "a/b", "ü", "a\n", "a" * 65, "a\x00"])
    async def test_names_that_cannot_be(self, directory: Directory, name: str) -> None:
        with pytest.raises(ValueError, match="cannot be a partner's name"):
            await directory.add_member(name, "hub", NATIVE, {}, {})

    async def test_who_is_not_there(self, directory: Directory) -> None:
        for act in (directory.suspend, directory.resume, directory.remove):
            with pytest.raises(NotFound):
                await act("nobody")
        with pytest.raises(NotFound):
            directory.partner("nobody")
        with pytest.raises(NotFound):
            await directory.rotate("nobody", "hub", NATIVE)
        await directory.add_member("acme", "hub", NATIVE, {}, {})
        with pytest.raises(NotFound):
            await directory.set_grants("acme", "shottracker", {})

    async def test_grants_and_options_change(self, directory: Directory) -> None:
        await directory.add_member("acme", "hub", NATIVE, {"feed": ["a"]}, {"x": "1"})
        await directory.set_grants("acme", "hub", {"feed": ["b"], "type": []})
        member = directory.member("hub", partner="acme")
        assert member is not None
        assert (member.grants, member.options) == ({"feed": frozenset({"b"})}, {"x": "1"})
        await directory.set_grants("acme", "hub", {}, {"y": "2"})
        member = directory.member("hub", partner="acme")
        assert member is not None
        assert (member.grants, member.options) == ({}, {"y": "2"})

    async def test_suspension_stops_everything_until_resumed(self, directory: Directory) -> None:
        await directory.add_member("acme", "shottracker", BASKETBALL, {}, {})
        plain = await directory.add_member("acme", "hub", NATIVE, {}, {})
        token = await issue(directory, "acme")
        await directory.suspend("acme")
        assert directory.partner("acme").suspended
        assert directory.member("shottracker", lookup="acme") is None
        assert directory.member("shottracker", partner="acme") is None
        assert directory.admission(plain["key"]) is None
        assert directory.find_token(token) is None
        assert directory.tokens_of("acme") == []
        with pytest.raises(NotFound):
            await issue(directory, "acme")
        await directory.resume("acme")
        assert directory.member("shottracker", lookup="acme") is not None
        assert directory.find_token(token) is not None
        assert directory.admission(plain["key"]) is not None

    async def test_rotation_ends_the_old_secret_and_tokens_of_that_feed_at_once(self, directory: Directory) -> None:
        old = await directory.add_member("acme", "shottracker", BASKETBALL, {"team_id": ["1"]}, {"o": "1"})
        native = await directory.add_member("acme", "hub", NATIVE, {}, {})
        created = directory.partner("acme").members["shottracker"].created_at
        token, other = await issue(directory, "acme"), await issue(directory, "acme", "hub")
        new = await directory.rotate("acme", "shottracker", BASKETBALL)
        assert new["username"] == "acme"
        assert new["secret"] != old["secret"]
        member = directory.member("shottracker", lookup="acme")
        assert member is not None
        assert (member.credentials, member.options) == (new, {"o": "1"})
        assert member.grants == {"team_id": frozenset({"1"})}
        assert directory.partner("acme").members["shottracker"].created_at == created
        assert directory.find_token(token) is None
        assert directory.find_token(other) is not None
        rotated = await directory.rotate("acme", "hub", NATIVE)
        assert directory.admission(native["key"]) is None
        assert directory.admission(rotated["key"]) is not None

    async def test_a_name_added_again_revives_nothing(self, directory: Directory, kv: MemoryKeyValue) -> None:
        old = await directory.add_member("acme", "shottracker", BASKETBALL, {"team_id": ["1"]}, {})
        native = await directory.add_member("acme", "hub", NATIVE, {}, {})
        token = await issue(directory, "acme")
        (stored,) = (await kv.list("tokens")).items()
        await directory.remove("acme")
        assert dict(await kv.list("tokens")) == {}
        assert directory.member("shottracker", lookup="acme") is None
        assert directory.admission(native["key"]) is None
        new = await directory.add_member("acme", "shottracker", BASKETBALL, {}, {})
        assert new["secret"] != old["secret"]
        member = directory.member("shottracker", lookup="acme")
        assert member is not None
        assert member.grants == {}
        # Even if the deletion of the old token had been lost with a crash:
        await kv.put("tokens", stored[0], stored[1].value)
        assert directory.find_token(token) is None
        assert await issue(directory, "acme") != token


class TestKeys:
    async def test_a_key_is_known_by_its_text_until_revoked(self, directory: Directory, kv: MemoryKeyValue) -> None:
        key, plain = await directory.create_key("publisher", "venue", ["shottracker"], ["/venue/12", "/truck/*"])
        assert directory.find_key(plain) == key
        assert directory.find_key(plain + "x") is None
        assert directory.find_key("") is None
        assert directory.find_key(key.hash) is None
        assert directory.find_key("\ud800") is None
        assert directory.keys() == [key]
        assert all(plain.encode() not in entry.value for entry in (await kv.list("keys")).values())
        await directory.revoke_key(key.id)
        assert directory.find_key(plain) is None
        (revoked,) = directory.keys()
        assert revoked.revoked_at is not None
        with pytest.raises(NotFound):
            await directory.revoke_key("unknown")

    async def test_names_are_taken_while_their_key_is_good(self, directory: Directory) -> None:
        key, _ = await directory.create_key("admin", "ops")
        with pytest.raises(AlreadyExists):
            await directory.create_key("publisher", "ops")
        await directory.revoke_key(key.id)
        await directory.create_key("publisher", "ops")

    async def test_a_key_made_elsewhere(self, directory: Directory) -> None:
        key = await directory.import_key("admin", "file", "well-known")
        assert directory.find_key("well-known") == key
        with pytest.raises(AlreadyExists):
            await directory.import_key("admin", "again", "well-known")

    @pytest.mark.parametrize(
        ("feeds", "sources", "feed", "source", "allowed"),
        [
            ([], [], "roanuz", "/x", True),
            (["hub"], [], "roanuz", "/x", False),
            (["roanuz", "hub"], ["/x"], "roanuz", "/x", True),
            ([], ["/x"], "roanuz", "/x/1", False),
            ([], ["/x/*"], "roanuz", "/x/1", True),
            ([], ["/x/*"], "roanuz", "/y/1", False),
            ([], ["*"], "roanuz", "anything", True),
        ],
    )
    async def test_scope(
        self, directory: Directory, feeds: list[str], sources: list[str], feed: str, source: str, allowed: bool
    ) -> None:
        key, _ = await directory.create_key("publisher", "p", feeds, sources)
        assert key.may_publish(feed, source) is allowed

    async def test_who_may_read_natively(self, directory: Directory) -> None:
        admin, admin_plain = await directory.create_key("admin", "ops")
        _, publisher_plain = await directory.create_key("publisher", "venue")
        partner = await directory.add_member("acme", "hub", NATIVE, {"feed": ["roanuz"]}, {})
        assert directory.admission(admin_plain) == Admission(admin.id, None, {})
        assert directory.admission(publisher_plain) is None
        assert directory.admission(partner["key"]) == Admission("partner:acme", "acme", {"feed": frozenset({"roanuz"})})
        assert directory.admission("nonsense") is None


class TestTokens:
    async def test_the_good_one_is_handed_out_again(self, directory: Directory) -> None:
        await directory.add_member("acme", "shottracker", BASKETBALL, {}, {})
        await directory.add_member("other", "shottracker", BASKETBALL, {}, {})
        values = await asyncio.gather(*(issue(directory, "acme") for _ in range(10)))
        assert len(set(values)) == 1
        others = {await issue(directory, "acme", subject="h"), await issue(directory, "other")}
        assert len(others | set(values)) == 3
        token = directory.find_token(values[0])
        assert token is not None
        assert (token.feed, token.partner, token.purpose, token.subject) == ("shottracker", "acme", "live", "g")
        assert directory.find_token("unknown") is None
        assert len(directory.tokens_of("acme")) == 2

    async def test_expiry(self, directory: Directory, clock: FakeClock, kv: MemoryKeyValue) -> None:
        await directory.add_member("acme", "shottracker", BASKETBALL, {}, {})
        value = await issue(directory, "acme", expires_at=clock.wall_ns() + HOUR)
        clock.advance(3599)
        assert directory.find_token(value) is not None
        await directory.extend_token(value, clock.wall_ns() + HOUR)
        clock.advance(3599)
        assert directory.find_token(value) is not None
        clock.advance(1)
        assert directory.find_token(value) is None
        with pytest.raises(NotFound):
            await directory.extend_token(value, None)
        new = await issue(directory, "acme", subject="another")
        assert new != value
        assert len(await kv.list("tokens")) == 1, "the expired one is purged"
        await directory.extend_token(new, None)
        clock.advance(10**8)
        assert directory.find_token(new) is not None

    async def test_the_tokens_of_a_stream_that_is_over_end(self, directory: Directory, clock: FakeClock) -> None:
        for name in ("acme", "asleep"):
            await directory.add_member(name, "shottracker", BASKETBALL, {}, {})
        token, asleep = await issue(directory, "acme"), await issue(directory, "asleep")
        other = await issue(directory, "acme", subject="h")
        short = await issue(directory, "acme", subject="short", expires_at=clock.wall_ns() + HOUR // 4)
        await directory.suspend("asleep")
        await directory.end_tokens("shottracker", "g", clock.wall_ns() + HOUR)
        await directory.end_tokens("shottracker", "short", clock.wall_ns() + HOUR)
        await directory.resume("asleep")
        assert directory.find_token(token) is not None
        clock.advance(1800)
        assert directory.find_token(short) is None
        clock.advance(1800)
        assert directory.find_token(token) is None
        assert directory.find_token(asleep) is None
        assert directory.find_token(other) is not None

    async def test_tokens_end_with_the_grants_under_which_they_were_issued(
        self, directory: Directory, kv: MemoryKeyValue
    ) -> None:
        await directory.add_member("acme", "shottracker", BASKETBALL, {"team_id": ["1"]}, {})
        token = await issue(directory, "acme")
        (stored,) = (await kv.list("tokens")).items()
        await directory.set_grants("acme", "shottracker", {"team_id": ["1"]}, {"envelope": "event"})
        assert directory.find_token(token) is not None, "the same grants end nothing"
        await directory.set_grants("acme", "shottracker", {"team_id": ["2"]})
        assert directory.find_token(token) is None
        await kv.put("tokens", stored[0], stored[1].value)  # as if the clean-up had been lost with a crash
        assert directory.find_token(token) is None

    async def test_a_token_needs_a_member(self, directory: Directory) -> None:
        with pytest.raises(NotFound):
            await issue(directory, "nobody")
        await directory.add_member("acme", "hub", NATIVE, {}, {})
        with pytest.raises(NotFound):
            await issue(directory, "acme")


class TestNodes:
    """Two directories on one store, as two nodes are."""

    async def test_what_one_writes_the_other_knows(
        self, directory: Directory, kv: MemoryKeyValue, clock: FakeClock
    ) -> None:
        await directory.add_member("acme", "shottracker", BASKETBALL, {}, {})
        token = await issue(directory, "acme")
        other = await started(kv, clock, 2)
        assert other.member("shottracker", lookup="acme") == directory.member("shottracker", lookup="acme")
        assert other.find_token(token) == directory.find_token(token)
        assert await issue(other, "acme") == token
        changes: list[tuple[str, str]] = []
        end = directory.on_change(lambda *change: changes.append(change))
        await other.suspend("acme")
        assert directory.find_token(token) is None
        key, plain = await other.create_key("admin", "ops")
        assert directory.find_key(plain) == key
        await other.revoke_key(key.id)
        await other.remove("acme")
        assert directory.partners() == []
        assert changes == [("partner", "acme"), ("key", key.id), ("key", key.id), ("partner", "acme"), ("token", token)]
        end()
        await other.close()
        await directory.create_key("admin", "later")
        assert len(changes) == 5
        assert len(other.keys()) == 1, "a closed directory hears nothing more"

    async def test_writes_at_the_same_time_are_all_kept(
        self, directory: Directory, kv: MemoryKeyValue, clock: FakeClock
    ) -> None:
        other = await started(kv, clock, 2)
        feeds = [f"feed-{number}" for number in range(12)]
        for_each = zip(feeds, itertools.cycle((directory, other)), strict=False)
        await asyncio.gather(*(node.add_member("acme", feed, NATIVE, {}, {}) for feed, node in for_each))
        assert sorted(directory.partner("acme").members) == sorted(feeds)
        assert directory.partner("acme") == other.partner("acme")
        results = await asyncio.gather(
            *(node.add_member("new", "hub", NATIVE, {}, {}) for node in (directory, other)), return_exceptions=True
        )
        assert sorted(type(result).__name__ for result in results) == ["AlreadyExists", "dict"]
        await other.close()

    async def test_secrets_are_made_once(self, directory: Directory, kv: MemoryKeyValue, clock: FakeClock) -> None:
        other = await started(kv, clock, 2)
        values = await asyncio.gather(*(node.secret("sns") for node in (directory, other, directory)))
        assert len(set(values)) == 1
        assert re.fullmatch(r"[0-9a-f]{64}", values[0])
        assert await other.secret("other") != values[0]
        await other.close()

    async def test_a_change_while_the_lists_are_read_is_not_lost(self, kv: MemoryKeyValue, clock: FakeClock) -> None:
        first = await started(kv, clock)
        await first.add_member("acme", "hub", NATIVE, {}, {})

        class Late(MemoryKeyValue):
            """Answers a list with what was there before somebody else's change."""

            get, put, delete, watch = kv.get, kv.put, kv.delete, kv.watch  # type: ignore[assignment]

            async def list(self, bucket: str) -> Mapping[str, Entry]:
                before = await kv.list(bucket)
                if bucket == "partners":
                    await first.suspend("acme")
                return before

        second = await started(Late(), clock, 2)
        assert second.partner("acme").suspended
        await second.close()
        await first.close()


async def test_everything_survives_a_restart(tmp_path: Path, clock: FakeClock) -> None:
    log = SqliteLog(tmp_path, clock)
    await log.start()
    directory = Directory(log.directory, clock, random.Random(1).randbytes)
    await directory.start()
    await directory.add_member("acme", "shottracker", BASKETBALL, {"team_id": ["1"]}, {})
    await directory.add_member("gone", "shottracker", BASKETBALL, {}, {})
    token, dead = await issue(directory, "acme"), await issue(directory, "gone")
    short = await issue(directory, "acme", subject="short", expires_at=clock.wall_ns() + HOUR)
    key, plain = await directory.create_key("admin", "ops")
    secret = await directory.secret("s")
    await directory.remove("gone")
    clock.advance(3600)
    await directory.close()
    await log.close()
    await log.start()
    again = Directory(log.directory, clock, random.Random(2).randbytes)
    await again.start()
    assert again.partners() == directory.partners()
    assert again.find_token(token) is not None
    assert again.find_token(dead) is None
    assert again.find_token(short) is None
    assert len(await log.directory.list("tokens")) == 1, "the expired one is purged at the start"
    assert again.find_key(plain) == key
    assert await again.secret("s") == secret
    await again.close()
    await log.close()


async def test_concurrent_changes_on_one_node_end_in_what_is_stored(tmp_path: Path, clock: FakeClock) -> None:
    log = SqliteLog(tmp_path, clock)
    await log.start()
    directory = Directory(log.directory, clock, random.Random(1).randbytes)
    await directory.start()
    await directory.add_member("acme", "hub", NATIVE, {}, {})
    for _ in range(10):
        await asyncio.gather(
            directory.suspend("acme"), directory.resume("acme"), directory.set_grants("acme", "hub", {"feed": ["x"]})
        )
        again = Directory(log.directory, clock, random.Random(2).randbytes)
        await again.start()
        assert again.partner("acme") == directory.partner("acme")
        await again.close()
    await directory.close()
    await log.close()


async def test_secrets_do_not_show(directory: Directory, kv: MemoryKeyValue) -> None:
    plain = await directory.add_member("acme", "shottracker", BASKETBALL, {}, {})
    token = await issue(directory, "acme")
    key, text = await directory.create_key("admin", "ops")
    shown = repr((directory.partners(), directory.keys(), vars(directory), vars(directory._index)["tokens"], key))
    shown += repr((directory.member("shottracker", lookup="acme"), directory.find_token(token)))
    assert "acme" in shown
    for secret in (plain["secret"], token, text, key.hash):
        assert secret not in shown


async def test_wider_grants_leave_tokens_alone(directory: Directory) -> None:
    await directory.add_member("wide", "shottracker", BASKETBALL, {"team_id": ["1"]}, {})
    token = await directory.issue_token("shottracker", "wide", "subscribe", "g", form=Form.UUID, expires_at=None)
    for grants in ({"team_id": ["1", "2"]}, {}):
        await directory.set_grants("wide", "shottracker", grants)
        assert directory.find_token(token.value) is not None
    await directory.set_grants("wide", "shottracker", {"event_id": ["g"]})
    assert directory.find_token(token.value) is None
