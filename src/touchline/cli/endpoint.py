"""``touchline endpoint``: webhook receivers of partners, how their deliveries go, and what is owed to them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from touchline.cli.endpoint_output import (
    COLUMNS,
    LETTER_COLUMNS,
    TRY_COLUMNS,
    attempt_row,
    endpoint_row,
    letter_row,
    print_endpoint,
)
from touchline.cli.options import (
    DEFAULT_URL,
    AsJson,
    CaFile,
    Data,
    KeyFile,
    KeyText,
    Url,
    open_hub,
    parse_options,
)
from touchline.cli.output import print_json, print_table, say
from touchline.errors import TouchlineError

app = typer.Typer(help="Endpoints: where partners receive webhooks, and how that goes.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ENDPOINT", help="The endpoint's id.")]
Topics = Annotated[
    list[str] | None,
    typer.Option(
        "--topic",
        metavar="TOPIC",
        help="What to deliver, in the feed's own words (an event type, league/insightType/locale, * for all); "
        "may repeat.",
        show_default=False,
    ),
]
Label = Annotated[str | None, typer.Option("--label", metavar="LABEL", help="A name for people.", show_default=False)]
OwnOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="KEY=VALUE",
        help="An option of the feed or of the delivery (order, max_block, timeout_seconds, window, rate_limit, "
        "header.<Name>, …); may repeat.",
        show_default=False,
    ),
]


@app.command("add")
def add(
    partner: Annotated[str, typer.Argument(metavar="PARTNER", help="Who receives.")],
    address: Annotated[str, typer.Argument(metavar="URL", help="Where it receives: http or https.")],
    feed: Annotated[str, typer.Option("--feed", metavar="FEED", help="The feed.")],
    topic: Topics = None,
    label: Label = None,
    option: OwnOptions = None,
    url: Url = DEFAULT_URL,
    key: KeyText = None,
    key_file: KeyFile = None,
    data: Data = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Add a webhook receiver of a partner and print its secret, which is shown this once."""
    options = parse_options(option)
    with open_hub(url, key, key_file, data, ca_file) as hub:
        made = hub.endpoints.add(partner, address, feed, topics=topic or (), label=label or "", options=options)
    if as_json:
        print_json({name: made.get(name) for name in ("endpoint", "secret", "state")})
        return
    say(f"endpoint {made.get('endpoint')}, {made.get('state')}")
    say(f"secret: {made.get('secret')}")
    waiting = sum(one.get("state") == "pending" for one in made.get("subscriptions", []))
    if waiting:
        say(f"{waiting} topics wait for the receiver to confirm them")


@app.command("list")
def list_all(
    partner: Annotated[
        str | None, typer.Option("--partner", metavar="NAME", help="Of this partner only.", show_default=False)
    ] = None,
    feed: Annotated[
        str | None, typer.Option("--feed", metavar="FEED", help="Of this feed only.", show_default=False)
    ] = None,
    url: Url = DEFAULT_URL,
    key: KeyText = None,
    key_file: KeyFile = None,
    data: Data = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """List endpoints: state, records owed, age of the oldest, share of good answers."""
    with open_hub(url, key, key_file, data, ca_file) as hub:
        found = hub.endpoints.all(partner=partner, feed=feed)
    if as_json:
        print_json({"endpoints": found})
    else:
        print_table(COLUMNS, [endpoint_row(one) for one in found])


@app.command("show")
def show(
    endpoint: Id,
    url: Url = DEFAULT_URL,
    key: KeyText = None,
    key_file: KeyFile = None,
    data: Data = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Show one endpoint; its secrets cannot be shown again."""
    with open_hub(url, key, key_file, data, ca_file) as hub:
        found = hub.endpoints.show(endpoint)
    _endpoint(found, as_json)


@app.command("update")
def update(
    endpoint: Id,
    address: Annotated[
        str | None, typer.Option("--to", metavar="URL", help="Deliver to this address.", show_default=False)
    ] = None,
    topic: Topics = None,
    label: Label = None,
    option: OwnOptions = None,
    drop_option: Annotated[
        list[str] | None,
        typer.Option("--drop-option", metavar="KEY", help="Take an option away; may repeat.", show_default=False),
    ] = None,
    resubscribe: Annotated[
        bool, typer.Option("--resubscribe", help="Ask the receiver anew for its topics, while they go on.")
    ] = False,
    url: Url = DEFAULT_URL,
    key: KeyText = None,
    key_file: KeyFile = None,
    data: Data = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Change what is given: --topic replaces all topics, --option sets single options, the rest stays."""
    options: dict[str, str | None] = {**parse_options(option)}
    for name in drop_option or ():
        if name in options:
            raise typer.BadParameter(f"--option and --drop-option both name {name}.")
        options[name] = None
    if address is None and label is None and not (topic or options or resubscribe):
        raise typer.BadParameter("nothing is to be changed: give --to, --topic, --label, --option or --resubscribe.")
    with open_hub(url, key, key_file, data, ca_file) as hub:
        found = hub.endpoints.update(
            endpoint, url=address, topics=topic, label=label, options=options or None, resubscribe=resubscribe
        )
    _endpoint(found, as_json)
    if not as_json and "secret" in found:
        say(f"new secret: {found['secret']}")


@app.command("pause")
def pause(
    endpoint: Id,
    url: Url = DEFAULT_URL,
    key: KeyText = None,
    key_file: KeyFile = None,
    data: Data = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Deliver nothing until it is resumed, also over a restart; what is owed stays owed within retention."""
    with open_hub(url, key, key_file, data, ca_file) as hub:
        answer = hub.endpoints.pause(endpoint)
    _done(answer, f"{endpoint} is paused", as_json)


@app.command("resume")
def resume(
    endpoint: Id,
    url: Url = DEFAULT_URL,
    key: KeyText = None,
    key_file: KeyFile = None,
    data: Data = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """End a pause (or what the hub disabled), forget back-off and try at once."""
    with open_hub(url, key, key_file, data, ca_file) as hub:
        answer = hub.endpoints.resume(endpoint)
    _done(answer, f"{endpoint} is tried again", as_json)


@app.command("replay")
def replay(
    endpoint: Id,
    since: Annotated[
        str,
        typer.Option(
            "--since", metavar="T", help="RFC 3339 time of appending, a duration such as 2h (ago), or a position."
        ),
    ],
    url: Url = DEFAULT_URL,
    key: KeyText = None,
    key_file: KeyFile = None,
    data: Data = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Deliver again in order, with the same ids and the header touchline-replay: 1."""
    with open_hub(url, key, key_file, data, ca_file) as hub:
        answer = hub.endpoints.replay(endpoint, since)
    _done(answer, f"{endpoint} is delivered to again after {answer.get('after')}", as_json)


@app.command("test")
def try_out(
    endpoint: Id,
    url: Url = DEFAULT_URL,
    key: KeyText = None,
    key_file: KeyFile = None,
    data: Data = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Send a made-up message now; exit 1 unless the receiver answers with 2xx."""
    with open_hub(url, key, key_file, data, ca_file) as hub:
        attempt = hub.endpoints.test(endpoint)
    if as_json:
        print_json(attempt)
    else:
        print_table(TRY_COLUMNS, [attempt_row(attempt)])
    status = attempt.get("status")
    if status is None or not 200 <= status < 300:
        told = f"it answered {status}" if status is not None else attempt.get("detail") or attempt.get("trouble")
        raise TouchlineError(f"the receiver did not take it: {told}")


@app.command("rotate-secret")
def rotate_secret(
    endpoint: Id,
    overlap: Annotated[
        str | None,
        typer.Option("--overlap", metavar="DURATION", help="How long the old secret stays good.", show_default="24h"),
    ] = None,
    url: Url = DEFAULT_URL,
    key: KeyText = None,
    key_file: KeyFile = None,
    data: Data = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a new secret and print it, which is done this once; the old one is good beside it for a while."""
    with open_hub(url, key, key_file, data, ca_file) as hub:
        secret = hub.endpoints.rotate_secret(endpoint, overlap)
    _done({"endpoint": endpoint, "secret": secret}, f"secret: {secret}", as_json)


@app.command("remove")
def remove(
    endpoint: Id,
    url: Url = DEFAULT_URL,
    key: KeyText = None,
    key_file: KeyFile = None,
    data: Data = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Remove an endpoint for good, with its dead letters."""
    with open_hub(url, key, key_file, data, ca_file) as hub:
        hub.endpoints.remove(endpoint)
    _done({"endpoint": endpoint, "removed": True}, f"{endpoint} is removed", as_json)


@app.command("attempts")
def attempts(
    endpoint: Id,
    url: Url = DEFAULT_URL,
    key: KeyText = None,
    key_file: KeyFile = None,
    data: Data = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """List the latest attempts: status or trouble, duration, beginning of the answer."""
    with open_hub(url, key, key_file, data, ca_file) as hub:
        found = hub.endpoints.attempts(endpoint)
    if as_json:
        print_json({"attempts": found})
    else:
        print_table(TRY_COLUMNS, [attempt_row(one) for one in found])


@app.command("dead-letters")
def dead_letters(
    endpoint: Id,
    redrive: Annotated[bool, typer.Option("--redrive", help="Deliver them again.")] = False,
    offset: Annotated[
        list[int] | None,
        typer.Option("--offset", metavar="N", help="Redrive this one only; may repeat.", show_default=False),
    ] = None,
    url: Url = DEFAULT_URL,
    key: KeyText = None,
    key_file: KeyFile = None,
    data: Data = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """List what was given up; with --redrive deliver it again, an ordered stream from there to its head."""
    if offset and not redrive:
        raise typer.BadParameter("--offset goes with --redrive.")
    with open_hub(url, key, key_file, data, ca_file) as hub:
        letters = hub.endpoints.dead_letters(endpoint)
        redriven = hub.endpoints.redrive(endpoint, offset) if redrive else None
    if as_json:
        print_json({"dead_letters": letters} | ({} if redriven is None else {"redriven": redriven}))
        return
    print_table(LETTER_COLUMNS, [letter_row(one) for one in letters])
    if redriven is not None:
        say(f"{redriven} are delivered again")


def _endpoint(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        print_endpoint(found)


def _done(answer: dict[str, Any], words: str, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        say(words)
