"""What all tests share."""

from __future__ import annotations

import gc

import pytest
from _pytest.unittest import TestCaseFunction


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before a state machine of hypothesis: it parses its own source, and in CPython 3.11 a finalizer that formats a
    traceback meanwhile, which parses too, fails the parse ("AST constructor recursion depth mismatch"). Collected here,
    what earlier tests left is told in its own words.
    """
    if isinstance(item, TestCaseFunction):
        gc.collect()
