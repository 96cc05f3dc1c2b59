"""Settings: who wins, what is refused, and that every one of them is documented."""

from __future__ import annotations

import inspect
import re
from importlib import resources
from pathlib import Path

import msgspec
import pytest

from touchline.cli import serve as serve_command
from touchline.errors import ConfigError
from touchline.server import config
from touchline.server.config import Settings, load


def test_flag_wins_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    (tmp_path / "touchline.toml").write_text('port = 1\nhost = "127.0.0.2"\nretention = "1h"\n')
    settings = load({"port": 3}, {"TOUCHLINE_PORT": "2", "TOUCHLINE_HOST": "127.0.0.3"}, tmp_path)
    assert (settings.port, settings.host, settings.retention) == (3, "127.0.0.3", "1h")
    assert settings.data == "touchline-data"


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        load({"config": tmp_path / "none.toml"}, {}, tmp_path)
    (tmp_path / "other.toml").write_text("port = 7")
    assert load({"config": tmp_path / "other.toml"}, {}, tmp_path).port == 7
    assert load({}, {"TOUCHLINE_CONFIG": str(tmp_path / "other.toml")}, tmp_path).port == 7


def test_lists_in_the_environment_are_separated_by_commas(tmp_path: Path) -> None:
    settings = load({}, {"TOUCHLINE_TRUSTED_PROXY": "10.0.0.0/8, 127.0.0.1"}, tmp_path)
    assert [str(network) for network in settings.proxies] == ["10.0.0.0/8", "127.0.0.1/32"]


def test_variables_of_the_client_commands_are_not_settings(tmp_path: Path) -> None:
    load({}, {"TOUCHLINE_URL": "http://x", "TOUCHLINE_KEY": "k", "TOUCHLINE_TAIL_SHOTTRACKER_SECRET": "s"}, tmp_path)


@pytest.mark.parametrize(
    ("flags", "environment", "file"),
    [
        ({"nonsense": 1}, {}, ""),
        ({}, {"TOUCHLINE_NONSENSE": "1"}, ""),
        ({}, {}, "nonsense = 1"),
        ({}, {}, "port = ["),
        ({"port": "x"}, {}, ""),
        ({"port": 70_000}, {}, ""),
        ({"retention": "soon"}, {}, ""),
        ({"retention_bytes": "many"}, {}, ""),
        ({"trusted_proxy": ["nowhere"]}, {}, ""),
        ({"allow_network": ["300.1.1.1"]}, {}, ""),
        ({}, {}, 'trusted_proxy = "127.0.0.1"'),
        ({"tls_cert": "/no/such/file", "tls_key": "/no/such/file"}, {}, ""),
        ({"tls_cert": "/etc/hostname"}, {}, ""),
        ({"base_url": "ftp://x"}, {}, ""),
        ({"base_url": "http://x/?q"}, {}, ""),
        ({"log": "redis://x"}, {}, ""),
        ({"log": "nats://x:4222"}, {}, ""),
        ({"log_level": "loud"}, {}, ""),
    ],
)
def test_what_does_not_fit_is_an_error(
    tmp_path: Path, flags: dict[str, object], environment: dict[str, str], file: str
) -> None:
    if file:
        (tmp_path / "touchline.toml").write_text(file)
    with pytest.raises(ConfigError):
        load(flags, environment, tmp_path)


@pytest.mark.parametrize(
    ("text", "seconds"), [("72h", 259_200), ("90m", 5400), ("30s", 30), ("7d", 604_800), ("0", 0), ("1.5h", 5400)]
)
def test_durations(text: str, seconds: float) -> None:
    assert config.duration("x", text) == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("50GB", 50 * 10**9), ("512MiB", 2**29), ("1000", 1000), ("0", 0), ("1 kb", 1000)]
)
def test_sizes(text: str, size: int) -> None:
    assert config.size("x", text) == size


def test_an_open_address_without_tls_is_warned_of(tmp_path: Path) -> None:
    assert load({"host": "0.0.0.0"}, {}, tmp_path).warnings()
    assert not load({"host": "0.0.0.0", "trusted_proxy": ["10.0.0.1"]}, {}, tmp_path).warnings()
    assert not load({"host": "::1"}, {}, tmp_path).warnings()


def test_the_public_address(tmp_path: Path) -> None:
    assert load({"host": "::1", "port": 9}, {}, tmp_path).public_url == "http://[::1]:9"
    assert load({"base_url": "https://feeds.example/"}, {}, tmp_path).public_url == "https://feeds.example"


def test_every_setting_is_a_field_and_has_a_sentence() -> None:
    text = resources.files("touchline.server").joinpath("defaults.toml").read_text("utf-8")
    assert set(config.defaults()) == {field.name for field in msgspec.structs.fields(Settings)}
    blocks = text.split("\n\n")
    for name in config.defaults():
        block = next(block for block in blocks if re.search(rf"^{name} =", block, re.MULTILINE))
        assert block.startswith("#"), f"{name} has no sentence above it"


def test_every_flag_of_serve_is_a_setting() -> None:
    flags = set(inspect.signature(serve_command.command).parameters) - {"config"}
    assert flags <= set(config.defaults())
