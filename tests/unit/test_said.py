"""What looks through everything that hubs said finds what it is meant to find."""

from __future__ import annotations

import base64
import logging
from pathlib import Path

import msgspec

from said import Handler, Said

SECRET = "tla_VVzUsry4LuPEXDrQFQk1_1JErmgve"


def test_a_secret_is_found_in_every_form() -> None:
    forms = [SECRET, SECRET.encode().hex(), *(base64.b64encode(b"x" * n + SECRET.encode()).decode() for n in range(3))]
    for form in forms:
        said = Said()
        said.never(SECRET)
        said.add("somewhere", f"first\n... {form}!\n")
        assert len(said.told()) == 1, form
        assert "in somewhere: ..." in said.told()[0]


def test_what_is_known_later_was_said_all_the_same(tmp_path: Path) -> None:
    said = Said()
    said.add_file(tmp_path / "hub.log")
    said.add_file(tmp_path / "never-written.log")
    (tmp_path / "hub.log").write_text(f"key={SECRET}\n")
    assert said.told() == []
    said.never(SECRET)
    assert len(said.told()) == 1
    assert said.looked_at() == (len(SECRET) + 5, 1)


def test_secrets_are_taken_from_the_answers_that_hand_them_out() -> None:
    said = Said()
    answer = msgspec.json.encode({"partner": "acme", "credentials": {"api_key": SECRET, "username": "a" * 40}})
    said.never_of("/hub/v1/events", answer)
    assert said.looked_at() == (0, 0)
    said.never_of("/hub/v1/partners", answer)
    said.never_of("/v1/data/schedule", b"no JSON \xff")
    said.add("x", f"{SECRET} {'a' * 40}")
    assert len(said.told()) == 1


def test_texts_of_a_private_payload_are_looked_for_and_public_ones_are_not() -> None:
    said = Said()
    owner, wager = "partner-of-a-long-name", "a wager that is nobody's business"
    said.never_private({"partner": owner, "subject": owner, "data": {"info": [{"of": owner, "note": wager}, "short"]}})
    said.never_private({"subject": "x", "data": {"note": "everybody may read this text"}})
    said.add("x", f"{owner} everybody may read this text")
    assert said.told() == []
    said.add("x", wager)
    assert len(said.told()) == 1


def test_what_is_logged_is_said_with_its_facts_and_its_traceback() -> None:
    said = Said()
    said.never(SECRET)
    logger = logging.Logger("of this test")  # noqa: LOG001 - out of reach of all others
    logger.addHandler(Handler(said))
    logger.info("nothing of it")
    assert said.told() == []
    logger.info("a fact", extra={"key": SECRET})
    try:
        raise ValueError(SECRET)
    except ValueError:
        logger.exception("a fault")
    assert len(said.told()) == 2
