"""The opaque position token: ``<epoch>-<offset in base 36>``, URL-safe, compared by nobody but the hub.

A reader keeps the token of the last event it has worked on and hands it back to go on after it.
"""

from __future__ import annotations

import re
from typing import Final

from touchline.errors import RemoteProtocolError
from touchline.model import MAX_OFFSET, Position

_TOKEN: Final = re.compile(r"([0-9a-z]{8,32})-([0-9a-z]{1,11})\Z")
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


def encode(position: Position) -> str:
    """The token of a position."""
    number, text = position.offset, ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return f"{position.epoch}-{text or '0'}"


def decode(token: str) -> Position:
    """The position of a token.

    Raises:
        RemoteProtocolError: the text is no token that this or another hub has made.
    """
    match = _TOKEN.match(token)
    offset = int(match.group(2), 36) if match else -1
    if match is None or not 0 <= offset <= MAX_OFFSET:
        raise RemoteProtocolError(f"not a position: {token[:64]!r}; use one that a hub has given")
    return Position(match.group(1), offset)


def is_token(text: str) -> bool:
    """Whether a text has the shape of a token, whoever made it."""
    return _TOKEN.match(text) is not None
