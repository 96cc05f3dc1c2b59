"""The Service API's operations, declared once for the router and for the OpenAPI document (sheet §1, §2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from touchline.feeds.base import Answered, Operation, Parameter, Ports
from touchline.feeds.prophetx.access import Access, Handler, MemberHandler, SessionBody
from touchline.feeds.prophetx.errors import ErrorBody
from touchline.feeds.prophetx.exchange import Cancellation, Order
from touchline.feeds.prophetx.rest_orders import (
    Cancellations,
    CancelledBody,
    ManyBody,
    Nothing,
    OfEvent,
    OfMarket,
    OneBody,
    Orders,
    OrdersApi,
)
from touchline.feeds.prophetx.rest_reads import MAX_EVENTS, MAX_WAGERS, DataBody, ReadsApi
from touchline.feeds.prophetx.rest_sockets import (
    SUBSCRIPTIONS_HEADER,
    ConnectionConfig,
    PongBody,
    PusherBody,
    SocketsApi,
)

SECURITY: Final = "prophetx-token"
TAG: Final = "prophetx"
BASE: Final = "/partner"

_REFUSALS: Final = {
    400: "the request is wrong",
    401: "the token or the keys are missing, wrong or expired",
    403: "not allowed",
    404: "there is no such thing, or it is not the caller's",
    429: "too many requests or failed logins; see Retry-After",
    503: "nothing can be stored now, and nothing was done",
}


class _Declared:
    """Collects operations that share everything but what is given."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []

    def add(
        self,
        method: str,
        path: str,
        summary: str,
        handler: Handler,
        body: Any,
        *more: Parameter,
        is_open: bool = False,
        takes: Any = None,
    ) -> None:
        """Declare a call; its name is made of its path."""
        name = path.strip("/").partition("/{")[0].replace("/", "_").replace("-", "_")
        if any(known.name == f"prophetx_{name}" for known in self.operations):
            name += f"_{method.lower()}"
        self.operations.append(
            Operation(
                method,
                BASE + path,
                f"prophetx_{name}",
                summary,
                handler,
                more,
                body=None if takes is None else {"required": True, "content": {"application/json": {"schema": takes}}},
                answers=({200: Answered(summary, body)} if body is not None else {})
                | {status: Answered(meaning, ErrorBody) for status, meaning in _REFUSALS.items()},
                security=None if is_open else SECURITY,
                tag=TAG,
            )
        )


def operations(ports: Ports) -> Sequence[Operation]:
    """Every operation of the Service API that this hub serves."""
    access, declared = Access(ports), _Declared()
    declared.add(
        "POST",
        "/auth/login",
        "A session for a pair of keys",
        access.public(access.login),
        SessionBody,
        is_open=True,
        takes=_object("access_key", "secret_key"),
    )
    declared.add(
        "POST",
        "/auth/refresh",
        "A session's new life",
        access.public(access.refresh),
        SessionBody,
        is_open=True,
        takes=_object("refresh_token"),
    )
    _declare_sockets(declared, access, SocketsApi(ports))
    _declare_reads(declared, access, ReadsApi(ports))
    _declare_orders(declared, access, OrdersApi(ports))
    return tuple(declared.operations)


def _declare_sockets(declared: _Declared, access: Access, sockets: SocketsApi) -> None:
    def opened(handler: MemberHandler) -> Handler:
        return access.opened(handler)

    declared.add("GET", "/websocket/connection-config", "Where to connect", opened(sockets.config), ConnectionConfig)
    declared.add(
        "POST",
        "/mm/pusher",
        "The channels of a socket, or the signature for one of them",
        opened(sockets.authorize),
        PusherBody,
        Parameter(SUBSCRIPTIONS_HEADER, "header", 'such as `[{"type":"tournament","ids":["109"]}]`; all when absent'),
        takes=_object("socket_id") | {"description": "a form does as well; `channel_name` asks for one signature"},
    )
    for method in ("GET", "POST"):
        declared.add(method, "/mm/pusher/ping", "Whether the hub is there", opened(sockets.ping), PongBody)


def _declare_reads(declared: _Declared, access: Access, reads: ReadsApi) -> None:
    def get(path: str, summary: str, handler: MemberHandler, *more: Parameter) -> None:
        declared.add("GET", f"/mm/{path}", summary, access.opened(handler), DataBody, *more)

    get(
        "get_tournaments",
        "Tournaments",
        reads.tournaments,
        _query("has_active_events", "`true`: only those with an event that is not over"),
    )
    get(
        "get_sport_events",
        "Sport events of a tournament, or those named",
        reads.sport_events,
        _query("tournament_id", "the tournament's id"),
        _query("event_ids", f"at most {MAX_EVENTS} ids with commas between"),
    )
    get("get_markets", "Markets of an event with their books", reads.markets, _query("event_id", "the event's id"))
    get(
        "get_multiple_markets",
        "Markets of several events, by event id",
        reads.multiple_markets,
        _query("event_ids", f"1 to {MAX_EVENTS} ids with commas between"),
    )
    get(
        "get_wager/{wager_id}",
        "A wager of the caller's own",
        reads.wager,
        Parameter("wager_id", "path", "the wager's id", required=True),
    )
    get(
        "get_wagers",
        "The caller's own wagers, oldest first",
        reads.wagers,
        _query("status", "only those with this status"),
        _query("limit", f"at most so many, {MAX_WAGERS} when absent"),
        _query("next_cursor", "as an answer gave it: go on behind it"),
    )
    get("get_balance", "The caller's own balance", reads.balance)
    get("get_odds_ladder", "The odds that may be placed", reads.ladder)


def _declare_orders(declared: _Declared, access: Access, orders: OrdersApi) -> None:
    def post(call: str, summary: str, handler: MemberHandler, answer: Any, takes: Any) -> None:
        declared.add("POST", f"/mm/{call}", summary, access.opened(handler), answer, takes=takes)

    post("place_wager", "Place a wager", orders.place, OneBody, Order)
    post("place_multiple_wagers", "Place several, each with its own result", orders.place_many, ManyBody, Orders)
    post("cancel_wager", "Cancel what is not matched of a wager", orders.cancel, OneBody, Cancellation)
    post("cancel_multiple_wagers", "Cancel several", orders.cancel_many, ManyBody, Cancellations)
    post("cancel_all_wagers", "Cancel all that is not matched", orders.cancel_all, CancelledBody, Nothing)
    post("cancel_wagers_by_event", "The same of one event", orders.cancel_by_event, CancelledBody, OfEvent)
    post("cancel_wagers_by_market", "The same of one market", orders.cancel_by_market, CancelledBody, OfMarket)


def _object(*names: str) -> dict[str, Any]:
    return {"type": "object", "required": list(names), "properties": {name: {"type": "string"} for name in names}}


def _query(name: str, description: str) -> Parameter:
    return Parameter(name, "query", description)
