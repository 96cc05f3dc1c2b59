"""Every test here runs the command; every hub that a test starts is gone when it ends, and has logged no error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .hubs import LOOPBACK, Hub

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.acceptance)


@pytest.fixture
def make_hub(tmp_path: Path) -> Iterator[Callable[..., Hub]]:
    """Makes started hubs, each with a data directory of its own unless ``data`` names one."""
    made: list[Hub] = []

    def make(*options: str | Path, data: Path | None = None, **more: Any) -> Hub:
        hub = Hub(data or tmp_path / f"hub-{len(made)}", *options, **more)
        made.append(hub)
        hub.start()
        return hub

    yield make
    for hub in made:
        hub.close()
    for hub in made:
        no_faults(hub)


def no_faults(hub: Hub) -> None:
    """It has logged no error."""
    faults = [line for line in hub.log().splitlines() if " ERROR " in line or "Traceback" in line]
    assert not faults, hub.log()


@pytest.fixture(scope="module")
def _module_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    hub = Hub(tmp_path_factory.mktemp("shared") / "hub", *LOOPBACK)
    with hub:
        yield hub
    no_faults(hub)


@pytest.fixture
def shared_hub(_module_hub: Hub) -> Iterator[Hub]:
    """A module's hub, whose webhooks may stay on this machine. What is published stays in it; partners do not."""
    yield _module_hub
    for partner in _module_hub.admin("GET", "/hub/v1/partners")["partners"]:
        _module_hub.admin("DELETE", f"/hub/v1/partners/{partner['name']}")


@pytest.fixture
def hub(make_hub: Callable[..., Hub]) -> Hub:
    """A fresh hub with its defaults."""
    return make_hub()
