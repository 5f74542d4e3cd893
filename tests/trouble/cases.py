"""The cases: what goes wrong, in which work, for how long, and what is left to a person.

Belongs here: one row of the table in docs/failures.md each. Does not belong here: how a case is played (`play.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import redis

from courtlistener_assets.devkit.simulator.faults import Fault
from courtlistener_assets.devkit.simulator.shapes import Record
from tests.trouble.stage import Stage

COURT = "scotus"
MONTHS = [f"{COURT}|{year}-{month:02d}-01" for year in (2024, 2025) for month in range(1, 13)]
_API = "/api/rest/v4/"

Act = Callable[[Stage], None]


@dataclass(frozen=True)
class Case:
    """`work` is done once while nothing is wrong, to know what it costs, and then with `trouble`.

    The trouble lasts for `hours`; None: for good. `meets` None: it is met by every request; otherwise by what it names.
    """

    name: str
    work: Act
    trouble: Act
    remains: str
    hours: float | None = None

    @property
    def is_outage(self) -> bool:
        """Whether nothing can be had meanwhile, so that what counts is what the first hour costs."""
        return self.hours is not None


# --- works


def two_years_of_decisions(stage: Stage) -> None:
    """24 partitions of one asset in one run."""
    stage.run("downloads", (MONTHS[0], MONTHS[-1]), ["clusters"])


def a_month_of_decisions(stage: Stage) -> None:
    """One partition of one asset."""
    stage.run("downloads", [MONTHS[0]], ["clusters"])


def a_month(stage: Stage) -> None:
    """A month of all assets, and its text."""
    stage.run("court_month", [MONTHS[0]])


def some_dockets(stage: Stage) -> None:
    """A month, and then two of its dockets once more, in three assets."""
    stage.run("downloads", [MONTHS[0]], _OF_DOCKETS)
    ids = [docket["id"] for docket in _dockets(stage)[:2]]
    stage.run("downloads", [MONTHS[0]], _OF_DOCKETS, config={"docket_ids": ids})


_OF_DOCKETS = ("dockets", "clusters", "docket_entries")


def backwards(stage: Stage) -> None:
    stage.run("downloads", (MONTHS[2], MONTHS[0]), ["clusters"])


# --- troubles


def nothing(_stage: Stage) -> None:
    """The work itself is the trouble."""


def everything(stage: Stage, kind: str, retry_after_seconds: int | None = 1) -> None:
    """Whatever is asked for, the answer is this one."""
    stage.simulator.faults.add(Fault(kind, retry_after_seconds=retry_after_seconds))


def one_answer(stage: Stage, kind: str, *, seconds: float = 60.0, count: int = 21) -> None:
    """The first page of decisions is this one."""
    fault = Fault(kind, path_prefix=f"{_API}clusters/", times=1, seconds=seconds, count=count)
    stage.simulator.faults.add(fault)


def at(stage: Stage, kind: str, endpoint: str) -> None:
    """One endpoint answers with this."""
    stage.simulator.faults.add(Fault(kind, path_prefix=f"{_API}{endpoint}/"))


def open_pages(stage: Stage) -> None:
    stage.simulator.faults.add(Fault("unbounded", endpoint="clusters", by="timeout"))


def poison(stage: Stage, count: int) -> None:
    """So many decisions of the first month break every page that shows them."""
    for cluster in _clusters(stage)[1 : 1 + 2 * count : 2]:
        stage.simulator.faults.add(Fault("poison", endpoint="clusters", object_id=cluster["id"]))


def deleted_docket(stage: Stage) -> None:
    """The second docket that is asked for once more is not there any more by then."""
    run, gone = stage.run, _dockets(stage)[1]["id"]

    def run_and_delete(job: str, *what: object, **how: object) -> bool:
        if "config" in how:
            stage.simulator.corpus.delete("dockets", gone)
        return run(job, *what, **how)  # type: ignore[arg-type]

    stage.run = run_and_delete  # type: ignore[assignment]


def pushed_entry(stage: Stage) -> None:
    """Another program puts a docket on the list of failed ones."""
    docket = _dockets(stage)[0]["id"]
    entry = {"docket_id": docket, "api_calls": 3, "error": "timeout", "timestamp": stage.clock.moment().isoformat()}
    with redis.Redis.from_url(stage.location.environ["REDIS_URL"]) as client:
        client.lpush(f"courtlistener:failed:{stage.clock.moment():%Y-%m-%d_%H}", json.dumps(entry))


def _dockets(stage: Stage) -> list[Record]:
    """Those filed in the first month."""
    month = MONTHS[0].partition("|")[2][:7]
    own = [each for each in stage.simulator.corpus.dockets if each["court_id"] == COURT]
    return sorted((each for each in own if (each["date_filed"] or "").startswith(month)), key=lambda one: one["id"])


def _clusters(stage: Stage) -> list[Record]:
    """Decisions of the first month."""
    month = MONTHS[0].partition("|")[2][:7]
    found = [each for each in stage.simulator.corpus.clusters if each["date_filed"].startswith(month)]
    return sorted(found, key=lambda one: one["id"])


# --- the table

_ALONE = "nothing"
_FIREWALL = "nothing; if it lasts, ask CourtListener to let the address through"

CASES: Sequence[Case] = (
    Case("the server is down (500), 6 hours", two_years_of_decisions, partial(everything, kind="500"), _ALONE, 6),
    Case("nothing answers (timeouts), 2 hours", two_years_of_decisions, partial(everything, kind="timeout"), _ALONE, 2),
    Case("a maintenance page with `Retry-After: 3600`, 2 hours", two_years_of_decisions,
         partial(everything, kind="maintenance", retry_after_seconds=3600), _ALONE, 2),
    Case("a firewall's 405, 2 hours", two_years_of_decisions, partial(everything, kind="firewall_405"), _FIREWALL, 2),
    Case("a firewall's 202, 2 hours", two_years_of_decisions, partial(everything, kind="firewall_202"), _FIREWALL, 2),
    Case("a firewall's 403, 2 hours", two_years_of_decisions, partial(everything, kind="firewall_403"), _FIREWALL, 2),
    Case("a redirect to a sign-in page, 2 hours", two_years_of_decisions, partial(everything, kind="login"),
         "nothing; if it lasts, look at COURTLISTENER_BASE_URL", 2),
    Case("api-usage answers 404", two_years_of_decisions, partial(at, kind="missing", endpoint="api-usage"), _ALONE),
    Case("403 for one endpoint, docket-entries", a_month, partial(at, kind="forbidden", endpoint="docket-entries"),
         "ask CourtListener for access, or leave the stream out of COURTLISTENER_STREAMS"),
    Case("a response whose headers drip for ten minutes", two_years_of_decisions,
         partial(one_answer, kind="drip_headers", seconds=600.0), _ALONE),
    Case("a page of 1,000 objects", two_years_of_decisions, partial(one_answer, kind="many", count=1000),
         "restart the run; if it happens again, a newer version is needed"),
    Case("an object of lists within lists", two_years_of_decisions,
         partial(one_answer, kind="nested", count=100_000), _ALONE),
    Case("one poison object on a page, for good", a_month, partial(poison, count=1),
         "look at the object; requeue it when CourtListener can show it"),
    Case("two poison objects on a page, for good", a_month, partial(poison, count=2),
         "look at the objects; requeue them when CourtListener can show them"),
    Case("the last page of a walk times out unless it is bounded", a_month_of_decisions, open_pages, _ALONE),
    Case("the same for each of 24 walks, for good", two_years_of_decisions, open_pages, _ALONE),
    Case("one of two dockets asked for was deleted", some_dockets, deleted_docket, _ALONE),
    Case("a docket that another program put on the list", a_month, pushed_entry, _ALONE),
    Case("a range written backwards", backwards, nothing, "write the range in the order that the message names"),
)  # fmt: skip
