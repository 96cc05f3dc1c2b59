"""How much is tried: a little and always the same in ``make test``; so many times as much, and at random, when
TOUCHLINE_FUZZ says a number (``make fuzz``).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

from hypothesis import HealthCheck, settings

TIMES: Final = int(os.environ.get("TOUCHLINE_FUZZ", "0"))


def examples(count: int) -> Callable[[Any], Any]:
    """Decorates a test: so many examples, or so many times TOUCHLINE_FUZZ."""
    return settings(
        max_examples=count * max(1, TIMES),
        derandomize=not TIMES,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
