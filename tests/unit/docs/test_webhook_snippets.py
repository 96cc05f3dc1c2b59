"""What docs/webhooks.md tells receivers to write takes what the feeds send, and nothing that was changed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import types
from pathlib import Path
from typing import Any

import msgspec
import pytest

from touchline.clock import SystemClock
from touchline.feeds import registry
from touchline.feeds.base import EndpointView, Hosting, Instant, Outgoing

TEXT = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text("utf-8")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


def blocks(language: str) -> list[str]:
    """The fenced blocks of the page in that language."""
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def page() -> types.SimpleNamespace:
    """All that the page's Python defines."""
    names: dict[str, Any] = {}
    for block in blocks("python"):
        exec(compile(block, "docs/webhooks.md", "exec"), names)
    return types.SimpleNamespace(**names)


def sent(feed: str, topics: tuple[str, ...] = ("*",), **options: str) -> tuple[dict[str, str], bytes]:
    """What a hub posts as a test to an endpoint with these options."""
    codec = registry.load(feed).webhook
    assert codec is not None
    view = EndpointView("ep_1", "acme", (SECRET,), topics, "", options)
    now = Instant(SystemClock().wall_ns(), 0.0)
    prepared = codec.prepare(codec.sample(view, now), codec.variant(view))
    assert prepared is not None
    signing = "" if codec.mint is None else codec.mint()
    out: Outgoing = codec.finish(
        prepared, view, "0b5f9b0e-5d1f-4c35-9b3a-6f3a6f1f2c11", now, Hosting("http://h", signing)
    )
    return dict(out.headers), out.body


@pytest.mark.parametrize(("feed", "options"), [("hub", {}), ("hisports", {"signature": "standard"})])
def test_standard_webhooks(page: types.SimpleNamespace, feed: str, options: dict[str, str]) -> None:
    headers, body = sent(feed, **options)
    assert page.verify_standard(headers, body, SECRET)
    assert not page.verify_standard(headers, body + b" ", SECRET)
    assert not page.verify_standard(headers, body, OTHER)
    assert not page.verify_standard(headers, body, SECRET, tolerance=-1)


def test_the_hmac_of_hisports(page: types.SimpleNamespace) -> None:
    headers, body = sent("hisports", signature="hmac")
    assert page.verify_hisports(headers, body, SECRET)
    assert not page.verify_hisports(headers, body + b" ", SECRET)
    assert not page.verify_hisports({}, body, SECRET)
    assert not page.verify_hisports({"x-hisports-signature": "sha256=é"}, body, SECRET)


def test_the_gzip_of_roanuz(page: types.SimpleNamespace) -> None:
    _, body = sent("roanuz", (), subscribe="all")
    assert body[:2] == b"\x1f\x8b"
    message = page.read_roanuz(body)
    assert message["sport"] == "cricket"
    assert page.read_roanuz(json.dumps(message).encode()) == message


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not here")
def test_the_hmac_of_insights() -> None:
    _, body = sent("insights", ("nba/scoring/en",))
    (block,) = blocks("javascript")
    insight = msgspec.json.decode(body)["insight"]
    changed = body.replace(msgspec.json.encode(insight["id"]), b'"another"')
    assert changed != body
    cases = [(body, SECRET), (changed, SECRET), (body, OTHER), (b'{"insight":{},"timestamp":1}', SECRET)]
    calls = ",".join(f"verifyInsight({json.dumps(text.decode())}, {json.dumps(key)})" for text, key in cases)
    program = f"{block}\nconsole.log(JSON.stringify([{calls}]));"
    done = subprocess.run(["node", "-e", program], capture_output=True, timeout=30, check=True)
    assert json.loads(done.stdout) == [True, False, False, False]


async def test_the_sdks_receiver(page: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    headers, body = sent("hub")
    answer = await page.app.receive(tuple(headers.items()), body)
    assert answer.status == 200
    assert "hub.endpoint.test" in capsys.readouterr().out
    headers["webhook-signature"] = "v1,AAAA"
    assert (await page.app.receive(tuple(headers.items()), body)).status == 403


def test_every_feed_with_webhooks_is_in_the_tables() -> None:
    for feed in registry.feeds().values():
        assert (f"| `{feed.name}` |" in TEXT) == (feed.webhook is not None), feed.name


def test_every_option_is_told() -> None:
    from touchline.delivery.courier.policy import OPTIONS

    named = re.sub(r"[^\w.<>]", " ", TEXT).split()
    for name in OPTIONS:
        assert name in named, name
    for feed in registry.feeds().values():
        if feed.webhook is not None:
            for name in feed.webhook.options:
                assert name in named or name == "legacy_data_kind", (feed.name, name)


def test_the_figures_are_the_ones_of_the_code() -> None:
    from touchline.client import receiver
    from touchline.delivery.courier.limits import CourierLimits
    from touchline.delivery.courier.transport import KEPT_BYTES, READ_BYTES
    from touchline.log.endpoints import MAX_SECRETS
    from touchline.server.http import endpoint_checks, endpoints

    def says(words: str) -> bool:
        return words in re.sub(r"\s+", " ", TEXT)

    ours = CourierLimits()
    assert says(f"{endpoints.MAX_ENDPOINTS:,} endpoints a hub")
    assert says(f"{endpoint_checks.MAX_TOPICS:,} topics, {endpoint_checks.MAX_OPTIONS} options")
    assert says(f"{MAX_SECRETS} secrets in rotation")
    assert says(f"last {ours.attempts} attempts and {ours.dead_letters:,} dead letters")
    assert says(f"{READ_BYTES // 1024} KiB are read and {KEPT_BYTES // 1024} KiB kept")
    assert says(f"{ours.healthy_requests} requests at a time to endpoints that answer and {ours.suspect_requests} to")
    assert says(f"the last {receiver.REMEMBERED:,} ids")
    assert says(f"at most {receiver.MAX_BODY_BYTES // 1024**2} MiB, {receiver.MAX_REQUESTS} messages")
