"""`courtlistener plan`: what the months of some courts take, before anything is downloaded.

Belongs here: which counts are asked for, what follows from them, and the words. Does not belong here: the arithmetic
(`resources/backlog/workload.py`, `resources/quota/eta.py`), what a bootstrap takes in detail (`bootstrap.py`).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta

from courtlistener_assets.download.bulk.bootstrap import STREAMS, TABLES
from courtlistener_assets.download.bulk.source import BulkSource
from courtlistener_assets.download.courts import meant, offline
from courtlistener_assets.download.stream import Stream, Sweep
from courtlistener_assets.operations.api import courtlistener
from courtlistener_assets.operations.completion import account_outlook
from courtlistener_assets.operations.expected import months_from, plan_for
from courtlistener_assets.operations.pace import expected_pace, size
from courtlistener_assets.operations.sizes import Sizes, sizes_of
from courtlistener_assets.settings import Settings
from resources.backlog.progress import what_is_left
from resources.backlog.workload import pages_of
from resources.connections.postgres import Database
from resources.errors import DumpError, NoSuchReference, SettingError
from resources.quota.eta import in_words
from resources.quota.permits import Lane
from resources.records.court_counts import CourtCounts

#: A count is not asked for again so soon.
FRESH = timedelta(days=1)


@dataclass(frozen=True)
class Question:
    """What there is to plan, and which sweeps of which courts have to be counted for it, a request each."""

    courts: Sequence[str]
    first_month: date
    last_month: date | None
    today: date
    streams: Sequence[Stream]
    uncounted: Mapping[str, Sequence[tuple[Stream, Sweep]]]

    @property
    def last_day(self) -> date:
        """A day of the last month."""
        return min(self.today, self.last_month or self.today)

    @property
    def requests(self) -> int:
        return sum(map(len, self.uncounted.values()))

    def __str__(self) -> str:
        """What asking costs, in words."""
        if not self.requests:
            return "All counts are less than a day old: no request is sent."
        each = max(map(len, self.uncounted.values()))
        return f"Counting takes {self.requests} requests of your quota, {each} a court at most, and is kept for a day."


@dataclass(frozen=True)
class FromBulk:
    """What the same takes from bulk files: bytes that are read, seconds of reading, and requests for what they lack."""

    dump: date
    bytes: int
    seconds: float
    requests: int
    requests_seconds: float


@dataclass(frozen=True)
class Estimate:
    """What is downloaded and what it takes; `seconds` are those of the account's windows, for what is left."""

    courts: Sequence[str]
    first_month: date
    months: int
    partitions: int
    objects: Mapping[str, int]
    requests: int
    requests_left: int
    seconds: float
    windows: str
    sizes: Sizes
    bulk: FromBulk | None
    bulk_problem: str = ""


def question(
    settings: Settings, database: Database, courts: Sequence[str], first_month: date | None, today: date
) -> Question:
    """Return what is to be planned: the configured courts and months where none are named; raises StoreUnavailable.

    It ends with the last month that is configured, as the partitions do; raises SettingError if it begins after that.
    """
    courts, first, last = courts or settings.courts, first_month or settings.first_month, settings.last_day(today)
    if first > last:
        why = "is yet to come" if first > today else f"is after COURTLISTENER_LAST_MONTH={last:%Y-%m}"
        raise SettingError(f"--from {first:%Y-%m} {why}")
    streams = [each for each in settings.chosen_streams if each.by_month]
    fresh = CourtCounts(database).known(courts, first, settings.last_month, not_before=datetime.now(UTC) - FRESH)
    wanted = {
        court: [pair for pair in _counted(streams) if (court, pair[0].name, pair[1].name) not in fresh]
        for court in courts
    }
    return Question(
        courts, first, settings.last_month, today, streams, {court: pairs for court, pairs in wanted.items() if pairs}
    )


def count(question: Question, settings: Settings, database: Database, say: Callable[[str], None]) -> None:
    """Ask for what is not counted yet, a request each under a permit; what was counted is kept, whatever comes.

    Raises SettingError without a token or for a court that CourtListener does not have, and as the client does.
    """
    if not question.requests:
        return
    if not settings.token:
        raise SettingError("COURTLISTENER_API_TOKEN is not set: CourtListener counts for accounts only")
    counts = CourtCounts(database)
    with courtlistener(settings, max_wait_seconds=settings.max_wait_seconds).open(Lane.PRIORITY) as client:
        client.refresh_quota()
        for court, pairs in question.uncounted.items():
            selection = _Since(court, question.first_month, question.last_day)
            for stream, sweep in pairs:
                try:
                    found = client.count(stream.endpoint, {**sweep.params(selection), **stream.limits})
                except NoSuchReference as error:
                    raise SettingError(f"CourtListener has no court {court!r}{meant(court, offline())}") from error
                say(f"{court}: {found:,} {stream.name.replace('_', ' ')}")
                found_by_sweep = dict.fromkeys(_keys(stream, sweep, question.streams), found)
                counts.note(court, question.first_month, question.last_month, found_by_sweep)


def estimate(question: Question, settings: Settings, database: Database) -> Estimate:
    """What follows from the counts; sends no request to the API. Raises StoreUnavailable.

    Of bulk files it reads the beginning of the largest, to see how fast that is.
    """
    plan = plan_for(question.streams, question.courts, question.first_month, question.last_month, question.today)
    known = CourtCounts(database).known(question.courts, question.first_month, question.last_month)
    months = len(months_from(question.first_month, question.last_day))
    objects = {
        stream.name: sum(known.get((court, stream.name, stream.sweeps[0].name), 0) for court in question.courts)
        for stream in question.streams
    }
    requests = {
        stream.name: sum(
            pages_of([known.get((court, stream.name, sweep.name), 0) for sweep in stream.sweeps], months)
            for court in question.courts
        )
        for stream in question.streams
    }
    left, outlook = what_is_left(database, plan), account_outlook(settings, database)
    lacking = {name: left.of(name) for name in requests if name not in STREAMS}
    bulk, problem = _from_bulk(settings, sum(lacking.values()), outlook.seconds_for(sum(lacking.values())))
    return Estimate(
        question.courts,
        question.first_month,
        months,
        months * len(question.courts),
        objects,
        math.ceil(sum(requests.values())),
        math.ceil(left.total),
        outlook.seconds_for(left.total, left.doubt),
        ", ".join(f"{each.window.limit} in {in_words(each.window.seconds)}" for each in outlook.windows),
        sizes_of(database, objects),
        bulk,
        problem,
    )


def described(found: Estimate) -> list[str]:
    """The estimate in sentences."""
    objects = ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in found.objects.items())
    rest = "" if found.requests_left >= found.requests else f", of which {found.requests_left:,} are left"
    lines = [
        f"{', '.join(found.courts)} from {found.first_month:%Y-%m} on: {found.partitions:,} partitions of each asset.",
        f"There are {objects}.",
        f"Over the API: about {found.requests:,} requests{rest}. Under {found.windows} that takes "
        f"{in_words(found.seconds)}.",
    ]
    if found.bulk:
        lines.append(_of_bulk(found.bulk))
    elif found.bulk_problem:
        lines.append(f"What bulk files would take is not known: {found.bulk_problem}.")
    lines.append(
        f"Stored: about {size(found.sizes.postgres_bytes)} in Postgres, and {size(found.sizes.parquet_bytes)} of "
        f"Parquet in {found.sizes.chunks:,} chunks ({found.sizes.source})."
    )
    return lines


def as_json(found: Estimate) -> str:
    """Return the estimate as JSON; durations in seconds, null if endless, sizes in bytes."""
    body = {**asdict(found), "seconds": _finite(found.seconds)}
    if found.bulk:
        body["bulk"]["requests_seconds"] = _finite(found.bulk.requests_seconds)
    return json.dumps(body, indent=2, default=lambda value: value.isoformat())


def _finite(seconds: float) -> int | None:
    """Whole seconds; JSON has no infinity."""
    return None if math.isinf(seconds) else round(seconds)


def _of_bulk(bulk: FromBulk) -> str:
    rest = "nothing is left for the API"
    if bulk.requests:
        rest = f"what is in no file then takes {bulk.requests:,} requests, {in_words(bulk.requests_seconds)}"
    return (
        f"From the bulk files of {bulk.dump}: no request; {size(bulk.bytes)} are read in about "
        f"{in_words(bulk.seconds)}, and {rest}. `courtlistener bootstrap` does it."
    )


def _from_bulk(settings: Settings, requests: float, seconds: float) -> tuple[FromBulk | None, str]:
    try:
        source = BulkSource(settings.bulk_url)
        dump = source.newest(TABLES)
        pace = expected_pace(source, dump, os.cpu_count() or 1)
    except (DumpError, SettingError) as error:
        return None, str(error).rstrip(".")
    whole = dump.size(TABLES)
    return FromBulk(dump.day, whole, whole / pace, math.ceil(requests), seconds), ""


def _counted(streams: Sequence[Stream]) -> list[tuple[Stream, Sweep]]:
    """The sweeps that are asked about; one that goes by children has as many rows as these, if they are counted."""
    names = {stream.name for stream in streams}
    return [
        (stream, sweep)
        for stream in streams
        for sweep in stream.sweeps
        if sweep.by is None or sweep.by.name not in names
    ]


def _keys(stream: Stream, sweep: Sweep, streams: Sequence[Stream]) -> list[tuple[str, str]]:
    """The sweeps that one count is of, by asset and name."""
    by_children = [
        (other.name, each.name) for other in streams for each in other.sweeps if each.by and each.by.name == stream.name
    ]
    return [(stream.name, sweep.name), *(by_children if sweep == stream.sweeps[0] else [])]


@dataclass(frozen=True)
class _Since:
    """All months of a court from a first one to that of a day, in the place of one month."""

    court: str
    first_month: date
    last_day: date

    @property
    def filter_values(self) -> dict[str, str]:
        after = (self.last_day.replace(day=1) + timedelta(days=32)).replace(day=1)
        return {"court": self.court, "first_day": self.first_month.isoformat(), "next_month": after.isoformat()}
