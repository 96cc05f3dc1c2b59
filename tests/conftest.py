"""What all tests share."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from _pytest.unittest import TestCaseFunction
from hypothesis import HealthCheck, settings

from said import SAID, Handler

LOOKED_AT = pytest.StashKey[list[tuple[int, int]]]()

# How long an example takes, or to make it, is the machine's affair: what is timed is timed in ``bench``.
settings.register_profile("touchline", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("touchline")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before a state machine of hypothesis: it parses its own source, and in CPython 3.11 a finalizer that formats a
    traceback meanwhile, which parses too, fails the parse ("AST constructor recursion depth mismatch"). Collected here,
    what earlier tests left is told in its own words.
    """
    if isinstance(item, TestCaseFunction):
        gc.collect()


@pytest.fixture(scope="session", autouse=True)
def _no_secret_is_told(request: pytest.FixtureRequest) -> Iterator[None]:
    """When all is over: no log and no metrics that the tests brought about hold a secret or a private payload."""
    handler = Handler(SAID)
    logging.getLogger().addHandler(handler)
    yield
    logging.getLogger().removeHandler(handler)
    looked_at = SAID.looked_at()
    output = getattr(request.config, "workeroutput", None)
    if output is None:
        request.config.stash.setdefault(LOOKED_AT, []).append(looked_at)
    else:
        output["looked_at"] = looked_at
    assert SAID.told() == []


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """What one of several processes looked at."""
    looked_at = getattr(node, "workeroutput", {}).get("looked_at")
    if looked_at:
        node.config.stash.setdefault(LOOKED_AT, []).append(looked_at)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """How much was looked at: nothing found in nothing would say nothing."""
    for characters, secrets in config.stash.get(LOOKED_AT, []):
        looked_for = f"{secrets:,} secrets and private texts"
        terminalreporter.write_line(f"{characters:,} characters of logs and metrics were searched for {looked_for}")
