"""How to connect to each feed's WebSocket endpoint, and a question that it answers, by the feed's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from integration.hubs import Hub
from integration.websockets import KEY
from touchline.feeds import registry
from touchline.feeds.base import Form
from touchline.feeds.prophetx import apps


@dataclass(frozen=True)
class Endpoint:
    """``target`` and ``lines`` (header lines) connect; ``stranger`` is a target of somebody unknown, to whom the
    handshake is refused, or whose session is closed at once. ``question`` is a message around any JSON string content
    that the endpoint answers with ``answer`` (both empty: it answers nothing that a client sends).
    """

    feed: str
    target: str
    lines: tuple[str, ...]
    stranger: str
    question: tuple[bytes, bytes] = (b"", b"")
    answer: bytes = b""

    @property
    def limit(self) -> int:
        """Bytes of the longest message that is read."""
        surface = registry.load(self.feed).websocket
        assert surface is not None
        return surface.max_message_bytes

    @property
    def subprotocols(self) -> tuple[str, ...]:
        surface = registry.load(self.feed).websocket
        assert surface is not None
        return surface.subprotocols

    def ask(self, text: bytes = b"") -> bytes:
        """The question with this text in it; where nothing is answered, some JSON with it."""
        before, after = self.question if self.answer else (b'{"text":"', b'"}')
        return before + text + after

    def handshake(
        self, *, target: str = "", method: str = "GET", version: str = "1.1", **changed: str | tuple[str, ...] | None
    ) -> bytes:
        """An upgrade request. ``changed`` are headers by name with '_' for '-': other values (a tuple: as many header
        lines), more headers, or (None) ones that are left out.
        """
        headers: dict[str, str | tuple[str, ...] | None] = {
            "host": "h",
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec-websocket-version": "13",
            "sec-websocket-key": KEY,
        }
        headers |= {name.replace("_", "-"): value for name, value in changed.items()}
        lines = [f"{method} {target or self.target} HTTP/{version}"]
        for name, value in headers.items():
            values = () if value is None else (value,) if isinstance(value, str) else value
            lines += [f"{name}: {one}" for one in values]
        return "\r\n".join([*lines, *self.lines, "", ""]).encode("latin-1")


def _hub(hub: Hub) -> Endpoint:
    path = "/hub/v1/ws?subject=nothing-of-this"
    return Endpoint("hub", path, (f"Authorization: Bearer {hub.admin_key}",), f"{path}&key=unknown")


def _shottracker(hub: Hub) -> Endpoint:
    hub.partner("conforming", "shottracker")
    directory = hub.running.hub.directory
    made = directory.issue_token("shottracker", "conforming", "subscribe", "no-game", form=Form.HEX, expires_at=None)
    path = "/live/v2/games?token="
    question = (b'{"action":"ping","text":"', b'"}')
    return Endpoint("shottracker", path + hub.wait(made).value, (), path + "unknown", question, b'{"action":"pong"}')


def _prophetx(hub: Hub) -> Endpoint:
    hub.partner("conforming", "prophetx")
    key = apps.app_of(hub.wait(hub.running.hub.directory.secret(apps.SECRET_NAME)), "conforming").key
    question = (b'{"event":"pusher:ping","data":{"text":"', b'"}}')
    answer = b'{"event":"pusher:pong","data":{}}'
    return Endpoint("prophetx", f"/app/{key}?protocol=7", (), "/app/unknown?protocol=7", question, answer)


PROVIDERS: Final[Mapping[str, Callable[[Hub], Endpoint]]] = {
    "hub": _hub,
    "shottracker": _shottracker,
    "prophetx": _prophetx,
}
