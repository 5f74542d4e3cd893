"""A round of truth: a generated history of changes, interleaved with what operators do, and two kinds of reckoning.

Belongs here: the order of a round. Does not belong here: what changes (`changes.py`), what should be stored
(`oracle.py`), what is (`verdict.py`).

After a catch-up of every court and an increment of every month, all must be equal but what no increment is told of.
After a full refresh of every partition, everything must be.
"""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import psycopg
import redis as redis_py

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from tests.truth.changes import Changes
from tests.truth.consumer import Consumer
from tests.truth.operator import DOWNLOADS, Operator, Work, operating
from tests.truth.oracle import Oracle, state_of
from tests.truth.verdict import (
    Difference,
    Store,
    dead_marks_of_files,
    dead_marks_of_postgres,
    differences_of_files,
    differences_of_rows,
)
from tests.truth.world import COURTS, LATER, MONTHS, Key, World, new_world, page_count

#: Of the kinds of Difference, those that the last line names; all others are rows or documents that are unequal.
GHOSTS, DEAD_TEXTS, RUNS, REQUESTS = ("ghost", "ghost in a file"), ("dead text",), ("run",), ("requests", "refused")
#: Longer than any overlap, so that nothing is found again by chance.
_PAST_ALL_OVERLAP = timedelta(days=2)
#: Changes between two things that operators do, and how far a replica lags until then: less than any overlap.
_LONGEST_PAUSE, _LAG_SECONDS = 12, 500.0


@dataclass
class RoundResult:
    """What a round came to; `differences` are all that were found, with the reckoning that found them."""

    seed: int
    changes: int = 0
    rows: int = 0
    excused: int = 0
    killed: int = 0
    spent: int = 0
    fewest: int = 0
    refused: int = 0
    seconds: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.differences

    def count(self, *kinds: str) -> int:
        return sum(difference.kind in kinds for difference in self.differences)

    @property
    def unequal(self) -> int:
        """Rows and documents that are not as they should be, other than ghosts."""
        return len(self.differences) - self.count(*GHOSTS, *DEAD_TEXTS, *RUNS, *REQUESTS)

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {self.changes} changes, {self.rows} rows compared, {self.excused} excused, "
            f"{self.killed} runs killed; {self.unequal} unequal, {self.count(*GHOSTS)} ghosts, "
            f"{self.count(*DEAD_TEXTS)} dead texts, {self.count(*RUNS)} failed runs, "
            f"{self.spent} requests (fewest about {self.fewest}), {self.refused} refused; {self.seconds:.0f} s"
        )

    def explained(self, most: int = 12) -> Iterator[str]:
        """The first differences, all kinds in turn, each with what had happened to its object."""
        by_kind: dict[str, list[Difference]] = {}
        known: set[tuple[str, Key | None, str]] = set()
        for each in self.differences:
            name = (each.kind, each.key, "" if each.key else each.said)
            if name not in known:  # What one reckoning finds, the next ones may find again.
                by_kind.setdefault(each.kind, []).append(each)
            known.add(name)
        in_turn = [each for rank in itertools.zip_longest(*by_kind.values()) for each in rank if each]
        for each in in_turn[:most]:
            yield f"  {each.when}: {each}"
            yield from (f"      {line}" for line in each.history)
        if self.differences:
            kinds = Counter((each.when, each.kind) for each in self.differences)
            yield from (f"  {when}: {count} {kind}" for (when, kind), count in kinds.items())


@dataclass
class Round:
    """One round on servers that the caller started."""

    world: World
    operator: Operator
    oracle: Oracle
    changes: Changes
    consumer: Consumer
    result: RoundResult
    #: Decides what operators do, apart from what happens at the server.
    chance: random.Random
    #: Downloaded so far.
    months: tuple[str, ...] = MONTHS
    #: While a replica lags: the most that passes between two changes.
    _lag_seconds: float = 0

    def play(self, changes: int) -> None:
        for court in COURTS:
            self.operator.download(court)
        self.consumer.read()
        self._start_counting()
        reckonings = {changes // 4: False, changes // 2: True, 3 * changes // 4: False, changes: True}
        pause = 0
        for number in range(1, changes + 1):
            self.changes.next(within=self._lag_seconds)
            pause -= 1
            if pause <= 0:
                self._operate()
                pause = self.chance.randrange(3, _LONGEST_PAUSE)
            if number in reckonings:
                self._end_of_lag()
                self._reckon(f"after {number} changes", refresh=reckonings[number])
        self._check_that_nothing_costs_little()

    # --- what operators do --------------------------------------------------------------------------------------------

    def _operate(self) -> None:
        court = self.chance.choice(COURTS)
        luck = self.chance.random()
        if self._lag_seconds:
            self.operator.catch_up(court)
            self._end_of_lag()
        elif luck < 0.08:
            self._begin_of_lag()
        elif luck < 0.4:
            assets = self.chance.sample(DOWNLOADS, self.chance.randrange(1, len(DOWNLOADS) + 1))
            self.operator.increments(court, sorted(assets), self._some_months(court))
        elif luck < 0.7:
            self._catch_up(court)
        elif luck < 0.8:
            self._rebuild()
        else:
            self._kill(court)

    def _catch_up(self, court: str) -> None:
        self.operator.catch_up(court)
        self.oracle.caught_up(court)

    def _begin_of_lag(self) -> None:
        """Until the next thing that operators do, all answers come from a replica that hears of nothing more."""
        self.world.corpus.lag()
        self._lag_seconds = _LAG_SECONDS / _LONGEST_PAUSE

    def _end_of_lag(self) -> None:
        self.world.corpus.replicate()
        self._lag_seconds = 0

    def _some_months(self, court: str) -> tuple[str, str]:
        first, last = sorted(self.chance.choice(MONTHS) for _ in range(2))
        return f"{court}|{first}-01", f"{court}|{last}-01"

    def _kill(self, court: str) -> None:
        work = self.chance.choice(
            (
                Work("downloads", self._some_months(court), DOWNLOADS),
                Work("catch_up", (court,)),
                Work("downloads", self._some_months(court), DOWNLOADS, full_refresh=True),
            )
        )
        before = self._spent()
        self.operator.kill(work, after=self.chance.randrange(1, 9))
        self.operator.fewest += self._spent() - before

    def _rebuild(self) -> None:
        self.operator.rebuild(built=self.consumer.read)

    # --- reckonings ---------------------------------------------------------------------------------------------------

    def _reckon(self, when: str, *, refresh: bool) -> None:
        """Catch up, and compare; with `refresh`, walk everything in full after that and compare again."""
        self.world.clock.advance(timedelta(minutes=1))
        for court in COURTS:
            self._catch_up(court)
        for court in COURTS:
            downloaded = self.operator.months(court, later=LATER in self.months)
            self.operator.increments(court, partitions=downloaded)
            self.operator.undated(court)
        self._count_what_moved()
        self.operator.retry()
        self._rebuild()
        self._compare(f"{when}, increments", excused=True)
        if refresh:
            before = self._spent()
            self.months = self.oracle.months = (*MONTHS, LATER)
            for court in COURTS:
                self.operator.full_refresh(court)
            self.operator.fewest += self._fewest_of_a_full_refresh()
            self.operator.retry()
            self._build_what_is_new()
            self.oracle.forget_dirt()
            self._compare(f"{when}, full refresh ({self._spent() - before} requests)", excused=False)

    def _build_what_is_new(self) -> None:
        """A month that was never built is built by whoever downloads it."""
        self._rebuild()
        built = self.location_partitions()
        for court in COURTS:
            months = [key for key in self.operator.months(court, later=True)[1:] if key not in built]
            for key in months:
                self.operator.run(Work("rebuild_vector_inputs", (key,)))
        self.consumer.read()

    def location_partitions(self) -> set[str]:
        """The partitions that have vector inputs."""
        return self.operator.location.materialized("vector_inputs")

    def _compare(self, when: str, *, excused: bool) -> None:
        database, state = self.operator.location.database, state_of(self.world, self.months)
        store = Store.read(database, self.operator.simulator.url, self.months)
        found = [*differences_of_rows(store, state), *differences_of_files(self.operator.data_dir, state)]
        if excused:
            found = [each for each in found if not self._is_excused(each)]
            self.result.excused += len(self.oracle.dirt)
        else:
            found += dead_marks_of_postgres(database, state)
            found += dead_marks_of_files(self.operator.data_dir, state)
            found += self._open_failures()
        found += self.consumer.differences()
        self.result.rows += sum(bool(wanted.place.partitions) for wanted in state.values())
        for each in found:
            self._note(when, each)
        self._note_faults(when)

    def _note_faults(self, when: str) -> None:
        for fault in self.operator.faults:
            self._note(when, Difference("run", fault))
        self.operator.faults.clear()

    def _note(self, when: str, difference: Difference) -> None:
        key = difference.key
        history = self.oracle.history_of(key) if key else ()
        self.result.differences.append(replace(difference, when=when, history=history))

    def _is_excused(self, difference: Difference) -> bool:
        key = difference.key
        if key is None:
            return False
        if self.oracle.excused(key) or (difference.kind.startswith("ghost") and self.oracle.is_below_excused(key)):
            return True
        # What the chunks of a document say of its case comes from its parents; a docket's months from its decisions.
        in_file = difference.kind.endswith("in a file")
        return (in_file and any(map(self.oracle.excused, self.oracle.above(key)))) or (
            key.stream == "dockets" and self.oracle.has_excused_children(key)
        )

    def _open_failures(self) -> Iterator[Difference]:
        for row in self.operator.location.rows(
            "SELECT asset, partition, sweep, error, message FROM courtlistener.failures WHERE resolved_at IS NULL"
        ):
            yield Difference("run", f"an open failure: {' '.join(map(str, row))[:300]}")

    # --- requests -----------------------------------------------------------------------------------------------------

    def _start_counting(self) -> None:
        self._first_download = self._admitted()
        self.operator.fewest = 0

    def _admitted(self) -> int:
        return int(self.operator.simulator.summary()["admitted"])

    def _spent(self) -> int:
        return self._admitted() - self._first_download

    def _count_what_moved(self) -> None:
        """Beyond the first pages of all sweeps: pages for what was modified, and one request a displaced docket."""
        streams = Counter(key.stream for key in self.oracle.fetched)
        self.operator.fewest += sum(page_count(count) - 1 for count in streams.values())
        dockets = {key.id if key.stream == "dockets" else self.oracle.docket_of(key) for key in self.oracle.displaced}
        self.operator.fewest += len(dockets - {0})
        self.oracle.fetched.clear()
        self.oracle.displaced.clear()

    def _fewest_of_a_full_refresh(self) -> int:
        """Pages of the main sweeps of each partition: dockets filed and decided, clusters, opinions and entries."""
        rows: Counter[tuple[str, str]] = Counter()
        for key, wanted in state_of(self.world).items():
            if key.stream != "recap_documents":
                rows.update((partition, key.stream) for partition in wanted.place.partitions)
        sweeps = len(COURTS) * (len(MONTHS) + 1) * 5
        return sweeps + sum(page_count(count) - 1 for count in rows.values())

    def _check_that_nothing_costs_little(self) -> None:
        """Where nothing has changed, a catch-up costs five requests, and an increment of a month seven."""
        for court in COURTS:
            self.world.clock.advance(_PAST_ALL_OVERLAP)
            self.operator.catch_up(court)
            self.operator.increments(court, DOWNLOADS, (f"{court}|{MONTHS[0]}-01",) * 2)
        self.world.clock.advance(_PAST_ALL_OVERLAP)
        for court in COURTS:
            before = self._spent()
            self.operator.catch_up(court)
            self._expect_at_most(5, self._spent() - before, f"a catch-up of {court}")
            before = self._spent()
            self.operator.increments(court, DOWNLOADS, (f"{court}|{MONTHS[0]}-01",) * 2)
            self._expect_at_most(7, self._spent() - before, f"an increment of {court}|{MONTHS[0]}")

    def _expect_at_most(self, most: int, spent: int, what: str) -> None:
        if spent > most:
            paths = [entry.path for entry in self.operator.simulator.log[-spent:] if entry.admitted]
            said = f"{what} without any change cost {spent}, not {most}: {'; '.join(paths[:10])[:900]}"
            self._note("at the end", Difference("requests", said))


def run_round(seed: int, changes: int, postgres: PostgresServer, redis: RedisServer) -> RoundResult:
    """One round, on a database of its own and a Redis that is emptied for it."""
    started, result = time.monotonic(), RoundResult(seed)
    world = new_world(seed)
    with redis_py.Redis.from_url(redis.url) as client:
        client.flushall()
    with _new_database(postgres, seed) as url, operating(world, url, redis.url) as operator:
        oracle = Oracle(world)
        generated = Changes(world, oracle)
        consumer = Consumer(operator.data_dir)
        played = Round(world, operator, oracle, generated, consumer, result, random.Random(f"operators {seed}"))
        played.play(changes)
        played._note_faults("at the end")
        result.refused = int(operator.simulator.summary()["refused"])
        if result.refused:
            played._note("at the end", Difference("refused", f"{result.refused} requests"))
        result.changes, result.kinds = generated.counts.total(), generated.counts
        result.killed, result.spent, result.fewest = operator.killed, played._spent(), operator.fewest
    result.seconds = time.monotonic() - started
    return result


@contextmanager
def _new_database(postgres: PostgresServer, seed: int) -> Iterator[str]:
    name = f"truth_{seed}_{time.time_ns()}"
    root = postgres.url.rsplit("/", 1)[0]
    with psycopg.connect(f"{root}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        yield f"{root}/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


__all__ = ["Round", "RoundResult", "run_round"]
