"""HTTPS and WSS with a certificate of a test authority: who trusts it gets everything, who does not gets nothing."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import trustme

from .games import sandbox_game
from .hubs import Hub, request, touchline
from .readers import OVER, LiveReader, NativeReader, open_socket

GAME = "game-1"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Signs for this module's hubs."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """The authority's certificate."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
def secure(make_hub: Callable[..., Hub], authority: trustme.CA, ca_file: Path, tmp_path: Path) -> Hub:
    """A hub that speaks TLS."""
    leaf = authority.issue_cert("127.0.0.1", "localhost")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    for blob in leaf.cert_chain_pems:
        blob.write_to_path(str(chain), append=True)
    leaf.private_key_pem.write_to_path(str(key))
    context = ssl.create_default_context(cafile=str(ca_file))
    return make_hub("--tls-cert", chain, "--tls-key", key, scheme="https", context=context)


async def test_a_game_over_tls(secure: Hub) -> None:
    plays = sandbox_game(GAME, seed=5, quarter=200)
    start = secure.start_position()
    half = len(plays) // 2
    secure.publish(*(play.line for play in plays[:half]))
    token = secure.token(secure.add_shottracker("academy"), GAME)
    live = LiveReader(secure, "live", token)
    native = NativeReader(secure, "native", secure.add_partner("app", "hub")["key"], start)
    native.is_last = lambda message: message.id == plays[-1].id
    assert live._url().startswith("wss://")
    async with asyncio.timeout(40), asyncio.TaskGroup() as tasks:
        tasks.create_task(live.run())
        tasks.create_task(native.run())
        await live.connected.wait()
        await asyncio.to_thread(secure.publish, *(play.line for play in plays[half:]))
    assert live.ended == OVER
    assert [seen.data for seen in live.seen] == [play.data for play in plays if play.is_pushed]
    assert [seen.id for seen in native.seen] == [play.id for play in plays if not play.is_state]


def test_the_commands_take_a_ca_file(secure: Hub, ca_file: Path) -> None:
    plays = sandbox_game(GAME, seed=5, quarter=200)
    common = ("--url", secure.url, "--ca-file", ca_file)
    file = ca_file.with_name("game.ndjson")
    file.write_bytes(b"\n".join(play.line for play in plays))
    published = touchline("publish", file, *common, "--data", secure.data, "--json")
    assert published.code == 0, published
    assert published.json["accepted"] == len(plays)

    who = secure.add_shottracker("academy")
    tail = touchline(
        "tail", "shottracker", *common, "--username", who.username, "--secret", who.secret, "--game", GAME,
        "--count", "5", "--json",
    )  # fmt: skip
    assert tail.code == 0, tail
    frames = [msgspec.json.decode(line) for line in tail.out.splitlines()]
    assert [frame["type"] for frame in frames] == ["data"] * 5

    doctor = touchline("doctor", *common, "--data", secure.data, "--json")
    assert doctor.code == 0, doctor
    checks = {check["name"]: check["status"] for check in doctor.json["checks"]}
    assert checks["websocket"] == checks["host"] == checks["key"] == "ok"


async def test_who_does_not_trust_the_certificate_gets_nothing(secure: Hub, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.to_thread(request, "GET", f"{secure.url}/healthz", context=ssl.create_default_context())
    with pytest.raises(ssl.SSLCertVerificationError):
        async with open_socket(secure.live_url("any"), context=ssl.create_default_context()):
            pass
    with pytest.raises(OSError):  # plain HTTP to a TLS port: closed, whatever the wording
        await asyncio.to_thread(request, "GET", f"http://127.0.0.1:{secure.port}/healthz")
    for words in (("partner", "list"), ("doctor",)):
        refused = await asyncio.to_thread(touchline, *words, "--url", secure.url, "--data", secure.data)
        assert refused.code == 1, refused
        assert "certificate" in (refused.out + refused.err).lower()
        assert "Traceback" not in refused.err


def test_a_certificate_that_cannot_be_used_is_said(tmp_path: Path, authority: trustme.CA) -> None:
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    leaf, other = authority.issue_cert("127.0.0.1"), authority.issue_cert("127.0.0.1")
    leaf.cert_chain_pems[0].write_to_path(str(chain))
    other.private_key_pem.write_to_path(str(key))
    begin = ("serve", "--data", tmp_path / "data", "--port", "0")
    wrong = {
        "go together": ("--tls-cert", chain),
        "no file": ("--tls-cert", chain, "--tls-key", tmp_path / "absent.pem"),
        "cannot be used": ("--tls-cert", chain, "--tls-key", key),  # another certificate's key
    }
    for words, options in wrong.items():
        ended = touchline(*begin, *options)
        assert ended.code == 1, ended
        assert words in ended.err.lower(), ended
        assert ended.err.strip().count("\n") == 0, ended
