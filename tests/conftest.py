"""What all tests share."""

from __future__ import annotations

import gc

import pytest
from _pytest.unittest import TestCaseFunction
from hypothesis import HealthCheck, settings

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
