"""Node programs and the npm packages that they stand on."""

from __future__ import annotations

import shutil

import pytest

from .hubs import ROOT

NODE = ROOT / "tests" / "node"


def node() -> str:
    """The node program."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("node is not here")
    return program


def need_package(name: str) -> None:
    """Skip without an npm package."""
    if not (NODE / "node_modules" / name).is_dir():
        pytest.skip(f"the npm package {name} is not installed: make node")
