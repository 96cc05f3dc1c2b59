"""The snapshot fold of a game: its newest game object and its newest scoresheet, as they were published.

Every message holds a whole state and has neither number nor time, and a correction may take a goal back, so what
arrives last wins (sheet 7). A repeated message changes nothing, a late one is put right by the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from touchline.feeds.base import Instant
from touchline.feeds.hisports.facts import Facts, facts_of, is_reference
from touchline.feeds.hisports.kinds import APPROVED, TYPES
from touchline.feeds.hisports.messages import OptBool, OptText
from touchline.model import Event, Record


class GameState(Struct):
    """``game`` and ``scoresheet`` are JSON text (None: nothing was published yet); ``game_at`` the game's offset."""

    subject: str
    game: bytes | None = None
    scoresheet: bytes | None = None
    facts: Facts | None = None
    game_at: int = 0
    is_approved: bool = False
    status: str = ""


class _Parts(Struct, frozen=True):
    game: Raw | UnsetType = UNSET
    scoresheet: Raw | UnsetType = UNSET


class _Approved(Struct, frozen=True):
    isApproved: OptBool = UNSET  # noqa: N815 - the provider's spelling


class _Status(Struct, frozen=True):
    status: OptText = UNSET


_PARTS: Final = msgspec.json.Decoder(_Parts)
_APPROVED: Final = msgspec.json.Decoder(_Approved)
_STATUS: Final = msgspec.json.Decoder(_Status)
_NULL: Final = b"null"


def part(raw: Raw | UnsetType) -> Raw | None:
    """A member of ``data`` that is there and not null."""
    return None if raw is UNSET or (len(raw) == len(_NULL) and bytes(raw) == _NULL) else raw


class GameFold:
    """Folds a HiSports game (see ``feeds.base.SnapshotFold``)."""

    version = 1

    def __init__(self) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(GameState)

    def initial(self, subject: str) -> GameState:
        """A game of which nothing is known."""
        return GameState(subject)

    def apply(self, state: GameState, record: Record) -> None:
        """Take one record into account; whatever was accepted for publishing is taken without an error."""
        if record.event.type not in TYPES:
            return
        try:
            parts = _PARTS.decode(record.event.data)
            game, sheet = part(parts.game), part(parts.scoresheet)
            if game is not None and not is_reference(game):
                facts, approved = facts_of(game), _APPROVED.decode(game).isApproved is True
                state.game, state.facts, state.is_approved = bytes(game), facts, approved
                state.game_at = record.offset
            if sheet is not None:
                status = _STATUS.decode(sheet).status
                state.scoresheet, state.status = bytes(sheet), status if isinstance(status, str) else ""
        except (msgspec.MsgspecError, RecursionError):
            return

    def encode(self, state: GameState) -> bytes:
        """The state as MessagePack."""
        return self._encoder.encode(state)

    def decode(self, data: bytes) -> GameState:
        """The state of a checkpoint."""
        return self._decoder.decode(data)

    def view(self, state: GameState) -> bytes:
        """``{"game":…,"scoresheet":…}`` as published, null for what is not known."""
        return b'{"game":%b,"scoresheet":%b}' % (state.game or _NULL, state.scoresheet or _NULL)

    def derive(self, state: GameState, now: Instant) -> Sequence[Event]:
        """Nothing: the provider has no message of its own making beside the three."""
        del state, now
        return ()

    def is_over(self, state: GameState) -> bool:
        """Once approved. An edit may still come, and is taken."""
        return state.is_approved or state.status == APPROVED

    def first_seq(self, state: GameState) -> int:
        """From the beginning."""
        del state
        return 1
