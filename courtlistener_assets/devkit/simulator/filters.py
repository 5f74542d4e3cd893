"""Query parameters into filters, and filters into rows.

Belongs here: which parameters an endpoint knows, the wording when a value is wrong, and the way from parents to
children and back. Does not belong here: order and pages (`pagination.py`), and the reading of one value (`lookups.py`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from courtlistener_assets.devkit.simulator.corpus import Corpus, Key
from courtlistener_assets.devkit.simulator.endpoints import ENDPOINTS, Endpoint, Kind, Relation
from courtlistener_assets.devkit.simulator.lookups import InvalidValue, Predicate, lookup
from courtlistener_assets.devkit.simulator.shapes import Record

#: Parameters that are no filters.
_OTHER_PARAMETERS = {"order_by", "cursor", "page", "page_size", "count", "fields", "omit", "format"}
#: A filter may pass this many relations.
_DEEPEST = 5
_NO_SUCH_OBJECT = "Select a valid choice. That choice is not one of the available choices."

Errors = dict[str, list[str]]


class UnknownParameters(Exception):
    """Parameters that the endpoint does not know (400)."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(", ".join(names))
        self.names = names


class InvalidParameters(Exception):
    """Parameters whose values cannot be used (400): the messages by parameter."""

    def __init__(self, errors: Errors) -> None:
        super().__init__(str(errors))
        self.errors = errors


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


def parse_filters(corpus: Corpus, endpoint: Endpoint, parameters: dict[str, list[str]]) -> Node:
    """The filters of a query. Of a repeated parameter the last value counts; an empty one drops the parameter."""
    root, unknown = Node(endpoint), []
    for name, values in parameters.items():
        if name in _OTHER_PARAMETERS:
            continue
        known = _add(corpus, root, name, values, depth=0)
        if not known:
            unknown.append(name)
    if unknown:
        raise UnknownParameters(unknown)
    errors = root.all_errors()
    if errors:
        raise InvalidParameters(errors)
    return root


def matching(corpus: Corpus, node: Node) -> list[Record]:
    """The rows that pass, by id; a filter on children repeats a row for each child that passes."""
    rows = [
        record
        for record in corpus.table(node.endpoint.name)
        if all(test(record) for test in (*node.id_predicates, *node.predicates))
        and all(_has_key(corpus, node, record, *wanted) for wanted in node.keys)
    ]
    for name, related in node.related.items():
        relation, passed = node.endpoint.relations[name], matching(corpus, related)
        if relation.many:
            rows = _repeat(corpus, rows, relation, passed)
        else:
            ids = {record["id"] for record in passed}
            rows = [row for row in rows if corpus.parent_key(node.endpoint.name, name, row) in ids]
    return rows


def _repeat(corpus: Corpus, rows: list[Record], relation: Relation, passed: list[Record]) -> list[Record]:
    distinct = {child["id"]: child for child in passed}
    count = Counter(corpus.parent_key(relation.target, relation.inverse, child) for child in distinct.values())
    return [row for row in rows for _ in range(count[row["id"]])]


def _has_key(corpus: Corpus, node: Node, record: Record, name: str, key: Key, negated: bool) -> bool:
    relation = node.endpoint.relations[name]
    if relation.many:
        child = corpus.get(relation.target, key)
        found = child is not None and corpus.parent_key(relation.target, relation.inverse, child) == record["id"]
    else:
        found = corpus.parent_key(node.endpoint.name, name, record) == key
    return found != negated


def _add(corpus: Corpus, node: Node, name: str, values: list[str], depth: int) -> bool:
    """Enter a parameter into the tree; False if there is no such filter."""
    for relation in node.endpoint.relations:
        if name.removesuffix("!") == relation:
            _add_key(corpus, node, relation, name, values[-1])
            return True
        if name.startswith(f"{relation}__") and depth < _DEEPEST:
            path = f"{node.path}__{relation}" if node.path else relation
            target = ENDPOINTS[node.endpoint.relations[relation].target]
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


def _add_key(corpus: Corpus, node: Node, relation: str, name: str, value: str) -> None:
    if not value:
        return
    target = ENDPOINTS[node.endpoint.relations[relation].target]
    key: Key | None = value if target.text_key else int(value) if value.isdigit() else None
    if key is None or corpus.get(target.name, key) is None:
        node.errors[name] = [_NO_SUCH_OBJECT]
    else:
        node.keys.append((relation, key, name != relation))
