"""What a role, a pooler or an ill server makes of a session does not reach our transactions; nothing waits for ever."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from resources.connections.postgres import Database, keep_others_out
from resources.errors import SettingError, StoreUnavailable

#: What people set for roles and databases, for reasons of their own.
ODD_DEFAULTS = {
    "TimeZone": "America/New_York",
    "DateStyle": "German",
    "default_transaction_isolation": "repeatable read",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "statement_timeout": "20s",
    "client_encoding": "LATIN1",
}


def set_for_all(database_url: str, defaults: dict[str, str]) -> None:
    name = sql.Identifier(urlsplit(database_url).path[1:])
    with psycopg.connect(database_url, autocommit=True) as connection:
        for setting, value in defaults.items():
            connection.execute(
                sql.SQL("ALTER DATABASE {} SET {} = {}").format(name, sql.Identifier(setting), sql.Literal(value))
            )


@pytest.fixture
def odd_database(database_url: str) -> Iterator[Database]:
    set_for_all(database_url, ODD_DEFAULTS)
    database = Database(database_url)
    yield database
    database.close()


SHOW = "SELECT " + ", ".join(
    f"current_setting('{name}')"
    for name in (
        "transaction_isolation",
        "TimeZone",
        "DateStyle",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
    )
)


def test_a_transaction_is_what_it_is_for_everybody(odd_database: Database) -> None:
    with odd_database.transaction() as connection:
        assert connection.execute(SHOW).fetchone() == ("read committed", "UTC", "ISO, DMY", "5s", "2s")
    [row] = odd_database.call(SHOW, {}, timeout_seconds=2.0, answer_seconds=3.0)
    assert row == ("read committed", "UTC", "ISO, DMY", "1500ms", "2s")


def test_text_is_whatever_the_server_can_hold(odd_database: Database) -> None:
    assert odd_database.rows("SELECT %(text)s::text", {"text": "§ \u2014 \U0001f600"}) == [("§ \u2014 \U0001f600",)]


@pytest.mark.parametrize("snapshot", [False, True])
@pytest.mark.parametrize("patient", [False, True])
def test_nobody_waits_for_a_restore_however_patient(database: Database, *, snapshot: bool, patient: bool) -> None:
    """What has waited would go on in another database than it began in; a snapshot would show half of it."""
    with database.transaction(patient=True, restores=True) as connection:
        assert keep_others_out(connection)
        begun = time.monotonic()
        transaction = database.transaction(patient=patient, snapshot=snapshot, answer_seconds=2.0)
        with pytest.raises(StoreUnavailable, match="being restored"), transaction:
            pass
        assert time.monotonic() - begun < 1
    with database.transaction(patient=patient, snapshot=snapshot) as connection:
        isolation = "repeatable read" if snapshot else "read committed"
        assert connection.execute(SHOW).fetchall()[0][0] == isolation
        with database.transaction(restores=True) as other:
            assert not keep_others_out(other)


def test_nothing_of_ours_stays_in_a_session_that_a_pooler_gives_to_another(odd_database: Database) -> None:
    odd_database.rows("SELECT 1")
    odd_database.call("SELECT 1", {}, timeout_seconds=2.0, answer_seconds=3.0)
    with odd_database._pool.connection() as session:
        assert session.execute("SELECT current_setting('TimeZone'), current_setting('lock_timeout')").fetchone() == (
            "America/New_York",
            "0",
        )
        assert session.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)


@pytest.mark.parametrize("moment", [datetime(2026, 3, 8, 12, tzinfo=UTC), datetime(2026, 11, 1, 12, tzinfo=UTC)])
def test_a_day_has_24_hours_on_the_days_on_which_the_clocks_are_changed(
    odd_database: Database, moment: datetime
) -> None:
    [(there,)] = odd_database.rows("SELECT %(moment)s - %(day)s", {"moment": moment, "day": timedelta(days=1)})
    assert moment - there == timedelta(hours=24)
    [(read,)] = odd_database.rows("SELECT %(moment)s", {"moment": moment})
    assert (read - timedelta(days=1)).astimezone(UTC) == moment.astimezone(UTC) - timedelta(days=1)


def test_a_call_takes_any_text_and_several_rows(database: Database) -> None:
    texts = ["it's", 'a "b"', "100 %", "\\x", "é", "; COMMIT; --"]
    rows = database.call("SELECT unnest(%(texts)s::text[])", {"texts": texts}, timeout_seconds=2.0, answer_seconds=3.0)
    assert [text for (text,) in rows] == texts


def test_a_call_that_fails_leaves_nothing_and_the_connection_is_used_again(database: Database) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        database.call("SELECT 1 / %(none)s", {"none": 0}, timeout_seconds=2.0, answer_seconds=3.0)
    before = database._pool.get_stats()["connections_num"]
    assert database.call("SELECT 1", {}, timeout_seconds=2.0, answer_seconds=3.0) == [(1,)]
    assert database._pool.get_stats()["connections_num"] == before


def test_connections_that_ended_meanwhile_are_not_noticed_by_those_who_use_them(
    database: Database, database_url: str
) -> None:
    with database.transaction() as one, database.transaction() as other:
        one.execute("SELECT 1")
        other.execute("SELECT 1")
    with psycopg.connect(database_url, autocommit=True) as admin:
        ended = admin.execute(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
        assert ended == (2,)
    assert database.call("SELECT 1", {}, timeout_seconds=2.0, answer_seconds=3.0) == [(1,)]
    assert database.rows("SELECT 2") == [(2,)]


def test_a_server_that_hangs_is_given_up_in_time(fresh_postgres_server: PostgresServer) -> None:
    database = Database(fresh_postgres_server.url)
    [(backend,)] = database.rows("SELECT pg_backend_pid()")
    os.kill(backend, signal.SIGSTOP)
    began = time.monotonic()
    try:
        with pytest.raises(StoreUnavailable, match=r"no answer within 0\.3 s"):
            database.call("SELECT 1", {}, timeout_seconds=2.0, answer_seconds=0.3)
    finally:
        os.kill(backend, signal.SIGCONT)
    assert time.monotonic() - began < 3.0
    # Its connection may not be used again: the answer to the old question may still come.
    assert database.call("SELECT 2", {}, timeout_seconds=2.0, answer_seconds=3.0) == [(2,)]
    database.close()


def test_a_lock_is_not_waited_for_longer_than_an_answer(database: Database, database_url: str) -> None:
    with psycopg.connect(database_url) as other:
        other.execute("CREATE TABLE public.held ()")
        other.commit()
        other.execute("LOCK TABLE public.held")
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            database.call("SELECT 1 FROM public.held", {}, timeout_seconds=2.0, answer_seconds=0.4)


def test_a_read_only_server_is_one_that_cannot_store_now(database_url: str) -> None:
    set_for_all(database_url, {"default_transaction_read_only": "on"})
    database = Database(database_url)
    with pytest.raises(StoreUnavailable, match="Postgres is read-only"), database.transaction() as connection:
        connection.execute("CREATE TABLE anything ()")
    database.close()


@pytest.mark.parametrize("setting", ["statement_timeout", "transaction_timeout"])
@pytest.mark.parametrize("patient", [False, True])
def test_no_answer_is_cut_off_by_a_time_that_was_set_for_the_role(
    database_url: str, *, setting: str, patient: bool
) -> None:
    parts = urlsplit(database_url)
    with psycopg.connect(database_url, autocommit=True) as admin:
        if setting == "transaction_timeout" and admin.info.server_version < 170_000:
            pytest.skip("this Postgres does not have it")
        admin.execute("CREATE ROLE hurried LOGIN")
        admin.execute(sql.SQL("ALTER ROLE hurried SET {} = 200").format(sql.Identifier(setting)))
    role = Database(parts._replace(netloc=f"hurried@{parts.hostname}:{parts.port}").geturl())
    try:
        with role.transaction(patient=patient) as connection:
            connection.execute("SELECT pg_sleep(0.3)")
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert role.call("SELECT 2 FROM pg_sleep(0.3)", {}, timeout_seconds=2.0, answer_seconds=3.0) == [(2,)]
    finally:
        role.close()
        with psycopg.connect(database_url, autocommit=True) as admin:
            admin.execute("DROP ROLE hurried")


def test_a_right_that_the_role_lacks_is_named(database_url: str) -> None:
    parts = urlsplit(database_url)
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute("CREATE ROLE looks_only LOGIN")
        admin.execute("GRANT USAGE ON SCHEMA courtlistener TO looks_only")
    role = Database(parts._replace(netloc=f"looks_only@{parts.hostname}:{parts.port}").geturl())
    try:
        with pytest.raises(
            SettingError, match="POSTGRES_URL: the role may not do it: permission denied for table permits"
        ):
            role.rows("SELECT 1 FROM courtlistener.permits")
    finally:
        role.close()
        with psycopg.connect(database_url, autocommit=True) as admin:
            admin.execute("DROP OWNED BY looks_only")
            admin.execute("DROP ROLE looks_only")


def test_threads_share_the_connections(database: Database) -> None:
    found: list[int] = []

    def ask(number: int) -> None:
        [(got,)] = database.call("SELECT %(number)s::int", {"number": number}, timeout_seconds=9.0, answer_seconds=9.0)
        found.append(got)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(24))
