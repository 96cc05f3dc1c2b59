"""The message of a change, against one that is made layer by layer with another library."""

from __future__ import annotations

import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from touchline.feeds.prophetx.channels import BROADCAST, PREFIX, data_bytes, encode, private_channel
from touchline.model import Event, Position, Record

texts = st.text(max_size=30)


def record(change: str, subject: str, op: str, data: bytes, stamp: int, partner: str | None = None) -> Record:
    extensions = {"op": op} | ({} if partner is None else {"partner": partner})
    return Record(
        7, 1, stamp, Event("prophetx", PREFIX + change, subject, "/x", "1", data, 0, 0, extensions=extensions)
    )


@given(texts, texts, st.sampled_from("cud"), st.binary(max_size=200), st.integers(0, 2**63 - 1))
def test_a_payload_stands_in_its_place_whatever_is_around_it(
    change: str, subject: str, op: str, data: bytes, stamp: int
) -> None:
    """Also when names look like what is around it."""
    for tricky in (change, change + '","payload":"', r"\",\"timestamp\":1}"):
        if tricky == "account":
            continue
        message = encode(record(tricky, subject, op, data, stamp), BROADCAST, Position("e", 7))
        assert message is not None
        payload = base64.b64encode(data).decode()
        inner = {"change_type": tricky, "op": op, "payload": payload, "timestamp": stamp}
        outer = json.loads(message)
        assert json.loads(outer.pop("data"), object_pairs_hook=list) == list(inner.items())
        is_new = tricky == "tournament" and op == "c"
        assert outer == {"event": "general" if is_new else f"tournament_{subject}", "channel": BROADCAST}


@given(st.binary(max_size=200))
def test_the_bytes_are_those_of_the_document(data: bytes) -> None:
    """Compact, in the order of keys of the documented messages; and as long as it was reckoned at publishing."""
    message = encode(record("wager", "p-1", "u", data, 2**62, "p-1"), private_channel("p-1"), Position("e", 7))
    inner = {"change_type": "wager", "op": "u", "payload": base64.b64encode(data).decode(), "timestamp": 2**62}
    text = json.dumps(inner, separators=(",", ":"))
    outer = {"event": "wagers", "channel": private_channel("p-1"), "data": text}
    assert message == json.dumps(outer, separators=(",", ":")).encode()
    assert len(text) == data_bytes("wager", len(data))
