"""SNS envelopes, Standard Webhooks and Pusher: what is signed, and the roles that speak it."""

from __future__ import annotations

import base64
import contextlib
import importlib
import random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from touchline.errors import LocalProtocolError, RemoteProtocolError
from touchline.wire import pusher, sns, standard_webhooks
from touchline.wire.hmac import HmacSha256
from touchline.wire.pusher import frames

from . import suites as _  # noqa: F401 - the feeds' worlds can be imported
from .bounds import examples
from .mutations import NASTY, broken, byte_edits, near, texts

SIGNING = importlib.import_module("insights.worlds").signing()
CERTIFICATE = sns.certificate(SIGNING)
SECRETS = [standard_webhooks.new_secret(scheme, random.Random(1).randbytes) for scheme in ("hmac", "ed25519")]
PUBLIC = [standard_webhooks.shown(secret) for secret in SECRETS]


def _envelope(kind: str, version: str) -> sns.Envelope:
    whole = sns.Envelope(
        Type=kind,
        MessageId="m1",
        Token="t1",
        TopicArn="arn:aws:sns:us-east-1:1:t",
        Subject=None,
        Message='{"a":1}',
        SubscribeURL="https://h/confirm",
        Timestamp="2026-11-19T12:00:00.000Z",
        SignatureVersion=version,
        SigningCertURL="https://h/cert.pem",
    )
    return msgspec.structs.replace(whole, Signature=sns.sign(whole, SIGNING))


ENVELOPES = [_envelope(kind, version) for kind in sns.TYPES for version in sns.VERSIONS]


@examples(150)
@given(near([msgspec.json.encode(one) for one in ENVELOPES]))
def test_sns_envelopes(body: bytes) -> None:
    try:
        envelope = msgspec.json.decode(body, type=sns.Envelope)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return
    try:
        sns.verify(envelope, CERTIFICATE)
    except ValueError:
        return
    signed = sns.string_to_sign(envelope)
    assert signed in {sns.string_to_sign(one) for one in ENVELOPES}, "what was never signed was verified"


@examples(60)
@given(st.one_of(st.binary(max_size=200), byte_edits.map(lambda changes: broken(CERTIFICATE, changes))))
def test_sns_certificates(pem: bytes) -> None:
    with contextlib.suppress(ValueError):
        sns.verify(ENVELOPES[0], pem)


@examples(250)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([standard_webhooks.ID, standard_webhooks.TIMESTAMP, standard_webhooks.SIGNATURE]), texts
        ),
        max_size=4,
    ),
    byte_edits,
    st.lists(st.tuples(st.integers(0, 2), byte_edits), max_size=2),
    st.sampled_from([None, 0.0, 300.0, 1e18]),
    st.sampled_from([0.0, 1_800_000_000.0, -1e18, 1e18]),
)
def test_standard_webhooks(
    headers: list[tuple[str, str]],
    changes: list[tuple[int, int, int]],
    header_changes: list[tuple[int, list[tuple[int, int, int]]]],
    tolerance: float | None,
    now: float,
) -> None:
    body = b'{"a":1}'
    good = list(standard_webhooks.sign(SECRETS, "id1", 1_800_000_000, body))
    assert standard_webhooks.verify(tuple(good), body, PUBLIC, 1_800_000_000.0) == "id1"
    for at, edit in header_changes:
        good[at] = (good[at][0], broken(good[at][1].encode(), edit).decode("utf-8", "replace"))
    for sent in (tuple(headers), (*good, *headers), tuple(good)):
        for content in (body, broken(body, changes)):
            with contextlib.suppress(RemoteProtocolError):
                found = standard_webhooks.verify(sent, content, PUBLIC, now, tolerance)
                assert (found, content) == ("id1", body), "what was never signed was verified"


@examples(100)
@given(
    st.one_of(
        texts,
        st.binary(max_size=70).map(lambda data: "whsec_" + base64.b64encode(data).decode()),
        st.binary(max_size=70).map(lambda data: "whpk_" + base64.b64encode(data).decode()),
        st.binary(max_size=70).map(lambda data: "whsk_" + base64.b64encode(data).decode()),
    )
)
def test_standard_webhooks_secrets(secret: str) -> None:
    try:
        standard_webhooks.check(secret)
    except LocalProtocolError:
        return
    shown = standard_webhooks.shown(secret)
    try:
        headers = standard_webhooks.sign([secret], "i", 1, b"x")
    except LocalProtocolError:
        assert secret.startswith("whpk_"), "what is checked can sign"
    else:
        assert standard_webhooks.verify(headers, b"x", [shown], 1.0) == "i"


@examples(60)
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_hmac(key: bytes, message: bytes) -> None:
    import hmac

    assert HmacSha256(key).digest(message) == hmac.digest(key, message, "sha256")


MESSAGES = [
    frames.established("1.2", 120),
    frames.succeeded("c"),
    frames.refused("c", 401, "no"),
    frames.error(4200, "come back"),
    frames.channel_event("e", "c", b'{"a":1}'),
    frames.subscribe("private-c", "k:00").encode(),
    frames.unsubscribe("c").encode(),
    frames.PING_MESSAGE.encode(),
    frames.PONG_MESSAGE.encode(),
    b'{"event":"client-x","channel":"c","data":"{}"}',
]


@examples(250)
@given(near(MESSAGES))
def test_pusher_frames(message: bytes) -> None:
    try:
        frame = frames.decode(message)
        inner = frames.inner(frame)
    except RemoteProtocolError:
        return
    made = frames.channel_event(frame.event, frame.channel, inner)
    back = frames.decode(made)
    assert (back.event, frames.inner(back)) == (frame.event, inner)


_near_texts = near(MESSAGES).map(lambda data: data.decode("utf-8", "replace"))


@examples(100)
@given(
    st.lists(st.tuples(st.one_of(_near_texts, near(MESSAGES)), st.sampled_from([0.0, 1.0, 31.0, 121.0])), max_size=12)
)
def test_pusher_roles(script: list[tuple[str | bytes, float]]) -> None:
    now = 0.0
    server, client = pusher.PusherServer("1.2", now), pusher.PusherClient(now)
    for message, wait in script:
        now += wait
        match server.receive(message, now):
            case pusher.Subscribe(channel, auth):
                assert not pusher.is_authorized(auth, "key", "secret", "1.2", channel)
                server.accept(channel)
            case pusher.Unsubscribe(channel):
                assert channel not in server.channels
        with contextlib.suppress(RemoteProtocolError):
            client.receive(message, now)
        server.tick(now)
        client.tick(now)
        assert server.deadline() > 0 < client.deadline()
        assert len(server.channels) <= 100
    for sent in (*server.drain(), *client.drain()):
        frames.decode(sent)


@examples(100)
@given(texts, texts, texts)
def test_pusher_authorisation(auth: str, socket_id: str, channel: str) -> None:
    assert not pusher.is_authorized(auth, "key", "secret", socket_id, channel)
    assert pusher.is_authorized(
        pusher.authorize("key", "secret", socket_id, channel), "key", "secret", socket_id, channel
    )
    if pusher.is_socket_id(socket_id):
        assert socket_id.count(".") == 1
    assert pusher.check_version(auth) is None or auth not in ("5", "6", "7")


def test_there_are_nasty_values_of_every_kind() -> None:
    assert {type(value) for value in NASTY} == {type(None), bool, int, float, str, list, dict}
