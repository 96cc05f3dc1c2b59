"""How an endpoint is delivered to: the numbers of the contract's table "Delivery defaults", and the endpoint's options
that change them.

Defaults follow from what the feed promises about order (``Capabilities.order``), never from its name. Pure.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from touchline.feeds.base import Order
from touchline.wire.http import Pairs


class Ordering(enum.Enum):
    """What waits for what: STREAM: a record for those before it in its stream; STRICT: for all before it; NONE: for
    nothing."""

    STREAM = "stream"
    STRICT = "strict"
    NONE = "none"


OPTIONS: Final[Mapping[str, str]] = {
    "order": "what waits for what: 'stream' (a record for those before it in its stream), 'strict' (for all before "
    "it) or 'none'",
    "max_block": "seconds (1 to 604800) for which a record that fails while the endpoint takes others holds up its "
    "stream before it goes to the dead letters, or 'block': never",
    "connect_seconds": "seconds (0.1 to 60) for the connection",
    "timeout_seconds": "seconds (0.1 to 300) for the whole request",
    "window": "the most requests in flight, 1 to 32 (8 unless set)",
    "rate_limit": "the most requests a second, above 0 to 100000 (no limit unless set)",
    "retry_cap_seconds": "the longest wait between two tries of a record, 0.1 to 86400 seconds",
    "final_4xx": "'true': a 4xx other than 408, 410 and 429 goes to the dead letters at once",
    "header.<Name>": "a header that is sent with every request; reserved names are refused",
}
"""Option name → what it does, for the API and the documents."""

HEADER_PREFIX: Final = "header."
MAX_HEADERS: Final = 20
MAX_HEADER_BYTES: Final = 1024
MAX_WINDOW: Final = 32

_STREAM_RETRIES: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
_FREE_RETRIES: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 600.0)

_RESERVED: Final = frozenset(
    {
        "host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection", "te",
        "trailer", "upgrade", "expect", "keep-alive", "user-agent",
    }
)  # fmt: skip
_RESERVED_PREFIXES: Final = ("proxy-", "webhook-", "touchline-")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_PRINTABLE: Final = re.compile(r"[ -~]*")


class Policy(msgspec.Struct, frozen=True):
    """See the module docstring. ``max_block_seconds`` None: never to the dead letters; ``retries`` are the waits
    between tries of a record, the last one repeats."""

    order: Ordering
    max_block_seconds: float | None
    connect_seconds: float
    timeout_seconds: float
    retries: tuple[float, ...]
    window: int = 8
    rate_limit: float | None = None
    final_4xx: bool = False
    headers: Pairs = ()

    def retry_seconds(self, failures: int) -> float:
        """The wait after so many failures (from 1), before it is spread."""
        return self.retries[min(failures, len(self.retries)) - 1]

    def is_final(self, status: int | None) -> bool:
        """Whether an answer gives up its record at once."""
        return self.final_4xx and status is not None and 400 <= status < 500 and status not in (408, 410, 429)


_BY_ORDER: Final[Mapping[Order, Policy]] = {
    Order.STREAM: Policy(Ordering.STREAM, 60.0, 3.0, 10.0, _STREAM_RETRIES),
    Order.NONE: Policy(Ordering.NONE, 3600.0, 3.0, 15.0, _FREE_RETRIES),
}


def is_option(name: str) -> bool:
    """Whether an endpoint's option is the courier's (others are the feed's)."""
    return name.startswith(HEADER_PREFIX) or name in OPTIONS


def parse_policy(
    options: Mapping[str, str], order: Order = Order.STREAM, own_headers: frozenset[str] = frozenset()
) -> Policy:
    """The policy of an endpoint of a feed with that order and those headers of its own; options that are not the
    courier's are passed over.

    Raises ValueError, with the reason in words.
    """
    base = _BY_ORDER[order]
    ordering, block = base.order, base.max_block_seconds
    if (text := options.get("order")) is not None:
        if text not in {one.value for one in Ordering}:
            raise ValueError(f"option order is {text[:40]!r}: it can be 'stream', 'strict' or 'none'")
        ordering = Ordering(text)
    if (text := options.get("max_block")) is not None:
        block = None if text == "block" else _number("max_block", text, 1, 604_800)
    retries = base.retries
    if (text := options.get("retry_cap_seconds")) is not None:
        cap = _number("retry_cap_seconds", text, 0.1, 86_400)
        retries = (*(wait for wait in base.retries if wait < cap), cap)
    final = options.get("final_4xx", "false")
    if final not in ("true", "false"):
        raise ValueError(f"option final_4xx is {final[:40]!r}: it can be 'true' or 'false'")
    return Policy(
        ordering,
        block,
        _number("connect_seconds", options.get("connect_seconds"), 0.1, 60, base.connect_seconds),
        _number("timeout_seconds", options.get("timeout_seconds"), 0.1, 300, base.timeout_seconds),
        retries,
        _window(options.get("window"), base.window),
        _number("rate_limit", options["rate_limit"], 0.001, 100_000) if "rate_limit" in options else None,
        final == "true",
        _headers(options, own_headers),
    )


def _is_own(header: str, own: frozenset[str]) -> bool:
    return header in own or any(one.endswith("-") and header.startswith(one) for one in own)


def _number(name: str, text: str | None, low: float, high: float, default: float = 0.0) -> float:
    if text is None:
        return default
    try:
        value = float(text) if text.isascii() else math.nan
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise ValueError(f"option {name} is {text[:40]!r}: it must be a number from {low:g} to {high:g}")
    return value


def _window(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 2 and 1 <= int(text) <= MAX_WINDOW):
        raise ValueError(f"option window is {text[:40]!r}: it must be a whole number from 1 to {MAX_WINDOW}")
    return int(text)


def _headers(options: Mapping[str, str], own: frozenset[str]) -> Pairs:
    found: dict[str, str] = {}
    for name, value in options.items():
        if not name.startswith(HEADER_PREFIX):
            continue
        header = name[len(HEADER_PREFIX) :].lower()
        if not _TOKEN.fullmatch(header):
            raise ValueError(f"option {name[:80]!r}: a header's name is 1 to 64 letters, digits and !#$%&'*+-.^_`|~")
        if header in _RESERVED or header.startswith(_RESERVED_PREFIXES) or _is_own(header, own):
            raise ValueError(f"option {name[:80]!r}: the header {header!r} is reserved")
        if header in found:
            raise ValueError(f"option {name[:80]!r}: the header {header!r} is given twice")
        if not _PRINTABLE.fullmatch(value):
            raise ValueError(f"option {name[:80]!r}: a header's value is printable ASCII on one line")
        if len(value) > MAX_HEADER_BYTES:
            raise ValueError(f"option {name[:80]!r}: a header's value has at most {MAX_HEADER_BYTES} bytes")
        found[header] = value.strip()
    if len(found) > MAX_HEADERS:
        raise ValueError(f"there are {len(found)} headers: an endpoint can have at most {MAX_HEADERS}")
    return tuple(found.items())
