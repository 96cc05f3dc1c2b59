"""The page at ``/``: what this hub serves, where to read on, and a live view for who has a reader's key.

One self-contained file without outside resources; the key that a person types stays in the page's memory.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from importlib import resources

from touchline import __version__
from touchline.feeds.base import Feed


def _transports(feed: Feed) -> str:
    return ", ".join(sorted(transport.value for transport in feed.capabilities.transports))


def page(feeds: Iterable[Feed]) -> bytes:
    """The page as HTML."""
    rows = "".join(
        f"<tr><td><code>{html.escape(feed.name)}</code></td><td>{html.escape(feed.title)}</td>"
        f"<td>{'served' if feed.credentials else 'stored and read natively'}</td>"
        f"<td>{html.escape(_transports(feed)) if feed.credentials else '–'}</td></tr>"
        for feed in feeds
    )
    template = resources.files("touchline.server.console").joinpath("page.html").read_text("utf-8")
    return template.replace("{{version}}", __version__).replace("{{feeds}}", rows).encode()
