"""``touchline partner``: who may receive, and what of it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from touchline.cli.options import (
    DEFAULT_URL,
    AsJson,
    CaFile,
    Data,
    Grants,
    KeyFile,
    KeyText,
    Options,
    Url,
    open_hub,
    parse_options,
    parse_pairs,
)
from touchline.cli.output import print_json, print_table, say
from touchline.errors import NotFound

app = typer.Typer(help="Partners: who may receive, and what of it.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The partner's name.")]
FeedName = Annotated[str, typer.Option("--feed", metavar="FEED", help="The feed.")]


@app.command("add")
def add(
    name: Name,
    feed: FeedName,
    grant: Grants = None,
    option: Options = None,
    url: Url = DEFAULT_URL,
    key: KeyText = None,
    key_file: KeyFile = None,
    data: Data = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Admit a partner to a feed and print its credentials."""
    grants, options = parse_pairs(grant, "--grant"), parse_options(option)
    with open_hub(url, key, key_file, data, ca_file) as hub:
        _print_credentials(name, feed, hub.add_partner(name, feed, grants=grants, options=options), as_json)


@app.command("list")
def list_all(
    url: Url = DEFAULT_URL,
    key: KeyText = None,
    key_file: KeyFile = None,
    data: Data = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """List every partner with its feeds."""
    with open_hub(url, key, key_file, data, ca_file) as hub:
        partners = hub.partners()
    if as_json:
        print_json({"partners": partners})
    else:
        print_table(("partner", "state", "feed", "grants", "options"), [row for one in partners for row in _rows(one)])


@app.command("show")
def show(
    name: Name,
    url: Url = DEFAULT_URL,
    key: KeyText = None,
    key_file: KeyFile = None,
    data: Data = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Show one partner; secrets that are kept as a hash cannot be shown again."""
    with open_hub(url, key, key_file, data, ca_file) as hub:
        partner = hub.partner(name)
    if as_json:
        print_json(partner)
        return
    print_table(("partner", "state", "feed", "grants", "options"), _rows(partner))
    for feed, entry in sorted(partner.get("feeds", {}).items()):
        for field, value in entry.get("credentials", {}).items():
            say(f"{feed} {field}: {value}")


@app.command("grant")
def grant_(
    name: Name,
    feed: FeedName,
    grant: Grants = None,
    option: Options = None,
    whole: Annotated[bool, typer.Option("--whole-feed", help="Take every narrowing grant away.")] = False,
    url: Url = DEFAULT_URL,
    key: KeyText = None,
    key_file: KeyFile = None,
    data: Data = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Set what a partner receives: the grants given replace those it has; without --grant they stay, as do options."""
    grants, options = parse_pairs(grant, "--grant"), parse_options(option)
    if whole == bool(grants) and (whole or not options):
        raise typer.BadParameter("give --grant or --whole-feed, or --option.")
    with open_hub(url, key, key_file, data, ca_file) as hub:
        entry = hub.partner(name).get("feeds", {}).get(feed)
        if entry is None:
            raise NotFound(f"partner {name!r} is not on feed {feed!r}; 'touchline partner add' puts it there")
        kept = {} if whole else entry.get("grants", {})
        answer = hub.grant(name, feed, grants=grants or kept, options={**entry.get("options", {}), **options})
    _done(answer or {"partner": name, "feed": feed}, f"{name}: grants of {feed} are set", as_json)


@app.command("suspend")
def suspend(
    name: Name,
    url: Url = DEFAULT_URL,
    key: KeyText = None,
    key_file: KeyFile = None,
    data: Data = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """End a partner's sockets, tokens and deliveries until it is resumed."""
    with open_hub(url, key, key_file, data, ca_file) as hub:
        answer = hub.suspend(name)
    _done(answer or {"partner": name, "suspended": True}, f"{name} is suspended", as_json)


@app.command("resume")
def resume(
    name: Name,
    url: Url = DEFAULT_URL,
    key: KeyText = None,
    key_file: KeyFile = None,
    data: Data = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Let a suspended partner in again."""
    with open_hub(url, key, key_file, data, ca_file) as hub:
        answer = hub.resume(name)
    _done(answer or {"partner": name, "suspended": False}, f"{name} may receive again", as_json)


@app.command("rotate")
def rotate(
    name: Name,
    feed: FeedName,
    url: Url = DEFAULT_URL,
    key: KeyText = None,
    key_file: KeyFile = None,
    data: Data = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Give a partner new credentials for a feed; the old ones end at once."""
    with open_hub(url, key, key_file, data, ca_file) as hub:
        _print_credentials(name, feed, hub.rotate(name, feed), as_json)


@app.command("remove")
def remove(
    name: Name,
    feed: Annotated[
        str | None, typer.Option("--feed", metavar="FEED", help="From this feed only.", show_default=False)
    ] = None,
    url: Url = DEFAULT_URL,
    key: KeyText = None,
    key_file: KeyFile = None,
    data: Data = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Remove a partner, from one feed or altogether, for good."""
    with open_hub(url, key, key_file, data, ca_file) as hub:
        answer = hub.remove(name, feed)
    removed = {"partner": name, "removed": True} | ({"feed": feed} if feed else {})
    _done(answer or removed, f"{name} is removed{f' from {feed}' if feed else ''}", as_json)


def _print_credentials(name: str, feed: str, answer: dict[str, Any], as_json: bool) -> None:
    credentials = answer.get("credentials", {})
    if as_json:
        print_json({"partner": name, "feed": feed, "credentials": credentials})
        return
    say(f"partner {name}, feed {feed}")
    for field, value in credentials.items():
        say(f"{field}: {value}")


def _rows(partner: dict[str, Any]) -> list[tuple[str, ...]]:
    name, state = str(partner.get("name", "")), "suspended" if partner.get("suspended") else "active"
    return [
        (name, state, feed, _pairs(entry.get("grants", {})) or "whole feed", _pairs(entry.get("options", {})))
        for feed, entry in sorted(partner.get("feeds", {}).items())
    ]


def _pairs(values: dict[str, Any]) -> str:
    return " ".join(
        f"{name}={one}"
        for name, value in sorted(values.items())
        for one in (value if isinstance(value, list) else [value])
    )


def _done(answer: dict[str, Any], words: str, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        say(words)
