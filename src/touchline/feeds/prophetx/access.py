"""Who may ask: log in with a pair of keys, refresh, come with the access token; and how often (sheet §1).

Handlers raise ``Refused``; here it becomes the provider's error body. A body is read for what it is, JSON or form,
whatever its Content-Type says: the provider's own example sends none.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from touchline.feeds.base import Member, Ports, Token
from touchline.feeds.prophetx.channels import FEED_NAME
from touchline.feeds.prophetx.errors import INVALID_REQUEST, TOO_FAST, UNAUTHORIZED, Refused, refusal
from touchline.feeds.prophetx.tokens import ACCESS, Tokens
from touchline.wire.http import HttpRequest, HttpResponse, json_response

REQUESTS_PER_SECOND: Final = 50
_KNOWN_RATES: Final = 10_000
_MAX_FORM_FIELDS: Final = 100
_SECOND: Final = 1_000_000_000

Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]
MemberHandler = Callable[[HttpRequest, Member], Awaitable[HttpResponse]]
Body = Mapping[str, msgspec.Raw]


class Session(Struct, frozen=True):
    """The answer to a login or refresh; the times are whole seconds since 1970."""

    access_token: str
    refresh_token: str
    access_expire_time: int
    refresh_expire_time: int


class SessionBody(Struct, frozen=True):
    """Under ``data``, as nearly everything here."""

    data: Session


_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def body_of(request: HttpRequest) -> Body:
    """The members of a body, JSON or form, each as JSON text. Raises Refused."""
    text = request.body.strip()
    if text[:1] in (b"{", b"["):
        try:
            return _FIELDS.decode(text)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise Refused(INVALID_REQUEST, "The body is no JSON object") from None
    try:
        pairs = parse_qsl(
            text.decode(), keep_blank_values=True, strict_parsing=bool(text), max_num_fields=_MAX_FORM_FIELDS
        )
    except ValueError:
        raise Refused(INVALID_REQUEST, "The body is neither a JSON object nor a form") from None
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in pairs}


def text_of(body: Body, name: str) -> str | None:
    """A member that is text; None when it is not there. Raises Refused."""
    if name not in body:
        return None
    try:
        return msgspec.json.decode(body[name], type=str)
    except (msgspec.MsgspecError, ValueError):
        raise Refused(INVALID_REQUEST, f"{name} must be text") from None


class Access:
    """The door of the feed's REST."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._tokens = Tokens(ports)
        self._rates: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def public(self, handler: Handler) -> Handler:
        """The handler with the provider's error form."""

        async def handle(request: HttpRequest) -> HttpResponse:
            try:
                return await handler(request)
            except Refused as refused:
                return refusal(refused.problem, refused.message, refused.headers)

        return handle

    def opened(self, handler: MemberHandler) -> Handler:
        """The handler behind an access token and the limit on requests, with the provider's error form."""

        async def handle(request: HttpRequest) -> HttpResponse:
            member = self._member(request)
            self._count(member.partner)
            return await handler(request, member)

        return self.public(handle)

    def _member(self, request: HttpRequest) -> Member:
        header = request.header("authorization") or ""
        # One page of the provider shows the token with the word Bearer, another without (sheet §1).
        scheme, _, rest = header.partition(" ")
        token = self._tokens.find(rest.strip() if scheme.lower() == "bearer" else header.strip(), ACCESS)
        member = None if token is None else self._ports.directory.member(FEED_NAME, partner=token.partner)
        if member is None:
            raise Refused(UNAUTHORIZED, "The access token is missing, wrong or expired; log in or refresh")
        return member

    def _count(self, partner: str) -> None:
        second = int(self._ports.now().monotonic)
        begun, count = self._rates.pop(partner, (second, 0))
        count = count + 1 if begun == second else 1
        self._rates[partner] = (second, count)
        if len(self._rates) > _KNOWN_RATES:
            self._rates.popitem(last=False)
        if count > REQUESTS_PER_SECOND:
            raise Refused(TOO_FAST, f"At most {REQUESTS_PER_SECOND} requests a second", (("retry-after", "1"),))

    async def login(self, request: HttpRequest) -> HttpResponse:
        """``POST /partner/auth/login``."""
        body, ports = body_of(request), self._ports
        access_key, secret_key = text_of(body, "access_key"), text_of(body, "secret_key")
        if not access_key or not secret_key:
            raise Refused(INVALID_REQUEST, "access_key and secret_key are needed")
        wait = ports.logins.blocked(request.address, access_key)
        if wait is not None:
            after = str(max(1, math.ceil(wait)))
            raise Refused(TOO_FAST, "Too many failed logins", (("retry-after", after),))
        member = ports.directory.member(FEED_NAME, lookup=access_key)
        kept = "" if member is None else member.credentials.get("secret_key", "")
        given = hashlib.sha256(secret_key.encode()).hexdigest()
        right = hmac.compare_digest(given.encode(), kept.encode())
        if member is None or not right:
            ports.logins.failed(request.address, access_key)
            raise Refused(UNAUTHORIZED, "access_key or secret_key is wrong")
        return _session(*await self._tokens.login(member.partner))

    async def refresh(self, request: HttpRequest) -> HttpResponse:
        """``POST /partner/auth/refresh``; the access token that clients send along is not needed."""
        wait = self._ports.logins.blocked(request.address, "")
        if wait is not None:
            raise Refused(TOO_FAST, "Too many failed logins", (("retry-after", str(max(1, math.ceil(wait)))),))
        try:
            return _session(*await self._tokens.refresh(text_of(body_of(request), "refresh_token") or ""))
        except Refused as refused:
            if refused.problem is UNAUTHORIZED:
                self._ports.logins.failed(request.address, "")
            raise


def _session(access: Token, refresh: Token) -> HttpResponse:
    session = Session(
        access.value, refresh.value, (access.expires_at or 0) // _SECOND, (refresh.expires_at or 0) // _SECOND
    )
    return json_response(SessionBody(session), headers=(("cache-control", "no-store"),))
