"""What tests of bulk files share."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from courtlistener_assets.download.bulk.bodies import Bodies
from courtlistener_assets.download.bulk.objects import Objects
from courtlistener_assets.download.bulk.passes import Passes, Wanted
from courtlistener_assets.download.bulk.source import BulkSource
from courtlistener_assets.download.bulk.tables import OBJECTS, ORIGINS
from courtlistener_assets.download.bulk.work import Workshop

#: The day of invented dumps.
DAY = date(2026, 9, 30)
BASE_URL = "https://www.courtlistener.com/api/rest/v4"
EVERYTHING = Wanted(frozenset({"ca9", "scotus", "cand", "ca1"}), date(1, 1, 1), date(9999, 1, 1))


@dataclass(frozen=True)
class WithUndated(Wanted):
    """Also dockets without a date and without decisions."""

    def of_months(self, days: Any) -> Any:
        return pa.chunked_array([pa.array([True] * len(days))])


def shared_dump() -> Path | None:
    """A directory `shared/bulk` beside one of the directories above: a dump of a real server, and what its API said."""
    for directory in Path(__file__).resolve().parents:
        if (directory / "shared" / "bulk" / "api").is_dir():
            return directory / "shared" / "bulk"
    return None


def served(dump: Path, stream: str) -> dict[int, dict[str, Any]]:
    """The objects that the API served, by id."""
    with gzip.open(dump / "api" / f"{stream}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return {body["id"]: body for body in map(json.loads, lines)}


def passes_of(folder: Path, wanted: Wanted, work: Workshop, **options: Any) -> Passes:
    """Passes over the newest dump in a folder."""
    source = BulkSource(str(folder))
    return Passes(source, source.newest([table.name for table in OBJECTS]), wanted, work, **options)


def objects_of(passes: Passes, base_url: str = BASE_URL) -> Objects:
    """The objects of what the passes keep; reads what was not read yet."""
    return Objects(passes.work, passes.wanted, passes.run(), Bodies(base_url))


def all_bodies(objects: Objects) -> dict[str, dict[int, dict[str, Any]]]:
    """All objects that were not stored yet, by stream and id."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for batch in objects.batches():
        found.setdefault(batch.stream, {}).update({body["id"]: body for body in batch.bodies})
        objects.done(batch)
    return found


def different_fields(dump: Path, made: Mapping[str, Mapping[int, Any]]) -> list[tuple[str, int, str]]:
    """Which fields of which objects are not what the API served, lists in any order, but for what no file has."""
    different = []
    for table in OBJECTS:
        for id, body in served(dump, table.endpoint).items():
            for name in ORIGINS.absent if body.get("original_court_info") else ():
                del body["original_court_info"][name]
            expected = {name: _comparable(value) for name, value in body.items() if name not in table.absent}
            found = {name: _comparable(value) for name, value in made[table.endpoint].get(id, {}).items()}
            different += [
                (table.endpoint, id, name)
                for name in expected.keys() | found.keys()
                if expected.get(name, ...) != found.get(name, ...)
            ]
    return different


def _comparable(value: Any) -> Any:
    """A value whose lists and objects are in no order: the server fixes none, and Postgres keeps none."""
    return sorted(json.dumps(each, sort_keys=True) for each in value) if isinstance(value, list) else value
