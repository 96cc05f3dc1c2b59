"""JSON text as JavaScript prints it: what ``JSON.stringify(JSON.parse(text))`` gives, byte for byte.

Owns numbers in JavaScript's spelling, its order of keys and its escapes. Needed where a signature covers that text and
not the bytes that travelled. Sources: ECMA-262, Number::toString, OrdinaryOwnPropertyKeys, JSON.parse, JSON.stringify.

Nearly every text takes the fast way through msgspec, whose printer agrees with JavaScript but for some floats and
integer-like keys. What msgspec cannot read (lone surrogates, 1e400) or has no texts for (numbers that may have lost
digits) takes the careful way through the standard library, which hands over each number as it was written.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any, Final

import msgspec

MAX_SAFE: Final = 2**53
"""Integers up to here are all held by a double; beyond it some are."""

_SMALL: Final = 1e-3
"""Somewhere below it msgspec and JavaScript do not begin to write exponents at the same place."""
_MAX_INDEX: Final = 2**32 - 2
_INDEX: Final = re.compile(r"(?:0|[1-9][0-9]{0,9})\Z", re.ASCII)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_SOME_DIGIT: Final = re.compile("[1-9]")
_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode
_raw_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class _Careful(Exception):
    """The fast way cannot tell."""


class _Number(str):
    """A number as JavaScript prints it."""

    __slots__ = ()


def stringify(text: bytes) -> bytes:
    """What ``JSON.stringify(JSON.parse(text))`` prints, as UTF-8.

    Raises ValueError: not JSON, or nested too deeply for us.
    """
    return _stringify(text, exact=False)


def normalise(text: bytes) -> bytes:
    """The same, where it changes no value: JavaScript then finds nothing more to change.

    Numbers with a fraction are rounded to the nearest double, as every reader of JSON does; -0 becomes 0, its equal.
    Raises ValueError: not JSON; an integer would come out as another (2^53+1, 2^64 by its digits), a number as null
    (1e400) or as zero (1e-400).
    """
    return _stringify(text, exact=True)


def members(text: bytes) -> dict[str, bytes]:
    """The members of a JSON object, each as it stands in the text (where msgspec cannot read that: as ``stringify``
    prints it). Raises ValueError: not a JSON object.
    """
    try:
        return {name: bytes(raw) for name, raw in _raw_members(text).items()}
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    except msgspec.MsgspecError:
        value = _parse(text, exact=False)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return {name: _printed(item).encode() for name, item in value.items()}


def parse(text: bytes) -> Any:
    """The value of JSON text, lone surrogates included. Raises ValueError."""
    try:
        return _decode(text)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    except msgspec.MsgspecError:
        return _parse(text, exact=False, numbers=False)


def number(value: float) -> str:
    """A double as JavaScript prints it (ECMA-262, Number::toString). Raises ValueError for NaN and infinities."""
    if value == 0:
        return "0"
    text = repr(value)
    mantissa, _, exponent = text.partition("e")
    if not exponent:
        if mantissa[-1] in "nf":
            raise ValueError("not a finite number")
        return mantissa.removesuffix(".0")
    sign = "-" if value < 0 else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = whole + fraction
    point = int(exponent) + 1
    if 0 < point <= 21:
        return sign + digits.ljust(point, "0")
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    return f"{sign}{whole}{'.' * bool(fraction)}{fraction}e{point - 1:+d}"


def _stringify(text: bytes, *, exact: bool) -> bytes:
    try:
        try:
            return _encode(_as_printed(_decode(text)))
        except (msgspec.MsgspecError, _Careful):
            return _printed(_parse(text, exact=exact)).encode()
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


# the fast way


def _as_printed(value: Any) -> Any:
    """The value changed in place so that msgspec prints it as JavaScript does. Raises _Careful."""
    kind = type(value)
    if kind is dict:
        indexes = False
        for key, item in value.items():
            if key < ":" and not indexes:  # sorts up to "9", so it may begin with a digit
                indexes = _is_index(key)
            inner = type(item)
            if inner is str or item is None or inner is bool:
                continue
            changed = _as_printed(item)
            if changed is not item:
                value[key] = changed
        return _ordered(value) if indexes else value
    if kind is list:
        for at, item in enumerate(value):
            if type(item) is not str:
                value[at] = _as_printed(item)
        return value
    if kind is float:
        if not 0 < abs(value) < MAX_SAFE:
            raise _Careful
        if value.is_integer():
            return int(value)
        return value if abs(value) > _SMALL else msgspec.Raw(number(value).encode())
    if kind is int and not -MAX_SAFE <= value <= MAX_SAFE:
        raise _Careful
    return value


def _is_index(key: str) -> bool:
    return _INDEX.match(key) is not None and int(key) <= _MAX_INDEX


def _ordered(value: dict[str, Any]) -> dict[str, Any]:
    """Integer-like keys first, ascending; then the others as they came."""
    indexes = sorted((key for key in value if _is_index(key)), key=int)
    return {key: value[key] for key in (*indexes, *value)}


# the careful way


def _parse(text: bytes, *, exact: bool, numbers: bool = True) -> Any:
    """The value by the standard library; with ``numbers`` each as a _Number."""

    def refused(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    def printed(literal: str) -> Any:
        return _Number(_number_text(literal, exact=exact))

    hooks: dict[str, Any] = {"parse_float": printed, "parse_int": printed} if numbers else {}
    try:
        return json.loads(str(text, "utf-8"), parse_constant=refused, **hooks)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def _number_text(literal: str, *, exact: bool) -> str:
    value = float(literal)
    if value in (float("inf"), float("-inf")):
        if exact:
            raise ValueError(f"the number {_short(literal)} is too large: JavaScript would print null")
        return "null"
    text = number(value)
    if exact:
        if value == 0:
            if _SOME_DIGIT.search(literal.lower().partition("e")[0]):
                raise ValueError(f"the number {_short(literal)} is too small: JavaScript would print 0")
        elif abs(value) >= MAX_SAFE:
            written = Decimal(literal)
            if written == written.to_integral_value() and written != Decimal(text):
                raise ValueError(f"the integer {_short(literal)} does not fit a double: JavaScript would print {text}")
    return text


def _short(literal: str) -> str:
    return literal if len(literal) <= 40 else literal[:37] + "..."


def _printed(value: Any) -> str:
    kind = type(value)
    if kind is _Number:
        return str(value)
    if kind is str:
        return _string(value)
    if kind is dict:
        ordered = _ordered(value) if any(_is_index(key) for key in value) else value
        return "{" + ",".join([f"{_string(key)}:{_printed(item)}" for key, item in ordered.items()]) + "}"
    if kind is list:
        return "[" + ",".join([_printed(item) for item in value]) + "]"
    return "null" if value is None else "true" if value else "false"


def _string(value: str) -> str:
    """A string with JavaScript's escapes; a surrogate that is left has no partner and is escaped too."""
    text = encode_basestring(value)
    return text if text.isascii() else _SURROGATE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)
