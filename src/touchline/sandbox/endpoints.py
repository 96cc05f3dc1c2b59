"""The demo's webhook endpoints: one for each feed that is pushed, registered once and found again by the next run.

A hub shows an endpoint's secret when it is made, so it is kept beside the hub's own keys, where only the owner reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from touchline.client.hub import HubClient, HubRefused
from touchline.clock import SystemClock
from touchline.errors import RemoteProtocolError
from touchline.feeds.base import EndpointView, Feed, Hosting, Instant, Received, Trust
from touchline.sandbox.private_file import write_private

ENDPOINTS_FILE: Final = "endpoints.json"
LABEL: Final = "demo"
EVERYTHING: Final = ("*",)
"""The topics of a feed that does not play by itself."""


class DemoEndpoint(msgspec.Struct, frozen=True):
    """An endpoint of the demo, and what its receiver must know."""

    feed: str
    partner: str
    endpoint: str
    secret: str
    url: str


def make_endpoints(
    admin: HubClient,
    data: Path,
    wanted: Sequence[tuple[str, Feed]],
    url_of: Callable[[str], str],
    tell: Callable[[str], None],
) -> list[DemoEndpoint]:
    """An endpoint for each (partner, feed), at the address that ``url_of`` gives for the feed's name.

    One that the hub refuses is told and left out.
    """
    path = data / ENDPOINTS_FILE
    known = {one.feed: one for one in read_endpoints(path)}
    made: list[DemoEndpoint] = []
    for partner, feed in wanted:
        try:
            made.append(_found_or_added(admin, known.get(feed.name), partner, feed, url_of(feed.name)))
        except HubRefused as problem:
            tell(f"no endpoint for {feed.name}: {problem}")
    write_private(path, msgspec.json.format(msgspec.json.encode(made)))
    return made


def read_endpoints(path: Path) -> list[DemoEndpoint]:
    """What an earlier run kept; nothing when there is no such file, or it is damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[DemoEndpoint])
    except (OSError, msgspec.MsgspecError):
        return []


def _found_or_added(admin: HubClient, known: DemoEndpoint | None, partner: str, feed: Feed, url: str) -> DemoEndpoint:
    if known is not None and known.partner == partner:
        try:
            shown = admin.endpoints.show(known.endpoint)
            if shown.get("url") != url:
                admin.endpoints.update(known.endpoint, url=url)
        except HubRefused as problem:
            if problem.status != 404:
                raise
        else:
            return msgspec.structs.replace(known, url=url)
    topics, options = _asked(feed)
    answer = admin.endpoints.add(partner, url, feed.name, topics=topics, label=LABEL, options=options)
    return DemoEndpoint(feed.name, partner, answer["endpoint"], answer["secret"], url)


def _asked(feed: Feed) -> tuple[tuple[str, ...], dict[str, str]]:
    if feed.sandbox is None:
        return EVERYTHING, {}
    return feed.sandbox.topics, dict(feed.sandbox.endpoint_options)


def trust_for(feed: Feed, endpoint: DemoEndpoint, hub_hosts: frozenset[str]) -> Trust:
    """What the receiver of that endpoint believes: its secret, if what the feed sends there is signed with it at all,
    and the demo's own hub for handshakes.
    """
    trust = Trust((endpoint.secret,), hosts=hub_hosts, plain_http=True)
    return trust if _is_signed(feed, endpoint) else msgspec.structs.replace(trust, secrets=())


def _is_signed(feed: Feed, endpoint: DemoEndpoint) -> bool:
    """Some providers sign nothing unless an option says so; the codec knows, and a sample tells."""
    codec = feed.webhook
    assert codec is not None
    topics, options = _asked(feed)
    view = EndpointView(endpoint.endpoint, endpoint.partner, (endpoint.secret,), topics, LABEL, options)
    clock = SystemClock()
    now = Instant(clock.wall_ns(), clock.monotonic())
    prepared = codec.prepare(codec.sample(view, now), codec.variant(view))
    assert prepared is not None
    signing = "" if codec.mint is None else codec.mint()
    sent = codec.finish(prepared, view, "00000000-0000-4000-8000-000000000000", now, Hosting("http://hub", signing))
    try:
        return isinstance(codec.receive(sent.headers, sent.body, Trust(view.secrets), now), Received)
    except RemoteProtocolError:
        return False
