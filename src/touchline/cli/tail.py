"""``touchline tail FEED``: print a feed as a client of it. The options come from the feed's own client settings.

Each feed that has a client is a subcommand, made when it is asked for: its settings struct gives names, types,
defaults and help, so that a new feed needs nothing here.
"""

from __future__ import annotations

import asyncio
import inspect
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

import msgspec
import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from touchline.cli.options import DEFAULT_URL, CaFile, Data, KeyFile, KeyText, Url, find_key
from touchline.cli.output import note, plain, write_line
from touchline.client import connect, hub_stream
from touchline.feeds import registry
from touchline.feeds.base import ClientSurface, Message, Notice

_NATIVE: Final[Mapping[str, ClientSurface]] = {"hub": hub_stream.CLIENT}
"""Clients that live in the SDK; a feed's own comes first."""


def find_surface(name: str) -> ClientSurface | None:
    """The client of a feed, or None when there is no such feed or it is received by webhooks."""
    try:
        feed = registry.load(name)
    except KeyError:
        return None
    return feed.client or _NATIVE.get(name)


class FeedCommands(TyperGroup):
    """The feeds that have a client, as subcommands."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names, as the registry has them."""
        del ctx
        return [name for name in registry.NAMES if find_surface(name) is not None]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The subcommand of a feed, made from its settings."""
        del ctx
        surface = find_surface(cmd_name)
        return None if surface is None else make_command(cmd_name, surface)


app = typer.Typer(
    cls=FeedCommands,
    help="Print a feed as a client of it, from any hub or the real provider. Ctrl-C ends it.",
    no_args_is_help=True,
)


@app.callback()
def _group() -> None:
    """Print a feed as a client of it, from any hub or the real provider. Ctrl-C ends it."""


def make_command(name: str, surface: ClientSurface) -> Any:
    """A subcommand whose options are the fields of the feed's settings, beside those that all have."""
    fields = {field.name: field for field in msgspec.structs.fields(surface.settings)}
    hints = get_type_hints(surface.settings, include_extras=True)
    parameters = [_parameter(name, field, hints[field.name]) for field in fields.values() if field.name not in _SHARED]
    for shared in ("url", "key"):
        if shared in fields:
            parameters += _SHARED[shared]
    parameters += _ALWAYS

    def command(**given: Any) -> None:
        tail = {option: given.pop(option) for option in ("count", "as_json", "ca_file")}
        if "key" in fields:
            key_options = (given.pop("key"), given.pop("key_file"), given.pop("data"))
            given["key"] = find_key(*key_options, "admin")
        values = {option: value for option, value in given.items() if value is not None}
        try:
            settings = msgspec.convert(values, surface.settings)
        except msgspec.ValidationError as problem:
            raise typer.BadParameter(f"{problem}.") from None
        raise typer.Exit(run(surface, settings, **tail))

    command.__doc__ = f"Print the {name} feed as a client of it."
    # Typer reads the options from the signature; mypy does not know that a function may be given one.
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        sorted(parameters, key=lambda one: one.default is not inspect.Parameter.empty)
    )
    single = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    single.command(name)(command)
    return typer.main.get_command(single)


def _parameter(feed: str, field: msgspec.structs.FieldInfo, hint: Any) -> inspect.Parameter:
    base, meta = hint, None
    if get_origin(hint) is Annotated:
        base, *extras = get_args(hint)
        meta = next((extra for extra in extras if isinstance(extra, msgspec.Meta)), None)
    own = field.name.replace("_", "-")
    option = (meta.extra or {}).get("option", own) if meta else own
    names = [f"--{option}"] if option == own else [f"--{option}", f"--{own}"]
    repeats = get_origin(base) is tuple
    described = (meta.description if meta else None) or own
    info = typer.Option(
        *names,
        metavar=option.upper().replace("-", "_") if base is not bool else None,
        help=described[0].upper() + described[1:] + ("; may repeat." if repeats else "."),
        envvar=f"TOUCHLINE_TAIL_{feed}_{option}".replace("-", "_").upper(),
        show_default=not repeats and field.default not in ("", 0, False),
    )
    if repeats:
        kind: Any = list[str] | None
    else:
        kind = base if base in (str, int, float, bool) else str
    required = field.required
    default = inspect.Parameter.empty if required else (None if repeats else field.default)
    return _keyword(field.name, Annotated[kind, info], default)


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


_SHARED: Final[dict[str, list[inspect.Parameter]]] = {
    "url": [_keyword("url", Url, DEFAULT_URL)],
    "key": [_keyword("key", KeyText, None), _keyword("key_file", KeyFile, None), _keyword("data", Data, None)],
}
_ALWAYS: Final = [
    _keyword("ca_file", CaFile, None),
    _keyword(
        "count",
        Annotated[int | None, typer.Option("--count", min=1, help="End after so many messages.", show_default=False)],
        None,
    ),
    _keyword(
        "as_json",
        Annotated[bool, typer.Option("--json", help="Print NDJSON: each message as it came.", show_default=False)],
        False,
    ),
]


def run(surface: ClientSurface, settings: Any, *, count: int | None, as_json: bool, ca_file: Path | None) -> int:
    """Print messages until the feed ends, ``count`` is reached or Ctrl-C; the exit code."""
    return asyncio.run(_follow(surface, settings, count, _json_line if as_json else _line_printer(), ca_file))


async def _follow(
    surface: ClientSurface, settings: Any, count: int | None, show: Callable[[Message], None], ca_file: Path | None
) -> int:
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        async with connect(surface, settings, ca_file=ca_file) as items:
            shown = 0
            async for item in items:
                if isinstance(item, Notice):
                    if item.kind != "refused":  # said as the error that it is
                        note(f"-- {item.kind}: {item.detail}")
                    continue
                show(item)
                shown += 1
                if shown == count:
                    break
    except asyncio.CancelledError:
        if not stopped:
            raise
    return 0


def _json_line(message: Message) -> None:
    raw = message.raw
    write_line(msgspec.json.format(raw, indent=-1) if b"\n" in raw or b"\r" in raw else raw)


def _line_printer() -> Callable[[Message], None]:
    """One line per message for people: coloured and cut to the width on a terminal, whole elsewhere."""
    console = Console()

    def show(message: Message) -> None:
        number = f"{message.resume:>8} " if message.resume else " " * 9
        text = plain(message.data.decode("utf-8", "replace"))
        if not sys.stdout.isatty():
            write_line(f"{message.source} {message.resume or '-'} {text}".encode())
            return
        line = Text.assemble((f"{message.source:<18} ", "bold cyan"), (number, "green"), text)
        console.print(line, no_wrap=True, overflow="ellipsis", crop=True)

    return show
