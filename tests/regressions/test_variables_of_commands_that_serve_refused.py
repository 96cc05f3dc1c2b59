"""``TOUCHLINE_LISTEN_SECRET``, which is ``touchline listen``'s, kept ``serve`` from starting in the same shell and made
``doctor`` call the settings wrong. No variable that a command reads may be taken for an unknown setting.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from touchline.cli.root import app
from touchline.server.config import load


def variables(command: Any) -> Iterator[str]:
    for parameter in command.params:
        names = parameter.envvar
        yield from [names] if isinstance(names, str) else names or ()
    for inner in getattr(command, "commands", {}).values():
        yield from variables(inner)


def test_every_variable_of_a_command_may_stand_beside_the_settings(tmp_path: Path) -> None:
    found = set(variables(typer.main.get_command(app)))
    assert {"TOUCHLINE_URL", "TOUCHLINE_LISTEN_SECRET", "TOUCHLINE_CA_FILE"} <= found
    load({}, {name: str(tmp_path) for name in found}, tmp_path)
