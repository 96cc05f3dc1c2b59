"""Every feed's webhook receiver: messages that were sent, changed on their way; and messages of nobody."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.errors import RemoteProtocolError
from touchline.feeds import registry
from touchline.feeds.base import NeedCertificate, Received, Trust
from touchline.testing.feed import FeedSuite
from touchline.wire import gzip

from .bounds import examples
from .mutations import broken, byte_edits, near, texts
from .suites import suites

SUITES = [
    pytest.param(one, id=f"{name}-{type(one).__name__}")
    for name, feed in registry.feeds().items()
    if feed.webhook is not None
    for one in suites(name)
]


def _check_short(error: RemoteProtocolError) -> None:
    assert 0 < len(str(error)) < 2000, "whoever sends a message does not decide how much is logged of it"


def _repacked(body: bytes) -> bytes | None:
    """What a compressed body holds."""
    try:
        return gzip.inflate(body, 1 << 22)
    except RemoteProtocolError:
        return None


@pytest.mark.parametrize("one", SUITES)
def test_a_receiver(one: FeedSuite) -> None:
    codec = one._codec()
    hub = one.filled()
    sent = [outgoing for _, outgoing in one._sent(hub)]
    plain = [_repacked(outgoing.body) or outgoing.body for outgoing in sent]
    packed = _repacked(sent[0].body) is not None
    trusted = one.trust(one.endpoint().secrets)

    @examples(100)
    @given(
        st.integers(0, len(sent) - 1),
        st.one_of(near(plain), st.sampled_from(plain)),
        byte_edits,
        st.lists(st.tuples(st.integers(0, 20), texts), max_size=3),
        st.lists(st.tuples(st.sampled_from(sorted({n for o in sent for n, _ in o.headers})), texts), max_size=2),
        st.sampled_from(["all", "no secrets", "nothing"]),
        st.sampled_from([None, 0.0, 300.0]),
    )
    def play(
        at: int,
        body: bytes,
        changes: list[tuple[int, int, int]],
        values: list[tuple[int, str]],
        more: list[tuple[str, str]],
        trust: str,
        tolerance: float | None,
    ) -> None:
        headers = list(sent[at].headers)
        for place, value in values:
            headers[place % len(headers)] = (headers[place % len(headers)][0], value)
        trusts = {"all": trusted, "no secrets": msgspec.structs.replace(trusted, secrets=()), "nothing": Trust()}
        believed = msgspec.structs.replace(trusts[trust], tolerance_seconds=tolerance)
        bodies = [body, broken(sent[at].body, changes)]
        if packed:
            bodies.append(gzip.deflate(body))
        for content in bodies:
            for given_headers in ((*headers, *more), sent[at].headers, tuple(more)):
                try:
                    found = codec.receive(given_headers, content, believed, hub.now())
                except RemoteProtocolError as error:
                    _check_short(error)
                    continue
                if isinstance(found, NeedCertificate):
                    assert found.url.startswith("http")
                    continue
                assert isinstance(found, Received)
                assert len(found.events) <= len(content)
                for event in found.events:
                    json.loads(event.data.decode())
                if found.payload:
                    json.loads(found.payload.decode())

    play()
