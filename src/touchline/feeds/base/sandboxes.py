"""Simulated events: seeded, pure generators that publish like anybody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from touchline.feeds.base.dice import Dice
from touchline.feeds.base.engines import Engine


class Timed(msgspec.Struct, frozen=True):
    """An event of a sandbox: due ``at`` nanoseconds after its start; ``data`` is JSON text."""

    at: int
    type: str
    subject: str
    data: bytes
    extensions: Mapping[str, str | int | bool] = {}


class SandboxOptions(msgspec.Struct, frozen=True):
    """``start_ns`` is the wall time of ``at`` 0; ``loop`` begins again for ever; ``subject`` renames the stream."""

    start_ns: int
    loop: bool = False
    subject: str | None = None


class Deriver(Protocol):
    """Makes events of a feed out of what the other feeds' sandboxes play."""

    def observe(self, event: Timed) -> Sequence[Timed]:
        """An event of another feed is due; what follows from it, due at the same time or later."""


class SandboxCommand(msgspec.Struct, frozen=True):
    """A command line that the demo prints for people to paste, for what no shared command does (a feed's own REST).

    In ``shell`` ``<url>``, ``<subject>`` and ``<name of a credential>`` stand for their values; ``name`` is unique
    within the feed. It ends by itself, and prints JSON when it is a curl.
    """

    name: str
    title: str
    shell: str


class SandboxSurface(msgspec.Struct, frozen=True):
    """A feed's simulated events: the same dice give the same events. ``subject`` is the stream that it plays on.

    ``simulate`` plays by itself; ``derive`` instead lives on what the other sandboxes play; ``engine`` runs inside the
    hub and takes commands (``touchline serve --sandbox``). ``tail`` are the options by which ``touchline tail <feed>``
    is pointed at that stream, beside the credentials. ``topics`` are those of the demo's endpoint,
    ``endpoint_options`` its options. ``commands`` show what else there is to see.
    """

    simulate: Callable[[Dice, SandboxOptions], Iterator[Timed]] | None
    subject: str
    description: str
    tail: Mapping[str, str] = {}
    derive: Callable[[Dice, SandboxOptions], Deriver] | None = None
    topics: tuple[str, ...] = ()
    endpoint_options: Mapping[str, str] = {}
    commands: tuple[SandboxCommand, ...] = ()
    engine: Engine | None = None
