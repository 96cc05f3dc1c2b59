"""Endpoints, attempts and dead letters as people read them."""

from __future__ import annotations

from typing import Any, Final

from touchline.cli.output import print_table, say

COLUMNS: Final = ("endpoint", "partner", "feed", "state", "owed", "oldest", "good", "dead", "label", "url")
TRY_COLUMNS: Final = ("at", "kind", "try", "answer", "seconds", "offset", "type", "subject", "answered")
LETTER_COLUMNS: Final = ("offset", "type", "subject", "id", "given up", "tries", "answer", "reason")

_EXCERPT: Final = 60


def endpoint_row(one: dict[str, Any]) -> tuple[str, ...]:
    """One line of a list."""
    return (
        str(one.get("endpoint", "")),
        str(one.get("partner", "")),
        str(one.get("feed", "")),
        str(one.get("state", "")),
        _owed(one),
        age(one.get("oldest_undelivered_seconds")),
        _share(one.get("success_rate")),
        str(one.get("dead_letters", 0)),
        str(one.get("label", "")),
        str(one.get("url", "")),
    )


def print_endpoint(one: dict[str, Any]) -> None:
    """One endpoint in full, a fact a line, then its subscriptions."""
    for name in ("endpoint", "partner", "feed", "url", "label", "state", "reason", "created_at"):
        if one.get(name):
            say(f"{name}: {one[name]}")
    say(f"topics: {' '.join(one.get('topics', [])) or 'all'}")
    for name, value in sorted(one.get("options", {}).items()):
        say(f"option {name}: {value}")
    for secret in one.get("secrets", []):
        until = f", good until {secret['expires_at']}" if secret.get("expires_at") else ""
        say(f"secret: {secret.get('scheme')}, made {secret.get('created_at')}{until}")
    say(f"owed: {_owed(one)}, the oldest for {age(one.get('oldest_undelivered_seconds'))}")
    say(f"delivered: {one.get('delivered', 0)}, failed tries: {one.get('failed', 0)}")
    say(f"good answers of late: {_share(one.get('success_rate'))}")
    say(f"dead letters: {one.get('dead_letters', 0)}, overtaken by retention: {one.get('expired', 0)}")
    say(f"in flight: {one.get('in_flight', 0)} of {one.get('window', 0)}")
    if one.get("next_try_seconds") is not None:
        say(f"next try in: {age(one['next_try_seconds'])}")
    if one.get("last_error"):
        say(f"last error: {one['last_error']}")
    say(f"position: {one.get('cursor')}")
    if one.get("subscriptions"):
        print_table(("topic", "state", "answerable until"), [_subscription(each) for each in one["subscriptions"]])


def attempt_row(one: dict[str, Any]) -> tuple[str, ...]:
    """One line of the latest attempts."""
    kind = str(one.get("kind", "")) + (" replay" if one.get("replay") else "")
    return (
        str(one.get("at", "")),
        kind,
        str(one.get("number", "")),
        _answer(one),
        f"{one.get('seconds', 0.0):.3f}",
        str(one.get("offset", "")),
        str(one.get("type", "")),
        str(one.get("subject", "")),
        str(one.get("excerpt") or one.get("detail") or "")[:_EXCERPT],
    )


def letter_row(one: dict[str, Any]) -> tuple[str, ...]:
    """One line of the dead letters."""
    names = ("offset", "type", "subject", "id", "dead_at", "attempts")
    answer = str(one["status"]) if one.get("status") is not None else "–"
    return (*(str(one.get(name, "")) for name in names), answer, str(one.get("reason", "")))


def age(seconds: float | None) -> str:
    """A duration in its largest unit; – for none."""
    if seconds is None:
        return "–"
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def _subscription(one: dict[str, Any]) -> tuple[str, ...]:
    state = "expired" if one.get("expired") else str(one.get("state", ""))
    return (str(one.get("topic", "")), state, str(one.get("expires_at") or "–"))


def _owed(one: dict[str, Any]) -> str:
    return str(one.get("backlog", 0)) + ("+" if one.get("backlog_is_bound") else "")


def _share(rate: float | None) -> str:
    return "–" if rate is None else f"{100 * rate:.0f} %"


def _answer(one: dict[str, Any]) -> str:
    return str(one["status"]) if one.get("status") is not None else str(one.get("trouble") or "–")
