"""What a client does with wagers: place and cancel, one or many (sheet §2.4, writing side).

Bodies become commands of the sandbox exchange, its decisions the provider's answers. What is accepted is durable, and
pushed, before it is answered. Without an exchange every call answers 403 with the reason.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from touchline.errors import EngineBusy, LogError
from touchline.feeds.base import EnginePort, Member, Ports, Refusal
from touchline.feeds.prophetx import exchange
from touchline.feeds.prophetx.access import body_of
from touchline.feeds.prophetx.channels import FEED_NAME, GRANT
from touchline.feeds.prophetx.errors import (
    INVALID_REQUEST,
    NO_EXCHANGE,
    TOO_MANY_WAITING,
    UNAVAILABLE,
    Problem,
    Refused,
)
from touchline.feeds.prophetx.exchange.payloads import WagerInfo
from touchline.feeds.prophetx.sandbox import starting_cents
from touchline.wire.http import HttpRequest, HttpResponse

_MONEY: Final = msgspec.json.Encoder(decimal_format="number").encode
Asked = TypeVar("Asked")


class Orders(Struct, frozen=True):
    """The body of ``place_multiple_wagers``."""

    data: tuple[exchange.Order, ...]


class Cancellations(Struct, frozen=True):
    """The body of ``cancel_multiple_wagers``."""

    data: tuple[exchange.Cancellation, ...]


class OfEvent(Struct, frozen=True):
    """The body of ``cancel_wagers_by_event``."""

    event_id: int


class OfMarket(Struct, frozen=True):
    """The body of ``cancel_wagers_by_market``."""

    event_id: int
    market_id: int
    line_id: str | None = None


class Nothing(Struct, frozen=True):
    """The body of ``cancel_all_wagers``."""


class FailedItem(Struct, frozen=True):
    """An item of a request for many that was refused: the item as it came, its place from 0, code and reason."""

    request: Any
    index: int
    error: str
    message: str


class One(Struct, frozen=True):
    """``data`` of an answer about one wager."""

    wager: WagerInfo
    success: bool = True


class OneBody(Struct, frozen=True):
    """The answer about one wager, as it is now."""

    data: One


class Many(Struct, frozen=True):
    """``data`` of an answer about many: those that were done, and the others with the reason."""

    succeed_wagers: tuple[WagerInfo, ...]
    failed_wagers: tuple[FailedItem, ...]


class ManyBody(Struct, frozen=True):
    """The answer about many wagers."""

    data: Many


class Cancelled(Struct, frozen=True):
    """``data`` of an answer to a cancelling of all that rests somewhere (OUR CHOICE: it is documented nowhere)."""

    cancelled_wagers: tuple[WagerInfo, ...]
    success: bool = True


class CancelledBody(Struct, frozen=True):
    """The answer to a cancelling of all that rests somewhere."""

    data: Cancelled


class Exchange:
    """The running exchange as REST asks it: opens the caller's account at the first call that needs one."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def check(self) -> EnginePort:
        """The engine. Raises Refused when this hub does not run it."""
        engine = self._ports.engine(FEED_NAME)
        if engine is None:
            reason = "This hub passes a feed on; orders need the sandbox exchange: touchline serve --sandbox prophetx"
            raise Refused(NO_EXCHANGE, reason)
        return engine

    @property
    def is_running(self) -> bool:
        """Whether this hub runs one."""
        return self._ports.engine(FEED_NAME) is not None

    async def open_account(self, member: Member) -> None:
        """Give the caller its starting balance, if it has no account. Raises Refused when that cannot be now."""
        await self._ask(exchange.OpenAccount(member.credentials["partner_id"], starting_cents(member.options)))

    async def command(self, member: Member, command: exchange.Command) -> exchange.Accepted:
        """Carry out a command of the caller's. Raises Refused with the exchange's reason."""
        answer = await self._ask(command)
        if isinstance(answer, Refusal) and answer.error == "wallet_not_found":
            await self.open_account(member)
            answer = await self._ask(command)
        if isinstance(answer, Refusal):
            raise Refused(Problem(answer.status, answer.error), answer.message)
        return answer

    async def _ask(self, command: exchange.Command) -> exchange.Accepted | Refusal:
        try:
            answer = await self.check().command(command)
        except EngineBusy:
            raise Refused(TOO_MANY_WAITING, "Too many orders wait; try again", (("retry-after", "1"),)) from None
        except LogError:
            raise Refused(UNAVAILABLE, "Nothing can be stored now, and nothing was done; try again") from None
        assert isinstance(answer, exchange.Accepted | Refusal)
        return answer


class OrdersApi:
    """See the module docstring."""

    def __init__(self, ports: Ports) -> None:
        self._exchange = Exchange(ports)

    async def place(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``place_wager``."""
        order = self._asked(request, exchange.Order)
        done = await self._exchange.command(
            member, exchange.Place(member.credentials["partner_id"], order, member.grants.get(GRANT) or None)
        )
        return _answer(OneBody(One(done.wagers[0])))

    async def place_many(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``place_multiple_wagers``."""
        asked = self._asked(request, Orders).data
        done = await self._exchange.command(
            member, exchange.PlaceMany(member.credentials["partner_id"], asked, member.grants.get(GRANT) or None)
        )
        return _many(request, done)

    async def cancel(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``cancel_wager``."""
        asked = self._asked(request, exchange.Cancellation)
        done = await self._exchange.command(member, exchange.Cancel(member.credentials["partner_id"], asked))
        return _answer(OneBody(One(done.wagers[0])))

    async def cancel_many(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``cancel_multiple_wagers``."""
        asked = self._asked(request, Cancellations).data
        done = await self._exchange.command(member, exchange.CancelMany(member.credentials["partner_id"], asked))
        return _many(request, done)

    async def cancel_all(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``cancel_all_wagers``."""
        self._asked(request, Nothing)
        return await self._cancel_where(member)

    async def cancel_by_event(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``cancel_wagers_by_event``."""
        return await self._cancel_where(member, self._asked(request, OfEvent).event_id)

    async def cancel_by_market(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``cancel_wagers_by_market``."""
        asked = self._asked(request, OfMarket)
        return await self._cancel_where(member, asked.event_id, asked.market_id, asked.line_id)

    def _asked(self, request: HttpRequest, kind: type[Asked]) -> Asked:
        """The body as that type; members of a form are read as numbers where numbers belong. Raises Refused."""
        self._exchange.check()
        try:
            return msgspec.json.decode(msgspec.json.encode(body_of(request)), type=kind, strict=False)
        except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
            raise Refused(INVALID_REQUEST, f"The body is not what this call takes: {problem}") from None

    async def _cancel_where(
        self, member: Member, event_id: int | None = None, market_id: int | None = None, line_id: str | None = None
    ) -> HttpResponse:
        where = exchange.CancelWhere(
            member.credentials["partner_id"], event_id, market_id, line_id, member.grants.get(GRANT) or None
        )
        return _answer(CancelledBody(Cancelled((await self._exchange.command(member, where)).wagers)))


def _many(request: HttpRequest, done: exchange.Accepted) -> HttpResponse:
    # Items are told back as they came: an odds of "NaN" that was read as a number could not be written as one.
    items = msgspec.json.decode(body_of(request)["data"], type=list[msgspec.Raw])
    failed = tuple(
        FailedItem(items[one.index], one.index, one.refusal.error, one.refusal.message) for one in done.failures
    )
    return _answer(ManyBody(Many(done.wagers, failed)))


def _answer(body: Struct) -> HttpResponse:
    headers = (("content-type", "application/json"), ("cache-control", "no-store"))
    return HttpResponse(200, _MONEY(body), headers)
