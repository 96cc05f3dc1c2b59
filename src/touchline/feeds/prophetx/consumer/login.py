"""Logging in, and staying logged in: a refresh a good while before the access token ends, else a login (sheet §1).

The plan is kept on the monotonic clock. The answer names the end in unix seconds; how long that is from now is reckoned
with the answer's own Date where there is one, and never believed to be more than the twenty minutes of the document: a
wall clock of ours that is wrong makes a refresh come early, not late. When all of that fails, a 401 renews as well.
The socket stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from touchline.feeds.base import Instant
from touchline.feeds.prophetx.consumer.calls import Calls, Outlet, explain
from touchline.feeds.prophetx.consumer.settings import Settings
from touchline.wire.http import HttpRequest, HttpResponse

LIFE_SECONDS: Final = 20 * 60.0
"""Of an access token (sheet §1)."""
LEAST_LIFE_SECONDS: Final = 60.0
REFRESH_SHARE: Final = 0.5
"""After so much of a token's life it is refreshed; the provider's example does it after 8 minutes of 20."""

LOGIN: Final = "login"
REFRESH: Final = "refresh"
_TOO_MANY_SESSIONS: Final = "session_num_exceed"
_MAX_TOKEN_CHARS: Final = 4096


class _Session(msgspec.Struct):
    access_token: str
    refresh_token: str | None = None
    access_expire_time: float | None = None


class _Answer(msgspec.Struct):
    data: _Session


class Login:
    """Keeps ``calls.token`` good. ``refuse`` is called with the reason when the keys are not taken."""

    def __init__(
        self, settings: Settings, base: str, calls: Calls, outlet: Outlet, refuse: Callable[[str], None]
    ) -> None:
        self._settings, self._base, self._calls, self._outlet, self._refuse = settings, base, calls, outlet, refuse
        self._refresh_token = ""
        self._last_token = ""
        self._refresh_at: float | None = None
        calls.when_denied = self.renew

    def begin(self) -> None:
        """Log in with the keys."""
        keys = {"access_key": self._settings.access_key, "secret_key": self._settings.secret_key}
        self._calls.ask(LOGIN, self._post(LOGIN, keys), self._logged_in, authorized=False)

    def renew(self, now: Instant) -> None:
        """Get a new access token, by refresh or login; the one there is stays in use meanwhile."""
        del now
        self._refresh_at = None
        if self._calls.is_waiting(REFRESH):  # half a life in vain, and the token has run out: it may never be answered
            self._calls.cancel(REFRESH)
            self._refresh_token = ""
        if self._calls.is_asked(LOGIN) or self._calls.is_asked(REFRESH):
            return
        if not self._refresh_token:
            self.begin()
            return
        request = self._post(REFRESH, {"refresh_token": self._refresh_token})
        # The provider's example sends the access token along, good or not.
        headers = (*request.headers, ("authorization", f"Bearer {self._last_token}"))
        request = msgspec.structs.replace(request, headers=headers)
        self._calls.ask(REFRESH, request, self._refreshed, authorized=False)

    def deadline(self) -> float | None:
        """When ``tick`` wants to be called."""
        return self._refresh_at

    def tick(self, now: Instant) -> None:
        """Refresh when it is time."""
        if self._refresh_at is not None and now.monotonic >= self._refresh_at:
            self.renew(now)

    def _post(self, call: str, members: dict[str, str]) -> HttpRequest:
        headers = (("content-type", "application/json"), ("accept", "application/json"))
        return HttpRequest("POST", headers=headers, body=msgspec.json.encode(members), url=f"{self._base}/auth/{call}")

    def _logged_in(self, response: HttpResponse, now: Instant) -> str | None:
        if response.status == 200:
            return self._take(response, now)
        code, words = explain(response)
        if response.status == 403 and code == _TOO_MANY_SESSIONS:  # one of them ends within twenty minutes
            return f"was refused: there are too many sessions ({words or code})"
        self._refuse(f"login was refused with {response.status} {words or code}".rstrip() + f": {_advice(response)}")
        return None

    def _refreshed(self, response: HttpResponse, now: Instant) -> str | None:
        if response.status == 200:
            return self._take(response, now)
        self._outlet.notice("token", f"refresh was refused with {response.status}; logging in again")
        self._refresh_token = ""
        self.begin()
        return None

    def _take(self, response: HttpResponse, now: Instant) -> str | None:
        try:
            session = msgspec.json.decode(response.body, type=_Answer, strict=False).data
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return "was answered 200 without a session"
        token = session.access_token
        if not (0 < len(token) <= _MAX_TOKEN_CHARS and token.isascii() and token.isprintable() and " " not in token):
            return "was answered with an access token that cannot stand in a header"
        self._refresh_token = session.refresh_token or self._refresh_token
        self._last_token = token
        life = _life_seconds(session.access_expire_time or 0.0, response.header("date"), now)
        self._refresh_at = now.monotonic + life * REFRESH_SHARE
        self._calls.have_token(token)
        return None


def _life_seconds(expire_time: float, date: str | None, now: Instant) -> float:
    """How long a token lives from now on."""
    life = expire_time - (_unix_seconds(date) or now.wall_ns / 1e9)
    if not 0 < life <= LIFE_SECONDS:
        return LIFE_SECONDS
    return max(life, LEAST_LIFE_SECONDS)


def _unix_seconds(date: str | None) -> float | None:
    try:
        moment: datetime = parsedate_to_datetime(date or "")
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def _advice(response: HttpResponse) -> str:
    if response.status in (401, 403):
        return "check access_key and secret_key, and that the pair was not revoked"
    if response.status < 400:
        return "redirects are not followed; check the URL"
    return "check the URL"
