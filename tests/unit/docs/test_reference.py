"""The page of settings has all of them with their defaults, and none that is not there; links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from touchline.feeds import registry
from touchline.server import config

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"


def rows(page: str) -> list[list[str]]:
    """The cells of all tables of a page."""
    lines = [line for line in (DOCS / page).read_text("utf-8").splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]*)`", cell)


def shown(value: object) -> str:
    """A default as the page has it."""
    if isinstance(value, list):
        return ",".join(value)
    return str(value)


def test_every_setting_with_its_default() -> None:
    found: dict[str, str] = {}
    known = config.defaults()
    for cells in rows("limits.md"):
        names = named(cells[0])
        if not names or names[0] not in known:
            continue
        defaults = [part.strip().strip("`").replace("–", "") for part in cells[1].split(",")]
        defaults = defaults if len(defaults) > 1 else defaults * len(names)
        assert len(defaults) == len(names), cells
        assert not found.keys() & names
        found |= dict(zip(names, defaults, strict=True))
    assert found == {name: shown(value) for name, value in known.items()}


def test_no_setting_that_is_not_there() -> None:
    names = {name for cells in rows("limits.md") for name in named(cells[0])}
    settings = {name for name in names if re.fullmatch(r"[a-z]+(_[a-z]+)*", name)}
    assert settings - {"id", "source", "type", "subject"} == config.defaults().keys()


PAGES = sorted([ROOT / "README.md", *DOCS.rglob("*.md"), *(ROOT / "src" / "touchline" / "feeds").rglob("README.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for target, fragment in re.findall(r"\]\((?!https?:)([^)#\s]*)(#[^)\s]*)?\)", text):
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), target
        if fragment:
            heads = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE)
            anchors = {"#" + re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
            assert fragment in anchors, (target, fragment)


def test_every_feed_has_a_page_that_the_readme_leads_to() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert all(f"(src/touchline/feeds/{feed}/README.md)" in text for feed in registry.NAMES)
