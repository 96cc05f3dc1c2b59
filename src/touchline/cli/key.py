"""``touchline key``: who may publish or operate the hub."""

from __future__ import annotations

from typing import Annotated

import typer

from touchline.cli.options import DEFAULT_URL, AsJson, CaFile, Data, KeyFile, KeyText, Url, open_hub
from touchline.cli.output import print_json, print_table, say

app = typer.Typer(help="Keys: who may publish or operate the hub.", no_args_is_help=True)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is for.")],
    role: Annotated[str, typer.Option(metavar="publisher|admin", help="What the key may do.")] = "publisher",
    feed: Annotated[
        list[str] | None,
        typer.Option(metavar="FEED", help="Publish to this feed only; may repeat.", show_default=False),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(metavar="SOURCE", help="Publish as this CloudEvents source only; may repeat.", show_default=False),
    ] = None,
    url: Url = DEFAULT_URL,
    key: KeyText = None,
    key_file: KeyFile = None,
    data: Data = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it; it cannot be shown again."""
    if role not in ("publisher", "admin"):
        raise typer.BadParameter("--role is 'publisher' or 'admin'.")
    with open_hub(url, key, key_file, data, ca_file) as hub:
        made = hub.create_key(role, name, feeds=feed or (), sources=source or ())
    if as_json:
        print_json(
            {
                "id": made.id,
                "role": made.role,
                "name": made.name,
                "feeds": made.feeds,
                "sources": made.sources,
                "key": made.key,
            }
        )
    else:
        say(f"{made.role} key {made.id} ({made.name})")
        say(made.key)


@app.command("list")
def list_all(
    url: Url = DEFAULT_URL,
    key: KeyText = None,
    key_file: KeyFile = None,
    data: Data = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """List every key, without its secret."""
    with open_hub(url, key, key_file, data, ca_file) as hub:
        keys = hub.keys()
    if as_json:
        print_json({"keys": keys})
        return
    rows = [
        (
            str(one.get("id", "")),
            str(one.get("role", "")),
            str(one.get("name", "")),
            " ".join(one.get("feeds") or ["all"]),
            " ".join(one.get("sources") or ["all"]),
        )
        for one in keys
    ]
    print_table(("id", "role", "name", "feeds", "sources"), rows)


@app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as 'key list' shows it.")],
    url: Url = DEFAULT_URL,
    key: KeyText = None,
    key_file: KeyFile = None,
    data: Data = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """End a key for good."""
    with open_hub(url, key, key_file, data, ca_file) as hub:
        hub.revoke_key(key_id)
    if as_json:
        print_json({"id": key_id, "revoked": True})
    else:
        say(f"key {key_id} is revoked")
