"""A hub's API for webhook endpoints, as ``HubClient.endpoints``: who is delivered to, how it goes, and what is owed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol
from urllib.parse import quote, urlencode

_ENDPOINTS: Final = "/hub/v1/endpoints"
_PAGE: Final = 100

Document = dict[str, Any]


class Asking(Protocol):
    """Makes a request with a JSON body and returns the document of the answer ({} when it has none)."""

    def __call__(
        self, method: str, path: str, body: object | None = None, *, repeatable: bool | None = None
    ) -> Document: ...


class EndpointCalls:
    """Calls on a hub's endpoints, with an admin's key. They raise as ``HubClient.publish`` does."""

    def __init__(self, ask: Asking) -> None:
        self._ask = ask

    def add(
        self,
        partner: str,
        url: str,
        feed: str,
        *,
        topics: Sequence[str] = (),
        label: str = "",
        options: Mapping[str, str] | None = None,
    ) -> Document:
        """A new webhook receiver of a partner; the answer's ``secret`` is shown this once."""
        body = {
            "partner": partner,
            "url": url,
            "feed": feed,
            "topics": list(topics),
            "label": label,
            "options": dict(options or {}),
        }
        return self._ask("POST", _ENDPOINTS, body)

    def all(self, *, partner: str | None = None, feed: str | None = None) -> list[Document]:
        """Every endpoint (of a partner, of a feed), oldest first, with how it does."""
        found: list[Document] = []
        asked: dict[str, object] = {"limit": _PAGE}
        asked |= {name: value for name, value in (("partner", partner), ("feed", feed)) if value is not None}
        while True:
            page = self._ask("GET", f"{_ENDPOINTS}?{urlencode(asked)}")
            found += page.get("endpoints", [])
            if not page.get("next"):
                return found
            asked["after"] = page["next"]

    def show(self, endpoint: str) -> Document:
        """One endpoint, and how it does."""
        return self._ask("GET", _path(endpoint))

    def update(
        self,
        endpoint: str,
        *,
        url: str | None = None,
        topics: Sequence[str] | None = None,
        label: str | None = None,
        options: Mapping[str, str | None] | None = None,
        resubscribe: bool = False,
    ) -> Document:
        """Change what is given; ``options`` are merged (None takes one away). ``resubscribe`` asks the receiver anew
        for its topics while they go on."""
        given: dict[str, object] = {"url": url, "topics": topics, "label": label, "options": options}
        body = {name: value for name, value in given.items() if value is not None}
        if resubscribe:
            body["resubscribe"] = True
        return self._ask("PATCH", _path(endpoint), body)

    def remove(self, endpoint: str) -> None:
        """Remove it for good."""
        self._ask("DELETE", _path(endpoint))

    def pause(self, endpoint: str) -> Document:
        """Deliver nothing until it is resumed; what is owed stays owed for as long as retention lasts."""
        return self._ask("POST", _path(endpoint, "pause"), repeatable=True)

    def resume(self, endpoint: str) -> Document:
        """Deliver again, at once, whatever its back-off was."""
        return self._ask("POST", _path(endpoint, "resume"), repeatable=True)

    def replay(self, endpoint: str, since: str) -> Document:
        """Deliver again from an RFC 3339 time, a duration ago (``2h``) or a position on.

        Raises HubRefused: with status 410 when retention has removed records of then.
        """
        return self._ask("POST", _path(endpoint, "replay"), {"since": since})

    def test(self, endpoint: str) -> Document:
        """Send a made-up message now; the attempt, whatever came of it."""
        return self._ask("POST", _path(endpoint, "test"))

    def rotate_secret(self, endpoint: str, overlap: str | None = None) -> str:
        """A new secret; the one before stays good for the overlap (``24h`` unless given)."""
        body = {} if overlap is None else {"overlap": overlap}
        return str(self._ask("POST", _path(endpoint, "rotate-secret"), body).get("secret", ""))

    def attempts(self, endpoint: str) -> list[Document]:
        """The latest attempts."""
        found: list[Document] = self._ask("GET", _path(endpoint, "attempts")).get("attempts", [])
        return found

    def dead_letters(self, endpoint: str, limit: int = 1000) -> list[Document]:
        """What was given up, oldest first."""
        path = f"{_path(endpoint, 'dead-letters')}?limit={limit}"
        found: list[Document] = self._ask("GET", path).get("dead_letters", [])
        return found

    def redrive(self, endpoint: str, offsets: Sequence[int] | None = None) -> int:
        """Deliver dead letters again (all, or those of these offsets); how many."""
        body = {} if offsets is None else {"offsets": list(offsets)}
        return int(self._ask("POST", _path(endpoint, "dead-letters", "redrive"), body).get("redriven", 0))


def _path(endpoint: str, *more: str) -> str:
    return "/".join((_ENDPOINTS, quote(endpoint, safe=""), *more))
