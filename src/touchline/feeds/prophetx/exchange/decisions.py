"""The exchange decides: a command against the state gives a refusal or one batch of changes, and touches nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from touchline.feeds.base.engines import Refusal
from touchline.feeds.prophetx.channels import PREFIX, data_bytes
from touchline.feeds.prophetx.exchange import running, wagering
from touchline.feeds.prophetx.exchange.commands import (
    Accepted,
    Cancel,
    CancelMany,
    CancelWhere,
    Command,
    Deposit,
    Expire,
    Failure,
    OpenAccount,
    Place,
    PlaceMany,
    PutLine,
    PutMarket,
    PutSportEvent,
    PutTournament,
    Refused,
    Remove,
    Settle,
    Void,
)
from touchline.feeds.prophetx.exchange.draft import Draft, Part
from touchline.feeds.prophetx.exchange.state import State
from touchline.wire.pusher import MAX_DATA_BYTES

MOST_CHANGES: Final = 80_000
"""Of one batch; a log takes 100,000 events at once. Nothing comes near that while ``wagering.MOST_ALIVE`` is kept."""

_IN_PARTS: Final = (Expire, PutSportEvent, Remove, Void)
"""Commands that concern any number of wagers. A part ends between two lines, or two wagers of which nothing but the
unmatched rest is withdrawn, and the last one says that the event has changed or is gone. After a break the same command
does the rest."""


def decide(state: State, command: Command, now: int, new_id: Callable[[], str]) -> Accepted | Refusal:
    """What a command leads to; the state is only read, and is to be folded with the changes once they are stored.

    ``now`` is UTC nanoseconds, ``new_id`` gives a new UUID per call. One command at a time: the next is decided on
    the folded state.
    """
    draft = Draft(state, now, in_parts=isinstance(command, _IN_PARTS))
    more = False
    try:
        ids, failures = _carry_out(draft, command, new_id)
    except Refused as refused:
        return refused.refusal
    except Part:
        ids, failures, more = [], [], True
    changes = draft.changes()
    if len(changes) > MOST_CHANGES:
        return Refusal(400, "invalid_param", f"{len(changes)} changes are too many at once; ask for less: line by line")
    for change in changes:
        # The hub would refuse the whole batch: no event of this protocol may be longer.
        if data_bytes(change.type.removeprefix(PREFIX), len(change.data)) > MAX_DATA_BYTES:
            return Refusal(400, "invalid_param", f"the {change.type.removeprefix(PREFIX)} is too long to be told")
    return Accepted(changes, tuple(draft.updated(wager_id) for wager_id in ids), tuple(failures), more)


def _carry_out(draft: Draft, command: Command, new_id: Callable[[], str]) -> tuple[list[str], list[Failure]]:
    match command:
        case Place():
            return [wagering.place(draft, command.partner, command.order, command.granted, new_id)], []
        case PlaceMany():
            wagering.need_account(draft, command.partner)  # without it no item can be done
            partner, granted = command.partner, command.granted
            return _each([partial(wagering.place, draft, partner, one, granted, new_id) for one in command.orders])
        case Cancel():
            return [wagering.cancel(draft, command.partner, command.cancellation)], []
        case CancelMany():
            return _each([partial(wagering.cancel, draft, command.partner, one) for one in command.cancellations])
        case CancelWhere():
            return wagering.cancel_where(draft, command), []
        case _:
            _run(draft, command)
            return [], []


def _run(draft: Draft, command: Command) -> None:
    match command:
        case Expire():
            wagering.expire(draft)
        case OpenAccount():
            running.open_account(draft, command)
        case Deposit():
            running.deposit(draft, command)
        case PutTournament():
            running.put_tournament(draft, command)
        case PutSportEvent():
            running.put_event(draft, command)
        case PutMarket():
            running.put_market(draft, command)
        case PutLine():
            running.put_line(draft, command)
        case Remove():
            running.remove(draft, command)
        case Void():
            running.void(draft, command)
        case Settle():
            running.settle(draft, command)


def _each(steps: list[Callable[[], str]]) -> tuple[list[str], list[Failure]]:
    """Every item with its own result (sheet 2.4): the good ones are done, the others say why not."""
    if not steps:
        raise Refused(400, "invalid_param", "data must hold at least one item")
    if len(steps) > wagering.LIMIT_MANY:
        raise Refused(400, "wager_limit_exceeded", f"at most {wagering.LIMIT_MANY} items in one request")
    ids: list[str] = []
    failures: list[Failure] = []
    for index, step in enumerate(steps):
        try:
            ids.append(step())
        except Refused as refused:
            failures.append(Failure(index, refused.refusal))
    return ids, failures
