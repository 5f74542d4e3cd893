"""A comparison with a dump outside of a run of Dagster: its plan, carrying it out, and the report in words or as JSON.

Belongs here: opening what it needs, and words. Does not belong here: options of the command (`cli.py`), the report
itself (`operations/comparison.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime

from courtlistener_assets.defs.bootstrap_command import fill
from courtlistener_assets.download.choice import known_tables
from courtlistener_assets.operations import bootstrap
from courtlistener_assets.operations.api import courtlistener
from courtlistener_assets.operations.comparison import MEANING, Report, address, fields_in_words, look_up, report_of
from courtlistener_assets.settings import Settings
from resources.connections.postgres import Database
from resources.records.store import RecordStore

#: Longest wait for a permit.
_WAIT_SECONDS = 90.0
_EXAMPLES = 3


@dataclass(frozen=True)
class Planned:
    """What is to be done: with `plan` the dump is read, then at most `lookups` of `waiting` objects are asked for."""

    settings: Settings
    dump: date
    plan: bootstrap.Plan | None
    waiting: int
    lookups: int

    @property
    def does_anything(self) -> bool:
        return self.plan is not None or bool(self.waiting and self.lookups)

    @property
    def lines(self) -> list[str]:
        """What would be done, in sentences."""
        if self.plan is None:
            asked = min(self.lookups, self.waiting)
            return [
                f"The store was compared with the dump of {self.dump}; {self.waiting:,} objects are to be looked up, "
                f"now {asked:,} of them, for about as many requests."
            ]
        return [
            *bootstrap.described(self.plan, self.settings),
            "What is stored already is compared with it. Then what seems to be deleted is looked up, with about "
            f"{self.lookups:,} requests at most.",
        ]


def quiet(text: str) -> None:
    """Say nothing."""


def planned(settings: Settings, day: date | None, lookups: int) -> Planned:
    """Find out what a comparison takes; raises as `bootstrap.plan` does."""
    with closing(Database(settings.postgres_url)) as database:
        store = _store(database)
        plan = None
        if day is None or not _is_compared(store, settings, day):
            plan = bootstrap.plan(settings, day=day)
            day = plan.dump.day
            plan = None if _is_compared(store, settings, day) else plan
        report = report_of(store, day)
        return Planned(settings, day, plan, report.waiting if report else 0, lookups)


def _is_compared(store: RecordStore, settings: Settings, day: date) -> bool:
    """Whether all courts were compared with a dump; one that was since can be found only by reading it again."""
    compared = store.differences.comparison(day)
    return compared is not None and set(settings.courts) <= compared[2]


def carry_out(planned: Planned, environ: Mapping[str, str], say: Callable[[str], None], *, as_json: bool) -> str:
    """Do what is planned; returns the report."""
    settings, dump, problem = planned.settings, planned.dump, ""
    if planned.plan:
        say(fill(planned.plan, settings, environ, say))
    with closing(Database(settings.postgres_url)) as database:
        store = _store(database)
        if planned.lookups and store.differences.waiting(limit=1, dump=dump):
            with courtlistener(settings, max_wait_seconds=_WAIT_SECONDS).open() as client:
                run_id = f"compare-{datetime.now(UTC):%Y%m%dT%H%M%S}"
                _, problem = look_up(client, store, settings, dump=dump, budget=planned.lookups, run_id=run_id)
        report = report_of(store, dump)
    assert report is not None
    return _as_json(report, settings) if as_json else "\n".join([*_lines(report), *filter(None, [problem])])


def _store(database: Database) -> RecordStore:
    store = RecordStore(database, known_tables())
    store.prepare([table.name for table in known_tables()])
    return store


def _lines(report: Report) -> list[str]:
    lines = [f"Compared with the dump of {report.dump} at {report.compared_at:%Y-%m-%d %H:%M} UTC:"]
    for count in report.counts:
        left = f", {count.open:,} to be looked up" if count.open else ""
        lines.append(f"  {count.found:,} {count.stream} {count.kind} ({MEANING[count.kind]}){left}")
    if not report.counts:
        lines.append("  nothing was different")
    for some in report.examples.values():
        for each in some[:_EXAMPLES]:
            fields = ", ".join(f"{name}: {old!r} is {new!r}" for name, old, new in fields_in_words(each) if name)
            what = ": ".join(filter(None, [f"{each.kind} {each.stream} {each.id}", fields]))
            lines.append(f"  e.g. {what} ({each.outcome or 'to be looked up'})")
    if report.newer:
        lines.append(f"  {report.newer:,} objects were downloaded after the dump, which says nothing of them")
    return lines


def _as_json(report: Report, settings: Settings) -> str:
    return json.dumps({
        "dump": report.dump.isoformat(),
        "compared_at": report.compared_at.isoformat(),
        "newer_than_the_dump": report.newer,
        "counts": [vars(count) for count in report.counts],
        "examples": [
            {**vars(each), "dump": each.dump.isoformat(), "url": address(settings, each)}
            for some in report.examples.values()
            for each in some
        ],
    }, indent=2)  # fmt: skip
