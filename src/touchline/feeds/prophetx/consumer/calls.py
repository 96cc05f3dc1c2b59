"""REST calls that are repeated until they are answered, and the outlet through which the role says what it wishes.

A call that gets no answer, 5xx or 429 is made again, after a wait that grows and never less than ``Retry-After`` says,
for as long as it takes. One that needs the access token waits while there is none; when it is refused with 401, a new
token is asked for first. Everything else, 401 to the new token too, is for whoever asked. Nothing here knows what the
calls are about.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from touchline.feeds.base import ClientWish, Dice, Fetch, Instant, Notice
from touchline.wire.backoff import Backoff
from touchline.wire.http import HttpRequest, HttpResponse, Pairs

MAX_RETRY_AFTER_SECONDS: Final = 300.0
_RETRYABLE: Final = frozenset({408, 425, 429})

Then = Callable[[HttpResponse, Instant], str | None]
"""Takes an answer; returns why the call is to be made again, or None when it is done."""


class Outlet:
    """What the role wishes and says, until the shell takes it."""

    def __init__(self) -> None:
        self._wishes: list[ClientWish] = []

    def wish(self, wish: ClientWish) -> None:
        """Add a wish or a message."""
        self._wishes.append(wish)

    def notice(self, kind: str, detail: str) -> None:
        """Say something to a person."""
        self._wishes.append(Notice(kind, detail))

    def take(self) -> list[ClientWish]:
        """What came since the last call."""
        wishes, self._wishes = self._wishes, []
        return wishes


class _Call:
    """A call under way: in flight (``number``), waiting for its time (``wake_at``), or for a token (neither)."""

    def __init__(self, name: str, request: HttpRequest, then: Then, backoff: Backoff, *, authorized: bool) -> None:
        self.name, self.request, self.then, self.backoff, self.authorized = name, request, then, backoff, authorized
        self.number: int | None = None
        self.wake_at: float | None = None
        self.token = ""
        self.was_denied = False


class Calls:
    """At most one call of a name at a time; see the module docstring."""

    def __init__(self, outlet: Outlet, dice: Dice) -> None:
        self.token = ""
        self.when_denied: Callable[[Instant], None] | None = None
        self._outlet = outlet
        self._dice = dice
        self._calls: dict[str, _Call] = {}
        self._numbers = 0

    def ask(self, name: str, request: HttpRequest, then: Then, *, authorized: bool = True) -> None:
        """Make a call, in the place of one of that name that is under way."""
        call = _Call(name, request, then, Backoff(self._dice), authorized=authorized)
        self._calls[name] = call
        self._fire(call)

    def cancel(self, name: str) -> None:
        """Forget a call; its answer is not wanted any more."""
        self._calls.pop(name, None)

    def cancel_all(self) -> None:
        """Forget all of them."""
        self._calls.clear()

    def is_asked(self, name: str) -> bool:
        """Whether a call of that name is under way."""
        return name in self._calls

    def is_waiting(self, name: str) -> bool:
        """Whether a call of that name was made in vain and waits to be made again."""
        return name in self._calls and self._calls[name].wake_at is not None

    def have_token(self, token: str) -> None:
        """Go on with those who waited for one."""
        self.token = token
        for call in list(self._calls.values()):
            if call.authorized and call.number is None and call.wake_at is None:
                self._fire(call)

    def fetched(self, number: int, response: HttpResponse | None, now: Instant) -> None:
        """An answer; one to a call that was forgotten is passed over."""
        call = next((one for one in self._calls.values() if one.number == number), None)
        if call is None:
            return
        call.number = None
        if response is None:
            self._wait(call, "got no answer", now)
        elif response.status >= 500 or response.status in _RETRYABLE:
            self._wait(call, f"was answered {response.status}", now, retry_after_seconds(response))
        elif response.status == 401 and call.authorized and not call.was_denied:
            self._denied(call, now)
        else:
            call.was_denied = False
            again = call.then(response, now)
            if again is not None and self._calls.get(call.name) is call:
                self._wait(call, again, now)
            elif self._calls.get(call.name) is call:
                del self._calls[call.name]

    def deadline(self) -> float | None:
        """When ``tick`` wants to be called."""
        return min((call.wake_at for call in self._calls.values() if call.wake_at is not None), default=None)

    def tick(self, now: Instant) -> None:
        """Make those again whose time has come."""
        for call in list(self._calls.values()):
            if call.wake_at is not None and now.monotonic >= call.wake_at:
                call.wake_at = None
                self._fire(call)

    def _fire(self, call: _Call) -> None:
        if call.authorized and not self.token:
            return
        self._numbers += 1
        call.number, call.token = self._numbers, self.token
        request = call.request
        if call.authorized:
            headers: Pairs = (*request.headers, ("authorization", f"Bearer {self.token}"))
            request = msgspec.structs.replace(request, headers=headers)
        self._outlet.wish(Fetch(call.number, request))

    def _denied(self, call: _Call, now: Instant) -> None:
        call.was_denied = True
        if call.token == self.token:
            self.token = ""
            if self.when_denied is not None:
                self.when_denied(now)
        else:
            self._fire(call)

    def _wait(self, call: _Call, why: str, now: Instant, at_least_seconds: float = 0.0) -> None:
        wait = max(call.backoff.next_seconds(), min(at_least_seconds, MAX_RETRY_AFTER_SECONDS))
        call.wake_at = now.monotonic + wait
        self._outlet.notice("retrying", f"{call.name} {why}; trying again in {wait:.1f} s")


class _Refusal(msgspec.Struct):
    error: msgspec.Raw = msgspec.Raw()
    code: msgspec.Raw = msgspec.Raw()
    message: msgspec.Raw = msgspec.Raw()


def explain(response: HttpResponse) -> tuple[str, str]:
    """The provider's code for an error and its words, '' where it gives none (sheet §2)."""
    try:
        told = msgspec.json.decode(response.body, type=_Refusal)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return "", ""
    return _text(told.error) or _text(told.code), _text(told.message)


def _text(raw: msgspec.Raw) -> str:
    try:
        value = msgspec.json.decode(raw) if bytes(raw) else ""
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""
    return " ".join(value.split())[:200] if isinstance(value, str) else ""


def retry_after_seconds(response: HttpResponse) -> float:
    """What the answer asks for in seconds; 0 where it asks for nothing or in another form."""
    text = response.header("retry-after") or ""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0.0
