"""``touchline listen FEED``: a webhook receiver that verifies, confirms, prints and forwards."""

from __future__ import annotations

import asyncio
import math
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from touchline.cli.options import CaFile, parse_options
from touchline.cli.output import note, plain, write_line
from touchline.client.receiver import Receiver
from touchline.errors import ConfigError
from touchline.feeds import registry
from touchline.feeds.base import Feed, Notice, Received, Trust, WebhookCodec
from touchline.wire.http import HttpResponse

DEFAULT_PORT: Final = 9000
TOLERANCE_SECONDS: Final = 300.0
_DONE: Final = HttpResponse(503, b"ending", (("content-type", "text/plain"), ("retry-after", "1")))


def command(
    feed: Annotated[str, typer.Argument(metavar="FEED", help="The feed; one that is pushed by webhooks.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = DEFAULT_PORT,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    path: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Take POSTs on this path alone (default: any).", show_default=False),
    ] = None,
    secret: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SECRET",
            envvar="TOUCHLINE_LISTEN_SECRET",
            help="The secret shared with the sender; may repeat (rotation). Without one nothing is verified by secret.",
            show_default=False,
        ),
    ] = None,
    secret_file: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A file with a secret on each line, or what 'endpoint add --json' printed; may repeat.",
            show_default=False,
        ),
    ] = None,
    forward_to: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="POST what was verified on, unchanged; its answer goes back to the sender.",
            show_default=False,
        ),
    ] = None,
    trust_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST[:PORT]",
            help="A host where handshakes may be confirmed and certificates fetched; may repeat.",
            show_default=False,
        ),
    ] = None,
    plain_http: Annotated[
        bool, typer.Option("--plain-http", help="Those may be plain http.", show_default=False)
    ] = False,
    tolerance: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help="Refuse messages signed longer ago (default: 300 where each try is signed anew, else inf).",
            show_default=False,
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="An option of the feed's receivers; may repeat.", show_default=False),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificate chain (PEM); with --tls-key.", show_default=False)
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Private key (PEM); with --tls-cert.", show_default=False)
    ] = None,
    ca_file: CaFile = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many messages.", show_default=False)] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print NDJSON: each message's payload as it came.", show_default=False)
    ] = False,
) -> None:
    """Receive a feed's webhooks: verify, confirm, print, forward. Ctrl-C ends it."""
    known, codec = find_codec(feed)
    if bool(tls_cert) != bool(tls_key):
        raise typer.BadParameter("--tls-cert and --tls-key go together.")
    if forward_to is not None and not forward_to.startswith(("http://", "https://")):
        raise typer.BadParameter(f"--forward-to {forward_to!r}: expected http://… or https://….")
    if path is not None and not path.startswith("/"):
        raise typer.BadParameter(f"--path {path!r}: expected /….")
    trust = Trust(
        secrets=(*(secret or ()), *read_secrets(secret_file or ())),
        tolerance_seconds=_tolerance(known, tolerance),
        hosts=frozenset(_host(one) for one in trust_host or ()),
        plain_http=plain_http,
        options=check_options(parse_options(option), codec.receiver_options, feed),
    )
    if not all(one.strip() for one in trust.secrets):
        raise typer.BadParameter("--secret is empty.")
    try:
        from touchline.client.receiver_server import bind
    except ModuleNotFoundError:
        raise ConfigError('the receiver needs uvicorn; install "touchline[cli]"') from None
    printer = Printer(count, as_json=as_json)
    receiver = Receiver(
        known, trust, printer.show, forward_to=forward_to, path=path, told=printer.tell, ca_file=ca_file
    )
    listener = bind(host, port)

    def announce() -> None:
        _announce(feed, listener, trust, path, "https" if tls_cert else "http")

    raise typer.Exit(asyncio.run(_listen(receiver, listener, printer, announce, tls_cert, tls_key)))


def find_codec(name: str) -> tuple[Feed, WebhookCodec]:
    """The feed of that name, and its webhook language.

    Raises:
        ConfigError: there is no such feed, or it is not pushed by webhooks.
    """
    try:
        feed = registry.load(name)
    except KeyError:
        raise ConfigError(f"there is no feed {name[:80]!r}; {_have()}") from None
    if feed.webhook is None:
        instead = f"; 'touchline tail {name}' receives it" if feed.client is not None else ""
        raise ConfigError(f"{name} is not pushed by webhooks{instead}; {_have()}")
    return feed, feed.webhook


def _have() -> str:
    names = (feed.name for feed in registry.feeds().values() if feed.webhook is not None)
    return f"pushed by webhooks: {', '.join(names)}"


def check_options(given: Mapping[str, str], known: Mapping[str, tuple[str, ...]], feed: str) -> dict[str, str]:
    """The options, each one that the feed knows, with a value that it takes.

    Raises:
        typer.BadParameter: another option or value.
    """
    for name, value in given.items():
        if name not in known:
            have = ", ".join(known) or "none"
            raise typer.BadParameter(f"--option {name}: {feed} receivers do not know it; they know: {have}.")
        if known[name] and value not in known[name]:
            raise typer.BadParameter(f"--option {name}={value}: expected {' or '.join(known[name])}.")
    return dict(given)


def read_secrets(paths: Sequence[Path]) -> list[str]:
    """The secrets in the files: the lines that are not empty, or ``secret`` of what ``endpoint add --json`` printed.

    Raises:
        ConfigError: a file cannot be read or holds none; its content is not said.
    """
    secrets: list[str] = []
    for path in paths:
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as problem:
            told = problem.strerror if isinstance(problem, OSError) else "not a text file"
            raise ConfigError(f"cannot read secrets from {path}: {told}") from None
        found = _secret_member(text) if text.lstrip().startswith("{") else [line.strip() for line in text.splitlines()]
        found = [one for one in found if one]
        if not found:
            raise ConfigError(f"{path} holds no secret: one on each line is expected, or a document with 'secret'")
        secrets += found
    return secrets


class _Document(msgspec.Struct):
    secret: str = ""


def _secret_member(text: str) -> list[str]:
    try:
        return [msgspec.json.decode(text, type=_Document).secret]
    except msgspec.MsgspecError:
        return []


def _tolerance(feed: Feed, given: float | None) -> float | None:
    if given is None:
        return TOLERANCE_SECONDS if feed.capabilities.resign_on_retry else None
    return given if math.isfinite(given) else None


def _host(text: str) -> str:
    name, _, port = text.rpartition(":") if text.rpartition(":")[2].isdigit() else (text, "", "")
    if not name or any(sign in text for sign in "/@?# ") or (port and not 0 < int(port) < 65_536):
        raise typer.BadParameter(f"--trust-host {text!r}: expected HOST or HOST:PORT.")
    return text.lower()


class Printer:
    """Prints what was received. After ``count`` messages, or when nobody reads any more (``broken``), ``done`` is set
    and the rest goes back to the sender.
    """

    def __init__(self, count: int | None, *, as_json: bool) -> None:
        self.done = asyncio.Event()
        self.broken: BrokenPipeError | None = None
        self._left = count
        self._as_json = as_json
        self._console = Console()

    def show(self, received: Received) -> HttpResponse | None:
        """Print a message with events; the Receiver's handler."""
        if not received.events:
            return None
        if self.done.is_set():
            return _DONE
        try:
            self._print(received)
        except BrokenPipeError as problem:
            self.broken = problem
            self.done.set()
            return _DONE
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self.done.set()
        return None

    def tell(self, notice: Notice) -> None:
        """A line on stderr."""
        note(f"-- {notice.kind}: {notice.detail}")

    def _print(self, received: Received) -> None:
        if self._as_json:
            payload = received.payload
            write_line(msgspec.json.format(payload, indent=-1) if b"\n" in payload or b"\r" in payload else payload)
            return
        for event in received.events:
            head = f"{plain(event.type)} {plain(event.subject)} "
            text = plain(" ".join(event.data.decode("utf-8", "replace").splitlines()))
            if sys.stdout.isatty():
                line = Text.assemble((head, "bold cyan"), text)
                self._console.print(line, no_wrap=True, overflow="ellipsis", crop=True)
            else:
                write_line(f"{head}{text}".encode())


def _announce(feed: str, listener: socket.socket, trust: Trust, path: str | None, scheme: str) -> None:
    host, port = listener.getsockname()[:2]
    note(f"-- listening: {scheme}://{f'[{host}]' if ':' in host else host}:{port}{path or '/'} for {feed}")
    if not trust.secrets:
        note("-- warning: no --secret was given: nothing that is signed with one is checked, anybody may post here")


async def _listen(
    receiver: Receiver,
    listener: socket.socket,
    printer: Printer,
    announce: Callable[[], None],
    tls_cert: Path | None,
    tls_key: Path | None,
) -> int:
    from touchline.client.receiver_server import serve

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, printer.done.set)
    await serve(receiver, listener, printer.done, announce=announce, tls_cert=tls_cert, tls_key=tls_key)
    if printer.broken is not None:
        raise printer.broken
    return 0
