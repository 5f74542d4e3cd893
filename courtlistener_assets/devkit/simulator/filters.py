"""Query parameters into filters, and filters into rows.

Belongs here: which parameters an endpoint knows, the wording when a value is wrong, and the way from parents to
children and back. Does not belong here: order and pages (`pagination.py`).
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from courtlistener_assets.devkit.simulator.endpoints import CITATIONS, ENDPOINTS, Endpoint, Filter, Kind
from courtlistener_assets.devkit.simulator.objects import Key, Objects
from courtlistener_assets.devkit.simulator.pacific import PACIFIC, parse_date, parse_moment
from courtlistener_assets.devkit.simulator.shapes import Record, key_of

#: Parameters that are no filters.
_OTHER_PARAMETERS = {"order_by", "cursor", "page", "page_size", "count", "fields", "omit", "format"}
#: A filter may pass this many relations.
_DEEPEST = 5
_NO_SUCH_OBJECT = "Select a valid choice. That choice is not one of the available choices."

Errors = dict[str, list[str]]
Predicate = Callable[[Record], bool]


class InvalidParameters(Exception):
    """Parameters that the endpoint does not know or whose values it cannot use (400); `body` says which."""

    def __init__(self, body: Any) -> None:
        super().__init__(str(body))
        self.body = body


@dataclass
class Node:
    """The filters that hold for one endpoint's objects, and those for the objects that they are related to."""

    endpoint: Endpoint
    path: str = ""
    predicates: list[Predicate] = field(default_factory=list)
    #: Tests of the id, kept apart: a walk changes only these from page to page.
    id_predicates: list[Predicate] = field(default_factory=list)
    #: `court=nysd` and `court!=nysd`: relation, key, negated.
    keys: list[tuple[str, Key, bool]] = field(default_factory=list)
    related: dict[str, Node] = field(default_factory=dict)
    errors: Errors = field(default_factory=dict)

    def all_errors(self) -> Errors:
        # The server joins the path of each relation on the way up once more, so that names come out doubled.
        errors = dict(self.errors)
        for node in self.related.values():
            errors |= {f"{node.path}__{name}": messages for name, messages in node.all_errors().items()}
        return errors


def parse_filters(corpus: Objects, endpoint: Endpoint, parameters: dict[str, list[str]]) -> Node:
    """Read the filters of a query. Of a repeated parameter the last value counts; an empty one drops it."""
    root, names = Node(endpoint), parameters.keys() - _OTHER_PARAMETERS
    unknown = [name for name in parameters if name in names and not _add(corpus, root, name, parameters[name], depth=0)]
    if unknown:
        body = {"detail": "Unknown filter parameters are not allowed.", "unknown_params": unknown}
        raise InvalidParameters(body)
    if errors := root.all_errors():
        raise InvalidParameters(errors)
    return root


def matching(corpus: Objects, node: Node) -> list[Record]:
    """Return the rows that pass, by id; a filter on children repeats a row for each child that passes."""
    rows = [
        record
        for record in corpus.table(node.endpoint.name)
        if all(test(record) for test in (*node.id_predicates, *node.predicates))
        and all(_has_key(corpus, node, record, *wanted) for wanted in node.keys)
    ]
    for name, related in node.related.items():
        relation = node.endpoint.relations[name]
        if related.endpoint is CITATIONS:
            rows = [row for row in rows for one in row[name] if all(test(one) for test in related.predicates)]
            continue
        passed = {record["id"]: record for record in matching(corpus, related)}
        if relation.many and relation.inverse:
            count = Counter(corpus.parent_key(relation.target, relation.inverse, one) for one in passed.values())
            rows = [row for row in rows for _ in range(count[row["id"]])]
        else:
            rows = [row for row in rows for key in _named(corpus, node, name, row) if key in passed]
    return rows


def _named(corpus: Objects, node: Node, name: str, record: Record) -> list[Key]:
    """Return the ids of the objects that a record itself names by a relation."""
    if node.endpoint.relations[name].many:
        return [key_of(url) for url in record[name]]
    return [] if record.get(name, "") is None else [corpus.parent_key(node.endpoint.name, name, record)]


def _has_key(corpus: Objects, node: Node, record: Record, name: str, key: Key, negated: bool) -> bool:
    relation = node.endpoint.relations[name]
    if relation.many and relation.inverse:
        child = corpus.get(relation.target, key)
        found = child is not None and corpus.parent_key(relation.target, relation.inverse, child) == record["id"]
    else:
        found = key in _named(corpus, node, name, record)
    return found != negated


def _add(corpus: Objects, node: Node, name: str, values: list[str], depth: int) -> bool:
    """Enter a parameter into the tree; False if there is no such filter."""
    for relation in node.endpoint.relations:
        if name.removesuffix("!") == relation:
            _add_key(corpus, node, relation, name, values[-1])
            return True
        if name.startswith(f"{relation}__") and depth < _DEEPEST:
            path = f"{node.path}__{relation}" if node.path else relation
            target = _target(node, relation)
            child = node.related.get(relation) or Node(target, path)
            if not _add(corpus, child, name[len(relation) + 2 :], values, depth + 1):
                return False
            if values[-1]:
                node.related[relation] = child
            return True
    return _add_lookup(node, name, values)


def _add_lookup(node: Node, name: str, values: list[str]) -> bool:
    plain = name.removesuffix("!")
    for field_name, spec in node.endpoint.filters.items():
        word = "exact" if plain == field_name else plain.partition(f"{field_name}__")[2]
        if plain not in (field_name, f"{field_name}__{word}") or word not in spec.lookups:
            continue
        if values[-1]:
            given = [value for value in values if value] if spec.kind is Kind.MULTIPLE_CHOICE else values[-1:]
            predicates = node.id_predicates if field_name == "id" else node.predicates
            try:
                predicates.append(lookup(field_name, spec, word, given, negated=plain != name))
            except InvalidValue as error:
                node.errors[name] = [str(error)]
        return True
    return False


def _target(node: Node, relation: str) -> Endpoint:
    return ENDPOINTS.get(node.endpoint.relations[relation].target, CITATIONS)


def _add_key(corpus: Objects, node: Node, relation: str, name: str, value: str) -> None:
    if not value:
        return
    target = _target(node, relation)
    key: Key | None = value if target.text_key else int(value) if value.isdigit() else None
    if key is None or target is CITATIONS or corpus.get(target.name, key) is None:
        node.errors[name] = [_NO_SUCH_OBJECT]
    else:
        node.keys.append((relation, key, name != relation))


# --- one filter: its value read from a query, and the test that it makes of an object

#: An `i` before the name of a test of texts makes it ignore case.
_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "exact": operator.eq, "gte": operator.ge, "gt": operator.gt, "lte": operator.le, "lt": operator.lt,
    "startswith": str.startswith,
}  # fmt: skip
_READERS: dict[Kind, tuple[Callable[[str], Any], str]] = {
    Kind.NUMBER: (Decimal, "Enter a number."),
    Kind.DATE: (parse_date, "Enter a valid date."),
    Kind.MOMENT: (parse_moment, "Enter a valid date/time."),
}
_PARTS = ("year", "month", "day", "hour", "minute", "second")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


class InvalidValue(Exception):
    """The value of a filter does not fit; the message is the server's."""


def lookup(name: str, spec: Filter, word: str, values: list[str], *, negated: bool) -> Predicate:
    """Make a test of field `name` against `values` by the lookup `word`. An absent value passes only negations."""
    if word == "isnull":
        wanted = _BOOLEANS.get(values[-1].lower())
        return lambda record: wanted is None or ((record[name] is None) == wanted) != negated
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
        part = _read(Kind.NUMBER, value)
        return lambda found: getattr(found, word) == part
    if word == "in" or spec.kind is Kind.MULTIPLE_CHOICE:
        wanted = {_parse(spec, one, word) for one in (value.split(",") if word == "in" else values)}
        return lambda found: found in wanted
    parsed = _parse(spec, value, word)
    if parsed is None:
        return lambda _found: True
    compare = _TESTS[word.removeprefix("i")]
    if word.startswith("i"):
        return lambda found: compare(found.casefold(), parsed.casefold())
    return lambda found: compare(found, parsed)


def _range_test(spec: Filter, value: str) -> Callable[[Any], bool]:
    ends = value.split(",")
    if len(ends) != 2:
        raise InvalidValue("Range query expects two values.")
    low, high = (_parse(spec, end, "range") for end in ends)
    return lambda found: low <= found <= high


def _reader(spec: Filter, word: str) -> Callable[[Any], Any]:
    """Return how a stored value becomes comparable with a parsed one."""
    if spec.kind is Kind.DATE:
        return parse_date
    if spec.kind is Kind.MOMENT:
        return (lambda text: parse_moment(text).astimezone(PACIFIC)) if word in _PARTS else parse_moment
    if spec.kind in (Kind.CHOICE, Kind.MULTIPLE_CHOICE):
        return Decimal if _compares(word) else str
    return lambda value: value


def _parse(spec: Filter, value: str, word: str) -> Any:
    if spec.kind in _READERS:
        return _read(spec.kind, value)
    if spec.kind is Kind.BOOLEAN:
        return _BOOLEANS.get(value.lower())
    if "\0" in value:
        raise InvalidValue("Null characters are not allowed.")
    if spec.kind is Kind.TEXT:
        return value.strip()
    if word != "in" and value not in spec.choices:
        raise InvalidValue(f"Select a valid choice. {value} is not one of the available choices.")
    return Decimal(value) if _compares(word) else value


def _compares(word: str) -> bool:
    return word in ("gte", "gt", "lte", "lt", "range")


def _read(kind: Kind, value: str) -> Any:
    parse, message = _READERS[kind]
    try:
        return parse(value.strip())
    except (ValueError, InvalidOperation):
        raise InvalidValue(message) from None
