"""The webhook receiver: judged, confirmed, handled before it is answered, known again, bounded."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import hmac
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from touchline.client import Receiver
from touchline.client import errands as errands_module
from touchline.client import receiver as receiver_module
from touchline.client.errands import end_to_end
from touchline.errors import ConfigError, LocalProtocolError, RemoteProtocolError
from touchline.feeds.base import Capabilities, Feed, Instant, NeedCertificate, Notice, Received, Transport, Trust
from touchline.model import Event
from touchline.testing.clock import FakeClock
from touchline.wire.http import HttpResponse, Pairs, first

SECRET = "quiet-please"
PEM = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


class ToyCodec:
    """Signs with HMAC; a message may ask for a certificate or for a confirmation. Consumer role only."""

    receiver_options: Mapping[str, tuple[str, ...]] = {}

    def receive(self, headers: Pairs, body: bytes, trust: Trust, now: Instant) -> Received | NeedCertificate:
        given = first(headers, "x-signature") or ""
        if not any(hmac.compare_digest(given.encode(), sign(body, one).encode()) for one in trust.secrets):
            raise RemoteProtocolError("the signature does not match")
        try:
            message = msgspec.json.decode(body, type=dict[str, Any])
        except msgspec.MsgspecError:
            raise RemoteProtocolError("not JSON") from None
        for url in message.get("certificates", []):
            if url not in trust.certificates:
                return NeedCertificate(url)
            assert trust.certificates[url] == PEM
        if "confirm" in message:
            return Received("confirmation", "topic t", (), message["confirm"], message.get("id"), body)
        event = Event("toy", "toy.fact", "s", "/toy", message.get("id", ""), body, 0, 0)
        return Received("event", "", (event,), None, message.get("id"), body)


TOY = Feed("toy", "Toy", "", "", (), Capabilities(frozenset({Transport.WEBHOOK})), webhook=ToyCodec())  # type: ignore[arg-type]


def sign(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def message(**members: Any) -> tuple[Pairs, bytes]:
    body = msgspec.json.encode({"id": "1", **members})
    return (("content-type", "application/json"), ("x-signature", sign(body))), body


class Kept:
    """A handler that keeps what it gets."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.notices: list[Notice] = []

    def __call__(self, received: Received) -> None:
        self.received.append(received)

    @property
    def kinds(self) -> list[str]:
        return [notice.kind for notice in self.notices]


@contextlib.asynccontextmanager
async def receiving(handler: Any = None, **more: Any) -> Any:
    trust = more.pop("trust", Trust((SECRET,), plain_http=True))
    made = Receiver(TOY, trust, handler, **more)
    try:
        yield made
    finally:
        await made.aclose()


# --- judged ---


async def test_what_is_verified_is_handled_and_then_answered() -> None:
    kept = Kept()
    async with receiving(kept) as receiver:
        assert (await receiver.receive(*message(n=1))).status == 200
    assert kept.received[0].payload == message(n=1)[1]


async def test_a_coroutine_handler_is_awaited_before_the_answer() -> None:
    gate, entered = asyncio.Event(), asyncio.Event()

    async def handler(received: Received) -> None:
        entered.set()
        await gate.wait()

    async with receiving(handler) as receiver:
        answering = asyncio.create_task(receiver.receive(*message()))
        await entered.wait()
        assert not answering.done()
        gate.set()
        assert (await answering).status == 200


@pytest.mark.parametrize("secret", ["wrong", "", "wröng", SECRET + "x"])
async def test_a_wrong_signature_is_forbidden_and_says_no_secret(secret: str) -> None:
    kept = Kept()
    _, body = message()
    async with receiving(kept, told=kept.notices.append) as receiver:
        for headers in ((("x-signature", sign(body, secret)),), (("x-signature", secret),), ()):
            answer = await receiver.receive(headers, body)
            assert answer.status == 403
            assert SECRET.encode() not in answer.body
    assert kept.received == []
    assert kept.kinds == ["refused"] * 3
    assert not any(SECRET in notice.detail for notice in kept.notices)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"\x1f\x8b", b"[" * 100_000, gzip.compress(b"{", mtime=0)[:-3]])
async def test_what_cannot_be_read_is_a_bad_request(body: bytes) -> None:
    kept = Kept()
    async with receiving(kept) as receiver:
        for headers in ((("x-signature", sign(body)),), ()):
            assert (await receiver.receive(headers, body)).status == 400
    assert kept.received == []


async def test_two_secrets_during_rotation_and_trust_that_is_replaced() -> None:
    kept = Kept()
    async with receiving(kept, trust=Trust(("new", SECRET))) as receiver:
        assert (await receiver.receive(*message(id="a"))).status == 200
        receiver.trust = Trust(("new",))
        assert (await receiver.receive(*message(id="b"))).status == 403


async def test_a_gzip_header_is_obeyed_and_a_gzip_body_without_one_is_the_codecs() -> None:
    kept = Kept()
    headers, body = message()
    packed = gzip.compress(body, mtime=0)
    async with receiving(kept) as receiver:
        assert (await receiver.receive((*headers, ("content-encoding", "gzip")), packed)).status == 200
        assert kept.received[0].payload == body
        assert (await receiver.receive(headers, packed)).status == 403  # this feed knows no gzip
        assert (await receiver.receive((*headers, ("content-encoding", "GZIP")), body)).status == 200
        assert (await receiver.receive((*headers, ("content-encoding", "br")), body)).status == 415
        assert (await receiver.receive((*headers, ("content-encoding", "gzip")), packed[:-2])).status == 400


async def test_a_gzip_bomb_is_too_large() -> None:
    bomb = gzip.compress(b"0" * (receiver_module.MAX_BODY_BYTES + 1), mtime=0)
    async with receiving(Kept()) as receiver:
        assert (await receiver.receive((("content-encoding", "gzip"),), bomb)).status == 413


async def test_a_secret_that_is_none_is_our_own_fault() -> None:
    kept = Kept()

    class Picky(ToyCodec):
        def receive(self, headers: Pairs, body: bytes, trust: Trust, now: Instant) -> Received:
            raise LocalProtocolError("a secret has 32 bytes; the one given has not")

    picky = msgspec.structs.replace(TOY, webhook=Picky())  # type: ignore[arg-type]
    answer = await Receiver(picky, Trust((SECRET,)), told=kept.notices.append).receive(*message())
    assert (answer.status, kept.kinds) == (500, ["failed"])


async def test_what_holds_no_events_is_said(server: Any) -> None:
    kept = Kept()

    class Farewell(ToyCodec):
        def receive(self, headers: Pairs, body: bytes, trust: Trust, now: Instant) -> Received:
            return Received("unsubscribed", "from topic t")

    parting = msgspec.structs.replace(TOY, webhook=Farewell())  # type: ignore[arg-type]
    receiver = Receiver(parting, Trust(), kept, told=kept.notices.append, forward_to=server.url)
    assert (await receiver.receive(*message())).status == 200
    assert kept.notices == [Notice("unsubscribed", "from topic t")]
    assert (len(kept.received), server.asked) == (1, [])


def test_a_feed_without_webhooks_is_said() -> None:
    with pytest.raises(ConfigError, match="sends no webhooks"):
        Receiver(msgspec.structs.replace(TOY, webhook=None), Trust())


# --- known again ---


async def test_a_duplicate_is_answered_as_the_first_and_not_handled() -> None:
    kept = Kept()

    def handler(received: Received) -> HttpResponse:
        kept(received)
        return HttpResponse(202, b"number %d" % len(kept.received), ())

    async with receiving(handler, told=kept.notices.append) as receiver:
        first_answer = await receiver.receive(*message())
        assert await receiver.receive(*message(again=True)) == first_answer
    assert (first_answer.status, first_answer.body, len(kept.received)) == (202, b"number 1", 1)
    assert kept.kinds == ["duplicate"]


async def test_a_duplicate_that_comes_meanwhile_waits_for_the_first() -> None:
    gate, handled = asyncio.Event(), 0

    async def handler(received: Received) -> None:
        nonlocal handled
        handled += 1
        await gate.wait()

    async with receiving(handler) as receiver:
        both = [asyncio.create_task(receiver.receive(*message())) for _ in range(2)]
        while not handled:
            await asyncio.sleep(0)
        gate.set()
        assert [(await one).status for one in both] == [200, 200]
    assert handled == 1


async def test_a_replay_that_somebody_asked_for_is_handled_again() -> None:
    kept = Kept()
    headers, body = message()
    async with receiving(kept) as receiver:
        for _ in range(2):
            await receiver.receive((*headers, ("touchline-replay", "1")), body)
        await receiver.receive(headers, body)
        await receiver.receive(headers, body)
    assert len(kept.received) == 3


async def test_only_the_last_ids_are_remembered() -> None:
    kept = Kept()
    async with receiving(kept, remember=3) as receiver:
        for number in range(5):
            await receiver.receive(*message(id=str(number)))
        assert len(receiver._answers) == 3
        await receiver.receive(*message(id="4"))
        assert len(kept.received) == 5
        await receiver.receive(*message(id="0"))
    assert len(kept.received) == 6


async def test_what_is_remembered_is_small() -> None:
    kept = Kept()

    def handler(received: Received) -> HttpResponse:
        kept(received)
        return HttpResponse(201, b"x" * 5000, ())

    async with receiving(handler) as receiver:
        for _ in range(2):
            answers = [await receiver.receive(*message(id="i" * 100_000)) for _ in range(2)]
        assert [(answer.status, len(answer.body)) for answer in answers] == [(201, 0), (201, 0)]
        ((name, answer),) = receiver._answers.items()
        assert (len(name), len(answer.body)) == (64, 0)
    assert len(kept.received) == 1


async def test_messages_without_an_id_are_all_handled() -> None:
    kept = Kept()
    async with receiving(kept) as receiver:
        for _ in range(2):
            await receiver.receive(*message(id=None))
    assert len(kept.received) == 2


async def test_a_handler_that_raises_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept()

    async def handler(received: Received) -> None:
        if not kept.received:
            kept(received)
            raise RuntimeError(SECRET)
        kept(received)

    async with receiving(handler, told=kept.notices.append) as receiver:
        with caplog.at_level(logging.ERROR):
            answer = await receiver.receive(*message())
        assert answer.status == 500
        assert SECRET.encode() not in answer.body
        assert "RuntimeError" in caplog.text
        assert (await receiver.receive(*message())).status == 200
    assert len(kept.received) == 2
    assert kept.kinds == ["failed"]


async def test_a_handler_that_is_cancelled_lets_the_next_one_in() -> None:
    entered, handled = asyncio.Event(), 0

    async def handler(received: Received) -> None:
        nonlocal handled
        handled += 1
        if handled == 1:
            entered.set()
            await asyncio.Event().wait()

    async with receiving(handler) as receiver:
        one = asyncio.create_task(receiver.receive(*message()))
        await entered.wait()
        two = asyncio.create_task(receiver.receive(*message()))
        await asyncio.sleep(0)
        one.cancel()
        assert (await two).status == 503
        assert (await receiver.receive(*message())).status == 200
        with contextlib.suppress(asyncio.CancelledError):
            await one


# --- confirmed ---


async def test_a_handshake_is_confirmed_before_it_is_answered(server: Any) -> None:
    kept = Kept()
    server.answer(200)
    async with receiving(kept, told=kept.notices.append) as receiver:
        handshake = message(confirm=f"{server.url}/?Action=Confirm&Token=T")
        assert (await receiver.receive(*handshake)).status == 200
        assert (await receiver.receive(*handshake)).status == 200
    assert [(asked.method, asked.path) for asked in server.asked] == [("GET", "/?Action=Confirm&Token=T")]
    assert kept.kinds == ["confirmed", "duplicate"]
    assert [received.kind for received in kept.received] == ["confirmation"]


async def test_a_confirmation_is_tried_again_and_given_back_when_it_fails(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errands_module, "CONFIRM_WAITS_SECONDS", (0.0, 0.0, 0.0))
    kept = Kept()
    async with receiving(kept, told=kept.notices.append) as receiver:
        server.answer(500)
        server.break_off()
        server.answer(200)
        assert (await receiver.receive(*message(confirm=f"{server.url}/a?Token=T"))).status == 200
        for _ in range(3):
            server.answer(503)
        answer = await receiver.receive(*message(id="2", confirm=f"{server.url}/b?Token=T"))
        assert answer.status == 503
        assert b"Token" not in answer.body
        server.answer(404)  # for good: not repeated
        assert (await receiver.receive(*message(id="2", confirm=f"{server.url}/b?Token=T"))).status == 503
        server.answer(302, location=f"{server.url}/elsewhere")
        assert (await receiver.receive(*message(id="2", confirm=f"{server.url}/b?Token=T"))).status == 503
    assert [asked.path for asked in server.asked] == ["/a?Token=T"] * 3 + ["/b?Token=T"] * 5
    assert [received.message_id for received in kept.received] == ["1"]
    assert kept.kinds == ["confirmed", "refused", "refused", "refused"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "https://u:p@127.0.0.1:1/x", "file:///etc/passwd", "//x", ""])
async def test_plain_http_and_stranger_addresses_are_never_asked(url: str) -> None:
    kept = Kept()
    async with receiving(kept, trust=Trust((SECRET,))) as receiver:
        assert (await receiver.receive(*message(confirm=url))).status == 403
        assert (await receiver.receive(*message(certificates=[url]))).status == 403
    assert kept.received == []


# --- certificates ---


async def test_a_certificate_is_fetched_once_for_all(server: Any) -> None:
    kept = Kept()
    clock = FakeClock()
    server.answer(200, PEM)
    url = f"{server.url}/a.pem"
    async with receiving(kept, clock=clock) as receiver:
        both = [receiver.receive(*message(id=str(n), certificates=[url])) for n in range(5)]
        assert [answer.status for answer in await asyncio.gather(*both)] == [200] * 5
        await receiver.receive(*message(id="later", certificates=[url]))
        assert len(server.asked) == 1
        clock.advance(errands_module.CERTIFICATE_SECONDS + 1)
        server.answer(200, PEM)
        await receiver.receive(*message(id="next day", certificates=[url]))
    assert len(server.asked) == 2
    assert len(kept.received) == 7


@pytest.mark.parametrize("answer", [(404, {}, PEM), (200, {}, b"<html>"), (301, {"location": "/b.pem"}, b""), None])
async def test_a_certificate_that_cannot_be_had_makes_the_provider_repeat(server: Any, answer: Any) -> None:
    kept = Kept()
    async with receiving(kept) as receiver:
        server.answers.append(answer)
        assert (await receiver.receive(*message(certificates=[f"{server.url}/a.pem"]))).status == 503
        server.answers.clear()
        server.answer(200, PEM)
        assert (await receiver.receive(*message(certificates=[f"{server.url}/a.pem"]))).status == 200
    assert [asked.path for asked in server.asked] == ["/a.pem", "/a.pem"]


async def test_an_endless_certificate_is_not_read(server: Any) -> None:
    server.answer(200, PEM + b"0" * (errands_module.MAX_ERRAND_BYTES + 1))
    async with receiving() as receiver:
        assert (await receiver.receive(*message(certificates=[f"{server.url}/a.pem"]))).status == 503


async def test_one_certificate_after_the_other_ends(server: Any) -> None:
    for _ in range(9):
        server.answer(200, PEM)
    async with receiving() as receiver:
        asked = [f"{server.url}/{number}.pem" for number in range(9)]
        assert (await receiver.receive(*message(certificates=asked))).status == 403
    assert len(server.asked) <= 3


async def test_certificates_are_kept_within_bounds(server: Any) -> None:
    async with receiving() as receiver:
        for number in range(errands_module.CERTIFICATES + 3):
            server.answer(200, PEM)
            await receiver.receive(*message(id=str(number), certificates=[f"{server.url}/{number}.pem"]))
        assert len(receiver._errands._certificates) == errands_module.CERTIFICATES


# --- forwarded ---


async def test_what_is_forwarded_is_what_came(server: Any) -> None:
    kept = Kept()
    headers, body = message()
    packed = gzip.compress(body, mtime=0)
    more = (
        ("content-encoding", "gzip"),
        ("host", "public.example"),
        ("connection", "keep-alive, X-Hop"),
        ("x-hop", "1"),
        ("transfer-encoding", "chunked"),
        ("user-agent", "Provider/1"),
    )
    server.answer(202, b"thanks", content_type="text/plain", set_cookie="a=b")
    async with receiving(kept, forward_to=f"{server.url}/in?x=1") as receiver:
        answer = await receiver.receive((*headers, *more), packed)
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.body) == ("POST", "/in?x=1", packed)
    assert asked.headers["content-encoding"] == "gzip"
    assert asked.headers["x-signature"] == headers[1][1]
    assert asked.headers["user-agent"] == "Provider/1"
    assert asked.headers["host"] != "public.example"
    assert not {"x-hop", "transfer-encoding"} & set(asked.headers)
    assert (answer.status, answer.body) == (202, b"thanks")
    assert answer.header("set-cookie") is None
    assert len(kept.received) == 1


async def test_the_answer_of_the_receiver_behind_goes_back(server: Any) -> None:
    kept = Kept()
    async with receiving(kept, forward_to=server.url, told=kept.notices.append) as receiver:
        server.answer(429, b"slow down", retry_after="7")
        answer = await receiver.receive(*message())
        assert (answer.status, answer.header("retry-after")) == (429, "7")
        server.break_off()
        assert (await receiver.receive(*message())).status == 502
        server.answer(307, location="http://127.0.0.1:1/")
        assert (await receiver.receive(*message())).status == 307
        assert kept.received == []
        server.answer(200)
        assert (await receiver.receive(*message())).status == 200
    assert len(kept.received) == 1
    assert kept.kinds == ["unforwarded"] * 3


async def test_nothing_unverified_and_no_handshake_is_forwarded(server: Any) -> None:
    async with receiving(forward_to=f"{server.url}/in") as receiver:
        await receiver.receive((), message()[1])
        await receiver.receive(*message(confirm=f"{server.url}/confirm"))
    assert [asked.path for asked in server.asked] == ["/confirm"]


def test_headers_of_the_connection_do_not_travel() -> None:
    given = (("keep-alive", "5"), ("te", "trailers"), ("connection", "A"), ("a", "1"), ("b", "2"), ("expect", "x"))
    assert end_to_end(given) == (("b", "2"),)


# --- ASGI ---


class Asked:
    """What an ASGI server would hand in, and what was sent."""

    def __init__(self, method: str, headers: Pairs, chunks: Sequence[bytes | None], path: str = "/hook") -> None:
        self.scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        }
        self.chunks = list(chunks)
        self.sent: list[Any] = []

    async def receive(self) -> dict[str, Any]:
        if not self.chunks:
            await asyncio.Event().wait()
        chunk = self.chunks.pop(0)
        if chunk is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": chunk, "more_body": bool(self.chunks)}

    async def send(self, event: Any) -> None:
        self.sent.append(event)

    @property
    def answer(self) -> tuple[int, dict[str, str], bytes]:
        start, body = self.sent
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        return start["status"], headers, body["body"]


async def ask(
    receiver: Receiver, method: str, headers: Pairs = (), *chunks: bytes | None, path: str = "/hook"
) -> tuple[int, dict[str, str], bytes]:
    asked = Asked(method, headers, chunks or (b"",), path)
    await receiver(asked.scope, asked.receive, asked.send)
    return asked.answer


async def test_a_post_on_any_path_in_any_pieces_is_received() -> None:
    kept = Kept()
    headers, body = message()
    named = tuple((name.title(), value) for name, value in headers)
    async with receiving(kept) as receiver:
        for number, path in enumerate(("/", "/a/b")):
            pieces = [body[at : at + 1] for at in range(len(body))]
            status, answered, _ = await ask(receiver, "POST", named, *pieces, path=path)
            assert (status, answered["content-length"]) == (200, "0"), number
    assert len(kept.received) == 1


async def test_other_methods_and_paths() -> None:
    async with receiving(path="/hook") as receiver:
        status, headers, body = await ask(receiver, "GET")
        assert (status, body) == (200, b"ready for toy")
        assert (await ask(receiver, "HEAD"))[0] == 200
        assert (await ask(receiver, "HEAD"))[2] == b""
        assert (await ask(receiver, "HEAD"))[1]["content-length"] == headers["content-length"]
        status, headers, _ = await ask(receiver, "PUT")
        assert (status, headers["allow"]) == (405, "POST, GET, HEAD")
        assert (await ask(receiver, "POST", path="/other"))[0] == 404


async def test_bodies_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver_module, "MAX_BODY_BYTES", 100)
    async with receiving() as receiver:
        for length in ("101", "99999999999999999999", "-1", "1e2", "x"):
            assert (await ask(receiver, "POST", (("content-length", length),)))[0] == 413
        assert (await ask(receiver, "POST", (), *[b"x" * 30] * 4))[0] == 413
        assert (await ask(receiver, "POST", (), *[b"x" * 25] * 4))[0] == 400


async def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver_module, "BODY_SECONDS", 0.01)
    asked = Asked("POST", (), [b"{"])
    asked.chunks.append(b"")
    stuck = asyncio.Event()

    async def drip() -> dict[str, Any]:
        if len(asked.chunks) == 2:
            return await asked.receive()
        await stuck.wait()
        return {}

    async with receiving() as receiver:
        await receiver(asked.scope, drip, asked.send)
        assert asked.answer[0] == 408
        assert receiver._busy == 0


async def test_a_sender_that_goes_is_not_answered() -> None:
    asked = Asked("POST", (), [b"{", None])
    async with receiving() as receiver:
        await receiver(asked.scope, asked.receive, asked.send)
        assert receiver._busy == 0
    assert asked.sent == []


async def test_too_many_at_once_are_told_to_come_again() -> None:
    gate = asyncio.Event()
    kept = Kept()

    async def handler(received: Received) -> None:
        kept(received)
        await gate.wait()

    async with receiving(handler, max_requests=2, told=kept.notices.append) as receiver:
        working = []
        for number in range(2):
            headers, body = message(id=str(number))
            working.append(asyncio.create_task(ask(receiver, "POST", headers, body)))
        while len(kept.received) < 2:
            await asyncio.sleep(0)
        status, answered, _ = await ask(receiver, "POST", *message(id="3"))
        assert (status, answered["retry-after"]) == (503, "1")
        gate.set()
        assert [(await one)[0] for one in working] == [200, 200]
        assert (await ask(receiver, "POST", *message(id="3")))[0] == 200
    assert kept.kinds == ["refused"]


async def test_lifespan_and_websockets() -> None:
    events = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[Any] = []

    async def receive() -> dict[str, str]:
        return events.pop(0)

    async def send(event: Any) -> None:
        sent.append(event["type"])

    async with receiving() as receiver:
        await receiver({"type": "lifespan"}, receive, send)
        await receiver({"type": "websocket"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete", "websocket.close"]
