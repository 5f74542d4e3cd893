"""No query that runs often reads a whole table that grows, whoever asks it and however Postgres plans it.

The queries are not copied here: the real code runs on a store with a thousand partitions, every statement that it sends
is noted, and Postgres is then asked how it would carry it out, for the values that were sent and for any values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import dagster as dg
import psycopg
import pytest
import redis
from prometheus_client import generate_latest
from psycopg import sql

from bench.scale.fill import FIRST_ID, ROWS, Size, fill
from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.simulator.server import Simulator
from courtlistener_assets.download.choice import chosen
from courtlistener_assets.download.stream import all_kinds, all_members
from courtlistener_assets.operations.exporter.collector import registry_of
from courtlistener_assets.operations.status import read_status
from courtlistener_assets.settings import Settings
from resources.backlog.failures import Chosen
from resources.backlog.progress import FULL_WALKS, PROGRESS
from resources.backlog.summary import DEFERRALS, IDLE
from resources.connections.postgres import Database
from resources.courtlistener.token import account_of
from resources.dagster_resources import RedisRateLimitResource
from resources.quota.permits import Lane, ServerWindow, Window
from resources.quota.report import quota_report
from resources.records.audit import LAST_FULL_WALKS, RecordAudit
from resources.records.model import Failure, PageOfRecords, SweepKey
from resources.records.store import RecordStore
from tests.integration.ledger_harness import give_back, take
from tests.integration.pipeline_harness import Pipeline, environment, pipeline_for
from tests.integration.test_fresh_data import scheduled

SIZE = Size(courts=10, months=100, permits=24_000, permits_an_hour=1000, failures=10_000, deferrals=4500)
ACCOUNT = account_of("wide-token")
GROWING = {*ROWS, "sweeps", "failures", "deferrals", "permits"}
#: Counting all partitions, or all that are deferred, means to look at all: `make bench-scale` says what that costs.
WHOLE_ON_PURPOSE = {
    **{query: {"sweeps"} for query in (PROGRESS, FULL_WALKS, IDLE, LAST_FULL_WALKS)},
    DEFERRALS: {"deferrals"},
}


@dataclass
class Statements:
    """The statements that were sent, each with the values of its first time."""

    sent: dict[str, Any] = field(default_factory=dict)

    def note(self, query: object, params: Any) -> None:
        text = query.decode() if isinstance(query, bytes) else query if isinstance(query, str) else None
        if (
            text
            and re.search(r"\bcourtlistener\.", text)
            and re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", text)
        ):
            self.sent.setdefault(text, params)


@contextmanager
def noted() -> Iterator[Statements]:
    """Note every statement of every connection of this process."""
    statements, patch = Statements(), pytest.MonkeyPatch()

    def noting(method: Callable[..., Any], *, many: bool = False) -> Callable[..., Any]:
        def call(cursor: Any, query: object, params: Any = None, **options: Any) -> Any:
            values = list(params) if many else params
            statements.note(query, values[0] if many and values else values)
            return method(cursor, query, values, **options)

        return call

    patch.setattr(psycopg.Cursor, "execute", noting(psycopg.Cursor.execute))
    patch.setattr(psycopg.ServerCursor, "execute", noting(psycopg.ServerCursor.execute))
    patch.setattr(psycopg.Cursor, "executemany", noting(psycopg.Cursor.executemany, many=True))
    try:
        yield statements
    finally:
        patch.undo()


def whole_reads(plan: Mapping[str, Any]) -> set[str]:
    """The tables that a plan reads from one end to the other."""
    found = {plan["Relation Name"]} if plan["Node Type"] == "Seq Scan" else set()
    return found.union(*(whole_reads(child) for child in plan.get("Plans", ())))


def plans(connection: psycopg.Connection[Any], query: str, params: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """How a statement is carried out with the values that were sent, and, once it is prepared, with any values.

    Of the latter Postgres makes use only if it seems no dearer.
    """
    sent = connection.execute(f"EXPLAIN (FORMAT JSON) {query}".encode(), params).fetchone()
    prepared = connection.execute(f"EXPLAIN (FORMAT JSON, GENERIC_PLAN) {numbered(query, params)}".encode()).fetchone()
    assert sent
    assert prepared
    plan, plan_of_any = sent[0][0]["Plan"], prepared[0][0]["Plan"]
    yield "with the values sent", plan
    if plan_of_any["Total Cost"] <= plan["Total Cost"]:
        yield "with any values", plan_of_any


_CASTS = {datetime: "::timestamptz", date: "::date", timedelta: "::interval", bool: "::boolean", float: "::float8"}


def numbered(query: str, params: Any) -> str:
    """The statement with $1, $2, .. in place of psycopg's placeholders, and of the types that psycopg gives them."""
    if not params:
        return query
    values = dict(params) if isinstance(params, Mapping) else {str(place): one for place, one in enumerate(params)}
    names, places = list(values), iter(values)

    def number(match: re.Match[str]) -> str:
        name = match[1] or next(places)
        return f"${names.index(name) + 1}{_CASTS.get(type(values[name]), '')}"

    return re.sub(r"%(?:\((\w+)\))?s", number, query).replace("%%", "%")


def read_as_a_whole(store: Store, statements: Statements) -> dict[tuple[str, str], set[str]]:
    """The growing tables that each statement reads from one end to the other, if there are any."""
    with psycopg.connect(store.settings.postgres_url) as connection:
        return {
            (query, when): tables
            for query, params in statements.sent.items()
            for when, plan in plans(connection, query, params)
            if (tables := (whole_reads(plan) & GROWING) - WHOLE_ON_PURPOSE.get(query, set()))
        }


@dataclass(frozen=True)
class Store:
    """A full database, the environment that uses it, and the pipeline on it."""

    database: Database
    pipeline: Pipeline
    settings: Settings
    redis: redis.Redis

    @property
    def records(self) -> RecordStore:
        return RecordStore(self.database)

    def limiter(self, *, with_redis: bool) -> Any:
        redis_url = self.settings.redis_url if with_redis else "redis://127.0.0.1:1/0"
        resource = RedisRateLimitResource(
            redis_url=redis_url, postgres_url=self.settings.postgres_url, rate_limits="100000/min,5000000/day"
        )
        return resource.limiter(ACCOUNT)


@pytest.fixture(scope="module")
def store(
    postgres_server: PostgresServer, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    """Filled once: no test here looks at what the others have left."""
    name = f"plans_{uuid4().hex}"
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = postgres_server.url.rsplit("/", 1)[0] + "/" + name
    database, client = Database(url), redis.Redis.from_url(redis_server.url, decode_responses=True)
    database.migrate()
    fill(database, SIZE, account=ACCOUNT, windows="100000/min,5000000/day")
    courts = ",".join(["scotus", *SIZE.court_ids])
    first = SIZE.first_month(datetime.now(UTC).date())
    patch = pytest.MonkeyPatch()
    with Simulator() as simulator:
        environ = environment(
            simulator,
            url,
            redis_server.url,
            str(tmp_path_factory.mktemp("data")),
            COURTLISTENER_COURTS=courts,
            COURTLISTENER_FIRST_MONTH=f"{first:%Y-%m}",
        )
        with pipeline_for(simulator, database, environ, patch) as pipeline:
            yield Store(database, pipeline, Settings.from_environ(environ), client)
    patch.undo()
    client.close()
    database.close()
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


# --- what runs often --------------------------------------------------------------------------------------------------


def download_a_partition(store: Store) -> None:
    assert store.pipeline.run("court_month", "scotus|2024-01-01", raise_on_error=True).success


def download_a_partition_again(store: Store) -> None:
    config = {"ops": {name: {"config": {"full_refresh": True}} for name in ("dockets", "clusters")}}
    keys = [dg.AssetKey(name) for name in ("dockets", "clusters")]
    assert store.pipeline.run("downloads", "scotus|2024-02-01", run_config=config, asset_selection=keys).success


def catch_up_with_a_court(store: Store) -> None:
    assert store.pipeline.run("catch_up", "scotus", raise_on_error=True).success


def find_undated_dockets(store: Store) -> None:
    assert store.pipeline.run("undated", "scotus|undated", raise_on_error=True).success


def store_a_page_with_a_failure(store: Store) -> None:
    month = SIZE.partition(3, datetime.now(UTC).date())
    key = SweepKey("dockets", str(month), "filed")
    begun = store.records.begin_pass(key, run_id=uuid4().hex, full_refresh=True, overlap=timedelta(hours=1))
    page = PageOfRecords([], [Failure("UnusableRecord", "no id", docket_id=17)])
    store.records.store_page(begun, page, after_id=begun.after_id + 1, watermark=None, finished=False)
    store.records.mark_gone("clusters", [4, 5], "merged into 6")


def read_a_partition(store: Store) -> None:
    month = SIZE.partition(5, datetime.now(UTC).date())
    kinds = [(kind.name, kind.table) for kind in all_kinds(chosen())]
    with store.records.documents(kinds, month.filter_values) as documents:
        assert len(list(documents)) == ROWS["opinions"] + ROWS["recap_documents"]
    assert store.records.counts(all_members(chosen()), month.filter_values)["dockets"] == ROWS["dockets"]
    store.records.cited.having(["540 U.S. 614", "1 F.3d 2"])


def compare_a_partition(store: Store) -> None:
    month = SIZE.partition(6, datetime.now(UTC).date())
    audit = RecordAudit(store.database)
    for stream in chosen():
        for members in stream.members()[stream.name]:
            assert audit.stored(members, month.filter_values)
        for table in stream.tables:
            assert audit.ids(table, month.filter_values)
        if stream.parent:
            assert audit.orphans(stream.table, month.court)[0] == 0


def take_permits(store: Store, *, with_redis: bool) -> None:
    limiter = store.limiter(with_redis=with_redis)
    take(limiter)
    give_back(limiter, Lane.PRIORITY)
    limiter.usage()
    limiter.observe([ServerWindow(Window(100_000, 60), 2, False), ServerWindow(Window(5_000_000, 86_400), 2, False)])
    limiter.needs_observation(0)


def live_through_failures(store: Store) -> None:
    backlog = store.pipeline.backlog
    first, second, *_ = backlog.failures.claim_due(max_claims=3)
    backlog.failures.acknowledge(first.id, first.failures[0].asset)
    backlog.failures.release_orphaned(first.id)
    backlog.failures.release(second.id, second.failures[0].asset, 60)
    backlog.failures.requeue_dead(Chosen([failure.id for failure in backlog.failures.open(limit=10)]))
    backlog.failures.adopt(lambda asset, partition: True)
    backlog.failures.of_partition(first.failures[0].asset, first.partition)
    assert backlog.failures.counts()["dead"]
    backlog.failures.claims()
    backlog.failures.refill()


def live_through_deferrals(store: Store) -> None:
    backlog = store.pipeline.backlog
    due = backlog.deferrals.due(limit=10)
    assert len(due) == 10
    backlog.deferrals.mark_requested(due, "request")
    backlog.deferrals.defer_again(backlog.deferrals.requested(), wait_seconds=60)
    backlog.deferrals.record(due[0].asset, [due[0].partition], wait_seconds=60, reason="", run_id="r")
    backlog.deferrals.clear(due[0].asset, due[0].partition, some_dockets=False)
    backlog.deferrals.forget([due[1].partition])
    backlog.deferrals.forget_times(["former", "account"])
    backlog.deferrals.all(limit=1)


def estimate_what_is_left(store: Store) -> None:
    backlog = store.pipeline.backlog
    partitions = [str(SIZE.partition(number, datetime.now(UTC).date())) for number in range(3)]
    assert backlog.deferrals.estimated_requests("dockets", partitions, ["filed", "decided"]) == 0


def tick_every_sensor(store: Store) -> None:
    for sensor in store.pipeline.defs.get_repository_def().sensor_defs:
        store.pipeline.tick(sensor.name)


def tick_every_schedule(store: Store) -> None:
    for schedule in store.pipeline.defs.get_repository_def().schedule_defs:
        scheduled(store.pipeline, schedule.name, datetime.now(UTC))


def look_at_failures_and_quota(store: Store) -> None:
    assert store.pipeline.run("show_failed_dockets", raise_on_error=True).success
    quota_report(store.database)


def check_completeness(store: Store) -> None:
    partitions = [str(SIZE.partition(number, datetime.now(UTC).date())) for number in (7, 8)]
    config = {"ops": {"completeness": {"config": {"partitions": partitions}}}}
    store.pipeline.run("check_completeness", run_config=config)


def scrape_and_show_status(store: Store) -> None:
    assert b"courtlistener_partitions" in generate_latest(registry_of(store.settings, store.database, store.redis))
    assert read_status(store.settings, store.database).accounts


#: What people ask the flat views: by id, by docket, by court and month, joined with each other, and by citation.
_VIEWS = {
    "dockets_flat": "docket_id",
    "clusters_flat": "cluster_id",
    "opinions_with_case": "opinion_id",
    "entries_flat": "entry_id",
    "documents_flat": "document_id",
    "citations": "cluster_id",
}
_JOINS = (
    "SELECT o.*, d.cause FROM courtlistener.opinions_with_case o JOIN courtlistener.dockets_flat d USING (docket_id) "
    "WHERE o.court_id = %(court)s AND o.date_filed >= %(day)s AND o.date_filed < %(end)s",
    "SELECT time_filed, text FROM courtlistener.entries_flat e JOIN courtlistener.documents_flat r USING (entry_id) "
    "WHERE e.docket_id = %(id)s",
    "SELECT o.text FROM courtlistener.citation_map m JOIN courtlistener.opinions_with_case o "
    "ON o.opinion_id = m.cited_opinion_id WHERE m.citing_opinion_id = %(id)s",
    "SELECT * FROM courtlistener.clusters_flat WHERE citations @> ARRAY['540 U.S. 614']",
)


def look_at_the_views(store: Store) -> None:
    month = SIZE.partition(5, datetime.now(UTC).date())
    values = {"court": month.court, "day": month.month, "end": month.month + timedelta(days=28)}
    for view, key in _VIEWS.items():
        everything = f"SELECT * FROM courtlistener.{view}"
        day = "docket_date_filed" if view in ("entries_flat", "documents_flat") else "date_filed"
        by_month = f"{everything} WHERE court_id = %(court)s AND {day} >= %(day)s AND {day} < %(end)s"
        assert store.database.rows(by_month, values) or view == "citations"
        store.database.rows(f"{everything} WHERE {key} = %(id)s", {"id": FIRST_ID + 1})
        assert (
            store.database.rows(f"{everything} WHERE docket_id = %(id)s", {"id": FIRST_ID + 1}) or view == "citations"
        )
    for query in _JOINS:
        names = set(re.findall(r"%\((\w+)\)s", query))
        found = {name: value for name, value in {**values, "id": FIRST_ID + 1}.items() if name in names}
        store.database.rows(query, found)


ACTIVITIES: dict[str, Callable[[Store], None]] = {
    "a partition is downloaded": download_a_partition,
    "a partition is downloaded again": download_a_partition_again,
    "a court is caught up with": catch_up_with_a_court,
    "dockets without a date are looked for": find_undated_dockets,
    "a page with a failure is stored": store_a_page_with_a_failure,
    "a partition is read": read_a_partition,
    "a partition is compared": compare_a_partition,
    "Redis grants permits": lambda store: take_permits(store, with_redis=True),
    "Postgres grants permits": lambda store: take_permits(store, with_redis=False),
    "failures are retried": live_through_failures,
    "deferrals are gone on with": live_through_deferrals,
    "what is left is estimated": estimate_what_is_left,
    "sensors tick": tick_every_sensor,
    "schedules tick": tick_every_schedule,
    "failures and quota are shown": look_at_failures_and_quota,
    "completeness is checked": check_completeness,
    "metrics are scraped": scrape_and_show_status,
    "views are looked at": look_at_the_views,
}


@pytest.mark.parametrize("activity", ACTIVITIES)
def test_no_table_that_grows_is_read_as_a_whole_when(activity: str, store: Store) -> None:
    with noted() as statements:
        ACTIVITIES[activity](store)
    assert statements.sent, "the code has sent no statement: what is noted here is not what it uses"
    whole = read_as_a_whole(store, statements)
    assert not whole, "\n\n".join(f"{tables}, {when}, by:\n{query}" for (query, when), tables in whole.items())


def test_a_query_without_an_index_would_be_found(store: Store) -> None:
    with noted() as statements:
        store.database.rows("SELECT id FROM courtlistener.failures WHERE message = %(text)s", {"text": "x"})
        store.database.rows("SELECT id FROM courtlistener.records WHERE stream = 'opinions' AND body ? 'html'")
    found = read_as_a_whole(store, statements)
    assert [tables for tables in found.values()] == [{"failures"}, {"failures"}, {"opinions"}, {"opinions"}]
