"""partner, key, and what all commands share: keys, addresses, errors, usage."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from touchline.cli.root import app

Command = Callable[..., Any]


def test_partner_add_prints_what_the_contract_says(hub: Any, touchline: Command) -> None:
    done = touchline(
        *("partner", "add", "league", "--feed", "shottracker", "--json", "--option", "envelope=event"),
        *("--grant", "team_id=1", "--grant", "team_id=2", "--grant", "event_id=a=b"),
    )
    assert done.code == 0
    assert done.json == {
        "partner": "league",
        "feed": "shottracker",
        "credentials": {"username": "league", "secret": "hush"},
    }
    entry = hub.partners["league"]["feeds"]["shottracker"]
    assert entry["grants"] == {"team_id": ["1", "2"], "event_id": ["a=b"]}
    assert entry["options"] == {"envelope": "event"}


def test_partner_life(hub: Any, touchline: Command) -> None:
    assert "secret: hush" in touchline("partner", "add", "p", "--feed", "hub").out
    assert touchline("partner", "add", "p", "--feed", "roanuz", "--grant", "match_key=m").code == 0
    assert touchline("partner", "list").out == "p\tactive\thub\twhole feed\t\np\tactive\troanuz\tmatch_key=m\t\n"
    assert touchline("partner", "list", "--json").json["partners"][0]["name"] == "p"
    assert touchline("partner", "suspend", "p", "--json").json["suspended"] is True
    assert "suspended" in touchline("partner", "show", "p").out
    assert touchline("partner", "resume", "p").out == "p may receive again\n"
    assert touchline("partner", "rotate", "p", "--feed", "hub", "--json").json == {
        "partner": "p",
        "feed": "hub",
        "credentials": {"secret": "new"},
    }
    assert touchline("partner", "remove", "p", "--feed", "hub").out == "p is removed from hub\n"
    assert touchline("partner", "show", "p", "--json").json["feeds"].keys() == {"roanuz"}
    assert touchline("partner", "remove", "p", "--json").json == {"partner": "p", "removed": True}
    gone = touchline("partner", "show", "p")
    assert (gone.code, gone.out) == (1, "")
    assert gone.err == "touchline: the hub answered 404: Not Found: there is no partner p\n"


def test_grants_are_replaced_and_options_kept(hub: Any, touchline: Command) -> None:
    touchline("partner", "add", "p", "--feed", "f", "--grant", "a=1", "--option", "x=1")
    entry = hub.partners["p"]["feeds"]["f"]
    touchline("partner", "grant", "p", "--feed", "f", "--grant", "b=2")
    assert (entry["grants"], entry["options"]) == ({"b": ["2"]}, {"x": "1"})
    touchline("partner", "grant", "p", "--feed", "f", "--option", "y=2")
    assert (entry["grants"], entry["options"]) == ({"b": ["2"]}, {"x": "1", "y": "2"})
    touchline("partner", "grant", "p", "--feed", "f", "--whole-feed")
    assert (entry["grants"], entry["options"]) == ({}, {"x": "1", "y": "2"})
    assert touchline("partner", "grant", "p", "--feed", "f").code == 2
    assert touchline("partner", "grant", "p", "--feed", "f", "--whole-feed", "--grant", "a=1").code == 2
    assert touchline("partner", "grant", "p", "--feed", "other", "--grant", "a=1").code == 1


def test_keys(hub: Any, touchline: Command) -> None:
    made = touchline("key", "create", "venue 12", "--feed", "shottracker", "--source", "/venue/12", "--json").json
    assert made == {
        "id": "k1",
        "role": "publisher",
        "name": "venue 12",
        "feeds": ["shottracker"],
        "sources": ["/venue/12"],
        "key": "hush",
    }
    assert touchline("key", "create", "ops", "--role", "admin").out == "admin key k2 (ops)\nhush\n"
    assert touchline("key", "list").out == "k1\tpublisher\tvenue 12\tshottracker\t/venue/12\nk2\tadmin\tops\tall\tall\n"
    assert touchline("key", "revoke", "k1", "--json").json == {"id": "k1", "revoked": True}
    assert [key["id"] for key in touchline("key", "list", "--json").json["keys"]] == ["k2"]
    assert touchline("key", "create", "x", "--role", "king").code == 2


def test_where_the_key_comes_from(
    hub: Any, touchline: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "admin.key").write_text("admin-key\n")
    (tmp_path / "other").write_text("wrong\n")
    monkeypatch.setenv("TOUCHLINE_KEY", "wrong")
    assert touchline("key", "list").code == 1
    assert touchline("key", "list", "--key", "admin-key").code == 0
    assert touchline("key", "list", "--key-file", str(tmp_path / "admin.key")).code == 0
    assert touchline("key", "list", "--data", str(tmp_path)).code == 1, "a key given otherwise goes first"
    monkeypatch.delenv("TOUCHLINE_KEY")
    assert "no key" in touchline("key", "list").err
    assert touchline("key", "list", "--data", str(tmp_path)).code == 0
    monkeypatch.setenv("TOUCHLINE_DATA", str(tmp_path))
    assert touchline("key", "list").code == 0
    assert touchline("key", "list", "--key-file", str(tmp_path / "other")).code == 1
    absent = touchline("key", "list", "--key-file", str(tmp_path / "absent"))
    assert (absent.code, absent.err.count("\n")) == (1, 1)
    assert touchline("key", "list", "--key", "two words").code == 1


def test_a_hub_that_is_not_there(touchline: Command) -> None:
    done = touchline("key", "list", "--url", "http://127.0.0.1:1", "--key", "k")
    assert (done.code, done.out) == (1, "")
    assert done.err == "touchline: http://127.0.0.1:1/hub/v1/keys: connection refused; nothing listens there\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["publish"],
        ["publish", "x", "--frob"],
        ["partner", "add", "x"],
        ["partner", "add", "x", "--feed", "f", "--grant", "nothing"],
        ["partner", "add", "x", "--feed", "f", "--option", "a=1", "--option", "a=2"],
        ["replay", "x", "--speed", "0"],
        ["replay", "x", "--speed", "fast"],
        ["publish", "x", "--on-error", "shrug"],
        ["tail", "nofeed"],
        ["tail", "shottracker"],
        ["serve", "--port", "x"],
    ],
)
def test_wrong_usage_is_one_line_and_2(touchline: Command, arguments: list[str]) -> None:
    done = touchline(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("touchline: ")
    assert done.err.count("\n") == 1
    assert "--help" in done.err


def test_help_lists_every_command(touchline: Command) -> None:
    for arguments in ((), ("--help",), ("-h",)):
        done = touchline(*arguments)
        assert done.code == 0
        for name in ("serve", "demo", "publish", "replay", "tail", "partner", "key", "doctor"):
            assert name in done.out
    assert touchline("--version").out.startswith("touchline ")
    assert app.info.name == "touchline"


def test_serve_hands_over_only_what_was_given(touchline: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, object]] = []

    class App:
        @staticmethod
        def serve(overrides: dict[str, object]) -> int:
            seen.append(overrides)
            return 3

    monkeypatch.setitem(sys.modules, "touchline.server.app", App)
    assert touchline("serve").code == 3
    touchline(
        *("serve", "--data", "d", "--port", "0", "--allow-network", "10.0.0.0/8", "--allow-network", "::1"),
        *(
            "--trusted-proxy",
            "127.0.0.1",
            "--cors-origin",
            "https://x",
            "--retention",
            "72h",
        ),
        *(
            "--tls-cert",
            "c",
            "--tls-key",
            "k",
            "--base-url",
            "https://h",
            "--retention-bytes",
            "50GB",
            "--log",
            "sqlite",
        ),
        *("--config", "t.toml", "--host", "::"),
    )
    assert seen[0] == {}
    assert seen[1] == {
        "data": Path("d"),
        "port": 0,
        "allow_network": ["10.0.0.0/8", "::1"],
        "trusted_proxy": ["127.0.0.1"],
        "cors_origin": ["https://x"],
        "retention": "72h",
        "retention_bytes": "50GB",
        "tls_cert": Path("c"),
        "tls_key": Path("k"),
        "base_url": "https://h",
        "log": "sqlite",
        "config": Path("t.toml"),
        "host": "::",
    }


def test_demo_hands_over(touchline: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, object]] = []

    class Demo:
        @staticmethod
        def run(**given: object) -> int:
            seen.append(given)
            return 0

    monkeypatch.setitem(sys.modules, "touchline.sandbox.demo", Demo)
    assert touchline("demo", "--port", "9000", "--speed", "4", "--json").code == 0
    assert seen == [{"data": Path(".demo"), "host": "127.0.0.1", "port": 9000, "speed": 4.0, "as_json": True}]


def test_a_server_that_is_not_installed_is_named(touchline: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    class Absent:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "touchline.server.app":
                raise ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn")

    monkeypatch.delitem(sys.modules, "touchline.server.app", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    done = touchline("serve")
    assert (done.code, done.err) == (1, 'touchline: the server is not installed; install "touchline[server]"\n')


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    program = "import os,sys; from touchline.cli import main; os.close(1); r,w=os.pipe(); os.close(r); os.dup2(w,1)\n"
    program += "code = main(['--help']); sys.exit(code)"
    done = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
