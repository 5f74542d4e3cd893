"""Playing a case: once without the trouble, to know what the work costs, and once with it.

Belongs here: what is measured. Does not belong here: the cases (`cases.py`), how they are printed (`table.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.simulator.corpus import Corpus
from courtlistener_assets.devkit.simulator.generator import generate
from tests.trouble.cases import COURT, Act, Case, nothing
from tests.trouble.stage import Stage, staged

_HOUR, _DAY = 3600.0, 86_400.0
#: Longer than the tries of a failure are spread.
_LONGEST = 45 * _DAY


@dataclass(frozen=True)
class Result:
    """What a case came to; requests are those beyond what the work costs without trouble.

    `when_met`: by the end of the run that met it; `first_hour`: all that left within an hour, whatever for.
    """

    case: Case
    requests: int
    when_met: int
    first_hour: int
    noticed_seconds: float | None
    seen: Sequence[str]
    dead: int
    settled_hours: float | None
    runs: int


@dataclass
class Theatre:
    """Plays cases on two servers; what works cost without trouble is found out once."""

    postgres: PostgresServer
    redis: RedisServer
    _costs: dict[Act, tuple[int, set[str]]] = field(default_factory=dict)

    def play(self, case: Case) -> Result:
        cost, usual = (0, set[str]()) if case.trouble is nothing else self._cost(case.work)
        with staged(_corpus(), self.postgres, self.redis, COURTLISTENER_COURTS=COURT) as stage:
            began = stage.clock()
            case.trouble(stage)
            case.work(stage)
            met = _beyond(stage, cost)
            if case.hours is not None:
                stage.live(case.hours * _HOUR - (stage.clock() - began))
                stage.simulator.faults.clear()
            stage.live(60.0)
            stage.live(_LONGEST, until=stage.is_settled)
            stage.seen[:] = [each for each in stage.seen if each.text not in usual]
            return _result(case, stage, began, met, cost)

    def _cost(self, work: Act) -> tuple[int, set[str]]:
        """The requests that a work needs without any trouble, and what is seen of it then."""
        if work not in self._costs:
            with staged(_corpus(), self.postgres, self.redis, COURTLISTENER_COURTS=COURT) as stage:
                work(stage)
                stage.live(60.0)
                self._costs[work] = len(stage.asked), {each.text for each in stage.seen}
        return self._costs[work]


def _corpus() -> Corpus:
    """A new one for each story, since some change it."""
    return generate(1, 0.15, (COURT,), "2024-01", "2025-12")


def _result(case: Case, stage: Stage, began: float, met: int, cost: int) -> Result:
    first_hour = sum(entry.time < began + _HOUR for entry in stage.asked)
    settled = (stage.clock() - began) / _HOUR if stage.is_settled() else None
    return Result(
        case,
        requests=_beyond(stage, cost),
        when_met=met,
        first_hour=first_hour,
        noticed_seconds=_noticed(stage, began),
        seen=list(dict.fromkeys(_plain(each.text) for each in stage.seen)),
        dead=stage.failures("dead_at IS NOT NULL"),
        settled_hours=settled,
        runs=stage.runs,
    )


def _beyond(stage: Stage, cost: int) -> int:
    """Requests beyond those that the work needs; what is refused costs as well, though less is asked for then."""
    return max(len(stage.asked) - cost, sum(bool(entry.fault) for entry in stage.asked))


def _noticed(stage: Stage, began: float) -> float | None:
    """Seconds until something could be seen: a message, or a row of the failed dockets."""
    [(row,)] = stage.location.rows("SELECT extract(epoch FROM min(first_at)) FROM courtlistener.failures")
    moments = [each.at for each in stage.seen[:1]] + ([float(row)] if row is not None else [])
    struck = next((entry.time for entry in stage.simulator.log if entry.fault), began)
    return max(0.0, min(moments) - struck) if moments else None


def _plain(text: str) -> str:
    """A message without what is different in each run of the table."""
    text = re.sub(r"(\d{4}-\d\d-\d\d )?\d\d:\d\d(:\d\d)? UTC", "…", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "the server", text)
    return re.sub(r"\s+", " ", re.sub(r"/[\w-]+/\?\S+", "…", text)).strip()
