"""The ``touchline`` command. Importing this needs nothing beyond the SDK; ``main`` needs ``touchline[cli]``."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (those of the process when None) and return its exit code."""
    try:
        import rich  # noqa: F401
        import typer  # noqa: F401
    except ModuleNotFoundError:
        sys.stderr.write('touchline: the command line is not installed; install "touchline[cli]"\n')
        return 1
    from touchline.cli.root import run

    return run(arguments)
