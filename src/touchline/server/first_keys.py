"""The first way in: an admin's and a publisher's key, each left in a file of mode 0600 in the data directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from touchline.errors import ConfigError
from touchline.feeds.base import Form
from touchline.log.directory import Directory
from touchline.log.entries import Role, mint

FIRST_KEYS: Final[tuple[tuple[Role, str], ...]] = (("admin", "tla_"), ("publisher", "tlp_"))


async def make_first_keys(directory: Directory, data: Path) -> None:
    """At every start: what the first one makes, and a later one where it was cut off.

    The file comes first: a start that is cut off in between leaves no key that nobody can know. Raises ConfigError.
    """
    for role, prefix in FIRST_KEYS:
        name = f"{role}.key"
        path = data / name
        known = [key for key in directory.keys() if key.name == name]  # noqa: SIM118
        if any(key.revoked_at is None for key in known) or (known and path.exists()):
            continue
        plain = path.read_text().strip() if path.exists() else ""
        if not plain:
            plain = _write_new(path, name, prefix)
        elif not (plain.startswith(prefix) and len(plain) >= 40):
            raise ConfigError(f"{path} holds no key; move it away and start again")
        await directory.import_key(role, name, plain)


async def make_keys_of_epoch(directory: Directory, data: Path, epoch: str) -> None:
    """After a restore: a backup holds no key itself, so the new directory gets keys of its own, named after its epoch.
    Those that were given out before stay as good as they were.
    """
    for role, prefix in FIRST_KEYS:
        plain = _write_new(data / f"{role}.key", role, prefix)
        await directory.import_key(role, f"{role}.key of {epoch}", plain)


def _write_new(path: Path, name: str, prefix: str) -> str:
    plain = prefix + mint(Form.TOKEN, name, os.urandom)
    _write_secret(path, plain + "\n")
    return plain


def _write_secret(path: Path, text: str) -> None:
    """A file of mode 0600 that is there whole or not at all."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
