"""The SNS envelope: what is signed, both versions of the signature, and what is not believed."""

from __future__ import annotations

import base64
from functools import cache

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from touchline.wire import sns


@cache
def signing() -> str:
    return sns.make_signing("test")


def notification(**changes: object) -> sns.Envelope:
    made = sns.Envelope(
        "Notification", "id-1", TopicArn="arn:t", Message="two\nlines é", Timestamp="2026-11-19T12:00:00.000Z",
        SignatureVersion="1", SigningCertURL="https://h/c.pem", UnsubscribeURL="https://h/?u",
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def signed(envelope: sns.Envelope) -> sns.Envelope:
    return msgspec.structs.replace(envelope, Signature=sns.sign(envelope, signing()))


def test_the_text_of_a_notification() -> None:
    lines = ["Message", "two", "lines é", "MessageId", "id-1", "Timestamp", "2026-11-19T12:00:00.000Z"]
    expected = "\n".join([*lines, "TopicArn", "arn:t", "Type", "Notification", ""])
    assert sns.string_to_sign(notification()) == expected.encode()
    assert b"Subject\nhello\nTimestamp\n" in sns.string_to_sign(notification(Subject="hello"))


@pytest.mark.parametrize("kind", ["SubscriptionConfirmation", "UnsubscribeConfirmation"])
def test_the_text_of_a_handshake(kind: str) -> None:
    made = notification(Type=kind, Token="tok", SubscribeURL="https://h/?s")
    names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    expected = "".join(f"{name}\n{getattr(made, name)}\n" for name in names)
    assert sns.string_to_sign(made) == expected.encode()
    for missing in ("Token", "SubscribeURL"):
        with pytest.raises(ValueError, match=missing):
            sns.string_to_sign(msgspec.structs.replace(made, **{missing: None}))


@pytest.mark.parametrize("version", sns.VERSIONS)
def test_a_signature_is_believed_and_repeats_itself(version: str) -> None:
    made = signed(notification(SignatureVersion=version))
    sns.verify(made, sns.certificate(signing()))
    assert signed(made) == made
    assert len(base64.b64decode(made.Signature)) == 256


@pytest.mark.parametrize(
    "changes",
    [
        {"Message": "two\nlines e"},
        {"MessageId": "id-2"},
        {"TopicArn": "arn:u"},
        {"Timestamp": "2026-11-19T12:00:00.001Z"},
        {"Subject": "added"},
        {"SignatureVersion": "2"},
        {"SignatureVersion": "3"},
        {"SignatureVersion": ""},
        {"Signature": ""},
        {"Signature": "EXAMPLE"},
        {"Signature": "é"},
        {"Signature": base64.b64encode(b"x" * 256).decode()},
        {"Type": "Other"},
        {"Type": "SubscriptionConfirmation"},
        {"Message": "\ud800"},
    ],
    ids=str,
)
def test_whatever_is_changed_is_not_believed(changes: dict[str, object]) -> None:
    made = msgspec.structs.replace(signed(notification()), **changes)
    with pytest.raises(ValueError):
        sns.verify(made, sns.certificate(signing()))


def test_the_certificate_of_another_is_not_enough() -> None:
    with pytest.raises(ValueError, match="signature is wrong"):
        sns.verify(signed(notification()), sns.certificate(sns.make_signing("other")))


def _of_another_kind() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ec")])
    own = x509.load_pem_x509_certificate(sns.certificate(signing()))
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = (
        builder.serial_number(1).not_valid_before(own.not_valid_before_utc).not_valid_after(own.not_valid_after_utc)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_what_is_no_certificate_of_an_rsa_key() -> None:
    for pem in (b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", _of_another_kind()):
        with pytest.raises(ValueError, match="certificate"):
            sns.verify(signed(notification()), pem)


@given(pem=st.binary(max_size=200))
def test_any_bytes_for_a_certificate(pem: bytes) -> None:
    with pytest.raises(ValueError):
        sns.verify(signed(notification()), pem)


def test_what_is_made() -> None:
    certificate = x509.load_pem_x509_certificate(sns.certificate(signing()))
    assert b"PRIVATE" not in sns.certificate(signing())
    assert certificate.public_key().key_size == 2048  # type: ignore[union-attr]
    name = sns.certificate_name(signing())
    assert name.startswith("SimpleNotificationService-")
    assert name.endswith(".pem")
    assert len(name) == len("SimpleNotificationService-") + 32 + len(".pem")
    assert sns.make_signing("test") != signing()


def test_times_have_three_fraction_digits() -> None:
    assert sns.timestamp(1_698_166_527_813_999_999) == "2023-10-24T16:55:27.813Z"
    assert sns.timestamp(1_698_166_527_000_000_000) == "2023-10-24T16:55:27.000Z"


def test_nothing_of_a_token_is_shown() -> None:
    assert "tok" not in repr(notification(Token="tok", SubscribeURL="https://h/?Token=tok"))
