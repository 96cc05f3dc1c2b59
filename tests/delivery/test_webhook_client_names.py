"""Names that lead to refused addresses, change, or do not resolve, with a real name server of ours. FAULTS 9."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parent / "programs" / "names.py"


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    alone = ["unshare", "--map-root-user", "--mount", "--net"]
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        pytest.skip("needs unshare and ip, for a network with a name server of its own")
    if subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("this system does not allow a network namespace of one's own")
    done = subprocess.run([*alone, sys.executable, str(PROGRAM)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_a_public_address_is_called(found: dict[str, Any]) -> None:
    assert found["public.test"] == [200, None, ""]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("private.test", "10.0.0.1 is private"),
        ("loopback.test", "127.0.0.1 is loopback"),
        ("alias.test", "127.0.0.1 is loopback"),
        ("mapped.test", "127.0.0.1 is loopback"),
        ("metadata.test", "169.254.169.254 is a cloud's metadata service"),
        ("nat64.test", "64:ff9b::7f00:1 is loopback, behind a gateway"),
        ("6to4.test", "2002:7f00:1:: is a 6to4 tunnel"),
        ("v6.test", " is "),
    ],
)
def test_a_name_that_leads_to_a_refused_address(found: dict[str, Any], name: str, reason: str) -> None:
    status, trouble, detail = found[name]
    assert (status, trouble) == (None, "REFUSED_ADDRESS")
    assert reason in detail
    assert "--allow-network" in detail
    assert found[name + " connections"] == 0


def test_of_mixed_addresses_the_allowed_one_is_used(found: dict[str, Any]) -> None:
    assert found["mixed.test"] == [200, None, ""]
    assert found["mixed.test connections"] == 1


def test_a_name_that_moves_to_a_refused_address_gains_nothing(found: dict[str, Any]) -> None:
    first, second, connections = found["moved"]
    assert first == [200, None, ""]
    assert second[:2] == [None, "REFUSED_ADDRESS"]
    assert connections == 0


@pytest.mark.parametrize("name", ["nobody.test", "servfail.test"])
def test_a_name_that_does_not_resolve(found: dict[str, Any], name: str) -> None:
    assert found[name] == [None, "NAME", "the name cannot be resolved"]


def test_a_silent_name_server_costs_the_time_to_connect_and_nobody_else(found: dict[str, Any]) -> None:
    """40 look-ups under way, more than libcurl has threads for; the endpoint is known to be doubtful."""
    assert found["silent.test"] == [None, "NAME", "the name was not resolved within 0.4 s"]
    assert found["beside silence"] == [200, None, ""]


def test_a_kept_connection_gone_and_its_name_silent(found: dict[str, Any]) -> None:
    first, second = found["fallen silent"]
    assert first == [200, None, ""]
    assert second == [None, "NAME", "the name was not resolved within 0.4 s"]


def test_an_allowed_range_opens_what_it_says_and_no_more(found: dict[str, Any]) -> None:
    """IPv4-mapped is the same address; NAT64 leads to another network's."""
    assert found["allowed"] == found["allowed mapped"] == [200, None, ""]
    assert found["allowed nat64"][1] == "REFUSED_ADDRESS"


def test_close_does_not_wait_for_a_silent_name_server(found: dict[str, Any]) -> None:
    (_, trouble, _), look_up_under_way = found["closed during a look-up"]
    assert trouble == "CANCELLED"
    assert look_up_under_way
