"""The match document: merged from what is published, completed from the balls.

Published members pass byte for byte. OUR CHOICE (sheet §2.5 asks for a consistent subset): the document announced by
``roanuz.match``, into which the ``match`` parts of later events are merged, object by object; and where that says
nothing about an innings, its totals as the balls add up.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw

from touchline.feeds.roanuz.innings import EXTRAS, Innings, MatchState, in_order, totals

NOT_STARTED: Final = "not_started"
STARTED: Final = "started"
COMPLETED: Final = "completed"
OVER: Final = frozenset({COMPLETED, "cancelled", "canceled", "abandoned"})
"""``status`` of a match that pushes no more (§2.5)."""

BALLS_PER_OVER: Final = 6
ALL_OUT: Final = 10

_MEMBERS: Final = msgspec.json.Decoder(dict[str, Raw])
_MAX_DEPTH: Final = 64
"""Objects deeper than this are replaced as a whole."""


def merge(old: bytes, new: bytes, depth: int = 0) -> bytes:
    """``new`` over ``old``, both JSON: objects member by member, anything else (null too) is replaced by the newer."""
    if depth >= _MAX_DEPTH:
        return new
    before, after = _object(old), _object(new)
    if before is None or after is None:
        return new
    merged = {name: bytes(value) for name, value in before.items()}
    for name, value in after.items():
        merged[name] = merge(merged[name], bytes(value), depth + 1) if name in merged else bytes(value)
    return msgspec.json.encode({name: Raw(value) for name, value in merged.items()})


def _object(text: bytes) -> dict[str, Raw] | None:
    if text.lstrip()[:1] != b"{":
        return None
    try:
        return _MEMBERS.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def build(state: MatchState) -> bytes:
    """The match as REST shows it: what was published wins over what the balls say."""
    innings = in_order(state)
    derived: dict[str, Any] = {
        "key": state.subject,
        "sport": "cricket",
        "status": COMPLETED if state.over else STARTED if innings else NOT_STARTED,
    }
    if innings:
        derived["play"] = {
            "innings_order": [each.name for each in innings],
            "innings": {each.name: _innings(each, ended=state.over or each is not innings[-1]) for each in innings},
        }
    return merge(msgspec.json.encode(derived), state.document)


def _innings(innings: Innings, *, ended: bool) -> dict[str, Any]:
    total = totals(innings)
    overs = [*divmod(total.balls, BALLS_PER_OVER)]
    return {
        "index": innings.name,
        "overs": overs,
        "is_completed": ended or total.wickets >= ALL_OUT,
        "score_str": f"{total.runs}/{total.wickets} in {overs[0]}.{overs[1]}",
        "score": {
            "runs": total.runs,
            "balls": total.balls,
            "dot_balls": total.dots,
            "fours": total.fours,
            "sixes": total.sixes,
        },
        "wickets": total.wickets,
        "extra_runs": {"extra": total.extra} | {name: total.extras[name] for name in EXTRAS},
    }
