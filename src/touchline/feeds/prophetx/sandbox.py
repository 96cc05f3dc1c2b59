"""The sandbox exchange as the hub runs it (``touchline serve --sandbox prophetx``): the engine, its source, its money.

The rules are in ``exchange``; here they are put into the shape that every feed's engine has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from touchline.feeds.base import Engine, SandboxCommand, SandboxSurface
from touchline.feeds.prophetx import exchange
from touchline.feeds.prophetx.exchange.makers import TOURNAMENT, Crowd
from touchline.feeds.prophetx.exchange.payloads import cents

SOURCE: Final = "/sandbox/exchange"
BALANCE_OPTION: Final = "starting_balance"
STARTING_BALANCE: Final = Decimal(10_000)
"""OUR CHOICE, in dollars; a partner's option ``starting_balance`` says otherwise."""
_MAX_BALANCE: Final = Decimal(1_000_000_000)

_HOUSE: Final = msgspec.json.Decoder(exchange.HouseCommand)


def starting_cents(options: Mapping[str, str]) -> int:
    """What an account is opened with under a partner's options. Raises ValueError for what is no amount."""
    text = options.get(BALANCE_OPTION)
    try:
        balance = STARTING_BALANCE if text is None else Decimal(text)
        if balance.is_finite() and 0 <= balance <= _MAX_BALANCE:
            return cents(balance)
    except (InvalidOperation, ValueError):
        pass
    raise ValueError(f"option {BALANCE_OPTION} is an amount in dollars, such as 2500 or 99.50, up to {_MAX_BALANCE}")


def check_options(options: Mapping[str, str]) -> None:
    """Partner options as they are given. Raises ValueError."""
    starting_cents(options)


def _due(state: exchange.State, now: int) -> Sequence[exchange.Command]:
    return (exchange.Expire(),) if state.next_expiry is not None and state.next_expiry <= now else ()


_LOG_IN: Final = (
    """T=$(curl -sS <url>/partner/auth/login -d '{"access_key":"<access_key>","secret_key":"<secret_key>"}' """
    """| sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')"""
)
_GET: Final = """curl -sS -H "Authorization: Bearer $T" <url>/partner/mm"""


def _read(body: bytes) -> exchange.HouseCommand:
    """An operator's command. Raises ValueError."""
    try:
        command: exchange.HouseCommand = _HOUSE.decode(body)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    return command


SANDBOX: Final = SandboxSurface(
    simulate=None,
    subject=str(TOURNAMENT.id),
    description="a betting exchange with two games, where makers and takers trade and you can",
    commands=(
        SandboxCommand("balance", "log in to the exchange, and what you own there", f"{_LOG_IN}; {_GET}/get_balance"),
        SandboxCommand(
            "wager",
            "place a wager of 5 dollars on the newest game: log in, find event and line, place",
            f"{_LOG_IN}; "
            f"E=$({_GET}/get_sport_events?tournament_id=<subject> | sed 's/.*\"event_id\":\\([0-9]*\\).*/\\1/'); "
            f'L=$({_GET}/get_markets?event_id=$E | sed \'s/.*"line_id":"\\([^"]*\\)".*/\\1/\'); '
            f'{_GET}/place_wager -d "{{\\"external_id\\":\\"mine-$(date +%s)-$RANDOM\\",\\"line_id\\":\\"$L\\",'
            '\\"odds\\":250,\\"stake\\":5}"',
        ),
    ),
    engine=Engine(
        source=SOURCE,
        version=1,
        initial=exchange.State,
        decide=exchange.decide,
        apply=exchange.apply,
        encode=exchange.encode,
        decode=exchange.decode,
        due=_due,
        players=Crowd,
        read=_read,
        commands=exchange.HouseCommand,
    ),
)
