"""A user's own opinions as a corpus: a file of JSON lines, one opinion a line.

Belongs here: reading and checking that file. Does not belong here: made-up objects (`generator.py`).

Keys of a line: case_name, court_id, date_filed (`2024-05-16`), docket_number, citation (`601 U.S. 416` or empty), type
(`020lead`), field (the text field of the API that holds the text), text. Lines of one case, court and date are the
opinions of one decision.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from courtlistener_assets.devkit.simulator import shapes
from courtlistener_assets.devkit.simulator.corpus import Corpus
from courtlistener_assets.devkit.simulator.endpoints import OPINION_TYPES
from courtlistener_assets.devkit.simulator.markup import TEXT_FIELDS
from courtlistener_assets.download.partitions import CourtMonth
from resources.errors import SettingError

_KEYS = ("case_name", "court_id", "date_filed", "docket_number", "citation", "type", "field", "text")
_MAY_BE_EMPTY = {"docket_number", "citation"}


def load(path: Path) -> Corpus:
    """Read the corpus in a file. Raises SettingError that names file, line and key for a line that does not fit."""
    corpus = Corpus()
    for record in shapes.known_courts():
        corpus.add("courts", record)
    decisions: dict[tuple[str, str, str], int] = {}
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            _add(corpus, decisions, _checked(line, f"{path}, line {number}"))
    if not decisions:
        raise SettingError(f"{path} holds no opinions")
    return corpus


def partitions_in_file(path: Path) -> tuple[CourtMonth, ...]:
    """Return the partitions that a file fills, in order; `load` has checked its lines."""
    opinions = (json.loads(line) for line in _lines(path) if line.strip())
    found = {CourtMonth(each["court_id"], date.fromisoformat(each["date_filed"]).replace(day=1)) for each in opinions}
    return tuple(sorted(found))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{path} cannot be read: {error}") from error


def _checked(line: str, where: str) -> dict[str, str]:
    try:
        opinion: Any = json.loads(line)
    except ValueError as error:
        raise SettingError(f"{where}: not JSON ({error})") from None
    if not isinstance(opinion, dict):
        raise SettingError(f"{where}: expected an object with the keys {', '.join(_KEYS)}")
    for key in _KEYS:
        value = opinion.get(key)
        if not isinstance(value, str):
            raise SettingError(f"{where}: {key} is {value!r}, expected a string")
        if not value.strip() and key not in _MAY_BE_EMPTY:
            raise SettingError(f"{where}: {key} is empty")
    for key, (fits, expected) in _VALUES.items():
        if not fits(opinion[key]):
            raise SettingError(f"{where}: {key} is {opinion[key]!r}, expected {expected}")
    return opinion


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


_VALUES: dict[str, tuple[Callable[[str], bool], str]] = {
    "date_filed": (_is_date, "a date like 2024-05-16"),
    "type": (OPINION_TYPES.__contains__, f"one of {', '.join(OPINION_TYPES)}"),
    "field": (TEXT_FIELDS.__contains__, f"one of {', '.join(TEXT_FIELDS)}"),
}


def _add(corpus: Corpus, decisions: dict[tuple[str, str, str], int], opinion: dict[str, str]) -> None:
    decided = datetime.combine(date.fromisoformat(opinion["date_filed"]), datetime.min.time(), UTC)
    # The server's own rows cannot be older than the service.
    moment = max(decided, datetime(2010, 1, 1, tzinfo=UTC)) + timedelta(days=1, microseconds=len(corpus.opinions) + 1)
    key = (opinion["case_name"], opinion["court_id"], opinion["date_filed"])
    if key not in decisions:
        decisions[key] = len(decisions) + 1
        _add_decision(corpus, decisions[key], opinion, moment)
    cluster = corpus.get("clusters", decisions[key])
    assert cluster is not None
    corpus.add("opinions", shapes.opinion(
        len(corpus.opinions) + 1, cluster["id"], moment,
        **{opinion["field"]: opinion["text"], "type": opinion["type"], "absolute_url": cluster["absolute_url"],
           "sha1": hashlib.sha1(opinion["text"].encode()).hexdigest()},
    ))  # fmt: skip


def _add_decision(corpus: Corpus, number: int, opinion: dict[str, str], moment: datetime) -> None:
    """A docket, known from its decision only, and the cluster; both get the same id."""
    court_id, name = opinion["court_id"], opinion["case_name"]
    if corpus.get("courts", court_id) is None:
        corpus.add("courts", shapes.court(court_id))
    docket_number = opinion["docket_number"]
    docket = shapes.docket(number, court_id, name, moment, docket_number=docket_number, docket_number_raw=docket_number)
    corpus.add("dockets", docket)
    volume, _, rest = opinion["citation"].partition(" ")
    reporter, _, page = rest.rpartition(" ")
    cited = [shapes.citation(volume, reporter, page, moment)] if page else []
    filed = opinion["date_filed"]
    corpus.add("clusters", shapes.cluster(number, number, name, moment, date_filed=filed, citations=cited))
