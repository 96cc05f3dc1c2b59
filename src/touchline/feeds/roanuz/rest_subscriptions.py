"""REST: the calls that begin and end the pushes of a match (seed; sheet §2.3).

The webhook addresses are not in the call: they are the project's endpoints, all of which are subscribed together.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from touchline.feeds.base import Member, Ports, Subscription
from touchline.feeds.roanuz.access import Access
from touchline.feeds.roanuz.envelope import (
    ALREADY_SUBSCRIBED,
    BAD_INPUT,
    NOT_CONFIGURED,
    NOT_SUBSCRIBED,
    Refused,
    done,
)
from touchline.feeds.roanuz.kinds import FEED_NAME
from touchline.wire.http import HttpRequest, HttpResponse

METHOD: Final = "web_hook"
ACCEPTED: Final = 202


class Call(Struct, frozen=True):
    """The body of the calls."""

    method: str


class Status(Struct, frozen=True):
    """What a call that did something answers (OUR CHOICE, sheet §6.1: nothing may depend on it)."""

    status: bool = True


_CALL: Final = msgspec.json.Decoder(Call)


class SubscriptionsApi:
    """Handlers that subscribe."""

    def __init__(self, ports: Ports, access: Access) -> None:
        self._ports, self._access = ports, access

    async def subscribe(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``POST …/updates-subscribe/``: durable, from now on, once; a match that is over has nothing to push."""
        _check_method(request)
        state = await self._access.match(request, member)
        subscriptions = self._ports.subscriptions
        if not subscriptions.endpoints(FEED_NAME, member.partner):
            raise Refused(NOT_CONFIGURED, "No webhook URL is configured for this project; add an endpoint first")
        if self._find(member, state.subject) is not None:
            raise Refused(ALREADY_SUBSCRIBED, "The match is already subscribed")
        if state.over:
            raise Refused(BAD_INPUT, f"The match {state.subject[:64]!r} is completed: nothing more is pushed")
        await subscriptions.begin(FEED_NAME, member.partner, state.subject)
        return done(Status(), self._ports.now(), ACCEPTED)

    async def unsubscribe(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``POST …/updates-unsubscribe/``: also for a match that is over."""
        _check_method(request)
        state = await self._access.match(request, member)
        standing = self._find(member, state.subject)
        if standing is None:
            raise Refused(NOT_SUBSCRIBED, "The match is not subscribed")
        await self._ports.subscriptions.end(standing)
        return done(Status(), self._ports.now(), ACCEPTED)

    async def other_product(self, request: HttpRequest, member: Member) -> HttpResponse:
        """The calls of the provider's other push products, which are not served here."""
        await self._access.match(request, member)
        raise Refused(BAD_INPUT, "This hub pushes ball-by-ball updates alone: use updates-subscribe")

    def _find(self, member: Member, match_key: str) -> Subscription | None:
        found = self._ports.subscriptions.find(FEED_NAME, member.partner, match_key)
        return found if found is not None and found.state == "confirmed" else None


def _check_method(request: HttpRequest) -> None:
    try:
        method = _CALL.decode(request.body).method
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Refused(BAD_INPUT, f'The body must be JSON such as {{"method": "{METHOD}"}}') from None
    if method != METHOD:
        raise Refused(BAD_INPUT, f"The method {method[:64]!r} is not served here; it must be {METHOD!r}")
