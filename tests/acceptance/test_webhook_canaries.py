"""What is not public of a scoresheet reaches the receiver that may have it, and is found nowhere else.

Notes, signatures and names are canaries here. The receivers echo what they got, some with an error, so that the hub is
told everything once more by answers that it keeps excerpts of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from said import SAID

from .hubs import LOOPBACK, Hub, cloud_event, native_headers, wait_for
from .receivers import Delivery, Reception, Reply

NOTES = "CANARY-NOTES-5b1e"
NAME = "CANARYNAME-77aa"
KEEPER = "CANARYKEEPER-0c3d"
SIGNATURE = "Q0FOQVJZLVNJR05BVFVSRS05OWY"
CANARIES = [text.encode() for text in (NOTES, NAME, KEEPER, SIGNATURE)]
SAID.never(NOTES, NAME, KEEPER, SIGNATURE)
GAME = 4100


def secret_sheet(number: int, status: str = "started", note: object = f"see {NOTES}") -> bytes:
    """The line that publishes a scoresheet full of what is not public."""
    image = f"data:image/png;base64,{SIGNATURE}"
    person = {"id": 5, "fullName": f"JO {NAME}", "firstName": "JO", "lastName": NAME, "HCRId": "1400000000000"}
    member = {"id": 1, "participantId": 5, "participant": person, "positions": ["C"], "number": number}
    data = {
        "game": {"id": GAME, "officeId": 8, "scheduleId": 7, "homeTeamId": 2177, "awayTeamId": 2178},
        "scoresheet": {
            "status": status,
            "notes": note,
            "keepers": {"scorekeeper": KEEPER, "timekeeper": KEEPER},
            "lineups": {
                "2177": {
                    "teamId": 2177,
                    "members": [member],
                    "approval": {"teamId": 2177, "signature": image, "participantId": 5},
                }
            },
            "approvals": {"scorekeeper": {"name": KEEPER, "signature": image}},
            "goals": [{"id": number, "teamId": 2177, "participantId": 5, "assistIds": []}],
        },
    }
    return cloud_event(f"s-{number}", "hisports.scoresheet.update", str(GAME), msgspec.json.encode(data), "/rink/1")


@pytest.fixture
def reception() -> Iterator[Reception]:
    """Where they arrive."""
    with Reception() as opened:
        yield opened


def found_in(content: bytes) -> list[bytes]:
    """The canaries in some bytes."""
    return [one for one in CANARIES if one in content]


def test_canaries_reach_the_granted_receiver_and_are_found_nowhere_else(
    make_hub: Callable[..., Hub], reception: Reception, tmp_path: Path
) -> None:
    settings = tmp_path / "touchline.toml"
    settings.write_text('log_level = "debug"\n')
    hub = make_hub(*LOOPBACK, "--config", settings)
    granted = hub.add_partner("granted", "hisports", grants={"office_id": ["8"]})["api_key"]
    other = hub.add_partner("other", "hisports", grants={"office_id": ["9"]})["api_key"]
    native = hub.add_partner("app", "hub", grants={"feed": ["roanuz", "hub"]})["key"]
    silent: list[Delivery] = []

    def grumble(delivery: Delivery) -> Reply:
        silent.append(delivery)
        return Reply(503 if len(silent) == 1 else 500 if len(silent) == 2 else 200, delivery.body)

    reception.behave["granted"] = lambda delivery: Reply(200, delivery.body)
    reception.behave["grumbling"] = grumble
    reception.behave["refusing"] = lambda delivery: Reply(500, delivery.body)
    reception.behave["odd"] = lambda delivery: Reply(410, delivery.body, (("X-Echo", NAME), ("Content-Type", NOTES)))
    names = ("granted", "grumbling", "refusing", "odd")
    endpoints = {
        name: hub.add_endpoint("granted", reception.url(name), "hisports", "*", options={"max_block": "1"})
        for name in names
    }
    strangers = hub.add_endpoint("other", reception.url("other"), "hisports", "*")
    hub.add_endpoint("app", reception.url("app"), "hub", "*")

    hub.publish(*(secret_sheet(number) for number in range(1, 6)))
    refused = hub.ask(
        "POST",
        "/hub/v1/events",
        {"Authorization": f"Bearer {hub.publisher_key}", "Content-Type": "application/x-ndjson"},
        secret_sheet(6, note={"not": [f"text {NOTES}"]}),
    )
    assert refused.status in (202, 400, 422), refused  # stored or not: it must not be written about
    got = reception.reached("granted", 5)
    assert [found_in(one.body) for one in got[:5]] == [CANARIES] * 5
    reception.reached("grumbling", 7, 30)
    wait_for(lambda: hub.endpoint_report(endpoints["refusing"].id)["state"] == "failing", "one is failing")
    wait_for(lambda: hub.endpoint_report(endpoints["odd"].id)["state"] == "disabled", "one is disabled")

    sheet_path = f"/api/games/{GAME}/scoresheet"
    own = hub.ask("GET", sheet_path, {"Authorization": f"API-Key {granted}"})
    assert own.status == 200
    assert found_in(own.body) == CANARIES

    looked_at = {"the log": b"", "/metrics": hub.ask("GET", "/metrics").body}
    admin = native_headers(hub.admin_key)
    for name, endpoint in {**endpoints, "other": strangers}.items():
        for path in ("", "/attempts", "/dead-letters"):
            answer = hub.ask("GET", f"/hub/v1/endpoints/{endpoint.id}{path}", admin)
            assert answer.status == 200, answer
            looked_at[name + path] = answer.body
    attempts = msgspec.json.decode(looked_at["grumbling/attempts"])["attempts"]
    assert {500, 503, 200} <= {one["status"] for one in attempts}
    for verb in ("attempts", "show", "test"):
        done = hub.command("endpoint", verb, endpoints["granted"].id)
        assert done.code == 0, done
        looked_at[f"endpoint {verb}"] = (done.out + done.err).encode()

    key = native_headers(native)
    for path in (
        "/hub/v1/events?limit=1000",
        "/hub/v1/events?feed=hisports",
        f"/hub/v1/events?subject={GAME}",
        f"/hub/v1/snapshots/hisports/{GAME}",
    ):
        looked_at[path] = hub.ask("GET", path, key).body
    stranger = {"Authorization": f"API-Key {other}"}
    for path in (
        sheet_path,
        f"/api/games/{GAME}",
        f"/api/games/{GAME}/boxScore",
        f"/api/games/{GAME}/lineups",
        "/api/games",
        "/api/sp/games",
        f"/api/sp/games/{GAME}/lineups",
    ):
        for headers in (stranger, {}):
            looked_at[f"{path} {sorted(headers)}"] = hub.ask("GET", path, headers).body
    told = hub.events(feed="hub")
    assert {event.type for event in told} >= {"hub.endpoint.failing", "hub.endpoint.disabled"}
    looked_at["hub events"] = msgspec.json.encode(told)
    for name in ("other", "app"):
        looked_at[f"sent to {name}"] = b"".join(one.body + str(one.headers).encode() for one in reception.at(name))
    assert reception.at("other") == []

    hub.restart()
    hub.terminate()
    looked_at["the log"] = hub.log().encode()
    assert b"touchline.access" in looked_at["the log"]  # at this level requests are logged too
    assert {where: found for where, content in looked_at.items() if (found := found_in(content))} == {}
