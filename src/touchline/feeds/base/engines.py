"""A sandbox that answers: the pure rules of a simulated provider whose partners send it orders.

A sandbox that only talks (``SandboxSurface.simulate``) publishes from outside, like anybody. One that takes commands
lives in the hub, because its answer depends on all that it was asked before. An engine is its rules, as functions:
``decide`` reads the state and says what would be published, ``apply`` takes what was published into the state. Whoever
runs it (``server.engines``) has one owner for the state, appends what is decided as one batch, and applies it when it
is stored; so the state is always the fold of the log, and a killed hub continues with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from touchline.feeds.base.dice import Dice
from touchline.model import Event


class Change(msgspec.Struct, frozen=True):
    """An event that a decision asks to be published; ``id`` is unique within the engine's source."""

    id: str
    type: str
    subject: str
    data: bytes
    extensions: Mapping[str, str | int | bool]


class Refusal(msgspec.Struct, frozen=True):
    """Why a command is not carried out: an HTTP status, the provider's code, and a sentence."""

    status: int
    error: str
    message: str


class Decision(Protocol):
    """What a command leads to. The engine's own type says more, for whoever sent the command."""

    @property
    def changes(self) -> Sequence[Change]:
        """What goes out as one batch, all or nothing; none when nothing had to change."""

    @property
    def more(self) -> bool:
        """Whether these are the changes of a part: the command was too large for one batch, and is to be decided again
        at once, on the state that this part left. A part leaves a state that is good in itself."""


class Players(Protocol):
    """Who plays when nobody asks: seeded, and pure but for its own memory."""

    def next(self, state: Any, now: int) -> Sequence[Any]:
        """The next commands, to be carried out in order, each on the state that the one before left."""


class Engine(msgspec.Struct, frozen=True):
    """See the module docstring. Times are UTC nanoseconds.

    ``source`` is the CloudEvents source of all that it publishes; nobody else may use it. ``version`` names the
    encoding of checkpoints; one of another version is not read, and the state is folded from what the log still has.
    ``decide`` takes a command, now, and what makes a new UUID; it changes nothing. ``due`` gives the commands that time
    itself demands. ``read`` makes a command of the operator's JSON; it raises ValueError (msgspec's errors are such).
    ``commands`` is the type that ``read`` takes, for documentation.
    """

    source: str
    version: int
    initial: Callable[[], Any]
    decide: Callable[[Any, Any, int, Callable[[], str]], Decision | Refusal]
    apply: Callable[[Any, Event], None]
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    due: Callable[[Any, int], Sequence[Any]]
    players: Callable[[Dice], Players]
    read: Callable[[bytes], Any]
    commands: Any


class EnginePort(Protocol):
    """A running engine, as the feed's ``http.py`` may use it."""

    async def command(self, command: Any) -> Any:
        """The decision (``Engine.decide``), once what it leads to is durable and in the state.

        Raises LogError: nothing of it was done, or of one that goes in parts (``Decision.more``) not all: repeat it.
        EngineBusy: too many commands wait.
        """
