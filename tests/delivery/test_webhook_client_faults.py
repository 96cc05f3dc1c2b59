"""Receivers that misbehave in every way of ``receivers``: each costs one request, with a plain reason. FAULTS 7, 8."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_network

import pytest

from receivers import BEHAVIOURS, BOMB, Receiver
from touchline.delivery.courier.client import WebhookClient
from touchline.delivery.courier.transport import KEPT_BYTES, Post, Reply, Trouble

LOOPBACK = (ip_network("127.0.0.0/8"),)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[WebhookClient]:
    made = WebhookClient(LOOPBACK)
    yield made
    await made.close()


async def ask(client: WebhookClient, url: str, *, body: bytes = b"{}", seconds: float = 10.0) -> Reply:
    answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    client.send(Post(url, (), body, seconds, seconds), answered.set_result)
    return await answered


@pytest.mark.parametrize("behaviour", ["never", "drip", "drip-head"])
async def test_no_whole_answer_in_time(client: WebhookClient, receiver: Receiver, behaviour: str) -> None:
    assert (await ask(client, receiver.url())).status == 200  # the connection is there: it takes no part of the time
    reply = await ask(client, receiver.url(behaviour), seconds=1.2)
    assert (reply.status, reply.trouble) == (None, Trouble.TIMEOUT)
    assert reply.detail == "no whole answer within 1.2 s"
    assert reply.seconds >= 1.19


async def test_accepts_and_never_reads(client: WebhookClient) -> None:
    with Receiver(mute=True) as mute:
        reply = await ask(client, mute.url(), body=b"x" * 10_000_000, seconds=1.0)  # connecting included
    assert reply.trouble is Trouble.TIMEOUT


@pytest.mark.parametrize("status", [200, 503])
async def test_an_endless_body_is_broken_off_and_its_status_counts(
    client: WebhookClient, receiver: Receiver, status: int
) -> None:
    first = await ask(client, receiver.url(f"endless/{status}"))
    assert (first.status, first.trouble) == (status, None)
    assert first.body == b"e" * KEPT_BYTES
    await asyncio.to_thread(receiver.wait_closed)  # the connection is not used again


async def test_a_gzip_bomb_is_just_bytes(client: WebhookClient, receiver: Receiver) -> None:
    reply = await ask(client, receiver.url("bomb"))
    assert reply.status == 200
    assert reply.body == BOMB[:KEPT_BYTES]


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("garbage", "no HTTP"),
        ("nul-header", "no HTTP"),
        ("no-colon", "no HTTP"),
        ("huge-header", "longer than 65536 bytes"),
        ("long-head/70", "longer than 65536 bytes"),
        ("many-headers/201", "more than 200 headers"),
        ("endless-head", "the answer's"),
        ("flood", "more than 200 headers"),
        ("reset", "broke off"),
        ("reset-head", "broke off"),
        ("reset-body", "broke off"),
        ("short", "in the middle of the answer's body"),
        ("silent-close", "without an answer"),
        ("two-lengths", "no HTTP"),
        ("switch", "status 101"),
    ],
)
async def test_an_answer_that_is_none(client: WebhookClient, receiver: Receiver, behaviour: str, words: str) -> None:
    reply = await ask(client, receiver.url(behaviour + "?token=secret"))
    assert (reply.status, reply.trouble) == (None, Trouble.BROKEN)
    assert words in reply.detail
    assert "secret" not in reply.detail
    assert (await ask(client, receiver.url())).status == 200


async def test_reset_during_the_request(client: WebhookClient) -> None:
    with Receiver(reset_upload=100_000) as resetting:
        reply = await ask(client, resetting.url(), body=b"x" * 20_000_000)
        assert reply.trouble is Trouble.BROKEN
        assert "broke off" in reply.detail


async def test_headers_within_the_bounds(client: WebhookClient, receiver: Receiver) -> None:
    reply = await ask(client, receiver.url("many-headers/200"))
    assert (reply.status, len(reply.headers)) == (200, 200)
    assert (await ask(client, receiver.url("long-head/60"))).status == 200


async def test_odd_headers_are_read_as_far_as_they_are_headers(client: WebhookClient, receiver: Receiver) -> None:
    reply = await ask(client, receiver.url("odd-headers"))
    assert reply.status == 200
    assert ("x-latin", "café") in reply.headers
    assert ("x-control", "a\x01b") in reply.headers


async def test_interim_answers_are_passed_over(client: WebhookClient, receiver: Receiver) -> None:
    reply = await ask(client, receiver.url("interim/3"))
    assert (reply.status, reply.body) == (202, b"done")
    assert reply.headers == (("content-length", "4"), ("x-final", "yes"))


async def test_a_body_that_ends_with_the_connection(client: WebhookClient, receiver: Receiver) -> None:
    reply = await ask(client, receiver.url("until-close"))
    assert (reply.status, reply.body) == (200, b"all of it")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_is_not_followed(
    client: WebhookClient, receiver: Receiver, status: int
) -> None:
    target = f"{receiver.url('trap')}%3Fstatus={status}"
    reply = await ask(client, receiver.url(f"redirect/{status}?to={target}"))
    assert reply.status == status
    assert ("location", f"{receiver.url('trap')}?status={status}") in reply.headers
    await ask(client, receiver.url("redirect/302?to=http://169.254.169.254/latest"))
    assert not [seen for seen in receiver.seen if seen.target.startswith("/trap")]


async def test_a_kept_connection_that_was_closed_is_replaced(client: WebhookClient, receiver: Receiver) -> None:
    for _ in range(3):
        assert (await ask(client, receiver.url("close-idle"))).status == 200
        await asyncio.to_thread(receiver.wait_closed)


async def test_a_request_swallowed_on_a_kept_connection_is_sent_again(
    client: WebhookClient, receiver: Receiver
) -> None:
    """What libcurl does when a kept connection closes without a byte of an answer: the same request, once more, on a
    new connection. The receiver sees it twice, with the same bytes."""
    before = len(receiver.seen)
    assert (await ask(client, receiver.url("swallow"), body=b"first")).status == 200
    assert (await ask(client, receiver.url("swallow"), body=b"second")).status == 200
    came = [(seen.body, seen.connection) for seen in receiver.seen[before:] if seen.target == "/swallow"]
    (_, one), (_, same), (_, other) = came
    assert [body for body, _ in came] == [b"first", b"second", b"second"]
    assert one == same != other


async def test_every_fault_at_once_and_the_healthy_unharmed(receiver: Receiver) -> None:
    client = WebhookClient(LOOPBACK)
    faults = [name + ("/3" if name in ("many-headers", "long-head", "interim", "delay") else "") for name in BEHAVIOURS]
    faults = [name for name in faults if name not in ("status", "redirect")]
    replies = await asyncio.gather(
        *(ask(client, receiver.url(name), seconds=2.0) for name in faults * 4),
        *(ask(client, receiver.url(f"healthy/{number}")) for number in range(200)),
    )
    assert [reply.status for reply in replies[-200:]] == [200] * 200
    assert all((reply.status is None) != (reply.trouble is None) for reply in replies)
    await client.close()
    await asyncio.to_thread(receiver.wait_closed)
