"""The data directory of the first hub that ever ran, killed while it ran, is today's hub's."""

from __future__ import annotations

from pathlib import Path

import apsw

from .hubs import Hub, cloud_event

FIRST_HUB = Path(__file__).parents[1] / "log" / "data" / "first_hub.sql"
ADMIN_KEY = "tla_VVzUsry4LuPEXDrQFQk1_1JErmgveNajdO6plni5bSo"
PUBLISHER_KEY = "tlp_NY8TLR5WYp8_Fe8xk1u5AFfC--oN3KsJnUVQevjPT28"
READER_KEY = "S62CEPekcqiI-pD052FFz5NwafLj-8gXs81bGzaSd4g"
SECRET = "IrZlMqoEUbfhZQUmn-fnzQg3S0rGSHeMn2KjMqE2Tqc"
EPOCH = "3d88c1a3f6e031d8"
RESERVED = 65554
"""It was killed: no number up to here is given out again."""


def first_hub(directory: Path) -> None:
    data = directory / "data"
    data.mkdir(mode=0o700, parents=True)
    connection = apsw.Connection(str(data / "hub.db"))
    connection.execute(FIRST_HUB.read_text("utf-8"))
    connection.close()
    (data / "admin.key").write_text(ADMIN_KEY + "\n")
    (data / "publisher.key").write_text(PUBLISHER_KEY + "\n")


def test_all_of_it_survives(tmp_path: Path) -> None:
    first_hub(tmp_path)
    with Hub(tmp_path, retention="0") as hub:
        assert (hub.admin_key, hub.publisher_key) == (ADMIN_KEY, PUBLISHER_KEY)
        events = hub.events()
        expected = [
            ("g0", "game-1"),
            *((f"m{n}", "game-1") for n in range(1, 13)),
            *((f"x{n}", "game-2") for n in range(1, 6)),
        ]
        assert [(event["id"], event["subject"]) for event in events] == expected
        assert [event["seq"] for event in events] == [*range(1, 14), *range(1, 6)]
        assert events[-1]["position"] == f"{EPOCH}-i"
        game = hub.get("/hub/v1/snapshots/shottracker/game-1", ADMIN_KEY).json
        assert (game["event_id"], game["seq"], game["summary"]["home"]["name"]) == ("game-1", 13, "ShotTrackerW")
        after = hub.get(f"/hub/v1/events?after={EPOCH}-a&feed=shottracker", READER_KEY)
        assert [event["id"] for event in after.json["events"]] == [event["id"] for event in events[10:]]
        partners = {one["name"]: one["feeds"] for one in hub.admin("GET", "/hub/v1/partners").json["partners"]}
        assert partners["reader"]["hub"]["grants"] == {"feed": ["shottracker"]}
        assert partners["Fans"]["shottracker"]["credentials"] == {"username": "Fans"}
        member = hub.on_loop(lambda: hub.running.hub.directory.member("shottracker", lookup="Fans"))
        assert member is not None
        assert member.credentials["secret"] == SECRET
        tokens = hub.on_loop(lambda: len(hub.running.hub.directory._index.tokens))
        assert tokens == 1
        again = [cloud_event("shottracker.marker", "game-1", {"type": "CLOCK_START", "seqNote": 1}, id="m1",
                             time="2026-11-20T19:00:01Z"), cloud_event("shottracker.marker", "game-1")]  # fmt: skip
        answer = hub.publish_all(again)
        assert (answer.json["accepted"], answer.json["duplicates"]) == (1, 1)
        newest = hub.events("subject=game-1")[-1]
        assert newest["seq"] == 14
        assert int(newest["position"].removeprefix(f"{EPOCH}-"), 36) > RESERVED
    with Hub(tmp_path, retention="0") as hub:
        assert len(hub.events()) == len(expected) + 1
