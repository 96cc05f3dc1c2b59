"""The house rules that no linter knows: registry and folders agree, modules import without doing anything."""

from __future__ import annotations

import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import touchline
from touchline.feeds import registry

PACKAGE = Path(touchline.__file__).parent
ROOT = Path(__file__).parents[2]


def test_the_registry_is_the_folders() -> None:
    folders = {path.name for path in (PACKAGE / "feeds").iterdir() if path.is_dir() and not path.name.startswith("_")}
    assert folders - {"base"} == set(registry.NAMES)
    assert {feed.name for feed in registry.feeds().values()} == set(registry.NAMES)


def test_an_event_type_belongs_to_its_feed() -> None:
    for feed in registry.feeds().values():
        assert all(kind.name.startswith(feed.name + ".") for kind in feed.types)


def test_importing_a_feed_needs_no_server_library() -> None:
    code = (
        "import sys\n"
        "from touchline.feeds import registry\n"
        "registry.feeds()\n"
        "bad = {'starlette', 'uvicorn', 'uvloop', 'apsw', 'httptools', 'typer'} & set(sys.modules)\n"
        "sys.exit(str(bad) if bad else 0)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_importing_modules_opens_nothing_and_starts_nothing() -> None:
    names = [module.name for module in pkgutil.walk_packages([str(PACKAGE)], "touchline.")]
    code = (
        "import importlib, os, sys, threading\n"
        f"for name in {[name for name in names if not name.startswith('touchline.testing')]!r}:\n"
        "    importlib.import_module(name)\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_readme_names_the_programs_that_tests_start() -> None:
    readme, continuous = ROOT / "README.md", ROOT / ".ci" / "run"
    if not continuous.is_file():
        pytest.skip("what CI runs is not here")
    said = re.search(r"for want of one: (.*?)\.\n", readme.read_text("utf-8"), re.DOTALL)
    assert said is not None
    named = set(re.findall(r"`(\w+)`", said[1]))
    sought: set[str] = set()
    for path in (ROOT / "tests").rglob("*.py"):
        sought |= set(re.findall(r"shutil\.which\(\"(\w+)\"", path.read_text("utf-8")))
    installed = set(re.findall(r"(\w+):[\w-]+", continuous.read_text("utf-8").split("for program in")[1].split(";")[0]))
    assert sought - {"gcc"} <= named, "a C compiler of either name"
    assert installed | {"promtool"} == named - {"node", "npm", "cc"}
