"""Puts the commands together and turns what they raise into one line on stderr and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import touchline
from touchline.cli import (
    backup,
    bench,
    demo,
    doctor,
    endpoint,
    key,
    listen,
    partner,
    publish,
    replay,
    restore,
    serve,
    tail,
)
from touchline.errors import TouchlineError

INTERRUPTED = 130

app = typer.Typer(
    name="touchline",
    help="A self-hosted hub for live sports push feeds.",
    epilog="Settings: flag, then environment TOUCHLINE_…, then touchline.toml, then the shipped defaults.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve")(serve.command)
app.command("demo")(demo.command)
app.command("publish")(publish.command)
app.command("replay")(replay.command)
app.add_typer(tail.app, name="tail")
app.command("listen")(listen.command)
app.add_typer(partner.app, name="partner")
app.add_typer(endpoint.app, name="endpoint")
app.add_typer(key.app, name="key")
app.command("backup")(backup.command)
app.command("restore")(restore.command)
app.command("bench")(bench.command)
app.command("doctor")(doctor.command)


@app.callback(invoke_without_command=True)
def _top(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(f"touchline {touchline.__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return the exit code: 0, 1 for an error, 2 for wrong usage, 130 for Ctrl-C."""
    try:
        code = app(args=None if arguments is None else list(arguments), prog_name="touchline", standalone_mode=False)
    except TouchlineError as error:
        return _fail(str(error), 1)
    except typer.Abort:
        return INTERRUPTED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}", 1)
    except Exception as error:  # the usage errors of typer have no public class that all its versions share
        if not hasattr(error, "format_message"):
            raise
        if not (words := error.format_message()):  # a group without a command has printed its help
            return 2
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "touchline"
        return _fail(f"{words} Try: {path} --help", getattr(error, "exit_code", 2))
    return code if isinstance(code, int) else 0


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"touchline: {' '.join(message.split())}\n")
    return code
