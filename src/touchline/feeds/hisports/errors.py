"""Errors as LoopBack 3 words them, which is what the provider's REST runs on (sheet 1 and 2)."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from touchline.wire.http import HttpResponse, Pairs, json_response


class ErrorDetail(Struct, frozen=True):
    """``error`` of the body."""

    statusCode: int  # noqa: N815 - the provider's spelling
    name: str
    message: str
    code: str | UnsetType = UNSET


class ErrorBody(Struct, frozen=True):
    """``{"error":{"statusCode":401,"name":"Error","message":…,"code":…}}``."""

    error: ErrorDetail


class Refused(Exception):
    """The request gets this status, message and code ('' for none)."""

    def __init__(self, status: int, message: str, code: str = "", headers: Pairs = ()) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.headers = status, message, code, headers

    def answer(self) -> HttpResponse:
        """The answer."""
        body = ErrorBody(ErrorDetail(self.status, "Error", self.message, self.code or UNSET))
        return json_response(body, self.status, self.headers)


def unauthorized() -> Refused:
    """No key, or none that is known."""
    return Refused(401, "Authorization Required", "AUTHORIZATION_REQUIRED")


def not_found(model: str, model_id: str) -> Refused:
    """There is none, or none that this partner may see: the two are not to be told apart."""
    return Refused(404, f'Unknown "{model}" id "{model_id[:64]}".', "MODEL_NOT_FOUND")


def bad_request(message: str) -> Refused:
    """A parameter is wrong."""
    return Refused(400, message)
