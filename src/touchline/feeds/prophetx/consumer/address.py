"""Where the socket is: asked for at first, again every half hour, and when the provider says that it is not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from touchline.errors import RemoteProtocolError
from touchline.feeds.base import Instant
from touchline.feeds.prophetx.consumer import places
from touchline.feeds.prophetx.consumer.calls import Calls, Outlet, explain
from touchline.wire.http import HttpResponse

CONFIG_SECONDS: Final = 30 * 60.0
"""connection-config is read again so often (sheet §6)."""
CONFIG: Final = "connection-config"


class Address:
    """Keeps ``url``. ``moved`` is called when it was found at first or again, with whether it is another than before;
    ``refuse`` with the reason when there is no use in going on.
    """

    def __init__(
        self, base: str, calls: Calls, outlet: Outlet, moved: Callable[[bool], None], refuse: Callable[[str], None]
    ) -> None:
        self.url = ""
        self._base, self._calls, self._outlet, self._moved, self._refuse = base, calls, outlet, moved, refuse
        self._suspicion = ""
        self._ask_at: float | None = None

    def ask(self) -> None:
        """Ask for it."""
        self._ask_at = None
        self._calls.ask(CONFIG, places.config_request(self._base), self._take)

    def doubt(self, why: str) -> None:
        """Coming back to the same address is of no use: ask; when it has not changed, that was the end."""
        self._suspicion = why
        self.ask()

    def deadline(self) -> float | None:
        """When ``tick`` wants to be called."""
        return self._ask_at

    def tick(self, now: Instant) -> None:
        """Ask again when it is time."""
        if self._ask_at is not None and now.monotonic >= self._ask_at:
            self.ask()

    def _take(self, response: HttpResponse, now: Instant) -> str | None:
        if response.status == 401:
            return "was refused with 401 again"
        if response.status != 200:
            code, words = explain(response)
            why = f"{CONFIG} was refused with {response.status} {words or code}".rstrip()
            if not self.url or self._suspicion:
                self._refuse(f"{why}: check the URL")
            else:
                self._ask_at = now.monotonic + CONFIG_SECONDS
                self._outlet.notice("config", f"{why}; staying where we are")
            return None
        try:
            url = places.find_socket_url(response, self._base)
        except RemoteProtocolError as problem:
            return f"cannot be used: {problem}"
        if self._suspicion and url == self.url:
            self._refuse(f"{self._suspicion}; {CONFIG} has not changed")
            return None
        is_new = url != self.url
        self.url, self._suspicion, self._ask_at = url, "", now.monotonic + CONFIG_SECONDS
        self._moved(is_new)
        return None
