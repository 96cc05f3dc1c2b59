"""Settings: flag > environment ``TOUCHLINE_…`` > ``touchline.toml`` > shipped ``defaults.toml``; frozen after start.

The defaults file lists every key; this module turns the texts of durations, sizes and ranges into numbers and checks
what can be checked before anything is opened.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from touchline.errors import ConfigError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_UNITS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_SIZES: Final = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}
_FILE: Final = "touchline.toml"
_POSITIVE: Final = (
    "max_connections",
    "max_body_bytes",
    "max_batch_events",
    "max_event_bytes",
    "header_seconds",
    "body_seconds",
    "session_backlog_bytes",
    "stall_seconds",
    "login_failures_per_address",
    "login_failures_per_name",
    "login_failures_per_pair",
    "webhook_requests",
    "webhook_suspect_requests",
)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys of ``defaults.toml``, same names."""

    data: str
    host: str
    port: int
    base_url: str
    allow_network: tuple[str, ...]
    tls_cert: str
    tls_key: str
    trusted_proxy: tuple[str, ...]
    log: str
    retention: str
    retention_bytes: str
    cors_origin: tuple[str, ...]
    max_connections: int
    max_body_bytes: int
    max_batch_events: int
    max_event_bytes: int
    header_seconds: float
    body_seconds: float
    session_backlog_bytes: int
    stall_seconds: float
    publisher_stale_seconds: float
    login_failures_per_address: int
    login_failures_per_name: int
    login_failures_per_pair: int
    sandbox: tuple[str, ...]
    sandbox_pace: float
    sandbox_seed: str
    webhook_ca_file: str
    webhook_requests: int
    webhook_suspect_requests: int
    drain_seconds: float
    log_level: str

    @property
    def data_dir(self) -> Path:
        """The data directory."""
        return Path(self.data)

    @property
    def public_url(self) -> str:
        """The hub's address as clients see it, without a trailing slash."""
        if self.base_url:
            return self.base_url.rstrip("/")
        scheme = "https" if self.tls_cert else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"

    @property
    def retention_seconds(self) -> float | None:
        """How long records are kept; None without limit."""
        return duration("retention", self.retention) or None

    @property
    def retention_size(self) -> int | None:
        """How large the log may become, in bytes; None without limit."""
        return size("retention_bytes", self.retention_bytes) or None

    @property
    def proxies(self) -> tuple[Network, ...]:
        """The trusted proxies' ranges."""
        return networks("trusted_proxy", self.trusted_proxy)

    @property
    def allowed_networks(self) -> tuple[Network, ...]:
        """The ranges that webhook targets may be in although they are private or loopback."""
        return networks("allow_network", self.allow_network)

    def warnings(self) -> list[str]:
        """What an operator should know of these settings."""
        found = []
        try:
            loopback = ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            loopback = self.host == "localhost"
        if not loopback and not self.tls_cert and not self.trusted_proxy:
            found.append(
                f"{self.host} is reachable from other machines without TLS: keys and signatures travel readable; "
                "set --tls-cert and --tls-key, or put a proxy in front and name it with --trusted-proxy"
            )
        return found


def duration(name: str, text: str) -> float:
    """Seconds of a text such as 72h, 90m, 30s, 7d.

    Raises:
        ConfigError: it is none.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(text).lower())
    if match is None or match.group(2) not in _UNITS:
        raise ConfigError(f"{name}: {text!r} is no duration; write 72h, 90m, 30s or 7d")
    return float(match.group(1)) * _UNITS[match.group(2)]


def size(name: str, text: str) -> int:
    """Bytes of a text such as 50GB, 512MiB, 1000000.

    Raises:
        ConfigError: it is none.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(text).lower())
    if match is None or match.group(2) not in _SIZES:
        raise ConfigError(f"{name}: {text!r} is no size; write 50GB, 512MiB or a number of bytes")
    return int(float(match.group(1)) * _SIZES[match.group(2)])


def networks(name: str, texts: tuple[str, ...]) -> tuple[Network, ...]:
    """The address ranges of some texts. Raises ConfigError."""
    found: list[Network] = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text, strict=False))
        except ValueError:
            raise ConfigError(f"{name}: {text!r} is no address range; write 10.0.0.0/8 or 127.0.0.1") from None
    return tuple(found)


def defaults() -> dict[str, Any]:
    """The shipped defaults."""
    return tomllib.loads(resources.files("touchline.server").joinpath("defaults.toml").read_text("utf-8"))


def load(overrides: Mapping[str, object], environment: Mapping[str, str], directory: Path) -> Settings:
    """Put the settings together. ``overrides`` are the flags that were given; ``config`` among them names the file.

    Raises:
        ConfigError: an unknown key, a wrong type, or values that do not go together.
    """
    values = defaults()
    given = {key: value for key, value in overrides.items() if value is not None}
    named = given.pop("config", None) or environment.get("TOUCHLINE_CONFIG")
    path = Path(str(named)) if named else directory / _FILE
    if named or path.is_file():
        try:
            file = tomllib.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: {error}") from None
        _merge(values, file, str(path))
    _merge(values, _from_environment(values, environment), "the environment")
    _merge(values, given, "the command line")
    try:
        settings = msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"settings: {error}") from None
    _check(settings)
    return settings


def _merge(values: dict[str, Any], more: Mapping[str, Any], origin: str) -> None:
    for key, value in more.items():
        if key not in values:
            raise ConfigError(f"{origin}: {key!r} is no setting; touchline serve --help lists them")
        if isinstance(values[key], list) and not isinstance(value, (list, tuple)):
            raise ConfigError(f"{origin}: {key} is a list")
        values[key] = str(value) if isinstance(value, Path) else value


def _from_environment(values: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Settings among the variables; those of the client commands (URL, KEY, …, TAIL_<FEED>_<OPTION>) are not ours."""
    found: dict[str, Any] = {}
    others = {"url", "key", "key_file", "ca_file", "config", "listen_secret"}
    for variable, text in environment.items():
        if not variable.startswith("TOUCHLINE_"):
            continue
        key = variable.removeprefix("TOUCHLINE_").lower()
        if key in others or key.startswith("tail_"):
            continue
        if key not in values:
            raise ConfigError(f"{variable} names no setting")
        found[key] = (
            [part.strip() for part in text.split(",") if part.strip()] if isinstance(values[key], list) else text
        )
    return found


def _check(settings: Settings) -> None:
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise ConfigError("tls_cert and tls_key go together")
    for name in ("tls_cert", "tls_key", "webhook_ca_file"):
        value = getattr(settings, name)
        if value and not Path(value).is_file():
            raise ConfigError(f"{name}: there is no file {value}")
    if settings.tls_cert:
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(settings.tls_cert, settings.tls_key, password=lambda: b"")
        except (OSError, ValueError) as error:
            raise ConfigError(f"tls_cert and tls_key cannot be used together: {error}") from None
    if not 0 <= settings.port <= 65535:
        raise ConfigError(f"port: {settings.port} is not between 0 and 65535")
    for name in _POSITIVE:
        if not 0 < getattr(settings, name) < float("inf"):  # also false for a number that is none
            raise ConfigError(f"{name}: {getattr(settings, name)} is not above 0")
    if not 0 <= settings.drain_seconds < float("inf"):
        raise ConfigError(f"drain_seconds: {settings.drain_seconds} is below 0")
    if not 0 <= settings.publisher_stale_seconds < float("inf"):
        raise ConfigError(f"publisher_stale_seconds: {settings.publisher_stale_seconds} is below 0")
    if not 0 <= settings.sandbox_pace < float("inf"):
        raise ConfigError(f"sandbox_pace: {settings.sandbox_pace} is below 0")
    if settings.base_url:
        parts = urlsplit(settings.base_url)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
            raise ConfigError(f"base_url: {settings.base_url!r} is no http(s) address")
    if settings.log != "sqlite":
        if settings.log.startswith("nats://"):
            raise ConfigError("log: NATS JetStream is not in this version yet; use sqlite")
        raise ConfigError(f"log: {settings.log!r} is not known; use sqlite")
    if settings.log_level.lower() not in ("debug", "info", "warning", "error"):
        raise ConfigError(f"log_level: {settings.log_level!r} is not debug, info, warning or error")
    _ = settings.retention_seconds, settings.retention_size, settings.proxies, settings.allowed_networks
