"""Standard Webhooks: published vectors, the public library as the other side, and everything that is to be refused."""

from __future__ import annotations

import hashlib
import hmac
import os
import random
import time
from base64 import b64decode, b64encode

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from touchline.errors import LocalProtocolError, RemoteProtocolError
from touchline.wire import standard_webhooks
from touchline.wire.hmac import HmacSha256
from touchline.wire.http import Pairs
from touchline.wire.standard_webhooks import check, new_secret, shown, sign, verify

ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1_614_265_330
BODY = b'{"test": 2432232314}'
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SIGNED = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
PRIVATE = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
SIGNED_A = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
"""The vectors of the reference libraries (Standard Webhooks; Svix for ed25519)."""


def pairs(**changed: str) -> Pairs:
    """The headers of the message above, some of them changed."""
    values = {"id": ID, "timestamp": str(AT), "signature": SIGNED} | changed
    return tuple((f"webhook-{name}", value) for name, value in values.items())


def test_the_published_vectors() -> None:
    assert sign([SECRET], ID, AT, BODY) == pairs()
    assert sign([PRIVATE], ID, AT, BODY) == pairs(signature=SIGNED_A)
    assert shown(PRIVATE) == PUBLIC
    assert shown(SECRET) == SECRET
    assert verify(pairs(), BODY, [SECRET], AT) == ID
    assert verify(pairs(signature=SIGNED_A), BODY, [PUBLIC], AT) == ID
    assert verify(pairs(signature=SIGNED_A), BODY, [PRIVATE], AT) == ID


def test_a_seed_alone_signs_as_seed_and_public_key_do() -> None:
    seed = "whsk_" + b64encode(b64decode(PRIVATE[5:])[:32]).decode()
    assert sign([seed], ID, AT, BODY) == pairs(signature=SIGNED_A)
    assert shown(seed) == PUBLIC


def test_new_secrets() -> None:
    secret = new_secret("hmac", random.Random(1).randbytes)
    assert secret.startswith("whsec_")
    assert len(b64decode(secret[6:])) == 32
    pair = new_secret("ed25519", random.Random(1).randbytes)
    assert pair.startswith("whsk_")
    data = b64decode(pair[5:])
    assert data[:32] == b64decode(secret[6:]), "the seed is what the entropy gave"
    assert shown(pair) == "whpk_" + b64encode(data[32:]).decode()
    assert verify(sign([pair], "m", 5, b""), b"", [shown(pair)], 5) == "m"
    assert new_secret("hmac", os.urandom) != new_secret("hmac", os.urandom)


def test_the_public_library_accepts_ours_during_a_rotation() -> None:
    old, new, key = new_secret("hmac", os.urandom), new_secret("hmac", os.urandom), new_secret("ed25519", os.urandom)
    now = int(time.time())
    body = '{"name":"Müller"}'.encode()
    headers = dict(sign([new, key, old], "msg-1", now, body))
    assert [text.partition(",")[0] for text in headers["webhook-signature"].split(" ")] == ["v1", "v1a", "v1"]
    for secret in (new, old):
        assert standardwebhooks.Webhook(secret).verify(body, headers) == {"name": "Müller"}
    for stranger in (new_secret("hmac", os.urandom), SECRET):
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(stranger).verify(body, headers)


def test_ours_accepts_the_public_library() -> None:
    from datetime import UTC, datetime

    at = datetime.fromtimestamp(AT, UTC)
    signature = standardwebhooks.Webhook(SECRET).sign(ID, at, BODY.decode())
    assert verify(pairs(signature=signature), BODY, [SECRET], AT) == ID


def test_one_of_several_secrets_and_of_several_signatures_is_enough() -> None:
    other = new_secret("hmac", random.Random(2).randbytes)
    both = sign([other, SECRET], ID, AT, BODY)
    assert verify(both, BODY, [SECRET], AT) == ID
    assert verify(both, BODY, [other], AT) == ID
    assert verify(pairs(), BODY, [other, PUBLIC, SECRET], AT) == ID
    assert verify(pairs(signature=f"v2,what v1a,AAAA v1,AAAA {SIGNED}"), BODY, [PUBLIC, SECRET], AT) == ID


@pytest.mark.parametrize("secret", [SECRET[6:], "whsec_" + b64encode(b"longer").decode().rstrip("=")])
def test_spellings_of_a_secret(secret: str) -> None:
    check(secret)
    assert verify(sign([secret], ID, AT, BODY), BODY, [secret], AT) == ID


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"signature": ""}, "webhook-signature"),
        ({"signature": "v1"}, "no signature"),
        ({"signature": "v1,"}, "no signature"),
        ({"signature": SIGNED[3:]}, "no signature"),
        ({"signature": "v1a" + SIGNED[2:]}, "no signature"),
        ({"signature": "v1" + SIGNED_A[3:]}, "no signature"),
        ({"signature": SIGNED.lower()}, "no signature"),
        ({"signature": SIGNED[:-1]}, "no signature"),
        ({"signature": SIGNED.replace(",", ", ")}, "no signature"),
        ({"signature": "v1,Ünïcödé=\udc80\ud800"}, "no signature"),
        ({"signature": "v1a,Ünïcödé=\udc80\ud800"}, "no signature"),
        ({"signature": " " * 1000 + SIGNED}, "no signature"),
        ({"signature": "v1,AAAA " * 20 + SIGNED}, "no signature"),
        ({"id": ""}, "webhook-id"),
        ({"id": "other"}, "no signature"),
        ({"id": "a.b"}, "full stop"),
        ({"id": "a b"}, "webhook-id"),
        ({"id": "a" * 257}, "webhook-id"),
        ({"id": "ä"}, "webhook-id"),
        ({"timestamp": ""}, "webhook-timestamp"),
        ({"timestamp": str(AT + 1)}, "no signature"),
        ({"timestamp": f"{AT}.0"}, "not a number"),
        ({"timestamp": f"-{AT}"}, "not a number"),
        ({"timestamp": f" {AT}"}, "not a number"),
        ({"timestamp": "²"}, "not a number"),
        ({"timestamp": "٣"}, "not a number"),
        ({"timestamp": "9" * 5000}, "not a number"),
    ],
)
def test_refused(changed: dict[str, str], words: str) -> None:
    with pytest.raises(RemoteProtocolError) as refusal:
        verify(pairs(**changed), BODY, [SECRET, PUBLIC], AT)
    assert words in str(refusal.value)
    assert SECRET[6:] not in str(refusal.value)
    assert SIGNED[3:] not in str(refusal.value)


def test_missing_and_repeated_headers_are_refused() -> None:
    for index in range(3):
        whole = pairs()
        with pytest.raises(RemoteProtocolError, match="missing"):
            verify(whole[:index] + whole[index + 1 :], BODY, [SECRET], AT)
        with pytest.raises(RemoteProtocolError, match="twice"):
            verify((*whole, whole[index]), BODY, [SECRET], AT)
    assert verify((("via", "1.1 a"), *pairs(), ("via", "1.1 b")), BODY, [SECRET], AT) == ID


def test_another_body_or_another_secret_is_refused() -> None:
    for body, secrets in ((BODY + b" ", [SECRET]), (b"", [SECRET]), (BODY, [PUBLIC]), (BODY, [])):
        with pytest.raises(RemoteProtocolError, match="no signature"):
            verify(pairs(), body, secrets, AT)


def test_age_is_judged_both_ways() -> None:
    for now in (AT - 300, AT, AT + 300):
        assert verify(pairs(), BODY, [SECRET], now) == ID
    with pytest.raises(RemoteProtocolError, match="301 s old; 300 s are allowed"):
        verify(pairs(), BODY, [SECRET], AT + 301)
    with pytest.raises(RemoteProtocolError, match="301 s in the future"):
        verify(pairs(), BODY, [SECRET], AT - 301)
    with pytest.raises(RemoteProtocolError, match="2 s old"):
        verify(pairs(), BODY, [SECRET], AT + 2, 1.0)
    assert verify(pairs(), BODY, [SECRET], AT + 10**8, None) == ID


def test_a_forger_learns_nothing_of_time_before_the_signature_is_good() -> None:
    with pytest.raises(RemoteProtocolError, match="no signature"):
        verify(pairs(timestamp="1"), BODY, [SECRET], AT)


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", "whsec_%%", "not base64!", "whpk_AAAA", "whsk_AAAA", PRIVATE[:-8] + "AAAAAA==", "whpk_" + "ä" * 8],
)
def test_what_is_no_secret(secret: str) -> None:
    for use in (
        lambda: check(secret),
        lambda: verify(pairs(), BODY, [secret], AT),
        lambda: sign([secret], ID, AT, BODY),
    ):
        with pytest.raises(LocalProtocolError) as refusal:
            use()
        assert len(secret) < 7 or secret not in str(refusal.value)


def test_what_cannot_be_signed() -> None:
    for message_id in ("", "a.b", "a b", "a\r\nb", "ü", "x" * 257):
        with pytest.raises(LocalProtocolError):
            sign([SECRET], message_id, AT, BODY)
    with pytest.raises(LocalProtocolError, match="without a secret"):
        sign([], ID, AT, BODY)
    with pytest.raises(LocalProtocolError):
        sign([PUBLIC], ID, AT, BODY)


def test_what_is_kept_of_keys_is_bounded() -> None:
    for cache in (
        standard_webhooks._verifying,
        standard_webhooks._shared,
        standard_webhooks._private,
        standard_webhooks._public,
    ):
        assert cache.cache_info().maxsize == 16_384


@given(st.binary(max_size=200), st.binary(max_size=300))
def test_hmac_is_the_standard_librarys(key: bytes, message: bytes) -> None:
    ours = HmacSha256(key)
    for _ in range(2):
        assert ours.digest(message) == hmac.digest(key, message, hashlib.sha256)


@given(st.binary(min_size=1, max_size=64), st.binary(max_size=300), st.integers(0, 10**12), st.integers(0, 2400))
def test_any_bit_changed_is_noticed(key: bytes, body: bytes, at: int, bit: int) -> None:
    secret = "whsec_" + b64encode(key).decode()
    headers = sign([secret], "id", at, body)
    assert verify(headers, body, [secret], at) == "id"
    if body:
        place = bit % (8 * len(body))
        changed = bytearray(body)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(RemoteProtocolError):
            verify(headers, bytes(changed), [secret], at)
