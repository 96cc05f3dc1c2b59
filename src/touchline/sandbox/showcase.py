"""What the demo prints: addresses, credentials, and commands that work as pasted into another terminal."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from touchline.feeds.base import Feed
from touchline.sandbox.endpoints import DemoEndpoint
from touchline.sandbox.hub_process import touchline_command
from touchline.sandbox.sample_receiver import LOG_FILE

NATIVE: Final = "hub"
"""the feed that has every event"""
OWN_PORT: Final = 9000
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:/\[\]-]+")


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
    endpoints: Mapping[str, str]
    commands: Sequence[Command]

    def text(self) -> str:
        """For people."""
        lines = ["", f"  The hub is running: {self.page}", ""]
        lines += [f"  {feed}: {description}" for feed, description in self.sandboxes.items()] or ["  No sandbox games."]
        if self.endpoints:
            lines += ["", f"  A sample receiver takes the webhooks of {', '.join(self.endpoints)}."]
        lines += ["", "  Paste into another terminal, in this directory:"]
        for command in self.commands:
            lines += ["", f"  # {command.title}", f"  {command.command}"]
        lines += ["", "  Ctrl-C ends the demo.", "", ""]
        return "\n".join(lines)


def make_showcase(
    url: str, data: Path, partners: Sequence[Access], feeds: Sequence[Feed], endpoints: Sequence[DemoEndpoint] = ()
) -> Showcase:
    """The addresses, credentials and commands of a demo that runs at ``url`` with its data in ``data``."""
    access = {one.feed: one for one in partners}
    sandboxes = {feed.name: feed.sandbox.description for feed in feeds if feed.sandbox is not None}
    subjects = {feed.name: feed.sandbox.subject for feed in feeds if feed.sandbox is not None}
    commands: list[Command] = []
    commands += [
        _tail(url, access[feed.name], feed) for feed in feeds if feed.name in access and feed.client is not None
    ]
    for feed in feeds:
        if feed.name in access:
            commands += _own(url, access[feed.name], feed)
    if NATIVE in access and subjects:
        commands += _native(url, access[NATIVE], subjects)
    if endpoints:
        commands += _webhooks(url, data, endpoints)
    commands += _operator(url, data, next(iter(subjects), "hub"))
    addresses = {one.feed: one.url for one in endpoints}
    return Showcase(url, f"{url}/", str(data), partners, sandboxes, addresses, commands)


def _tail(url: str, access: Access, feed: Feed) -> Command:
    assert feed.client is not None
    taken = {field.name for field in msgspec.structs.fields(feed.client.settings)}
    needed = {name: value for name, value in access.credentials.items() if name in taken}
    words = [*program(), "tail", feed.name, "--url", url, *_options(needed)]
    if feed.sandbox is not None:
        words += _options(feed.sandbox.tail)
    return Command(f"tail_{feed.name}", f"watch it as a client of {feed.title}", join(words))


def _own(url: str, access: Access, feed: Feed) -> list[Command]:
    """What only this feed has, with this demo's values put in."""
    assert feed.sandbox is not None
    values = {"url": url, "subject": feed.sandbox.subject, **access.credentials}
    # They stand inside quotes of the feed's own choosing: one that would need quoting itself is not shown.
    if not all(_PLAIN.fullmatch(value) for value in values.values()):
        return []
    made = []
    for one in feed.sandbox.commands:
        shell = one.shell
        for name, value in values.items():
            shell = shell.replace(f"<{name}>", value)
        made.append(Command(f"{feed.name}_{one.name}", one.title, shell))
    return made


def _webhooks(url: str, data: Path, endpoints: Sequence[DemoEndpoint]) -> list[Command]:
    """What the sample receiver takes, how its endpoints do, and a receiver of one's own."""
    common = ["--url", url, "--data", str(data)]
    shown = endpoints[0]
    endpoint = [*program(), "endpoint"]
    log = str(data / LOG_FILE)
    return [
        Command("receiver", "what the sample receiver takes; Ctrl-C ends it", join(["tail", "-n", "5", "-F", log])),
        Command("endpoints", "the webhook endpoints, and how they do", join([*endpoint, "list", *common])),
        Command(
            "endpoint",
            f"how the one of {shown.feed} does, and what it is",
            join([*endpoint, "show", shown.endpoint, *common]),
        ),
        Command("attempts", "the latest attempts at it", join([*endpoint, "attempts", shown.endpoint, *common])),
        Command(
            "replay",
            "deliver the last ten minutes to it again",
            join([*endpoint, "replay", shown.endpoint, "--since", "10m", *common]),
        ),
        *(
            Command("listen", "a receiver of your own, while it runs", _listen(data, common, one))
            for one in endpoints
            if one.feed == NATIVE
        ),
    ]


def _listen(data: Path, common: Sequence[str], like: DemoEndpoint) -> str:
    """Add an endpoint for every event, listen with its secret, and remove it: one line for a shell."""
    file = shlex.quote(str(data / "mine.json"))
    added = [*program(), "endpoint", "add", like.partner, f"http://127.0.0.1:{OWN_PORT}/", "--feed", like.feed]
    listen = [*program(), "listen", like.feed, "--port", str(OWN_PORT), "--secret-file"]
    # The id is cut out with sed: no other program is sure to be installed.
    own = f'"$(sed \'s/.*"endpoint":"\\([^"]*\\)".*/\\1/\' {file})"'
    return (
        f"{join([*added, '--topic', '*', '--label', 'mine', *common, '--json'])} > {file}; "
        f"{join(listen)} {file}; {join([*program(), 'endpoint', 'remove'])} {own} {join(common)}"
    )


def _native(url: str, access: Access, subjects: Mapping[str, str]) -> list[Command]:
    key = access.credentials["key"]
    bearer = ("-H", f"Authorization: Bearer {key}")
    feed, subject = next(iter(subjects.items()))
    tail = [*program(), "tail", NATIVE, "--url", url, f"--key={key}", "--feed", feed]
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
