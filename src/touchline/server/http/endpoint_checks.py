"""What an endpoint may be: address, topics, options and label are judged before anything is stored."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from touchline.delivery.courier import policy
from touchline.delivery.courier.addresses import check_url
from touchline.errors import ConfigError, NotFound
from touchline.feeds.base import Admitted, EndpointView, Feed, WebhookCodec
from touchline.log.entries import Membership
from touchline.server import config
from touchline.server.hub import Hub

MAX_TOPICS: Final = 1000
MAX_OPTIONS: Final = 50
MAX_LABEL: Final = 100
MAX_TEXT: Final = 1024
"""of one topic or one option's value"""
MAX_OVERLAP_SECONDS: Final = 30 * 86_400.0

_DURATION: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?[smhdw]", re.IGNORECASE)


class Checked(msgspec.Struct, frozen=True):
    """An endpoint's settings that were found good. ``ask`` are the topics that its receiver is to confirm; None where
    nothing is asked."""

    url: str
    topics: tuple[str, ...]
    label: str
    options: Mapping[str, str]
    ask: tuple[str, ...] | None


def check_endpoint(
    hub: Hub, partner: str, feed_name: str, *, url: str, topics: Sequence[str], label: str, options: Mapping[str, str]
) -> Checked:
    """The settings of an endpoint of a partner, checked. Raises NotFound for the partner, ValueError for the rest."""
    feed, codec = _codec(hub, feed_name)
    membership = _membership(hub, partner, feed_name)
    check_label(label)
    _check_texts("topic", topics, MAX_TOPICS)
    _check_options(feed, codec, options)
    given = tuple(dict.fromkeys(topics))
    own = {name: value for name, value in options.items() if name in codec.options}
    grants = {key: frozenset(values) for key, values in membership.grants.items()}
    concrete = codec.topics(given, own, grants)
    if len(concrete) > MAX_TOPICS:
        raise ValueError(f"these topics are {len(concrete)} in all; an endpoint has at most {MAX_TOPICS}")
    confirmed = codec.admitted_for(EndpointView("", partner, (), given, label, own)) is Admitted.CONFIRMED
    address = check_url(url, hub.settings.allowed_networks)
    return Checked(address, given, label, dict(options), concrete if confirmed else None)


def check_label(label: str) -> None:
    """Raises ValueError for what is too long or cannot be printed."""
    if len(label) > MAX_LABEL or not label.isprintable():
        raise ValueError(f"the label has at most {MAX_LABEL} printable characters")


def _codec(hub: Hub, name: str) -> tuple[Feed, WebhookCodec]:
    feed = hub.feeds.get(name)
    if feed is None:
        raise ValueError(f"unknown feed {name[:64]!r}; feeds are {', '.join(hub.feeds)}")
    if feed.webhook is None:
        able = ", ".join(other.name for other in hub.feeds.values() if other.webhook is not None)
        raise ValueError(f"{name} is not delivered by webhooks; {able} are")
    return feed, feed.webhook


def _membership(hub: Hub, partner: str, feed: str) -> Membership:
    found = hub.directory.membership(partner, feed)
    if found is None:
        raise NotFound(f"partner {partner[:80]!r} does not have feed {feed[:64]!r}; 'partner add' gives it")
    return found


def _check_texts(what: str, texts: Sequence[str], most: int) -> None:
    if len(texts) > most:
        raise ValueError(f"there are {len(texts)} {what}s; an endpoint has at most {most}")
    for text in texts:
        if len(text) > MAX_TEXT:
            raise ValueError(f"{what} {text[:64]!r}… is longer than {MAX_TEXT} characters")


def _check_options(feed: Feed, codec: WebhookCodec, options: Mapping[str, str]) -> None:
    _check_texts("option", list(options.values()), MAX_OPTIONS)
    for name, value in options.items():
        if name in codec.options:
            allowed = codec.options[name]
            if allowed and value not in allowed:
                raise ValueError(f"option {name} may be {' or '.join(allowed)}")
            if not value.isprintable():
                raise ValueError(f"option {name} holds characters that cannot be printed")
        elif not policy.is_option(name):
            known = ", ".join((*sorted(codec.options), *policy.OPTIONS))
            raise ValueError(f"unknown option {name[:64]!r} for {feed.name}; it knows {known}")
    policy.parse_policy(options, feed.capabilities.order, codec.own_headers)


def seconds_of(name: str, text: str) -> float | None:
    """Seconds of a duration such as 2h; None when the text is none, by its shape."""
    if not _DURATION.fullmatch(text):
        return None
    try:
        return config.duration(name, text)
    except ConfigError as error:
        raise ValueError(str(error)) from None


def check_overlap(text: str) -> float:
    """Seconds for which an old secret stays good. Raises ValueError."""
    seconds = seconds_of("overlap", text)
    if seconds is None or seconds > MAX_OVERLAP_SECONDS:
        raise ValueError(f"overlap {text[:32]!r} is no duration up to 30d; write 24h, 90m or 0s")
    return seconds
