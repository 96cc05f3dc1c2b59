"""Near-valid messages: a valid one, changed in a few places, as JSON or as bytes.

An edit is three numbers, so that a failing example shrinks to the fewest and plainest edits.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import Any, Final

from hypothesis import strategies as st


def _deep(depth: int, of: str) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if of == "list" else {"a": value}
    return value


NASTY: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 2, 255, 2**31, -(2**31) - 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 2**64,
    10**30, 0.0, -0.0, 0.5, 1.0, 1e-320, 1e22, 1e308, -1e308, 2.0**53, 1_795_089_600_000, 1_709_130_007_835_319_111,
    "", " ", "0", "-1", "1", "1e3", "NaN", "null", "true", "x" * 300, "x" * 5000, "é" * 300, "\u0000", "\n", "\u2028",
    "\U0001f600", "\u202e", "a.b", "a/b", "../..", "%00", "%", "*", "a|b", "a:b", "http://h/", "id\r\nx: y",
    "2026-11-19T12:00:00Z", "2026-13-45T99:99:99Z", "9999-12-31T23:59:59.999999999Z", "0000-01-01T00:00:00Z",
    "5f2c0a3e-8a3f-4f5e-9f44-0d1b8e5a7c11", "١٢", "²",
    [], {}, [[]], [{}], {"": ""}, {"a": None}, [None], [0] * 300, ["x"] * 300, {str(n): n for n in range(300)},
    _deep(60, "list"), _deep(60, "dict"), _deep(120, "list"), _deep(120, "dict"),
)  # fmt: skip
TOKENS: Final = (
    b"1e999", b"-1e999", b"1e-999", b"-0", b"1E400", b"9" * 400, b"0." + b"1" * 400, b'"\\ud800"', b'"\\udc00\\ud800"',
    b'"\xff"', b'"\xed\xa0\x80"', b"NaN", b"Infinity", b"nul", b"[" * 2000, b'{"a":' * 2000, b"[" * 1100 + b"]" * 1100,
    b"/**/", b"\x00", b"\xef\xbb\xbf", b"\n", b'"\\u0000"', b"01", b"1.", b"'a'", b'""',
)  # fmt: skip
"""What stands in place of a number or text of JSON."""

Edit = tuple[int, int, int]

edits: Final = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 4095), st.integers(0, len(NASTY) - 1)), min_size=0, max_size=5
)
byte_edits: Final = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 65535), st.integers(0, 255)), max_size=3)
texts: Final = st.one_of(
    st.sampled_from([value for value in NASTY if isinstance(value, str)]),
    st.text(max_size=40),
    st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
)
"""Any text that UTF-8 can carry."""


def _copied(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a value."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting and len(found) < 4096:
        one = waiting.pop()
        if isinstance(one, dict):
            found += [(one, key) for key in one]
            waiting += one.values()
        elif isinstance(one, list):
            found += [(one, at) for at in range(len(one))]
            waiting += one
    return found


def changed(value: Any, edits: Sequence[Edit]) -> Any:
    """A copy of a JSON value with members dropped, repeated, retyped, renamed, wrapped or exchanged."""
    root = [_copied(value)]
    for kind, where, what in edits:
        places = _places(root)
        holder, key = places[where % len(places)]
        nasty = _copied(NASTY[what])
        match kind:
            case 0 | 1 | 2:
                holder[key] = nasty
            case 3 if holder is not root:
                del holder[key]
            case 4 if isinstance(holder, list) and holder is not root:
                holder.insert(key, _copied(holder[key]))
            case 4 if isinstance(holder, dict):
                holder[nasty if isinstance(nasty, str) else f"{key}_"] = holder[key]
            case 5 if isinstance(holder, dict):
                holder[nasty if isinstance(nasty, str) else str(key).upper()] = holder.pop(key)
            case 6:
                holder[key] = [holder[key]] if what % 2 else {"a": holder[key]}
            case 7:
                other, at = places[what * 31 % len(places)]
                holder[key] = _copied(other[at])
    return root[0]


def broken(data: bytes, edits: Sequence[Edit]) -> bytes:
    """Bytes with some turned, dropped, repeated, or replaced by a token of JSON."""
    for kind, where, what in edits:
        at = where % (len(data) + 1)
        match kind:
            case 0:
                data = data[:at] + bytes([what]) + data[at + 1 :]
            case 1:
                data = data[:at] + data[at + what % 16 :]
            case 2:
                data = data[:at]
            case 3:
                data = data[:at] + data[at : at + what] * 2 + data[at + what :]
            case 4:
                data = data[:at] + bytes([what]) + data[at:]
            case _:
                end = min((data.find(mark, at) for mark in (b",", b"}", b"]") if mark in data[at:]), default=len(data))
                start = max(data.rfind(mark, 0, at) for mark in (b":", b"[", b",")) + 1
                data = data[:start] + TOKENS[what % len(TOKENS)] + data[max(end, start) :]
    return data


@st.composite
def near(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds (JSON where it can be), changed."""
    seed = draw(st.sampled_from(seeds))
    with_json = draw(edits)
    if with_json:
        with contextlib.suppress(ValueError, RecursionError):
            seed = json.dumps(changed(json.loads(seed), with_json)).encode()
    return broken(seed, draw(byte_edits))


@st.composite
def near_json(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """The same, and always JSON; some of it beyond what ``json`` would print."""
    value = changed(json.loads(draw(st.sampled_from(seeds))), draw(edits))
    return json.dumps(value, ensure_ascii=draw(st.booleans()), separators=(",", ":")).encode("utf-8", "replace")
