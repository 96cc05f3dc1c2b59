"""The provider's error body ``{"error", "message"}``, and the codes in it (sheet §1, §2)."""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec import Struct

from touchline.wire.http import HttpResponse, Pairs, json_response


class Problem(NamedTuple):
    """An HTTP status and the provider's code for it."""

    status: int
    code: str


INVALID_REQUEST: Final = Problem(400, "invalid_request")
INVALID_PARAM: Final = Problem(400, "invalid_param")
TOO_MANY_EVENTS: Final = Problem(400, "market_event_limit_exceeded")
BAD_EVENT: Final = Problem(400, "market_invalid_event")
UNAUTHORIZED: Final = Problem(401, "unauthorized")
FORBIDDEN: Final = Problem(403, "forbidden")
"""OUR CHOICE of code: the provider's for another's channel is not known."""
TOO_MANY_SESSIONS: Final = Problem(403, "session_num_exceed")
NO_EXCHANGE: Final = Problem(403, "trading_not_available")
"""OUR CHOICE."""
NOT_FOUND: Final = Problem(404, "data_not_found")
NO_EVENT: Final = Problem(404, "sport_event_not_found")
TOO_FAST: Final = Problem(429, "rate_limit_reached")
TOO_MANY_WAITING: Final = Problem(429, "too_many_delayed_requests")
UNAVAILABLE: Final = Problem(503, "service_unavailable")


class ErrorBody(Struct, frozen=True):
    """What every refusal carries."""

    error: str
    message: str


class Refused(Exception):
    """The request gets this problem and text."""

    def __init__(self, problem: Problem, message: str, headers: Pairs = ()) -> None:
        super().__init__(message)
        self.problem, self.message, self.headers = problem, message, headers


def refusal(problem: Problem, message: str, headers: Pairs = ()) -> HttpResponse:
    """An error answer."""
    return json_response(ErrorBody(problem.code, message), problem.status, headers)
