"""One filter: its value read from a query, and the test that it makes of an object.

Belongs here: kinds of values and their lookups, with the server's wording for values that do not fit. Does not belong
here: relations (`filters.py`).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from courtlistener_assets.devkit.simulator.endpoints import Filter, Kind
from courtlistener_assets.devkit.simulator.pacific import PACIFIC, parse_date, parse_moment
from courtlistener_assets.devkit.simulator.shapes import Record

Predicate = Callable[[Record], bool]

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "exact": operator.eq, "gte": operator.ge, "gt": operator.gt, "lte": operator.le, "lt": operator.lt,
}  # fmt: skip
_TEXT_TESTS: dict[str, Callable[[str, str], bool]] = {
    "startswith": str.startswith, "endswith": str.endswith, "contains": operator.contains,
}  # fmt: skip
_PARTS = ("year", "month", "day", "hour", "minute", "second")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


class InvalidValue(Exception):
    """The value of a filter does not fit; the message is the server's."""


def lookup(name: str, spec: Filter, word: str, values: list[str], *, negated: bool) -> Predicate:
    """A test of objects: field `name` against `values` by the lookup `word`. An absent value passes only negations."""
    test = _test(spec, word, values)
    read = _reader(spec, word)

    def passes(record: Record) -> bool:
        value = record[name]
        return (value is not None and test(read(value))) != negated

    return passes


def _test(spec: Filter, word: str, values: list[str]) -> Callable[[Any], bool]:
    value = values[-1]
    if word == "range":
        return _range_test(spec, value)
    if word in _PARTS:
        part = _number(value)
        return lambda found: getattr(found, word) == part
    if word == "in" or spec.kind is Kind.MULTIPLE_CHOICE:
        wanted = {_parse(spec, one, word) for one in (value.split(",") if word == "in" else values)}
        return lambda found: found in wanted
    parsed = _parse(spec, value, word)
    if parsed is None:
        return lambda _found: True
    if word in _COMPARISONS:
        compare = _COMPARISONS[word]
        return lambda found: compare(found, parsed)
    return _text_test(word, parsed)


def _range_test(spec: Filter, value: str) -> Callable[[Any], bool]:
    ends = value.split(",")
    if len(ends) != 2:
        raise InvalidValue("Range query expects two values.")
    low, high = (_parse(spec, end, "range") for end in ends)
    return lambda found: low <= found <= high


def _text_test(word: str, wanted: str) -> Callable[[Any], bool]:
    if not word.startswith("i"):
        return lambda found: _TEXT_TESTS[word](found, wanted)
    folded, plain = wanted.casefold(), word[1:]
    compare = operator.eq if plain == "exact" else _TEXT_TESTS[plain]
    return lambda found: bool(compare(found.casefold(), folded))


def _reader(spec: Filter, word: str) -> Callable[[Any], Any]:
    """How a stored value becomes comparable with a parsed one."""
    if spec.kind is Kind.DATE:
        return parse_date
    if spec.kind is Kind.MOMENT:
        return (lambda text: parse_moment(text).astimezone(PACIFIC)) if word in _PARTS else parse_moment
    if spec.kind in (Kind.CHOICE, Kind.MULTIPLE_CHOICE):
        return Decimal if _compares(word) else str
    return lambda value: value


def _parse(spec: Filter, value: str, word: str) -> Any:
    if spec.kind is Kind.NUMBER:
        return _number(value)
    if spec.kind is Kind.DATE:
        return _read(parse_date, value, "Enter a valid date.")
    if spec.kind is Kind.MOMENT:
        return _read(parse_moment, value, "Enter a valid date/time.")
    if spec.kind is Kind.BOOLEAN:
        return _BOOLEANS.get(value.lower())
    if "\0" in value:
        raise InvalidValue("Null characters are not allowed.")
    if spec.kind is Kind.TEXT:
        return value.strip()
    if value not in spec.choices:
        raise InvalidValue(f"Select a valid choice. {value} is not one of the available choices.")
    return Decimal(value) if _compares(word) else value


def _compares(word: str) -> bool:
    return word in ("gte", "gt", "lte", "lt", "range")


def _number(value: str) -> Decimal:
    try:
        return Decimal(value.strip())
    except InvalidOperation:
        raise InvalidValue("Enter a number.") from None


def _read(parse: Callable[[str], Any], value: str, message: str) -> Any:
    try:
        return parse(value.strip())
    except ValueError:
        raise InvalidValue(message) from None
