"""The alert rules and the dashboard that we ship: they parse, and ask only for what a hub's ``/metrics`` has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from touchline.server import config
from touchline.server.app import Running

DOCS = Path(__file__).parents[3] / "docs"
MONITORING = DOCS / "monitoring"
RULES = MONITORING / "touchline.rules.yml"
DASHBOARD = MONITORING / "grafana.json"

SCRAPED = frozenset({"instance", "job"})
"""Labels that Prometheus adds."""
_WORDS = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_SELECTOR = re.compile(r"(touchline_\w+|up)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\b(?:by|without)\s*\(([^)]*)\)")
_HISTOGRAM = re.compile(r"_(bucket|sum|count)$")
_PLACEHOLDER = re.compile(r"\{\{\s*\$?(?:labels\.)?(\w+)[^}]*\}\}")


@pytest.fixture
async def samples(tmp_path: Path) -> dict[str, dict[str, set[str]]]:
    """What a hub with a partner, a session's and a request's counts shows: sample → label → values."""
    settings = config.load({"data": str(tmp_path / "data"), "port": 0, "sandbox": ["prophetx"]}, {}, tmp_path)
    running = Running(settings)
    await running.start()
    try:
        application = running.application()
        metrics = running.hub.metrics
        metrics.sessions.labels("hub", "websocket").set(1)
        metrics.sessions_ended.labels("hub", "gap").inc()
        metrics.sessions_opened.labels("hub", "websocket").inc()
        metrics.refused.labels("hub", "401").inc()
        metrics.published.labels("accepted").inc()
        assert (await get(application, "/healthz"))[0] == 200
        status, body = await get(application, "/metrics")
        assert status == 200
    finally:
        await running.stop()
    found: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


async def get(application: Any, path: str) -> tuple[int, bytes]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
             "headers": [(b"host", b"hub.example")], "client": ("127.0.0.1", 1), "scheme": "http"}  # fmt: skip
    await application(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return found


def expressions() -> Iterator[tuple[str, str]]:
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def faults(expression: str, samples: dict[str, dict[str, set[str]]]) -> list[str]:
    """What an expression asks for and no hub has."""
    found: list[str] = []
    known: set[str] = set(SCRAPED)
    for name, selector in _SELECTOR.findall(expression):
        if name == "up":
            continue
        if name not in samples:
            found.append(name)
            continue
        known |= samples[name].keys()
        for label, value in _MATCHER.findall(selector):
            if label in SCRAPED:
                continue
            if label not in samples[name]:
                found.append(f"{name}{{{label}}}")
            elif label == "state" and not set(value.split("|")) <= samples[name][label]:
                found.append(f"{name}{{{label}={value}}}")
    for grouping in _GROUPING.findall(expression):
        found += [f"by {label}" for label in _WORDS.findall(grouping) if label not in known]
    return found


def test_what_is_not_there_is_found() -> None:
    samples = {"touchline_endpoints": {"state": {"active", "failing"}}, "touchline_open_files": {}}
    assert faults('sum by (state) (touchline_endpoints{state=~"active|failing"})', samples) == []
    assert faults("touchline_open_file > 1", samples) == ["touchline_open_file"]
    assert faults('touchline_endpoints{kind="x"}', samples) == ["touchline_endpoints{kind}"]
    assert faults('touchline_endpoints{state="asleep"}', samples) == ["touchline_endpoints{state=asleep}"]
    assert faults("sum by (feed) (touchline_open_files)", samples) == ["by feed"]


async def test_every_metric_and_label_that_is_asked_for_exists(samples: dict[str, dict[str, set[str]]]) -> None:
    assert {title: found for title, one in expressions() if (found := faults(one, samples))} == {}
    assert len(list(expressions())) > 40


async def test_labels_of_words_exist(samples: dict[str, dict[str, set[str]]]) -> None:
    """A legend or a summary names only labels that its expression leaves."""
    known = SCRAPED | {label for labels in samples.values() for label in labels} | {"value"}
    texts = [text for rule in alerts() for text in rule["annotations"].values()]
    texts += [target["legendFormat"] for panel in panels() for target in panel["targets"]]
    named = {name for text in texts for name in _PLACEHOLDER.findall(text)}
    assert named <= known
    assert {"state", "feed", "value"} <= named


async def test_metrics_name_nobody(samples: dict[str, dict[str, set[str]]]) -> None:
    allowed = {"operation", "status", "outcome", "feed", "transport", "reason", "state", "le"}
    assert {label for labels in samples.values() for label in labels} <= allowed


def test_every_alert_says_what_to_do() -> None:
    names = [rule["alert"] for rule in alerts()]
    assert len(names) == len(set(names))
    for rule in alerts():
        assert rule["labels"]["severity"] in ("info", "warning", "critical"), rule["alert"]
        assert rule["annotations"]["summary"], rule["alert"]
        action = rule["annotations"]["action"]
        assert len(action.split()) >= 6, rule["alert"]
        assert action.endswith("."), rule["alert"]


def test_the_dashboard_is_one() -> None:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    assert {variable["name"] for variable in dashboard["templating"]["list"]} == {"datasource", "instance"}
    ids = [panel["id"] for panel in panels()]
    assert len(ids) == len(set(ids))
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels()]
    assert len(places) == len(set(places))
    assert all('instance=~"$instance"' in target["expr"] for panel in panels() for target in panel["targets"])


def test_promtool_takes_the_rules_and_the_dashboards_questions(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    asked = [target["expr"] for panel in panels() for target in panel["targets"]]
    rules = [
        {"record": f"asked:{number}", "expr": one.replace("$__rate_interval", "5m").replace("$instance", ".*")}
        for number, one in enumerate(asked)
    ]
    dashboard = tmp_path / "asked.yml"
    dashboard.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    for path in (RULES, dashboard):
        done = subprocess.run([promtool, "check", "rules", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def metrics_told_of() -> dict[str, set[str]]:
    """What the page of metrics has: metric → labels."""
    told: dict[str, set[str]] = {}
    lines = [line for line in (DOCS / "metrics.md").read_text("utf-8").splitlines() if line.startswith("| `")]
    for line in lines:
        for text in re.findall(r"`([^`]*)`", line.split("|")[1]):
            name, _, labels = text.rstrip("}").partition("{")
            assert name not in told
            told[name] = set(labels.split(",")) - {""}
    return told


async def test_the_page_has_every_metric_with_its_labels_and_no_other(samples: dict[str, dict[str, set[str]]]) -> None:
    found: dict[str, set[str]] = {}
    for sample, labels in samples.items():
        if not sample.endswith("_created"):
            name = sample if sample.endswith("_total") or "le" not in labels else _HISTOGRAM.sub("", sample)
            found[name.removeprefix("touchline_")] = labels.keys() - {"le"}
    histograms = {name for name in found if {f"{name}_sum", f"{name}_count"} <= found.keys()}
    for name in histograms:
        del found[f"{name}_sum"], found[f"{name}_count"]
    assert len(histograms) == 3
    assert metrics_told_of() == found


def test_what_is_asked_most_is_on_the_page_of_metrics() -> None:
    [table] = re.findall(r"\| question \| metric.*?\n\n", (DOCS / "operating.md").read_text("utf-8"), re.DOTALL)
    rows = table.splitlines()[2:]
    asked = {re.sub(r"\{.*", "", text) for row in rows for text in re.findall(r"`([^`]*)`", row)}
    assert len(asked) > 10
    assert asked <= metrics_told_of().keys()
