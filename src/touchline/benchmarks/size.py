"""How much ``touchline bench`` measures."""

from __future__ import annotations

from typing import Final

import msgspec


class Size(msgspec.Struct, frozen=True):
    """``rounds`` of each arm, interleaved with its baseline; ``slow_rounds`` of what takes longer.

    ``connections`` post ``batches`` of 100 events each; ``single_connections`` post ``singles`` one by one.
    ``sessions`` get ``events_per_second`` for ``seconds``, then ``backlog`` events at once. ``reached`` sessions get an
    event now and then, for ``reach_seconds``; ``idle`` ones get nothing for ``idle_seconds``. ``endpoints`` get
    ``deliveries`` each. ``verify_seconds`` of CPU go to each turn of verifying.
    """

    rounds: int = 4
    slow_rounds: int = 3
    connections: int = 8
    batches: int = 40
    single_connections: int = 32
    singles: int = 80
    sessions: int = 200
    events_per_second: int = 50
    seconds: float = 1.5
    backlog: int = 500
    reached: int = 500
    reach_seconds: float = 2.6
    idle: int = 2000
    idle_seconds: float = 2.5
    endpoints: int = 100
    deliveries: int = 200
    verify_seconds: float = 0.04


FULL: Final = Size()
QUICK: Final = Size(
    rounds=2, slow_rounds=1, batches=10, singles=40, sessions=50, seconds=1.0, backlog=200,
    reached=200, reach_seconds=1.5, idle=500, idle_seconds=1.5, deliveries=100, verify_seconds=0.02,
)  # fmt: skip
