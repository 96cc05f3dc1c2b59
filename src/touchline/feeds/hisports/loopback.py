"""LoopBack 3's filters, as far as public clients of the provider use them (sheet 3): ``where``, ``order``, pages.

Pure. A filter that is not understood is refused, because answering as if it was not there would give other rows than
asked for. Taken and without effect are ``include`` of what rows hold anyway, ``fields`` not at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from touchline.feeds.hisports.errors import bad_request
from touchline.wire import rfc3339

PAGE: Final = 100
"""Rows when no ``limit`` is given (assumed by clients)."""
MAX_PAGE: Final = 1000
MAX_TERMS: Final = 1000
MAX_DEPTH: Final = 16

RELATIONS: Final = frozenset(
    {
        *("arena", "surface", "schedule", "group", "office", "category", "teamStats", "officials"),
        *("homeTeam", "awayTeam", "externalProviders"),
    }
)
"""What clients ask to ``include`` (sheet 3). Rows have what was published: asking adds nothing."""

_SCOPE: Final = "scope"
_PARTS: Final = ("where", "include", "order", "limit", "skip", "offset", _SCOPE)
_ALIASES: Final = {"effectiveOffices": "officeId"}
"""The pseudo-field of clients: an office and those below it. This hub knows no hierarchy, so the game's own."""

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")

Row = Mapping[str, Any]
Test = Callable[[Row], bool]
Key = tuple[int, float | str]


class Filter(msgspec.Struct, frozen=True):
    """A filter that was understood: which rows, in which order, and which part of them."""

    where: Test
    order: tuple[tuple[str, bool], ...] = ()
    """field, and whether descending"""
    limit: int = PAGE
    skip: int = 0

    def select(self, rows: Sequence[Row]) -> list[Row]:
        """The page of rows."""
        found = [row for row in rows if self.where(row)]
        for name, descending in reversed(self.order):
            found.sort(key=_by(name), reverse=descending)
        return found[self.skip : self.skip + self.limit]


def read_filter(text: str | None) -> Filter:
    """A filter from its JSON text (None: everything). Raises Refused 400."""
    parts = _object(text, "filter")
    unknown = [name for name in parts if name not in _PARTS]
    if unknown:
        raise bad_request(f"filter.{unknown[0][:64]} is not supported; {', '.join(_PARTS[:5])} are")
    _check_include(parts.get("include"), MAX_DEPTH)
    return Filter(
        _Reader().where(parts.get("where")),
        _order(parts.get("order")),
        _count(parts.get("limit"), "limit", PAGE, 1, MAX_PAGE),
        _count(parts.get("skip", parts.get("offset")), "skip", 0, 0, 2**31),
    )


def read_where(text: str | None) -> Test:
    """A ``where`` from its JSON text (None: everything). Raises Refused 400."""
    return _Reader().where(_object(text, "where"))


def _object(text: str | None, name: str) -> dict[str, Any]:
    if not text:
        return {}
    try:
        found = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        raise bad_request(f"{name} is not valid JSON") from None
    if not isinstance(found, dict):
        raise bad_request(f"{name} must be a JSON object")
    return found


class _Reader:
    """Turns one ``where`` into a test; counts its terms."""

    def __init__(self) -> None:
        self._terms = 0

    def where(self, condition: Any, depth: int = 0) -> Test:
        if condition is None:
            return _always
        if not isinstance(condition, dict):
            raise bad_request("where must be a JSON object")
        if depth > MAX_DEPTH:
            raise bad_request(f"where is nested more than {MAX_DEPTH} deep")
        tests = [self._term(name, value, depth) for name, value in condition.items()]
        return lambda row: all(test(row) for test in tests)

    def _count(self, number: int = 1) -> None:
        self._terms += number
        if self._terms > MAX_TERMS:
            raise bad_request(f"where has more than {MAX_TERMS} terms")

    def _term(self, name: str, value: Any, depth: int) -> Test:
        self._count()
        if name in ("and", "or"):
            if not isinstance(value, list):
                raise bad_request(f"where.{name} must be an array of conditions")
            tests = [self.where(each, depth + 1) for each in value]
            if name == "and":
                return lambda row: all(test(row) for test in tests)
            return lambda row: any(test(row) for test in tests)
        if not _NAME.match(name):
            raise bad_request(f"where names no field: {name[:64]!r}")
        alias = _ALIASES.get(name)
        if alias is not None and isinstance(value, list):
            value = {"inq": value}
        field = alias or name
        if not isinstance(value, dict):
            wanted = _key(_scalar(name, value))
            return lambda row: _same(_key(row.get(field)), wanted)
        checks = [self._operator(name, operator, operand) for operator, operand in value.items()]
        return lambda row: all(check(_key(row.get(field))) for check in checks)

    def _operator(self, name: str, operator: str, operand: Any) -> Callable[[Key], bool]:
        compare = _COMPARISONS.get(operator)
        if compare is not None:
            bound = _key(_scalar(name, operand))
            return lambda value: compare(value, bound)
        if operator not in _LISTS:
            known = ", ".join((*_COMPARISONS, *_LISTS))
            raise bad_request(f"where.{name}: operator {operator[:64]!r} is not supported; {known} are")
        if not isinstance(operand, list) or (operator == "between" and len(operand) != 2):
            shape = "an array of two values" if operator == "between" else "an array"
            raise bad_request(f"where.{name}.{operator} must be {shape}")
        self._count(len(operand))
        keys = [_key(_scalar(name, each)) for each in operand]
        if operator == "between":
            low, high = keys
            return lambda value: _reaches(value, low) and _reaches(high, value)
        wanted = operator == "inq"
        return lambda value: any(_same(value, key) for key in keys) is wanted


def _always(row: Row) -> bool:
    del row
    return True


def _scalar(name: str, value: Any) -> Any:
    if isinstance(value, dict | list):
        raise bad_request(f"where.{name}: a value must be text, a number, a boolean or null")
    return value


_NULL: Final = 9
"""Ranks of keys: null is the largest, as in Postgres; numbers, times and texts are not compared with each other."""


def _key(value: Any) -> Key:
    """A value in a form that compares: by rank (number, time, text, null), then among its like."""
    if value is None:
        return (_NULL, 0.0)
    if isinstance(value, bool | int | float):
        return (0, value)
    if not isinstance(value, str):
        return (8, "")  # an object or array: equal to nothing that can be asked for
    if len(value) >= 10 and value[4:5] == "-" and value[:4].isdigit():
        try:
            return (1, float(rfc3339.parse(value + "T00:00:00Z" if _DATE.match(value) else value)))
        except ValueError:
            return (2, value)
    return (2, value)


def _by(name: str) -> Callable[[Row], Key]:
    return lambda row: _key(row.get(name))


def _same(value: Key, wanted: Key) -> bool:
    """Equality; an id that is a number in one place may be a text in the other."""
    if value == wanted:
        return True
    return {value[0], wanted[0]} == {0, 2} and str(value[1]) == str(wanted[1])


def _reaches(value: Key, bound: Key) -> bool:
    return value[0] == bound[0] != _NULL and value >= bound


_COMPARISONS: Final[Mapping[str, Callable[[Key, Key], bool]]] = {
    "gt": lambda value, bound: _reaches(value, bound) and value != bound,
    "gte": _reaches,
    "lt": lambda value, bound: _reaches(bound, value) and value != bound,
    "lte": lambda value, bound: _reaches(bound, value),
    "neq": lambda value, bound: not _same(value, bound),
}
_LISTS: Final = ("inq", "nin", "between")


def _order(order: Any) -> tuple[tuple[str, bool], ...]:
    terms = [order] if isinstance(order, str) else order
    if terms is None:
        return ()
    if not isinstance(terms, list) or len(terms) > MAX_DEPTH:
        raise bad_request("filter.order must be text such as 'startTime ASC', or an array of such")
    found = []
    for term in terms:
        words = term.split() if isinstance(term, str) else []
        direction = words[1].upper() if len(words) == 2 else "ASC"
        if not 1 <= len(words) <= 2 or direction not in ("ASC", "DESC") or not _NAME.match(words[0]):
            raise bad_request("filter.order must be text such as 'startTime ASC', or an array of such")
        found.append((_ALIASES.get(words[0], words[0]), direction == "DESC"))
    return tuple(found)


def _count(value: Any, name: str, default: int, least: int, most: int) -> int:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise bad_request(f"filter.{name} must be a whole number from {least} to {most}")
    return value


def _check_include(include: Any, depth: int) -> None:
    """Texts, arrays, objects of relation → what to include of it, and ``{"relation":…}``. Raises Refused 400."""
    if include is None or isinstance(include, bool):
        return
    if depth == 0:
        raise bad_request("filter.include is nested too deeply")
    if isinstance(include, str):
        if include not in RELATIONS:
            raise bad_request(f"filter.include: {include[:64]!r} is no relation; {', '.join(sorted(RELATIONS))} are")
    elif isinstance(include, list):
        for each in include:
            _check_include(each, depth - 1)
    elif isinstance(include, dict):
        if "relation" in include:
            _check_include(include["relation"], depth - 1)
            return
        for name, nested in include.items():
            _check_include(name, depth - 1)
            _check_include(nested, depth - 1)
    else:
        raise bad_request("filter.include must be text, an array or an object")
