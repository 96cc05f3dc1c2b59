"""Numbers that would stop the hub from working are refused at the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from touchline.errors import ConfigError
from touchline.server import config

MAY_BE_ZERO = ("drain_seconds", "publisher_stale_seconds", "sandbox_pace")


@pytest.mark.parametrize("name", sorted(config._POSITIVE))
@pytest.mark.parametrize("value", ["0", "-1"])
def test_limits_are_above_zero(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        config.load({}, {f"TOUCHLINE_{name.upper()}": value}, tmp_path)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("name", ["header_seconds", "stall_seconds", *MAY_BE_ZERO])
def test_seconds_are_numbers(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        config.load({}, {f"TOUCHLINE_{name.upper()}": value}, tmp_path)


def test_every_number_is_bounded() -> None:
    numbers = {name for name, value in config.defaults().items() if isinstance(value, int | float) and name != "port"}
    assert numbers - set(MAY_BE_ZERO) == set(config._POSITIVE)
