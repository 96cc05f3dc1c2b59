"""The envelope of Amazon SNS: its three messages, what of them is signed, and the certificate that proves it.

Owns shapes, string to sign, RSA signature v1 (SHA1) and v2 (SHA256), and making a key with its certificate. Knows no
topic and no feed. Sources: AWS SNS guide, "Verifying the signatures of Amazon SNS messages" and the pages on the JSON
formats of HTTP messages, as quoted in the insights sheet (4, 4.1).

``cryptography`` is loaded when something is signed or verified: it is slow to import.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

from touchline.wire import rfc3339

if TYPE_CHECKING:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

NOTIFICATION: Final = "Notification"
SUBSCRIPTION_CONFIRMATION: Final = "SubscriptionConfirmation"
UNSUBSCRIBE_CONFIRMATION: Final = "UnsubscribeConfirmation"
TYPES: Final = (NOTIFICATION, SUBSCRIPTION_CONFIRMATION, UNSUBSCRIBE_CONFIRMATION)
VERSIONS: Final = ("1", "2")

_KEY_BITS: Final = 2048
_VALID_FROM: Final = datetime(2020, 1, 1, tzinfo=UTC)
_VALID_UNTIL: Final = datetime(2099, 12, 31, tzinfo=UTC)
_MS_IN_NS: Final = 1_000_000
_SIGNED: Final = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    SUBSCRIPTION_CONFIRMATION: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    UNSUBSCRIBE_CONFIRMATION: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True):
    """An SNS message in SNS's spelling and order; what a type does not have is None and left out."""

    Type: str
    MessageId: str
    Token: str | None = None
    TopicArn: str = ""
    Subject: str | None = None
    Message: str = ""
    SubscribeURL: str | None = None
    Timestamp: str = ""
    SignatureVersion: str = ""
    Signature: str = ""
    SigningCertURL: str = ""
    UnsubscribeURL: str | None = None

    def __repr__(self) -> str:
        return f"Envelope({self.Type!r}, {self.MessageId!r}, {self.TopicArn!r})"


def timestamp(nanoseconds: int) -> str:
    """A time as SNS writes it: UTC with three fraction digits."""
    return rfc3339.encode(nanoseconds // _MS_IN_NS * _MS_IN_NS)


def string_to_sign(envelope: Envelope) -> bytes:
    """Each signed field as its name, a newline, its value, a newline, in byte order of the names.

    Raises ValueError: the type is not known, or a field that it needs is missing.
    """
    names = _SIGNED.get(envelope.Type)
    if names is None:
        raise ValueError(f"{envelope.Type[:40]!r} is no type of an SNS message")
    parts: list[str] = []
    for name in names:
        value: str | None = getattr(envelope, name)
        if value:
            parts += (name, "\n", value, "\n")
        elif value is None and name != "Subject":
            raise ValueError(f"a {envelope.Type} needs {name}")
        elif name != "Subject":
            parts += (name, "\n\n")
    return "".join(parts).encode("utf-8", "strict")


def sign(envelope: Envelope, signing: str) -> str:
    """The signature of an envelope under its own ``SignatureVersion``, base64; equal input gives equal output."""
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    key = _key(signing)
    return base64.b64encode(
        key.sign(string_to_sign(envelope), PKCS1v15(), _algorithm(envelope.SignatureVersion))
    ).decode()


def verify(envelope: Envelope, certificate: bytes) -> None:
    """Check the signature with the certificate (PEM) of its SigningCertURL; the URL itself is the caller's to judge.

    Raises ValueError, saying what is wrong: version, missing field, base64, certificate or signature.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    algorithm = _algorithm(envelope.SignatureVersion)
    signed = string_to_sign(envelope)
    signature = base64.b64decode(envelope.Signature.encode(), validate=True)
    try:
        _public_key(certificate).verify(signature, signed, PKCS1v15(), algorithm)
    except InvalidSignature:
        raise ValueError("the SNS signature is wrong") from None


def make_signing(common_name: str) -> str:
    """A new RSA key and its self-signed certificate, both as PEM in one text: what ``sign`` takes."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_VALID_FROM)
        .not_valid_after(_VALID_UNTIL)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return (private + made.public_bytes(serialization.Encoding.PEM)).decode()


def certificate(signing: str) -> bytes:
    """The certificate alone, PEM: what may be given to anybody."""
    return signing[signing.index("-----BEGIN CERTIFICATE-----") :].encode()


def certificate_name(signing: str) -> str:
    """The file name under which the certificate is served; 32 hex digits, as some validators demand (sheet, 7)."""
    return f"SimpleNotificationService-{hashlib.sha256(certificate(signing)).hexdigest()[:32]}.pem"


@lru_cache(maxsize=8)
def _key(signing: str) -> RSAPrivateKey:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(signing.encode(), None)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError("SNS messages are signed with an RSA key")
    return key


@lru_cache(maxsize=32)
def _public_key(pem: bytes) -> RSAPublicKey:
    """The key of a certificate. Raises ValueError."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    try:
        key = x509.load_pem_x509_certificate(pem).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"the signing certificate cannot be read: {error}") from None
    if not isinstance(key, RSAPublicKey):
        raise ValueError("the signing certificate holds no RSA key")
    return key


def _algorithm(version: str) -> hashes.HashAlgorithm:
    from cryptography.hazmat.primitives import hashes

    if version == "1":
        return hashes.SHA1()  # noqa: S303 - what version 1 is
    if version == "2":
        return hashes.SHA256()
    raise ValueError(f"signature version {version[:16]!r} is not known; 1 and 2 are")
