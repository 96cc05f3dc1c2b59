"""What the demo prints: addresses, credentials, and commands that work as pasted into another terminal."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from touchline.feeds.base import Feed
from touchline.sandbox.hub_process import touchline_command


class Access(msgspec.Struct, frozen=True):
    """A partner of one feed, and what it needs to come in."""

    partner: str
    feed: str
    credentials: Mapping[str, str]


class Command(msgspec.Struct, frozen=True):
    """A command to copy, and what it does."""

    name: str
    title: str
    command: str


class Showcase(msgspec.Struct, frozen=True):
    """Everything that a newcomer needs; ``--json`` prints it as one document."""

    url: str
    page: str
    data: str
    partners: Sequence[Access]
    sandboxes: Mapping[str, str]
    commands: Sequence[Command]

    def text(self) -> str:
        """For people."""
        lines = ["", f"  The hub is running: {self.page}", ""]
        lines += [f"  {feed}: {description}" for feed, description in self.sandboxes.items()] or ["  No sandbox games."]
        lines += ["", "  Paste into another terminal, in this directory:"]
        for command in self.commands:
            lines += ["", f"  # {command.title}", f"  {command.command}"]
        lines += ["", "  Ctrl-C ends the demo.", "", ""]
        return "\n".join(lines)


def make_showcase(url: str, data: Path, partners: Sequence[Access], feeds: Sequence[Feed]) -> Showcase:
    """The addresses, credentials and commands of a demo that runs at ``url`` with its data in ``data``."""
    access = {one.feed: one for one in partners}
    sandboxes = {feed.name: feed.sandbox.description for feed in feeds if feed.sandbox is not None}
    subjects = {feed.name: feed.sandbox.subject for feed in feeds if feed.sandbox is not None}
    commands: list[Command] = []
    commands += [
        _tail(url, access[feed.name], feed) for feed in feeds if feed.name in access and feed.client is not None
    ]
    if "hub" in access and subjects:
        commands += _native(url, access["hub"], subjects)
    commands += _operator(url, data, next(iter(subjects), "hub"))
    return Showcase(url, f"{url}/", str(data), partners, sandboxes, commands)


def _tail(url: str, access: Access, feed: Feed) -> Command:
    words = [*program(), "tail", feed.name, "--url", url, *_options(access.credentials)]
    if feed.sandbox is not None:
        words += _options(feed.sandbox.tail)
    return Command(f"tail_{feed.name}", f"watch it as a client of {feed.title}", join(words))


def _native(url: str, access: Access, subjects: Mapping[str, str]) -> list[Command]:
    key = access.credentials["key"]
    bearer = ("-H", f"Authorization: Bearer {key}")
    feed, subject = next(iter(subjects.items()))
    tail = [*program(), "tail", "hub", "--url", url, f"--key={key}", "--feed", feed]
    read = ["curl", "-sS", *bearer, f"{url}/hub/v1/events?feed={feed}&limit=3"]
    snapshot = ["curl", "-sS", *bearer, f"{url}/hub/v1/snapshots/{feed}/{subject}"]
    return [
        Command("tail_hub", "watch every event natively", join(tail)),
        Command("read", "read the first events", join(read)),
        Command("snapshot", "the whole state of the game now", join(snapshot)),
    ]


def _operator(url: str, data: Path, feed: str) -> list[Command]:
    """What the owner of the hub does; keys come from files, so that they do not stand in the shell's history."""
    event = (
        '{"specversion":"1.0","id":"\'"$(date +%s)-$RANDOM"\'","source":"/demo/curl",'
        f'"type":"{feed}.greeting","subject":"my-game","data":{{"text":"hello"}}}}'
    )
    key_file = shlex.quote(str(data / "publisher.key"))
    publish = (
        f'curl -sS -H "Authorization: Bearer $(cat {key_file})" -H "Content-Type: application/cloudevents+json" '
        f"--data-raw '{event}' {shlex.quote(url + '/hub/v1/events')}"
    )
    common = ["--url", url, "--data", str(data)]
    return [
        Command("publish", "publish an event of your own", publish),
        Command("partners", "who may receive", join([*program(), "partner", "list", *common])),
        Command("doctor", "is everything in order?", join([*program(), "doctor", *common])),
    ]


def _options(values: Mapping[str, str]) -> list[str]:
    # One word each: a credential may begin with a dash.
    return [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]


def program() -> list[str]:
    """The ``touchline`` command as somebody in this directory writes it: a short relative path when there is one."""
    command = touchline_command()
    if len(command) > 1:
        return command
    path = Path(command[0])
    running = Path(sys.argv[0])
    if running.name == path.name and running.is_file():
        path = running.absolute()
    relative = os.path.relpath(path)
    if relative.startswith(".."):
        return [str(path)]
    return [relative if os.sep in relative else os.path.join(os.curdir, relative)]


def join(words: Sequence[str]) -> str:
    """The words as one command line, quoted for a shell."""
    return shlex.join(words)
