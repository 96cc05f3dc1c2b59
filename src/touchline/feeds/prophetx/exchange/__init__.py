"""A working sandbox exchange, pure: ``decide`` turns a command into a batch of changes, ``apply`` folds changes.

Whoever runs it owns one State, decides one command at a time, publishes ``Accepted.changes`` as one batch and applies
them when they are stored; after a crash the state is the fold of what was published (or of a checkpoint and what
came after). The pages of this folder: ``odds`` and ``payloads`` are values, ``wagers``, ``state`` and ``books`` the
state, ``commands``, ``wagering``, ``running``, ``draft`` and ``decisions`` the deciding, ``makers`` who plays.
"""

from __future__ import annotations

from touchline.feeds.base.engines import Change, Refusal
from touchline.feeds.prophetx.exchange.books import selections
from touchline.feeds.prophetx.exchange.commands import (
    FILL_OR_KILL,
    Accepted,
    Cancel,
    Cancellation,
    CancelMany,
    CancelWhere,
    Command,
    Deposit,
    Expire,
    Failure,
    HouseCommand,
    OpenAccount,
    Order,
    Place,
    PlaceMany,
    PutLine,
    PutMarket,
    PutSportEvent,
    PutTournament,
    Remove,
    Result,
    Settle,
    Void,
)
from touchline.feeds.prophetx.exchange.decisions import decide
from touchline.feeds.prophetx.exchange.odds import LADDER
from touchline.feeds.prophetx.exchange.state import Account, State, apply, decode, encode
from touchline.feeds.prophetx.exchange.wagers import Wager

__all__ = [
    "FILL_OR_KILL",
    "LADDER",
    "Accepted",
    "Account",
    "Cancel",
    "CancelMany",
    "CancelWhere",
    "Cancellation",
    "Change",
    "Command",
    "Deposit",
    "Expire",
    "Failure",
    "HouseCommand",
    "OpenAccount",
    "Order",
    "Place",
    "PlaceMany",
    "PutLine",
    "PutMarket",
    "PutSportEvent",
    "PutTournament",
    "Refusal",
    "Remove",
    "Result",
    "Settle",
    "State",
    "Void",
    "Wager",
    "apply",
    "decide",
    "decode",
    "encode",
    "selections",
]
