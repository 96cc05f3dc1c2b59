"""CloudEvents 1.0 in its JSON forms and HTTP binary mode, keeping the bytes of ``data``.

Decoding gives an ``Envelope`` or the list of what is wrong with it; it knows no feed. ``data`` is cut out of the input
as it stands: key order, number spelling and white space survive. Of duplicate attribute names the last one counts, as
in most JSON readers; inside ``data`` nothing is looked at here.

Sources: CloudEvents 1.0.2 core specification (Context Attributes, Type System), JSON Event Format (3 and 4, Batch),
HTTP Protocol Binding (3.1 Binary Content Mode). NDJSON, one event a line, is ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote

import msgspec

from touchline.model import NO_EXTENSIONS, ExtensionValue, Position, Record
from touchline.wire import position as position_token
from touchline.wire import rfc3339

JSON_TYPE: Final = "application/cloudevents+json"
BATCH_TYPE: Final = "application/cloudevents-batch+json"
NDJSON_TYPE: Final = "application/x-ndjson"

OURS: Final = frozenset({"position", "seq", "lane", "appendedat"})
"""Attributes that the hub adds when events are read; taken off again when such an event is published."""

_ATTRIBUTE: Final = re.compile(r"[a-z0-9]{1,64}\Z")
_NOT_IN_URI: Final = re.compile(r'[\s<>"{}|\\^`]')
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_NAMED: Final = frozenset(
    {"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data", "data_base64"}
)
_MAX_TEXT: Final = {"id": 512, "source": 2048, "type": 256, "subject": 1024, "time": 64}
_MAX_EXTENSION: Final = 4096
_EARLIEST: Final = -(2**63)
_LATEST: Final = 2**63 - 1
_NAMES_KEPT: Final = 4096
_JSON_CONTENT: Final = re.compile(
    r"application/(?:[\w.+-]+\+)?json\s*(?:;.*)?\Z|text/json\s*(?:;.*)?\Z", re.IGNORECASE | re.DOTALL
)
_NO_DATA: Final = msgspec.Raw()

Problem = tuple[str, str]
"""(field, what is wrong with it)"""


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """A well-formed CloudEvent; ``data`` is JSON text, ``occurred_at`` its time in UTC nanoseconds."""

    id: str
    source: str
    type: str
    subject: str
    data: bytes
    time: str | None = None
    occurred_at: int | None = None
    extensions: Mapping[str, ExtensionValue] = NO_EXTENSIONS


_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class _Open(msgspec.Struct, gc=False):
    """The attributes of nearly every event, decoded in one go; whatever does not fit takes the careful way.

    Those that the hub adds are here too: with them events come to everybody who reads a hub.
    """

    specversion: Literal["1.0"]
    id: _Name
    source: _Name
    type: _Name
    subject: _Name
    data: msgspec.Raw
    time: str | None = None
    datacontenttype: Literal["application/json"] | None = None
    position: str | None = None
    lane: str | None = None
    appendedat: str | None = None
    seq: int | None = None


class _Plain(_Open, forbid_unknown_fields=True, gc=False):
    """An event without extensions."""


_plain: Final = msgspec.json.Decoder(_Plain).decode
_open: Final = msgspec.json.Decoder(_Open).decode
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_items: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_value: Final = msgspec.json.Decoder().decode
_text: Final = msgspec.json.Encoder().encode
_PLAIN_SOURCE: Final = re.compile(r"[!#-;=?-\[\]_a-z~]+\Z")
_EVERY_EVENT: Final = frozenset(_Open.__struct_fields__)


def decode(body: bytes | memoryview | msgspec.Raw) -> Envelope | list[Problem]:
    """One event in JSON event format (valid UTF-8 assumed); else what is wrong."""
    extensions: Mapping[str, ExtensionValue] | None = NO_EXTENSIONS
    occurred_at = None
    try:
        try:
            plain: _Open = _plain(body)
        except msgspec.ValidationError:
            plain = _open(body)
            extensions = _plain_extensions(_members(body))
        time = plain.time
        if time is not None:
            occurred_at = rfc3339.parse(time)
    except (ValueError, RecursionError):
        return _decode_carefully(body)
    id_ = plain.id
    source, type_, subject = _plain_source(plain.source), _plain_name(plain.type), _plain_name(plain.subject)
    if (
        not (id_.isascii() and id_.isprintable())
        or source is None
        or type_ is None
        or subject is None
        or extensions is None
        or not (occurred_at is None or _EARLIEST <= occurred_at <= _LATEST)
    ):
        return _decode_carefully(body)
    return Envelope(id_, source, type_, subject, bytes(plain.data), time, occurred_at, extensions)


@lru_cache(_NAMES_KEPT)
def _plain_source(source: str) -> str | None:
    """The source when it needs no closer look. Few publish many events: one text of each serves all that are kept."""
    return source if _PLAIN_SOURCE.match(source) else None


@lru_cache(_NAMES_KEPT)
def _plain_name(name: str) -> str | None:
    """The same for types and subjects."""
    return name if name.isascii() and name.isprintable() else None


def _plain_extensions(members: Mapping[str, msgspec.Raw]) -> dict[str, ExtensionValue] | None:
    """The attributes beside those of every event; None: one of them needs a closer look."""
    found: dict[str, ExtensionValue] = {}
    for name, raw in members.items():
        if name in _EVERY_EVENT:
            continue
        if name == "data_base64" or not _ATTRIBUTE.match(name):
            return None
        value = _value(raw)
        if not (type(value) is str and len(value) <= _MAX_EXTENSION and value.isascii() and value.isprintable()):
            return None
        found[name] = value
    return found


def _nanoseconds(time: str) -> int:
    """UTC nanoseconds of a date-time. Raises ValueError, also when they do not fit into 64 bits."""
    value = rfc3339.parse(time)
    if not _EARLIEST <= value <= _LATEST:
        raise ValueError("is not between the years 1678 and 2262")
    return value


def _decode_carefully(body: bytes | memoryview | msgspec.Raw) -> Envelope | list[Problem]:
    try:
        members = _members(body)
    except RecursionError:
        return [("", "the JSON is nested too deeply")]
    except msgspec.MsgspecError as error:
        return [("", f"not a JSON object: {error}")]
    attributes: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, raw in members.items():
        if name in ("data", "data_base64"):
            continue
        try:
            attributes[name] = _value(raw)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            problems.append((name[:64], f"cannot be read: {error}"))
    if problems:
        return problems
    if "data_base64" in members:
        return [("data_base64", "binary data is not taken; every feed's data is JSON")]
    return from_attributes(attributes, bytes(members.get("data", _NO_DATA)))


def from_attributes(attributes: Mapping[str, Any], data: bytes) -> Envelope | list[Problem]:
    """An event of attributes by name (JSON values) and its data; else what is wrong, every problem at once."""
    problems: list[Problem] = []
    for name in ("specversion", "id", "source", "type", "subject"):
        value = attributes.get(name)
        if value is None:
            problems.append((name, "is required"))
        elif not isinstance(value, str):
            problems.append((name, "must be a string"))
        elif not value:
            problems.append((name, "must not be empty"))
        elif _CONTROL.search(value):
            problems.append((name, "holds a control character or an invalid code point"))
        elif len(value) > _MAX_TEXT.get(name, 64):
            problems.append((name, f"is longer than {_MAX_TEXT.get(name, 64)} characters"))
    version = attributes.get("specversion")
    if isinstance(version, str) and version and version != "1.0":
        problems.append(("specversion", f"{version[:16]!r} is not known; 1.0 is"))
    source = attributes.get("source")
    if isinstance(source, str) and _NOT_IN_URI.search(source):
        problems.append(("source", "is not a URI-reference"))
    time = attributes.get("time")
    occurred_at = None
    if time is not None:
        try:
            occurred_at = _nanoseconds(time if isinstance(time, str) else "")
        except ValueError as error:
            problems.append(("time", str(error)))
    content_type = attributes.get("datacontenttype")
    if content_type is not None and not (isinstance(content_type, str) and _JSON_CONTENT.match(content_type)):
        problems.append(("datacontenttype", "must be a JSON media type"))
    schema = attributes.get("dataschema")
    if schema is not None and not isinstance(schema, str):
        problems.append(("dataschema", "must be a string"))
    extensions: dict[str, ExtensionValue] = {}
    for name, value in attributes.items():
        if name in _NAMED and name != "dataschema":
            continue
        if value is None or name in OURS:
            continue
        if not _ATTRIBUTE.match(name):
            problems.append((name[:64], "an attribute name has lower-case letters and digits only"))
        elif isinstance(value, str):
            if _CONTROL.search(value) or len(value) > _MAX_EXTENSION:
                problems.append((name, "holds a control character or is longer than 4096 characters"))
            extensions[name] = value
        elif isinstance(value, bool) or (isinstance(value, int) and -(2**31) <= value < 2**31):
            extensions[name] = value
        else:
            problems.append((name, "an attribute is a string, a boolean or a 32-bit integer"))
    if not data:
        problems.append(("data", "is required"))
    if problems:
        return problems
    return Envelope(
        attributes["id"],
        attributes["source"],
        attributes["type"],
        attributes["subject"],
        data,
        time,
        occurred_at,
        extensions,
    )


def decode_batch(body: bytes) -> list[Envelope | list[Problem]] | Problem:
    """The events of a JSON array (JSON Event Format, Batch); a Problem when the body is no array."""
    try:
        items = _items(body)
    except RecursionError:
        return ("", "the JSON is nested too deeply")
    except msgspec.MsgspecError as error:
        return ("", f"not a JSON array of events: {error}")
    return [decode(item) for item in items]


def decode_lines(body: bytes) -> list[Envelope | list[Problem]]:
    """One event a line; empty lines are passed over and not counted."""
    return [decode(line) for line in body.split(b"\n") if line and not line.isspace()]


def decode_binary(headers: Sequence[tuple[str, str]], body: bytes) -> Envelope | list[Problem]:
    """An event whose attributes are ``ce-`` headers (lower-case names) and whose data is the body."""
    attributes: dict[str, Any] = {}
    for name, value in headers:
        if name.startswith("ce-"):
            try:
                attributes[name[3:]] = unquote(value, errors="strict")
            except UnicodeDecodeError:
                return [(name, "is not percent-encoded UTF-8")]
        elif name == "content-type":
            attributes["datacontenttype"] = value
    try:
        if body:
            msgspec.json.decode(body, type=msgspec.Raw)
    except RecursionError:
        return [("data", "the JSON is nested too deeply")]
    except msgspec.MsgspecError as error:
        return [("data", f"the body is not JSON: {error}")]
    return from_attributes(attributes, body)


def encode(record: Record, resume: Position | None) -> bytes:
    """A record as JSON event format, ``data`` unchanged, with our attributes; ``resume`` is its ``position`` (None:
    that one is left out).
    """
    event = record.event
    head = (
        b'{"specversion":"1.0","id":%b,"source":%b,"type":%b,"subject":%b'
        b',"datacontenttype":"application/json"%b,"lane":"%b","appendedat":"%b"'
    ) % (
        _text(event.id),
        _text(event.source),
        _text(event.type),
        _text(event.subject),
        b"" if resume is None else b',"position":"%b"' % position_token.encode(resume).encode(),
        event.lane.value.encode(),
        rfc3339.encode(record.appended_at).encode(),
    )
    if event.time is not None:
        head += b',"time":"%b"' % event.time.encode()
    if record.seq:
        head += b',"seq":%d' % record.seq
    if event.extensions:
        head += b"," + _text(event.extensions)[1:-1]
    return head + b',"data":' + event.data + b"}"


def one_line(text: bytes) -> bytes:
    """JSON text without line breaks: in valid JSON they are white space, so a blank in their place changes no value."""
    if b"\n" in text or b"\r" in text:
        return text.replace(b"\n", b" ").replace(b"\r", b" ")
    return text
