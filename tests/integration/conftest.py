"""One hub for the tests that leave nothing behind that could disturb others, and a maker of hubs for the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .hubs import Hub


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """Shared: use subjects of your own, and leave the keys alone."""
    with Hub(tmp_path_factory.mktemp("hub"), login_failures_per_address=1_000_000) as hub:
        yield hub


@pytest.fixture
def make_hub(tmp_path: Path) -> Iterator[Callable[..., Hub]]:
    """A hub with settings of its own, stopped at the end."""
    with ExitStack() as stack:
        count = 0

        def make(clock: Any = None, **settings: object) -> Hub:
            nonlocal count
            count += 1
            directory = tmp_path / f"hub{count}"
            directory.mkdir()
            return stack.enter_context(Hub(directory, clock, **settings))

        yield make


@pytest.fixture
def subject(request: pytest.FixtureRequest) -> str:
    """A stream that no other test uses."""
    return f"s-{abs(hash(request.node.nodeid)):x}"
