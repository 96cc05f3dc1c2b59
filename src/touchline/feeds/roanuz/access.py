"""Who may ask for what: project and API key give a token, the token opens the project's calls, grants open matches.

Every handler behind a token goes through ``Access.opened``. Handlers raise ``Refused``; here it becomes the provider's
envelope. Missing, empty, wrong, expired and foreign tokens are answered alike (sheet §1).
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from msgspec import Struct

from touchline.feeds.base import Form, Member, Ports
from touchline.feeds.roanuz.envelope import (
    BAD_API_KEY,
    BAD_INPUT,
    BAD_PROJECT,
    BAD_TOKEN,
    TOO_MANY,
    Refused,
    done,
    refusal,
)
from touchline.feeds.roanuz.innings import MatchState
from touchline.feeds.roanuz.kinds import FEED_NAME, GRANT, MATCH_TYPE
from touchline.feeds.roanuz.state import MatchFold
from touchline.wire.http import HttpRequest, HttpResponse

TOKEN_HEADER: Final = "rs-token"  # noqa: S105 - the name of a header
TOKEN_PARAMETER: Final = "token"  # noqa: S105 - the name of a parameter
TOKEN_PURPOSE: Final = "rest"  # noqa: S105 - a word

TOKEN_SECONDS: Final = 24 * 3600
SLOT_SECONDS: Final = 12 * 3600
"""How long the same token is handed out, so that whoever asks has at least the rest of a day's half with it."""

_SECOND: Final = 1_000_000_000
_FOLD: Final = MatchFold()

Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]
MemberHandler = Callable[[HttpRequest, Member], Awaitable[HttpResponse]]


class Login(Struct, frozen=True):
    """The body of the auth call."""

    api_key: str


class TokenData(Struct, frozen=True):
    """A token; ``expires`` in seconds since 1970."""

    token: str
    expires: float


_LOGIN: Final = msgspec.json.Decoder(Login)


class Access:
    """The door of the feed's REST."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def public(self, handler: Handler) -> Handler:
        """The handler with the provider's error form."""

        async def handle(request: HttpRequest) -> HttpResponse:
            try:
                return await handler(request)
            except Refused as refused:
                return refusal(refused, self._ports.now())

        return handle

    def opened(self, handler: MemberHandler) -> Handler:
        """The handler behind a token, with the provider's error form."""

        async def handle(request: HttpRequest) -> HttpResponse:
            return await handler(request, self._member(request))

        return self.public(handle)

    def _member(self, request: HttpRequest) -> Member:
        header = request.header(TOKEN_HEADER)
        value = header if header is not None else request.param(TOKEN_PARAMETER)
        token = self._ports.directory.find_token(value) if value else None
        if token is not None and token.feed == FEED_NAME and token.purpose == TOKEN_PURPOSE:
            member = self._ports.directory.member(FEED_NAME, partner=token.partner)
            if member is not None and member.credentials.get("project_key") == request.path_params["project_key"]:
                return member
        raise Refused(BAD_TOKEN, "The token is missing, wrong or expired; get a new one from the auth call")

    async def authenticate(self, request: HttpRequest) -> HttpResponse:
        """``POST /v5/core/{project_key}/auth/``: a token for an API key (sheet §1)."""
        project_key, ports = request.path_params["project_key"], self._ports
        wait = ports.logins.blocked(request.address, project_key)
        if wait is not None:
            after = str(max(1, math.ceil(wait)))
            raise Refused(TOO_MANY, "Too many tries with a wrong key", (("retry-after", after),))
        try:
            api_key = _LOGIN.decode(request.body).api_key
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise Refused(BAD_INPUT, 'The body must be JSON such as {"api_key": "…"}') from None
        member = ports.directory.member(FEED_NAME, lookup=project_key)
        kept = "" if member is None else member.credentials.get("api_key", "")
        given = hashlib.sha256(api_key.encode()).hexdigest()
        right = hmac.compare_digest(given.encode(), kept.encode())
        if member is None or not right:
            ports.logins.failed(request.address, project_key)
            raise (
                Refused(BAD_PROJECT, "There is no such project")
                if member is None
                else Refused(BAD_API_KEY, "The API key is not the project's")
            )
        now = ports.now()
        token = await ports.directory.issue_token(
            FEED_NAME,
            member.partner,
            TOKEN_PURPOSE,
            f"{now.wall_ns // _SECOND // SLOT_SECONDS}",
            form=Form.DIGITS,
            expires_at=now.wall_ns + TOKEN_SECONDS * _SECOND,
            prefix=f"v5s{project_key}s",
        )
        assert token.expires_at is not None
        return done(TokenData(token.value, token.expires_at / _SECOND), now)

    async def match(self, request: HttpRequest, member: Member) -> MatchState:
        """The match that the request names. Raises Refused as for an unknown one when it is outside the grants."""
        match_key = request.path_params["match_key"]
        granted = member.grants.get(GRANT)
        if not granted or match_key in granted:
            state = await self._state(match_key)
            if state is not None:
                return state
        raise Refused(BAD_INPUT, f"There is no match {match_key[:64]!r}")

    async def _state(self, match_key: str) -> MatchState | None:
        state = await self._ports.snapshots.state(FEED_NAME, match_key)
        if isinstance(state, MatchState) and state.known:
            return state
        record = await self._ports.log.document(FEED_NAME, MATCH_TYPE, match_key)
        if record is None:
            return None
        announced = _FOLD.initial(match_key)
        _FOLD.apply(announced, record)
        return announced if announced.known else None
