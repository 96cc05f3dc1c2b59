"""JSON as JavaScript prints it: against vectors made by Node, and against a Node that is here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from touchline.wire import javascript
from touchline.wire.javascript import members, normalise, number, parse, stringify

TESTS = Path(__file__).parents[2]
VECTORS = json.loads((TESTS / "feeds/insights/payloads/javascript_vectors.json").read_bytes())["vectors"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["text"][:40])
def test_it_prints_what_node_prints(vector: dict[str, str]) -> None:
    assert stringify(vector["text"].encode()).decode() == vector["printed"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("9007199254740993", "does not fit a double"),
        ("-9007199254740993.0", "does not fit a double"),
        ("12345678901234567890", "would print 12345678901234567000"),
        ("18446744073709551616", "does not fit a double"),
        ("900719925474099300e-2", "does not fit a double"),
        ("1e400", "print null"),
        ("-1e400", "print null"),
        ("1e-400", "print 0"),
        ("9" * 5000, "print null"),
        ('{"a":[{"b":9007199254740993}]}', "does not fit a double"),
    ],
)
def test_what_would_become_another_value_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        normalise(text.encode())
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "vector",
    [
        vector
        for vector in VECTORS
        if vector["text"] not in ("12345678901234567890", "1e400", "-1e400", "1e-400", "18446744073709551616")
        and not vector["text"].endswith("40993")
    ],
    ids=lambda vector: vector["text"][:40],
)
def test_everything_else_is_rewritten_once(vector: dict[str, str]) -> None:
    once = normalise(vector["text"].encode())
    assert once.decode() == vector["printed"]
    assert normalise(once) == once


@pytest.mark.parametrize(
    "text", [b"", b"{", b"NaN", b"[Infinity]", b"\xff", b'"\xc3"', b'"\x01"', b"01", b"1.", b"[1,]", b"'a'", b"nul",
             b"\xef\xbb\xbf1", b"1 2", "{\"a\":1}".encode("utf-16"), b"[" * 100_000, b'{"a":' * 100_000, b'"\\x41"'],
    ids=lambda text: repr(text[:12]),
)  # fmt: skip
def test_what_is_no_json_is_refused(text: bytes) -> None:
    for function in (stringify, normalise, members, parse):
        with pytest.raises(ValueError):
            function(text)


def test_depth_that_is_refused_and_depth_that_is_not() -> None:
    deep = b"[" * 100 + b"\xc2\x80".join([b'"', b'"']) + b"]" * 100
    assert stringify(deep) == deep
    with pytest.raises(ValueError, match="nested too deeply"):
        stringify(b"[" * 5000 + b'"\\ud800"' + b"]" * 5000)


def test_members_stand_as_they_came() -> None:
    assert members(b' {"a": 1.0 , "b":{ "x":1e2 }, "a" : [1 ] }') == {"a": b"[1 ]", "b": b'{ "x":1e2 }'}
    # What cannot be cut out as it stands is there as JavaScript prints it.
    assert members(b'{"a":"\\ud800", "n": 1.0}') == {"a": b'"\\ud800"', "n": b"1"}
    for text in (b"[1]", b"1", b'"\\ud800"', b"null"):
        with pytest.raises(ValueError):
            members(text)


def test_parse_gives_plain_values() -> None:
    assert parse(b'{"a":[1,2.5,"\\ud800",null,true]}') == {"a": [1, 2.5, "\ud800", None, True]}
    assert parse(b"[1e5]") == [100000.0]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_javascript_prints_as_null_are_refused(value: float) -> None:
    with pytest.raises(ValueError):
        number(value)


# against the real thing

NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
)
KEYS = st.one_of(st.integers(0, 2**33).map(str), st.text(max_size=4), st.sampled_from(["__proto__", "00", "a", "1"]))


def _object(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.lists(st.tuples(_strings(KEYS), inner), max_size=5)
    return pairs.map(lambda items: "{" + " ,".join(f"{key} : {value}" for key, value in items) + "}")


def _strings(of: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    escaped = of.map(json.dumps)
    raw = of.map(lambda text: json.dumps(text, ensure_ascii=False))
    every = of.map(lambda text: '"' + "".join(f"\\u{ord(sign) & 0xFFFF:04X}" for sign in text) + '"')
    return st.one_of(escaped, raw, every)


STRINGS = _strings(st.text(st.characters(exclude_categories=()), max_size=12))
TEXTS = st.recursive(
    st.one_of(NUMBERS, STRINGS, st.sampled_from(["null", "true", "false"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: "[" + ", ".join(items) + "]"), _object(inner)
    ),
    max_leaves=12,
)


class _Node:
    """One Node process that answers line by line."""

    def __init__(self) -> None:
        program = str(TESTS / "node/stringify.js")
        self.process = subprocess.Popen(["node", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def prints(self, text: str) -> str | None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(text).encode() + b"\n")
        self.process.stdin.flush()
        answer: str | None = json.loads(self.process.stdout.readline())
        return answer


@pytest.fixture(scope="module")
def node() -> Iterator[_Node]:
    if shutil.which("node") is None:
        pytest.skip("node is not here")
    peer = _Node()
    yield peer
    assert peer.process.stdin is not None
    peer.process.stdin.close()
    assert peer.process.wait(10) == 0
    assert peer.process.stdout is not None
    peer.process.stdout.close()


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=TEXTS)
def test_it_prints_what_a_live_node_prints(node: _Node, text: str) -> None:
    try:
        encoded = text.encode()
    except UnicodeEncodeError:  # a raw lone surrogate is no UTF-8, so it is on no wire
        return
    printed = node.prints(text)
    assert printed is not None
    ours = stringify(encoded)
    assert ours.decode() == printed
    assert stringify(ours) == ours
    try:
        normalised = normalise(encoded)
    except ValueError:  # a value would change: the tests above say which
        return
    assert normalised == ours


@settings(max_examples=300, deadline=None)
@given(text=TEXTS)
def test_both_ways_print_the_same(text: str) -> None:
    encoded = text.encode("utf-8", "replace")
    careful = javascript._printed(javascript._parse(encoded, exact=False)).encode()
    assert stringify(encoded) == careful


@settings(max_examples=300, deadline=None)
@given(data=st.one_of(st.binary(max_size=60), TEXTS.map(lambda text: text.encode("utf-8", "replace")[:-1])))
def test_nothing_but_value_error(data: bytes) -> None:
    for function in (stringify, normalise, members, parse):
        try:
            function(data)
        except ValueError:
            continue


def test_python_does_not_limit_the_digits_of_integers_here() -> None:
    # int() refuses more than sys.get_int_max_str_digits() digits; a number of so many is a number all the same.
    text = b"1" * (sys.get_int_max_str_digits() + 1)
    assert stringify(text) == b"null"
    assert stringify(b"0." + text).startswith(b"0.111")
