"""What hubs said while tests ran, in their logs and metrics, and what must not stand there.

Collected from all tests of a process and looked through when the last one is over (``conftest``): a secret that one
test made may have been told by a hub of another, or long after its own test looked.
"""

from __future__ import annotations

import base64
import http.client
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, quote_plus

import msgspec

from touchline.server.log_lines import FactsFormatter

SHORTEST: Final = 16
"""Characters of a secret from which on it can stand by chance nowhere."""
_NAMES: Final = frozenset(
    {"secret", "secret_key", "access_key", "api_key", "token", "access_token", "refresh_token", "key"}
)
"""Members of answers that hold a secret, in any feed's spelling."""
_ISSUING: Final = ("/hub/v1/partners", "/hub/v1/keys", "/hub/v1/endpoints", "/partner/auth/", "/v5/core/", "/v1/data/")
"""Where paths begin that secrets are handed out at."""


class Said:
    """``add`` takes what was said, ``never`` what must not be in it, ``told`` is what was found of it all the same."""

    def __init__(self) -> None:
        self._files: set[Path] = set()
        self._texts: dict[str, list[str]] = {}
        self._never: set[str] = set()

    def add(self, where: str, text: str) -> None:
        self._texts.setdefault(where, []).append(text)

    def add_file(self, path: Path) -> None:
        """A log that somebody still writes; it is read at the end."""
        self._files.add(path)

    def end_file(self, path: Path) -> None:
        """A log that nobody writes any more, or not yet again: read now, since it may be gone at the end."""
        self._files.discard(path)
        self._texts[str(path)] = [path.read_text("utf-8", "replace")]  # with all that an earlier end has read

    def never(self, *secrets: str) -> None:
        """Also not escaped or encoded; those that are too short to tell from chance are left out."""
        self._never.update(secret for secret in secrets if len(secret) >= SHORTEST)

    def never_of(self, path: str, body: bytes) -> None:
        """The secrets in an answer of a path that hands them out."""
        if path.startswith(_ISSUING):
            self.never_in(body)

    def never_in(self, body: bytes | str) -> None:
        """The secrets in a JSON document."""
        try:
            document = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeError):
            return
        self.never(*_secrets(document))

    def never_private(self, event: Mapping[str, Any]) -> None:
        """The texts of a payload that is one partner's alone."""
        if event.get("partner") and isinstance(event.get("data"), dict):
            known = {event.get("subject"), event.get("partner")}
            self.never(*(text for text in _texts(event["data"]) if text not in known))

    def looked_at(self) -> tuple[int, int]:
        """How many characters were said, and how many secrets are known."""
        return sum(len(text) for _, text in self._all()), len(self._never)

    def told(self) -> list[str]:
        """Where each secret that was said stands, with the line."""
        forms: dict[str, set[str]] = {}
        for secret in self._never:
            for form in _forms(secret):
                forms.setdefault(form[:SHORTEST], set()).add(form)
        found: list[str] = []
        seen: set[str] = set()
        for where, text in self._all():
            for line in text.splitlines():
                if line in seen:
                    continue
                seen.add(line)
                for start in range(len(line) - SHORTEST + 1):
                    possible = forms.get(line[start : start + SHORTEST], ())
                    found += [f"{form} in {where}: {line[:500]}" for form in possible if line.startswith(form, start)]
        return found

    def _all(self) -> Iterator[tuple[str, str]]:
        for where, texts in self._texts.items():
            for text in texts:
                yield where, text
        for path in sorted(self._files):
            if path.exists():
                yield str(path), path.read_text("utf-8", "replace")


class Handler(logging.Handler):
    """Keeps what is logged in this process as a hub would write it, tracebacks and all."""

    def __init__(self, said: Said) -> None:
        super().__init__(logging.NOTSET)
        self.setFormatter(FactsFormatter())
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._said.add("the log of the tests' own process", self.format(record))
        except Exception:  # as logging wants it: what cannot be written down fails no one who logs
            self.handleError(record)


def _secrets(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in _NAMES and isinstance(inner, str):
                yield inner
            else:
                yield from _secrets(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _secrets(inner)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, Iterable):
        for inner in value:
            yield from _texts(inner)


def _forms(secret: str) -> set[str]:
    """The secret as it may stand in a line: plain, escaped as JSON (so hubs log facts), Python or a URL has it, in hex,
    and within a longer text in base64; of several lines, also each that is long enough.
    """
    raw = secret.encode("utf-8", "surrogatepass")
    found = {secret, *secret.splitlines(), raw.hex(), raw.hex().upper(), quote(raw, safe=""), quote_plus(raw)}
    found |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + raw).decode()
        middle = whole[4 if before else 0 : len(whole) // 4 * 4 - 4]  # what stands at the edges depends on neighbours
        found |= {middle, middle.replace("+", "-").replace("/", "_")}
    return {form for form in found if len(form) >= SHORTEST}


SAID: Final = Said()
"""Of this process."""


def metrics_of(get: Callable[[], bytes]) -> None:
    """Note what a hub's ``/metrics`` has, if it still answers."""
    try:
        text = get().decode()
    except (OSError, RuntimeError, http.client.HTTPException):
        return
    SAID.add("/metrics", text)
