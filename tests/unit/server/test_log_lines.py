"""Log lines show the facts that came with them, each on one line."""

from __future__ import annotations

import logging

from touchline.server.log_lines import FactsFormatter


def line(**extra: object) -> str:
    record = logging.makeLogRecord({"name": "touchline.x", "levelname": "INFO", "msg": "it happened", **extra})
    return FactsFormatter().format(record).split(" ", 2)[2]


def test_facts_follow_the_message() -> None:
    assert line(endpoint="ep_1", count=3) == "INFO touchline.x: it happened endpoint=ep_1 count=3"
    assert line() == "INFO touchline.x: it happened"


def test_what_a_peer_chose_cannot_begin_a_line() -> None:
    told = line(detail='a b\n2026 ERROR forged "x"', empty="")
    assert told.endswith('detail="a b\\n2026 ERROR forged \\"x\\"" empty=""')
    assert "\n" not in told
    assert len(line(detail="x" * 10_000)) < 500


def test_a_traceback_stands_below() -> None:
    try:
        raise ValueError("why")
    except ValueError as error:
        told = line(exc_info=(type(error), error, error.__traceback__), offset=7)
    first, _, rest = told.partition("\n")
    assert first.endswith("it happened offset=7")
    assert "ValueError: why" in rest
