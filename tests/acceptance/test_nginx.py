"""The hub behind a stock nginx: with Host passed through, with nginx's rewriting of it, and with what mends that."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .games import Play, sandbox_game
from .hubs import Finished, Hub, free_port, request, touchline, wait_for
from .readers import ENOUGH, OVER, LiveReader, SseReader

GAME = "game-1"
UPGRADE = """
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_buffering off;
      proxy_read_timeout 90s;
"""
PASSED = UPGRADE + "proxy_set_header Host $http_host;"
REWRITTEN = UPGRADE  # nginx's default: Host becomes $proxy_host
TOLD = UPGRADE + "proxy_set_header X-Forwarded-Host $http_host;"
BARE = ""  # not even the upgrade


class Nginx:
    """nginx in a directory of its own, in front of one hub."""

    def __init__(self, program: str, prefix: Path, target: str, location: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._error_log = prefix / "error.log"
        prefix.mkdir()
        temporary = "\n".join(
            f"  {kind}_temp_path {prefix}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (prefix / "nginx.conf").write_text(
            f"""
{"user root;" if os.geteuid() == 0 else ""}
daemon off;
worker_processes 1;
pid {prefix}/nginx.pid;
error_log {self._error_log} warn;
events {{ worker_connections 256; }}
http {{
  access_log off;
{temporary}
  map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
  server {{
    listen 127.0.0.1:{self.port};
    location / {{
      proxy_pass {target};
      {location}
    }}
  }}
}}
"""
        )
        self._process = subprocess.Popen(
            [program, "-p", str(prefix), "-e", str(self._error_log), "-c", str(prefix / "nginx.conf")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def wait(self) -> None:
        """Until the hub answers through it."""
        wait_for(self._answers, "nginx passes a request on")

    def _answers(self) -> bool:
        assert self._process.poll() is None, self._error_log.read_text()
        try:
            return request("GET", f"{self.url}/healthz").status == 200
        except OSError:
            return False

    def close(self) -> None:
        """End it, with its worker."""
        self._process.terminate()
        self._process.wait(10)


@pytest.fixture
def behind(make_hub: Callable[..., Hub], tmp_path: Path) -> Iterator[Callable[..., Hub]]:
    """Makes a hub that is reached through nginx; ``{nginx}`` in an option stands for nginx's address."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("nginx is not here")
    proxies: list[Nginx] = []

    def make(location: str, *options: str) -> Hub:
        port = free_port()
        proxy = Nginx(program, tmp_path / f"nginx-{len(proxies)}", f"http://127.0.0.1:{port}", location)
        proxies.append(proxy)
        hub = make_hub(*(option.format(nginx=proxy.url) for option in options), port=port)
        hub.url = proxy.url
        proxy.wait()
        return hub

    yield make
    for proxy in proxies:
        proxy.close()


@pytest.fixture
def plays() -> list[Play]:
    """A short game."""
    return sandbox_game(GAME, seed=11, quarter=150)


def doctor(hub: Hub) -> Finished:
    """Ask the doctor through the proxy."""
    return touchline("doctor", "--url", hub.url, "--data", hub.data, "--json")


def verdicts(done: Finished) -> dict[str, str]:
    """The doctor's verdict by check."""
    return {check["name"]: check["status"] for check in done.json["checks"]}


@pytest.mark.parametrize(
    ("location", "options"),
    [
        pytest.param(PASSED, ("--trusted-proxy", "127.0.0.1"), id="host-passed-through"),
        pytest.param(TOLD, ("--trusted-proxy", "127.0.0.1"), id="rewritten-but-x-forwarded-host"),
        pytest.param(REWRITTEN, ("--base-url", "{nginx}"), id="rewritten-but-base-url"),
    ],
)
async def test_signed_requests_and_sessions_pass(
    behind: Callable[..., Hub], plays: list[Play], location: str, options: tuple[str, ...]
) -> None:
    hub = await asyncio.to_thread(behind, location, *options)
    start = hub.start_position()
    half = len(plays) // 2
    hub.publish(*(play.line for play in plays[:half]))
    who = hub.add_shottracker("academy")
    for path in ("/v1/data/teams/123/events", f"/v1/data/games/{GAME}", f"/v1/data/stats/games/{GAME}/stats,shots"):
        answer = hub.signed(who, path)
        assert answer.status == 200, answer
    # Links lead back through the proxy where the hub was told its address.
    links = hub.signed(who, f"/v1/data/games/{GAME}").json["totals"]
    if "--base-url" in options:
        assert links["_shots"].startswith(f"{hub.url}/v1/data/")

    live = LiveReader(hub, "live", hub.token(who, GAME))
    via_proxy = Hub(hub.data, port=int(hub.url.rpartition(":")[2]))
    sse = SseReader(via_proxy, "sse", hub.admin_key, start)
    sse.is_last = lambda message: message.id == plays[-1].id
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        tasks.create_task(live.run())
        tasks.create_task(sse.run())
        await live.connected.wait()
        await sse.connected.wait()
        await asyncio.to_thread(hub.publish, *(play.line for play in plays[half:]))
    assert (live.ended, sse.ended) == (OVER, ENOUGH)
    assert [seen.data for seen in live.seen] == [play.data for play in plays if play.is_pushed]
    assert [seen.id for seen in sse.seen] == [play.id for play in plays if not play.is_state]

    done = await asyncio.to_thread(doctor, hub)
    assert done.code == 0, done
    assert verdicts(done)["host"] == verdicts(done)["websocket"] == "ok"


def test_nginx_s_rewriting_of_host_breaks_signatures_and_doctor_names_it(
    behind: Callable[..., Hub], plays: list[Play]
) -> None:
    hub = behind(REWRITTEN)
    hub.publish(*(play.line for play in plays))
    who = hub.add_shottracker("academy")
    refused = hub.signed(who, "/v1/data/teams/123/events")
    assert (refused.status, refused.json["message"]) == (401, "HMAC signature does not match")

    done = doctor(hub)
    assert done.code == 1, done
    found = verdicts(done)
    assert found.pop("host") == "fail"
    assert "fail" not in found.values()
    (host,) = (check for check in done.json["checks"] if check["name"] == "host")
    assert "rewrites Host" in host["detail"]
    assert f"127.0.0.1:{hub.port}" in host["detail"]  # what the hub saw
    assert hub.host in host["detail"]  # what was asked for
    assert all(words in host["advice"] for words in ("$http_host", "--base-url", "--trusted-proxy"))
    told = touchline("doctor", "--url", hub.url, "--data", hub.data)
    assert told.code == 1
    assert "rewrites Host" in told.out


def test_a_forwarded_host_of_a_proxy_that_is_not_trusted_is_not_believed(
    behind: Callable[..., Hub], plays: list[Play]
) -> None:
    hub = behind(TOLD)
    hub.publish(*(play.line for play in plays))
    who = hub.add_shottracker("academy")
    assert hub.signed(who, "/v1/data/teams/123/events").status == 401
    (host,) = (check for check in doctor(hub).json["checks"] if check["name"] == "host")
    assert "does not believe" in host["detail"]


def test_doctor_names_a_missing_upgrade(behind: Callable[..., Hub]) -> None:
    done = doctor(behind(BARE))
    assert done.code == 1, done
    (socket,) = (check for check in done.json["checks"] if check["name"] == "websocket")
    assert socket["status"] == "fail"
    assert "Upgrade" in socket["advice"], socket
