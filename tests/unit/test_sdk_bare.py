"""A bare install is the SDK: nothing of the server, cluster or command line is needed to receive and to publish."""

from __future__ import annotations

import subprocess
import sys

BLOCKED = (
    "apsw",
    "starlette",
    "uvicorn",
    "uvloop",
    "httptools",
    "prometheus_client",
    "typer",
    "rich",
    "pycurl",
    "nats",
)

PREAMBLE = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name.partition(".")[0])
sys.meta_path.insert(0, Absent())
"""

USE_SDK = """
import random
import touchline.client
from touchline.feeds import registry
from touchline.feeds.base import Fetch, Instant
from touchline.feeds.shottracker import auth, client

assert set(registry.feeds()) == set(registry.NAMES)
signed = auth.sign("demo-user", "demo-secret", method="GET", target_path="/v1/data/teams/123/events",
                   host="api.shottracker.com", date="Thu, 19 Nov 2026 12:00:00 GMT")
assert signed.endswith('signature="duUDYWDsY9OA6HwJf8ufswo1eCM="'), signed
settings = client.Settings(username="u", secret="s", event_id="g")
(wish,) = client.connect(settings, random.Random(1), Instant(0, 0.0)).events_received()
assert isinstance(wish, Fetch)
touchline.client.HubClient("http://127.0.0.1:1", "key").close()
"""

USE_CLI = """
from touchline.cli import main
raise SystemExit(main(["tail"]))
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", PREAMBLE + program]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_sdk_needs_no_extra() -> None:
    done = run(USE_SDK)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_says_what_to_install() -> None:
    done = run(USE_CLI)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == 'touchline: the command line is not installed; install "touchline[cli]"\n'
