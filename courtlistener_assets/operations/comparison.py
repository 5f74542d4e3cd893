"""What a comparison with a dump has shown, in tables and words, and the lookups that it leaves.

Belongs here: the report, and carrying lookups out. Does not belong here: comparing (`download/bulk/`), what Dagster and
the command line make of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from courtlistener_assets.download.bulk.bootstrap import STREAMS
from courtlistener_assets.download.bulk.lookups import look_up_differences
from courtlistener_assets.download.sweep import Sweeper
from courtlistener_assets.settings import Settings
from resources.courtlistener.client import CourtListenerClient
from resources.errors import QuotaDeferred, ServerDown
from resources.records.differences import KINDS, Count, Difference
from resources.records.store import RecordStore

#: Requests for lookups of one run, of the 125 that a free account has a day.
LOOKUPS = 20
#: What the kinds mean, for people.
MEANING = {
    "deleted": "stored, and not in the dump",
    "changed": "other values, though no date has moved",
    "children": "only the list of its children is another",
    "missing": "not stored, though its month was complete",
    "revived": "a tombstone from before the dump, which has the object",
}


@dataclass(frozen=True)
class Report:
    """What a dump has shown: counts by stream and kind, the first examples of each kind, and what waits."""

    dump: date
    compared_at: datetime
    newer: int
    courts: frozenset[str]
    counts: list[Count]
    examples: Mapping[str, list[Difference]] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        """How many objects are still to be looked up."""
        return sum(count.open for count in self.counts)


def report_of(store: RecordStore, dump: date) -> Report | None:
    """The report of a dump; None if the store was not compared with it."""
    compared = store.differences.comparison(dump)
    if compared is None:
        return None
    counts = store.differences.counts(dump)
    kinds = [kind for kind in KINDS if any(count.kind == kind for count in counts)]
    return Report(dump, *compared, counts, {kind: store.differences.examples(dump, kind) for kind in kinds})


def look_up(
    client: CourtListenerClient, store: RecordStore, settings: Settings, *, dump: date, budget: int, run_id: str
) -> tuple[dict[str, int], str]:
    """Look up what a dump has shown to be gone; returns counts, and why it had to stop early, "" if it had not to.

    Raises what the client raises, but not for want of quota or of a server: what is left waits.
    """
    sweeper = Sweeper(client, store, run_id, scope=settings.scope)
    streams = [stream for stream in settings.chosen_streams if stream.name in STREAMS]
    counts: dict[str, int] = dict.fromkeys(("found", "gone", "failed"), 0)
    try:
        look_up_differences(sweeper, streams, counts, budget=budget, dump=dump)
    except (QuotaDeferred, ServerDown) as error:
        return counts, f"{type(error).__name__}: {error}"
    return counts, ""


def address(settings: Settings, difference: Difference) -> str:
    """Where an object can be looked at."""
    return f"{settings.base_url}/api/rest/v4/{difference.stream}/{difference.id}/"


def fields_in_words(difference: Difference) -> list[tuple[str, Any, Any]]:
    """The fields of a difference with both values; one line without a field where there is none."""
    return [(name, old, new) for name, (old, new) in difference.fields.items()] or [("", None, None)]
