"""The error body that the provider answers everywhere (endpoint pages; sheet §2), and the texts seen in it."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from touchline.wire.http import HttpResponse, Pairs, json_response

ACCESS_DENIED: Final = "Access denied to resource"
RESTRICTED: Final = "Restricted resource"
NO_SHOTS: Final = "No access to SHOTS data"
NO_STATS: Final = "No access to STATS data"
INVALID_ID: Final = "Invalid id"
GAME_NOT_FOUND: Final = "Game not found"
BAD_RANGE: Final = "Valid from and to timestamps are required"
LONG_RANGE: Final = "Locations must be requested in 30 min timeframes"


class ErrorBody(Struct, frozen=True):
    """``{"status":403,"message":"…","shottrackerRequestId":"<uuid>"}``."""

    status: int
    message: str
    shottrackerRequestId: str  # noqa: N815 - the provider's spelling


def refusal(status: int, message: str, request_id: str, headers: Pairs = ()) -> HttpResponse:
    """An error answer in the provider's form."""
    return json_response(ErrorBody(status, message, request_id), status, headers)
