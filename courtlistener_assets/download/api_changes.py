"""Noticing that the API has changed: nothing that it gives can be used any more.

Belongs here: when a run must stop because of that. Does not belong here: when a single object is unusable
(`stream.py`); such an object becomes a failure, and its page goes on.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from courtlistener_assets.download.stream import Stream, is_id
from resources.errors import ApiChanged
from resources.records.model import Failure

#: So many unusable objects of a stream in a row, without a usable one, are no coincidence; one or two may be.
SEVERAL = 3


class ApiChanges:
    """Counts, for one run, the objects of each stream that could not be used since the last one that could."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_a_row: Counter[str] = Counter()

    def look_at(self, stream: Stream, objects: Sequence[Any], failures: Sequence[Failure]) -> None:
        """Count the objects of a page, of which `failures` are unusable; raises ApiChanged where it is one too many."""
        if not failures:
            if objects:
                self._in_a_row[stream.name] = 0
            return
        unusable = {failure.object_id for failure in failures}
        proof = any(_is_whole(stream, body) and body["id"] not in unusable for body in objects)
        with self._lock:
            self._in_a_row[stream.name] = 0 if proof else self._in_a_row[stream.name] + len(failures)
            in_a_row = self._in_a_row[stream.name]
        if in_a_row >= SEVERAL:
            raise ApiChanged(
                f"The API has changed: {_named(stream, objects[0], failures[0])}: {failures[0].message}. None of the "
                f"last {in_a_row} objects fits. Nothing of this page was stored or counted as a failure; a version of "
                "CourtListener assets that knows the new form goes on from here."
            )


def _is_whole(stream: Stream, body: Any) -> bool:
    """Whether an object has an id and all that can be nested in it: one without documents says nothing about these."""
    if not isinstance(body, Mapping) or not is_id(body.get("id")):
        return False
    nested = {outer for outer, separator, _ in (name.partition("__") for name in stream.needs) if separator}
    return all(body[name] for name in nested if name in body)


def _named(stream: Stream, body: Any, failure: Failure) -> str:
    """Return the address of the object that failed, of which `body` is the page's first, as far as it has one."""
    if failure.object_id is not None:
        return f"/{stream.endpoint}/{failure.object_id}/"
    named = body.get("resource_uri") if isinstance(body, Mapping) else None
    return f"{named:.200}" if isinstance(named, str) else f"an object of /{stream.endpoint}/"
