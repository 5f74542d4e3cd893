"""The schema of Dagster's own tables: made before Dagster needs it, and filled with those of earlier versions.

Belongs here: where Dagster's tables lie, and moving them. Does not belong here: our own (`resources/connections/`), how
an instance is configured (`devkit/session/instance.py`, `deploy/`).

Dagster makes its tables in the first schema of its connections' search path that there is. Unless somebody chooses one,
that is the schema named like the role, so `courtlistener` for our documented role, or `public`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from resources.connections.postgres import Connection
from resources.connections.postgres_address import conninfo_of
from resources.errors import SettingError, StoreUnavailable

SCHEMA = "dagster"
#: In a URL of libpq, as the parameter `options`.
SEARCH_PATH = f"-csearch_path={SCHEMA}"
_SEARCH_PATH = re.compile(r"search_path=\"?([^\s,\"]+)")
#: Where this project's role had them, in a schema that is this project's.
_OURS = "courtlistener"
_OTHERS = "public"
#: That there is a table of this name says that Dagster was here.
_SIGN = "event_logs"


def url_of(environ: Mapping[str, str], postgres_url: str) -> str:
    """The address of Dagster's tables: DAGSTER_POSTGRES_URL, or else the schema `dagster` of our own database."""
    said = environ.get("DAGSTER_POSTGRES_URL", "").strip()
    return said or make_conninfo(postgres_url, options=SEARCH_PATH)


def prepare(dagster_url: str, *, move_from: str = "") -> str:
    """Make the schema that an address of Dagster chooses, and move Dagster's tables there; returns what to say.

    Tables in `courtlistener` are moved by themselves, if the new schema has none. Those in `public` may be of another
    Dagster: they are moved if `move_from` says so, and left if it is "none". Raises SettingError if somebody must
    choose, or if the role may not make the schema, and StoreUnavailable.
    """
    address = conninfo_of(dagster_url.replace("postgresql+psycopg2://", "postgresql://", 1))
    parameters = {name: str(value) for name, value in conninfo_to_dict(address).items()}
    # Read and not sent: PgBouncer, behind which this may be called for our own address, refuses them.
    chosen = _SEARCH_PATH.search(parameters.pop("options", ""))
    try:
        with psycopg.connect(make_conninfo(**parameters), connect_timeout=10) as connection:
            connection.execute("SET LOCAL lock_timeout = '10s'")
            return _prepare(connection, chosen[1] if chosen else _chosen(connection), move_from)
    except psycopg.errors.InsufficientPrivilege as error:
        raise SettingError(
            f"DAGSTER_POSTGRES_URL: the role may not make the schema {SCHEMA}; whoever may has to run "
            f"CREATE SCHEMA {SCHEMA} AUTHORIZATION the_role: {error}"
        ) from error
    except psycopg.errors.LockNotAvailable as error:
        raise StoreUnavailable(f"Dagster's tables are in use: stop its processes first: {error}") from error
    except psycopg.OperationalError as error:
        raise StoreUnavailable(f"Postgres does not answer: {error}") from error


def _prepare(connection: Connection, schema: str, move_from: str) -> str:
    if not schema:
        return "Dagster's tables lie where its role's search path says: DAGSTER_POSTGRES_URL chooses no schema."
    if connection.execute("SELECT to_regnamespace(quote_ident(%s)) IS NULL", (schema,)).fetchone() == (True,):
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
    if _tables_in(connection, schema):
        return f"Dagster's tables lie in the schema {schema}."
    if move_from not in ("", "none", _OURS, _OTHERS):
        raise SettingError(f"Dagster's tables can be moved from {_OURS} or {_OTHERS}, not from {move_from!r}")
    # The schema named like the role comes before `public` in a search path that nobody has set.
    source = next((each for each in (_OURS, _OTHERS) if each != schema and _tables_in(connection, each)), "")
    if move_from == "none" or not source:
        return f"Dagster's tables will lie in the schema {schema}."
    if source == _OTHERS and move_from != _OTHERS:
        raise SettingError(
            f"Dagster's tables are in the schema {_OTHERS}, and DAGSTER_POSTGRES_URL chooses {schema}, where its runs "
            "and events would not be found: `courtlistener migrate --dagster-from public` moves them there, while no "
            "process of Dagster is running; `--dagster-from none` leaves them, if they are another Dagster's"
        )
    tables = _tables_in(connection, source)
    for table in tables:
        connection.execute(
            sql.SQL("ALTER TABLE {} SET SCHEMA {}").format(sql.Identifier(source, table), sql.Identifier(schema))
        )
    return f"Moved {len(tables)} tables of Dagster, with all its runs and events, from the schema {source} to {schema}."


def _chosen(connection: Connection) -> str:
    """The first schema of the search path; "" if that is the role's own, as it is unless somebody chose another."""
    [path] = connection.execute("SHOW search_path").fetchone() or ("",)
    first = str(path).split(",")[0].strip().strip('"')
    return "" if first == "$user" else first


def _tables_in(connection: Connection, schema: str) -> Sequence[str]:
    """Dagster's tables in a schema; none unless it has that of its events."""
    rows = connection.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = %(schema)s AND tablename = ANY(%(names)s) "
        "AND EXISTS (SELECT FROM pg_tables WHERE schemaname = %(schema)s AND tablename = %(sign)s) ORDER BY 1",
        {"schema": schema, "names": _names(), "sign": _SIGN},
    )
    return [str(name) for (name,) in rows]


def _names() -> list[str]:
    """The names of all tables of Dagster, by its own word."""
    from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
    from dagster._core.storage.runs.schema import RunStorageSqlMetadata
    from dagster._core.storage.schedules.schema import ScheduleStorageSqlMetadata

    metadata = (SqlEventLogStorageMetadata, RunStorageSqlMetadata, ScheduleStorageSqlMetadata)
    return sorted({"alembic_version", *(name for each in metadata for name in each.tables)})
