"""The consumer role: logs in, stays connected, and hands out what a user needs to have the provider's state.

``client`` is the role and the line; ``login`` the tokens, ``calls`` REST that is repeated until it is answered,
``address`` and ``places`` where to connect and which channels there are; ``intake`` what comes, ``changes`` what a push
says, ``books`` and ``entries`` what is known and what is stale; ``reading``, ``comparing``, ``answers`` and
``reconcile`` the state as REST has it. All of it is pure: the SDK's shell has the sockets.
"""

from __future__ import annotations

from typing import Final

from touchline.feeds.base import ClientSurface, Dice, Instant
from touchline.feeds.prophetx.consumer.client import ExchangeClient
from touchline.feeds.prophetx.consumer.settings import Settings, find_base

__all__ = ["CLIENT", "ExchangeClient", "Settings", "connect"]


def connect(settings: Settings, dice: Dice, now: Instant) -> ExchangeClient:
    """A role that is about to log in: drain it, and carry out what it wishes.

    Raises:
        ConfigError: the URL is no http(s) base URL, a key is empty, or a tournament is no id.
    """
    role = ExchangeClient(settings, find_base(settings), dice, now)
    role.begin()
    return role


CLIENT: Final = ClientSurface(settings=Settings, connect=connect)
