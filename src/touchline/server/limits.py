"""Limits on failed logins and signatures: per address, per name, and per name from one address.

A failure costs one token of each of its three buckets; a bucket refills over a minute. A good login costs nothing, so
only failing is limited, and somebody else's failures with a partner's name cannot lock that partner out as quickly as
they lock out their own address. Memory is bounded: the longest untouched buckets leave first.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from touchline.clock import Clock

_MINUTE: Final = 60.0
_MAX_BUCKETS: Final = 50_000


class LoginLimits:
    """Counts failures; see the module docstring. Implements ``feeds.base.LoginLimitPort``."""

    def __init__(self, clock: Clock, *, per_address: int, per_name: int, per_pair: int) -> None:
        self._clock = clock
        self._sizes = (per_address, per_name, per_pair)
        self._buckets: OrderedDict[tuple[int, str, str], tuple[float, float]] = OrderedDict()
        self.failures = 0
        self.blocks = 0

    def _keys(self, address: str, name: str) -> list[tuple[int, str, str]]:
        keys = [(0, address, "")]
        if name:
            keys += [(1, "", name), (2, address, name)]
        return keys

    def _level(self, key: tuple[int, str, str], now: float) -> float:
        size = self._sizes[key[0]]
        level, since = self._buckets.get(key, (float(size), now))
        return min(float(size), level + (now - since) * size / _MINUTE)

    def blocked(self, address: str, name: str) -> float | None:
        """Seconds to wait, or None when a try is allowed."""
        keys = [key for key in self._keys(address, name) if key in self._buckets]
        if not keys:  # nearly always: nobody failed
            return None
        now = self._clock.monotonic()
        waits = [
            (1.0 - level) * _MINUTE / self._sizes[key[0]] for key in keys if (level := self._level(key, now)) < 1.0
        ]
        if not waits:
            return None
        self.blocks += 1
        return max(waits)

    def failed(self, address: str, name: str) -> None:
        """Count a failure."""
        now = self._clock.monotonic()
        self.failures += 1
        for key in self._keys(address, name):
            self._buckets[key] = (self._level(key, now) - 1.0, now)
            self._buckets.move_to_end(key)
        while len(self._buckets) > _MAX_BUCKETS:
            self._buckets.popitem(last=False)
