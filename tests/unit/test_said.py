"""What looks through everything that hubs said finds what it is meant to find."""

from __future__ import annotations

import base64
import json
import logging
from pathlib import Path
from urllib.parse import quote, quote_plus

import msgspec
import pytest

from said import Handler, Said

SECRET = "tla_VVzUsry4LuPEXDrQFQk1_1JErmgve"
NOTE = 'he said "no"\nto Zoë\'s bet'
"""Every form of it is another one, and neither line is long enough to be looked for."""


def test_a_secret_is_found_in_every_form() -> None:
    forms = [SECRET, SECRET.encode().hex(), *(base64.b64encode(b"x" * n + SECRET.encode()).decode() for n in range(3))]
    for form in forms:
        said = Said()
        said.never(SECRET)
        said.add("somewhere", f"first\n... {form}!\n")
        assert len(said.told()) == 1, form
        assert "in somewhere: ..." in said.told()[0]


@pytest.mark.parametrize(
    "form",
    [
        json.dumps(NOTE)[1:-1],
        json.dumps(NOTE, ensure_ascii=False)[1:-1],
        repr(NOTE)[1:-1],
        quote(NOTE, safe=""),
        quote_plus(NOTE),
        NOTE.encode().hex(),
        NOTE.encode().hex().upper(),
        base64.b64encode(NOTE.encode()).decode(),
    ],
)
def test_a_text_of_more_than_a_word_is_found_as_it_is_written(form: str) -> None:
    said = Said()
    said.never(NOTE)
    said.add("somewhere", f"a fact note='{form}' and another")
    assert len(said.told()) == 1


def test_each_line_of_a_text_is_found_if_it_is_long_enough() -> None:
    said = Said()
    said.never("short\nlong enough to be known again\r\nshort")
    said.add("somewhere", "short\nshort\nshorter than that")
    assert said.told() == []
    said.add("somewhere", "Traceback\n  long enough to be known again\n")
    assert len(said.told()) == 1


def test_a_text_that_has_no_utf_8_is_found_too() -> None:
    said = Said()
    said.never("half of a pair \ud800, and more")
    said.add("somewhere", "note=half of a pair \\ud800, and more")
    assert len(said.told()) == 1


def test_what_is_known_later_was_said_all_the_same(tmp_path: Path) -> None:
    said = Said()
    said.add_file(tmp_path / "hub.log")
    said.add_file(tmp_path / "never-written.log")
    (tmp_path / "hub.log").write_text(f"key={SECRET}\n")
    assert said.told() == []
    said.never(SECRET)
    assert len(said.told()) == 1
    assert said.looked_at() == (len(SECRET) + 5, 1)


def test_a_log_that_has_ended_may_go(tmp_path: Path) -> None:
    said, log = Said(), tmp_path / "hub.log"
    said.never(SECRET)
    for _ in range(2):  # a hub that is started again goes on in the same one
        said.add_file(log)
        with log.open("a") as file:
            file.write(f"key={SECRET}\n")
        said.end_file(log)
    log.unlink()
    assert len(said.told()) == 1
    assert said.looked_at() == (2 * (len(SECRET) + 5), 1)


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
    said.never(NOTE)
    logger.info("a fact", extra={"note": NOTE})
    try:
        raise ValueError(SECRET)
    except ValueError:
        logger.exception("a fault")
    assert len(said.told()) == 3
