"""The hub's log lines: a constant message, then its facts as ``name=value``, on one line."""

from __future__ import annotations

import json
import logging
from typing import Final

_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_KNOWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
_LONGEST: Final = 300


class FactsFormatter(logging.Formatter):
    """Writes what a call gave as ``extra`` after the message. Texts are quoted where they hold more than a word, so
    that nothing a peer chose can begin a line of its own.
    """

    def __init__(self) -> None:
        super().__init__(_FORMAT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """The line without a traceback."""
        facts = [f"{name}={_shown(value)}" for name, value in vars(record).items() if name not in _KNOWN]
        return " ".join([super().formatMessage(record), *facts])


def _shown(value: object) -> str:
    text = str(value)
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "…"
    plain = text.isprintable() and text and not any(sign in text for sign in ' "=')
    return text if plain else json.dumps(text)
