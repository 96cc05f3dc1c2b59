"""What the hub says of itself: ``/openapi.json`` is valid, whole, and no request made after it breaks the hub."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.json import encode
from openapi_spec_validator import validate

from acceptance.hubs import Hub, clean_environment, cloud_event, game, request
from touchline.feeds import registry


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    directory = tmp_path_factory.mktemp("described")
    settings = directory / "settings.toml"
    limits = ("login_failures_per_address", "login_failures_per_name", "login_failures_per_pair")
    settings.write_text("".join(f"{limit} = 1000000\n" for limit in limits))
    with Hub(directory / "data", "--config", settings) as running:
        yield running


def test_the_description_is_valid_and_names_what_is_there(hub: Hub) -> None:
    document = request("GET", hub.url + "/openapi.json").json
    validate(document)
    for path in (
        "/hub/v1/events",
        "/hub/v1/stream",
        "/hub/v1/snapshots/{feed}/{subject}",
        "/hub/v1/partners",
        "/hub/v1/keys",
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/data/schedule/games",
        "/v1/data/schedule/games/{event_id}/_subscribe",
        "/v1/data/teams/{team_id}/events",
    ):
        assert path in document["paths"], path
    named = [entry["operationId"] for methods in document["paths"].values() for entry in methods.values()]
    assert len(named) == len(set(named))
    for path, methods in document["paths"].items():
        if "get" in methods and path != "/hub/v1/stream":
            answer = request("GET", hub.url + re.sub(r"\{\w+\}", "1", path))
            assert str(answer.status) in methods["get"]["responses"], (path, answer)


def test_the_sockets_are_described(hub: Hub) -> None:
    document = request("GET", hub.url + "/asyncapi.json").json
    assert document["asyncapi"] == "3.0.0"
    surfaces = {feed.name: feed.websocket.path for feed in registry.feeds().values() if feed.websocket}
    assert {name: channel["address"] for name, channel in document["channels"].items()} == surfaces


def test_requests_made_after_the_description_cause_no_server_error(hub: Hub, tmp_path: Path) -> None:
    """schemathesis makes up requests from the description, valid and invalid ones, the feed's own signed (see
    ``signing_hooks``); every answer is a documented one and none is a 5xx.
    """
    credentials = hub.add_shottracker("signer")
    hub.publish(
        game("1", ("tipoff_at", 1_000)),
        cloud_event("s1", "shottracker.shot", "1", b'{"team_id":123,"player_id":2,"zone":3}'),
        cloud_event("m1", "roanuz.match", "m1", b'{"match":{"key":"m1"}}'),
        cloud_event("h1", "hisports.game.create", "7", b'{"game":{"id":7}}'),
        cloud_event("i1", "insights.insight", "nba/highs/en", b'{"id":"a","gameId":"g1"}'),
    )
    cricket = hub.add_partner("signer", "roanuz")
    path = f"/v5/core/{cricket['project_key']}/auth/"
    token = hub.ask("POST", path, {"Content-Type": "application/json"}, encode({"api_key": cricket["api_key"]})).json
    exchange = hub.add_partner("signer", "prophetx")
    login = {name: exchange[name] for name in ("access_key", "secret_key")}
    session = hub.ask("POST", "/partner/auth/login", {}, encode(login)).json["data"]
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("schemathesis")), "run"),
            *(hub.url + "/openapi.json", "--url", hub.url),
            *("--checks", checks),
            *("--phases", "coverage,fuzzing", "--max-examples", "15", "--seed", "7", "--generation-deterministic"),
            *("--workers", "1", "--no-color", "--exclude-path", "/hub/v1/stream", "--request-timeout", "10"),
            *("--suppress-health-check", "all"),
            # Orders are refused with 403 by a hub without an exchange, and no made-up key or token opens a session.
            *("--exclude-path-regex", "^/partner/(auth/|mm/(place|cancel)_)"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=clean_environment(
            SCHEMATHESIS_HOOKS="integration.signing_hooks",
            PYTHONPATH=str(Path(__file__).parents[1]),
            ADMIN_KEY=hub.admin_key,
            SIGNER_USERNAME=credentials.username,
            SIGNER_SECRET=credentials.secret,
            SIGNER_HOST=hub.host,
            HOCKEY_KEY=hub.add_partner("signer", "hisports")["api_key"],
            INSIGHTS_TOKEN=hub.add_partner("signer", "insights")["token"],
            CRICKET_PROJECT=cricket["project_key"],
            CRICKET_TOKEN=token["data"]["token"],
            EXCHANGE_TOKEN=session["access_token"],
        ),
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    generated = re.search(r"(\d+) generated", done.stdout)
    assert generated, done.stdout[-2000:]
    assert int(generated.group(1)) > 300
    assert "Authentication failed" not in done.stdout, "the feed's own operations were reached"
    assert request("GET", hub.url + "/readyz").status == 200
    assert "Traceback" not in hub.log()
