"""A corpus made up by seed: the same objects on every machine, with everything that hurts in reality.

Belongs here: which dockets exist, and the order in which all else is made. Does not belong here: what hangs on a
docket (`invented.py`).

What hurts: dockets without a filing date, a docket with 26 decisions in one month, one with 230 entries, 45 dockets
modified at the same moment, merged and sealed clusters, opinions of 120,000 characters in each of the text fields,
preferred fields that hold white space only, versions of opinions, opinions without text, entries without documents,
ids with gaps, decisions long after their docket's month, a court with filings but no decisions.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from courtlistener_assets.devkit.simulator import invented, prose, shapes
from courtlistener_assets.devkit.simulator.corpus import Corpus
from courtlistener_assets.devkit.simulator.expected import months_between
from courtlistener_assets.devkit.simulator.invented import Draws
from courtlistener_assets.devkit.simulator.pacific import pacific_text
from courtlistener_assets.devkit.simulator.shapes import Record

_FILED, _SCRAPED, _EARLY, _UNDECIDED = 22, 20, 6, 12
_UNDECIDED_COURT = "nysd"
_CLUSTERS_OF_ONE_DOCKET, _ENTRIES_OF_ONE_DOCKET, _TIED_DOCKETS = 26, 230, 45
_TIED_AT = datetime(2024, 6, 1, 12, 0, 0, 123456, tzinfo=UTC)


def generate(
    seed: int = 1,
    size: float = 1.0,
    courts: Sequence[str] = ("scotus", "ca9"),
    first_month: str = "2024-01",
    last_month: str = "2024-03",
) -> Corpus:
    """Make about 42 dockets x `size` for each of `courts` and months, and what belongs to them.

    Another court has dockets and entries but no decisions.
    """
    corpus = _Maker(Draws(random.Random(seed)), size, courts, months_between(first_month, last_month)).make()
    # With draws of their own, so that all else is the same with and without them.
    draws = Draws(random.Random(f"arguments {seed}"))
    invented.add_people(corpus, draws)
    invented.add_arguments(corpus, draws, [docket for docket in corpus.dockets if docket["court_id"] in courts])
    return corpus


class _Maker:
    """Fills a corpus, dockets first, then what hangs on them."""

    def __init__(self, draws: Draws, size: float, courts: Sequence[str], months: list[str]) -> None:
        self.draws, self.chance, self.size, self.courts, self.months = draws, draws.chance, size, courts, months
        self.corpus = Corpus()
        #: Decisions to be made: the docket and the day.
        self._decisions: list[tuple[Record, date]] = []

    def make(self) -> Corpus:
        self._add_courts()
        for court, day, kind in self._planned_dockets():
            self._add_docket(court, day, kind)
        month = self.months[min(1, len(self.months) - 1)]
        often_decided = self._add_docket(self.courts[-1], self.draws.day(self.months[0]), "filed")
        self._decisions += [(often_decided, self.draws.day(month)) for _ in range(_CLUSTERS_OF_ONE_DOCKET)]
        self._add_decisions()
        self._add_filings()
        self._tie_dockets()
        return self.corpus

    def _add_courts(self) -> None:
        for record in shapes.known_courts():
            self.corpus.add("courts", record)
        for court_id in (*self.courts, _UNDECIDED_COURT):
            if self.corpus.get("courts", court_id) is None:
                self.corpus.add("courts", shapes.court(court_id))

    def _planned_dockets(self) -> list[tuple[str, date, str]]:
        """Court, day and kind of each docket. `scraped`: known from its decision only. `early`: filed before the months
        of the corpus, decided in or after them."""
        plan = []
        first = date.fromisoformat(f"{self.months[0]}-01")
        for court in self.courts:
            for month in self.months:
                plan += [(court, self.draws.day(month), "filed") for _ in range(self._many(_FILED))]
                plan += [(court, self.draws.day(month), "scraped") for _ in range(self._many(_SCRAPED))]
            before = [timedelta(days=self.chance.randrange(5, 60)) for _ in range(self._many(_EARLY))]
            plan += [(court, first - days, "early") for days in before]
        for month in self.months:
            plan += [(_UNDECIDED_COURT, self.draws.day(month), "undecided") for _ in range(self._many(_UNDECIDED))]
        self.chance.shuffle(plan)
        return plan

    def _add_docket(self, court: str, day: date, kind: str) -> Record:
        docket_id, chance, undecided = self.draws.next_id("dockets"), self.chance, kind == "undecided"
        number, core = self._docket_number(court, day, docket_id)
        docket = shapes.docket(
            docket_id, court, prose.case_name(chance), self.draws.moment(day),
            date_filed=None if kind == "scraped" else day.isoformat(), docket_number=number, docket_number_raw=number,
            docket_number_core=core, pacer_case_id=str(500_000 + docket_id) if undecided else "",
            cause="42:1983 Civil Rights Act" if undecided else "", source=9 if kind == "scraped" else 2,
            nature_of_suit="440 Civil Rights: Other" if undecided else "", case_name_short=prose.surname(chance),
        )  # fmt: skip
        self.corpus.add("dockets", docket)
        if kind == "scraped":
            self._decisions.append((docket, day))
        elif kind == "early" or (kind == "filed" and chance.random() < 0.55):
            self._decisions.append((docket, day + timedelta(days=chance.randrange(20, 75))))
        return docket

    def _docket_number(self, court: str, day: date, docket_id: int) -> tuple[str, str]:
        if court == "scotus":
            return f"{day:%y}-{docket_id:04d}", f"{day:%y}{docket_id:06d}"
        if court in self.courts:
            return f"{day:%y}-{10_000 + docket_id}", ""
        return f"1:{day:%y}-cv-{docket_id:05d}", f"{day:%y}{docket_id:05d}"

    def _add_decisions(self) -> None:
        self.chance.shuffle(self._decisions)
        for docket, day in self._decisions:
            invented.add_cluster(self.corpus, self.draws, docket, day)
        invented.harden(self.corpus, self.draws)
        invented.add_gone_clusters(self.corpus, self.draws)

    def _add_filings(self) -> None:
        filed = [docket for docket in self.corpus.dockets if docket["date_filed"]]
        long = next(docket for docket in filed if docket["court_id"] == self.courts[0])
        for docket in filed:
            count = _ENTRIES_OF_ONE_DOCKET if docket is long else self.chance.randrange(1, 6)
            invented.add_entries(self.corpus, self.draws, docket, count)

    def _tie_dockets(self) -> None:
        own = [docket for docket in self.corpus.dockets if docket["court_id"] == self.courts[-1]]
        for docket in own[:_TIED_DOCKETS]:
            docket["date_modified"] = pacific_text(_TIED_AT)

    def _many(self, count: int) -> int:
        return max(1, round(count * self.size))
