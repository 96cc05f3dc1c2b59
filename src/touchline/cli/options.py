"""The options that many commands share, and the hub that they lead to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from touchline.client import HubClient
from touchline.errors import ConfigError

DEFAULT_URL: Final = "http://127.0.0.1:8080"

Url = Annotated[str, typer.Option("--url", envvar="TOUCHLINE_URL", metavar="URL", help="The hub's address.")]
KeyText = Annotated[
    str | None, typer.Option("--key", metavar="KEY", help="The key itself (or TOUCHLINE_KEY).", show_default=False)
]
KeyFile = Annotated[
    Path | None, typer.Option("--key-file", metavar="FILE", help="A file that holds the key.", show_default=False)
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="TOUCHLINE_DATA",
        metavar="DIR",
        help="The hub's data directory on this machine: its key files serve when no key is given.",
        show_default=False,
    ),
]
CaFile = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        envvar="TOUCHLINE_CA_FILE",
        metavar="FILE",
        help="Certificates (PEM) to trust beside the system's.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print exactly one JSON document on stdout.", show_default=False)]
Grants = Annotated[
    list[str] | None,
    typer.Option("--grant", metavar="KEY=VALUE", help="Narrow what is received; may repeat.", show_default=False),
]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="KEY=VALUE", help="An option of the feed; may repeat.", show_default=False),
]


def find_key(key: str | None, key_file: Path | None, data: Path | None, role: str) -> str:
    """The key to use: ``--key``, ``--key-file``, TOUCHLINE_KEY, then ``<role>.key`` of the data directory.

    Raises:
        ConfigError: there is none, or its file cannot be read.
    """
    if key is None and key_file is None:
        key = os.environ.get("TOUCHLINE_KEY") or None
    if key is not None:
        return _checked(key.strip(), "--key")
    path = key_file if key_file is not None else data / f"{role}.key" if data is not None else None
    if path is None:
        raise ConfigError("no key: give --key, --key-file, or --data with the hub's data directory")
    try:
        return _checked(path.read_text("utf-8").strip(), str(path))
    except (OSError, UnicodeDecodeError) as problem:
        told = problem.strerror if isinstance(problem, OSError) else "not a text file"
        raise ConfigError(f"cannot read the key from {path}: {told}; give --key or --key-file") from None


def _checked(key: str, where: str) -> str:
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(f"{where} holds no key: one line of printable characters is expected")
    return key


def open_hub(
    url: str,
    key: str | None,
    key_file: Path | None,
    data: Path | None,
    ca_file: Path | None,
    *,
    role: str = "admin",
    retry_seconds: float = 0.0,
) -> HubClient:
    """A client of the hub that the options lead to."""
    return HubClient(url, find_key(key, key_file, data, role), ca_file=ca_file, retry_seconds=retry_seconds)


def parse_pairs(texts: Sequence[str] | None, option: str) -> dict[str, list[str]]:
    """``KEY=VALUE`` texts as key → values, in order.

    Raises:
        typer.BadParameter: a text has no ``=`` or no key.
    """
    pairs: dict[str, list[str]] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise typer.BadParameter(f"{option} {text!r}: expected KEY=VALUE.")
        pairs.setdefault(name, []).append(value)
    return pairs


def parse_options(texts: Sequence[str] | None) -> dict[str, str]:
    """``KEY=VALUE`` texts as key → value; the same key twice is an error."""
    pairs = parse_pairs(texts, "--option")
    for name, values in pairs.items():
        if len(values) > 1:
            raise typer.BadParameter(f"--option {name} is given twice.")
    return {name: values[0] for name, values in pairs.items()}
