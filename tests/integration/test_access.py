"""Who may call what, that secrets are never told, and the limits on failing."""

from __future__ import annotations

import json
import logging
import re
import stat
from collections.abc import Callable

import pytest

from touchline.testing.clock import FakeClock

from .hubs import Answer, Hub, cloud_event, encoded
from .websockets import handshake

MakeHub = Callable[..., Hub]


def test_who_may_publish(make_hub: MakeHub) -> None:
    hub = make_hub()
    partner = hub.partner("reader")["key"]
    body = encoded()
    statuses = {
        "no key": hub.request("POST", "/hub/v1/events", body, {"Content-Type": "application/cloudevents+json"}).status,
        "wrong key": hub.publish(body, key="tlp_" + "x" * 43).status,
        "half a key": hub.publish(body, key=hub.publisher_key[:-1]).status,
        "partner's key": hub.publish(body, key=partner).status,
        "admin's key": hub.publish(body, key=hub.admin_key).status,
        "publisher's key": hub.publish(body).status,
    }
    assert statuses == {
        "no key": 401,
        "wrong key": 401,
        "half a key": 401,
        "partner's key": 403,
        "admin's key": 202,
        "publisher's key": 202,
    }
    assert len(hub.events()) == 1


@pytest.mark.parametrize(
    "authorization",
    ["Bearer", "Bearer ", "Basic abc", "Bearer \xff\xfe", "bearer\t", "Bearer a b", "Bearer " + "x" * 20_000],
)
def test_strange_authorization(hub: Hub, authorization: str) -> None:
    answer = hub.request("GET", "/hub/v1/partners", headers={"Authorization": authorization})
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_administration_is_for_admins(make_hub: MakeHub) -> None:
    hub = make_hub()
    partner = hub.partner("reader")["key"]
    paths = [
        ("GET", "/hub/v1/partners"),
        ("POST", "/hub/v1/partners"),
        ("GET", "/hub/v1/partners/reader"),
        ("DELETE", "/hub/v1/partners/reader"),
        ("POST", "/hub/v1/partners/reader/suspend"),
        ("PUT", "/hub/v1/partners/reader/feeds/hub"),
        ("POST", "/hub/v1/partners/reader/feeds/hub/rotate"),
        ("GET", "/hub/v1/keys"),
        ("POST", "/hub/v1/keys"),
        ("DELETE", "/hub/v1/keys/abc"),
        ("GET", "/hub/v1/status"),
        ("GET", "/hub/v1/endpoints"),
        ("POST", "/hub/v1/endpoints"),
        ("GET", "/hub/v1/endpoints/ep_1"),
        ("PATCH", "/hub/v1/endpoints/ep_1"),
        ("DELETE", "/hub/v1/endpoints/ep_1"),
        ("POST", "/hub/v1/endpoints/ep_1/rotate-secret"),
        ("GET", "/hub/v1/endpoints/ep_1/dead-letters"),
    ]
    for method, path in paths:
        assert hub.request(method, path, b"{}").status == 401, path
        assert hub.request(method, path, b"{}", key=hub.publisher_key).status == 403, path
        assert hub.request(method, path, b"{}", key=partner).status == 403, path
    assert hub.get("/hub/v1/partners/reader", hub.admin_key).status == 200


def test_the_key_files(make_hub: MakeHub) -> None:
    hub = make_hub()
    for name in ("admin.key", "publisher.key"):
        path = hub.directory / "data" / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert re.fullmatch(r"tl[ap]_[A-Za-z0-9_-]{43}\n", path.read_text())
    assert sorted(path.suffix for path in (hub.directory / "data").glob("*.key*")) == [".key", ".key"]


def test_scopes_by_feed_and_source(hub: Hub, subject: str) -> None:
    scope = {"role": "publisher", "name": f"scoped-{subject}", "feeds": ["roanuz"], "sources": ["/venue/*", "/one"]}
    made = hub.admin("POST", "/hub/v1/keys", scope)
    assert made.status == 201
    key = made.json["key"]
    good = cloud_event("roanuz.unknown", subject, {})
    assert hub.publish(json.dumps(good).encode(), key=key).status == 202
    assert hub.publish(json.dumps(good | {"source": "/one", "id": subject}).encode(), key=key).status == 202
    for change, field in (
        ({"type": "prophetx.unknown"}, "type"),
        ({"source": "/one/more"}, "source"),
        ({"source": "/venues"}, "source"),
    ):
        bad = cloud_event("roanuz.unknown", subject, {}) | change
        answer = hub.publish(json.dumps([good, bad]).encode(), "application/cloudevents-batch+json", key=key)
        assert answer.status == 403
        assert [(error["index"], error["field"]) for error in answer.json["errors"]] == [(1, field)]
    assert len(hub.events(f"subject={subject}")) == 2


def test_a_revoked_key_is_dead_at_once_and_after_a_restart(
    make_hub: MakeHub, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("restarted")
    with Hub(directory) as hub:
        made = hub.admin("POST", "/hub/v1/keys", {"role": "publisher", "name": "k"}).json
        kept = hub.admin("POST", "/hub/v1/keys", {"role": "publisher", "name": "l"}).json
        assert hub.publish(encoded(), key=made["key"]).status == 202
        assert hub.admin("DELETE", f"/hub/v1/keys/{made['id']}").status == 204
        assert hub.publish(encoded(), key=made["key"]).status == 401
        admin_key = hub.admin_key
        partner = hub.partner("p")["key"]
    with Hub(directory) as hub:
        assert hub.admin_key == admin_key
        assert hub.publish(encoded(), key=made["key"]).status == 401
        assert hub.publish(encoded(), key=kept["key"]).status == 202
        assert hub.get("/hub/v1/events", partner).status == 200
        assert hub.admin("GET", "/hub/v1/keys").status == 200
        assert hub.admin("DELETE", "/hub/v1/keys/nosuchkey").status == 404


def test_a_first_start_that_was_cut_off(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The file stands before the key is known to the directory: whatever was done, the next start ends well."""
    directory = tmp_path_factory.mktemp("cut")
    (directory / "data").mkdir(mode=0o700)
    key = "tla_" + "k" * 43
    (directory / "data" / "admin.key").write_text(key + "\n")
    (directory / "data" / "publisher.new").write_text("tlp_half")
    with Hub(directory) as hub:
        assert hub.get("/hub/v1/keys", key).status == 200
        assert hub.publish(encoded()).status == 202
        assert hub.admin("DELETE", f"/hub/v1/keys/{key_id(hub, 'admin.key')}").status == 204
    with Hub(directory) as hub:
        assert hub.get("/hub/v1/keys", key).status == 401, "what was revoked stays revoked"


def key_id(hub: Hub, name: str) -> str:
    found = [key["id"] for key in hub.admin("GET", "/hub/v1/keys").json["keys"] if key["name"] == name]
    assert isinstance(found[0], str)
    return found[0]


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (b"", "truncated"),
        (b"[]", "object"),
        (b"{}", "name"),
        (b'{"name":"a b","feed":"hub"}', "name"),
        (b'{"name":"../x","feed":"hub"}', "name"),
        (b'{"name":"x","feed":"nosuch"}', "feed"),
        (b'{"name":"x","feed":"hub","grants":{"color":["red"]}}', "color"),
        (b'{"name":"x","feed":"hub","grants":{"feed":[]}}', "feed"),
        (b'{"name":"x","feed":"hub","options":{"o":"1"}}', "o"),
        (b'{"name":"x","feed":"shottracker","options":{"envelope":"odd"}}', "envelope"),
        (b'{"name":"x","feed":"hub","other":1}', "other"),
        (b'{"name":"x","feed":"hub","grants":' + b"[" * 10_000, ""),
        (b'{"name":"\xff","feed":"hub"}', ""),
    ],
)
def test_partners_that_cannot_be_added(hub: Hub, value: bytes, word: str) -> None:
    answer = hub.request("POST", "/hub/v1/partners", value, {"Content-Type": "application/json"}, key=hub.admin_key)
    assert answer.status == 400, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert word in answer.json["detail"]


def test_the_life_of_a_partner(hub: Hub, subject: str) -> None:
    name = subject
    old = hub.partner(name)["key"]
    one = f"/hub/v1/partners/{name}"
    again = hub.admin("POST", "/hub/v1/partners", {"name": name, "feed": "hub"})
    assert again.status == 409
    assert hub.get("/hub/v1/events", old).status == 200
    assert hub.admin("POST", f"{one}/suspend").json["suspended"] is True
    assert hub.get("/hub/v1/events", old).status == 401
    assert hub.admin("POST", f"{one}/resume").json["suspended"] is False
    assert hub.get("/hub/v1/events", old).status == 200
    new = hub.admin("POST", f"{one}/feeds/hub/rotate").json["credentials"]["key"]
    assert hub.get("/hub/v1/events", old).status == 401
    assert hub.get("/hub/v1/events", new).status == 200
    shown = hub.admin("PUT", f"{one}/feeds/hub", {"grants": {"feed": ["roanuz"]}})
    assert shown.json["feeds"]["hub"]["grants"] == {"feed": ["roanuz"]}
    assert new not in hub.admin("GET", one).body.decode()
    assert hub.admin("DELETE", f"{one}/feeds/shottracker").status == 404
    assert hub.admin("DELETE", f"{one}/feeds/hub").status == 204
    assert hub.get("/hub/v1/events", new).status == 401
    assert hub.admin("DELETE", one).status == 204
    assert hub.admin("DELETE", one).status == 404
    for method, path in (("GET", one), ("POST", f"{one}/suspend"), ("POST", f"{one}/feeds/hub/rotate")):
        assert hub.admin(method, path, {}).status == 404


# secrets


def test_secrets_are_told_once_and_never_logged(make_hub: MakeHub, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    hub = make_hub(log_level="debug")
    partner = hub.partner("p", "hub")["key"]
    tracker = hub.partner("p", "shottracker")
    made = hub.admin("POST", "/hub/v1/keys", {"role": "publisher", "name": "k"}).json["key"]
    wrong = "tlp_wrong-but-still-nobodys-business"
    for key in (partner, made, wrong, hub.admin_key):
        hub.get("/hub/v1/events", key)
        hub.get(f"/hub/v1/events?access_token={key}")
        hub.get(f"/hub/v1/nosuch?access_token={key}")
        hub.get(f"/hub/v1/ws?access_token={key}")
        hub.publish(b"{", key=key)
        hub.publish(encoded(), key=key)
        hub.exchange(
            f"GET /hub/v1/ws?access_token={key} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 12\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        hub.exchange(f"GET /hub/v1/events?access_token={key} HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n".encode())
    public = [hub.get(path).body for path in ("/metrics", "/openapi.json", "/asyncapi.json", "/", "/healthz")]
    shown = [hub.get(path, hub.admin_key).body for path in ("/hub/v1/partners", "/hub/v1/keys", "/hub/v1/status")]
    said = "\n".join(str(vars(record)) for record in caplog.records) + caplog.text
    for secret in (partner, made, wrong, tracker["secret"], hub.admin_key, hub.publisher_key):
        assert secret not in said
        for answer in (*public, *shown):
            assert secret.encode() not in answer
    assert "access_token" not in said, "no query at all"


def test_what_is_named_in_metrics_is_bounded(hub: Hub) -> None:
    for number in range(20):
        hub.get(f"/nosuch/{number}")
    text = hub.get("/metrics").body.decode()
    assert "nosuch" not in text
    assert 'touchline_http_requests_total{operation="unknown",status="404"}' in text


# limits


def test_failed_logins_are_limited_per_address_and_it_passes(make_hub: MakeHub) -> None:
    clock = FakeClock()
    hub = make_hub(clock, login_failures_per_address=3)
    admin = hub.admin_key
    assert [hub.get("/hub/v1/keys", "wrong").status for _ in range(5)] == [401, 401, 401, 429, 429]
    answers: list[Answer] = [
        hub.get("/hub/v1/events", admin),
        hub.publish(encoded()),
        hub.get("/hub/v1/stream", admin),
        hub.get("/hub/v1/snapshots/hub/x", admin),
    ]
    for answer in answers:
        assert answer.status == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 61
    refusal = hub.exchange(handshake("/hub/v1/ws", key=admin))
    assert b" 429 " in refusal.splitlines()[0]
    assert b"retry-after:" in refusal.lower()
    assert hub.get("/healthz").status == 200
    clock.advance(21)
    assert hub.get("/hub/v1/events", admin).status == 200


def test_requests_without_a_key_are_no_failed_logins(make_hub: MakeHub) -> None:
    hub = make_hub(login_failures_per_address=3)
    assert {hub.get("/hub/v1/keys").status for _ in range(10)} == {401}
    assert hub.get("/hub/v1/keys", hub.admin_key).status == 200


def test_good_logins_cost_nothing(make_hub: MakeHub) -> None:
    hub = make_hub(login_failures_per_address=3)
    assert {hub.get("/hub/v1/keys", hub.admin_key).status for _ in range(10)} == {200}


def test_strangers_cannot_make_the_hub_keep_or_inflate_much(make_hub: MakeHub) -> None:
    """A large or packed body is refused before it is read when its sender has no key for it."""
    hub = make_hub()
    head = (
        "POST {} HTTP/1.1\r\nHost: h\r\nContent-Type: application/cloudevents+json\r\nContent-Length: 30000000\r\n\r\n"
    )
    for path, status in (("/hub/v1/events", 401), ("/hub/v1/partners", 401), ("/nosuch", 404)):
        with hub.connect() as plain:
            plain.sendall(head.format(path).encode())
            assert b" %d " % status in plain.recv(10_000).splitlines()[0], "answered before the body came"
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/cloudevents+json"}
    assert hub.request("POST", "/hub/v1/events", b"not even gzip", headers).status == 401
