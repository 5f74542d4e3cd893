"""What differs between the store and a dump of bulk files: the list of it, and what is still to be looked up.

Belongs here: the table, and which stored rows a dump speaks of. Does not belong here: finding differences of fields
(`judging.py`), asking the API (`courtlistener_assets/download/bulk/lookups.py`). The rules are in docs/bulk.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from resources.connections.postgres import Connection, Database

#: The kinds: stored and not in the dump; with other values though no date has moved; listing other children, which
#: follows from these; not stored though its month was complete; a tombstone that is older than the dump.
DELETED, CHANGED, CHILDREN, MISSING, REVIVED = KINDS = ("deleted", "changed", "children", "missing", "revived")
_AT_ONCE = 50_000


@dataclass(frozen=True)
class Difference:
    """One difference; `fields` are the stored value and that of the dump, by the name of the field.

    `outcome` says what became of it, None while it waits for a lookup.
    """

    dump: date
    stream: str
    id: int
    kind: str
    court_id: str | None = None
    docket_id: int | None = None
    fields: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    outcome: str | None = None


@dataclass(frozen=True)
class Count:
    """How many differences of a kind a dump has shown in a stream, and how many of them wait for a lookup."""

    stream: str
    kind: str
    found: int
    open: int


def note(connection: Connection, differences: Sequence[Difference]) -> None:
    """Write differences down, in the transaction that finds them; what is known already stays as it is."""
    rows = [{**vars(each), "fields": Jsonb(dict(each.fields))} for each in differences]
    if rows:
        connection.cursor().executemany(_NOTE, rows)


def forget_values(connection: Connection, stream: str, ids: Sequence[int]) -> None:
    """Remove the values of objects that are gone: nothing that they said is kept."""
    connection.execute(
        "UPDATE courtlistener.dump_differences SET fields = '{}' WHERE stream = %(stream)s AND id = ANY(%(ids)s)",
        {"stream": stream, "ids": list(ids)},
    )


class Differences:
    """The list of differences, and the stored rows that a dump is compared with."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- comparing ----------------------------------------------------------------------------------------------------

    def known(self, stream: str, courts: Sequence[str]) -> Iterator[list[int]]:
        """The ids of all that is stored of some courts, gone or not, some at once."""
        yield from self._ids("court_id = ANY(%(courts)s)", {"stream": stream, "courts": list(courts)})

    def older_than(self, stream: str, as_of: datetime) -> Iterator[list[int]]:
        """The ids of what is stored, and was not fetched since a moment, some at once."""
        yield from self._ids("gone_at IS NULL AND fetched_at < %(as_of)s", {"stream": stream, "as_of": as_of})

    def _ids(self, condition: str, params: Mapping[str, Any]) -> Iterator[list[int]]:
        after = 0
        while True:
            rows = self._database.rows(
                f"SELECT id FROM courtlistener.records WHERE stream = %(stream)s AND {condition} "
                f"AND id > %(after)s ORDER BY id LIMIT {_AT_ONCE}",
                {**params, "after": after},
            )
            if rows:
                yield [id for (id,) in rows]
            if len(rows) < _AT_ONCE:
                return
            after = rows[-1][0]

    def note_deleted(self, dump: date, stream: str, ids: Sequence[int], as_of: datetime) -> None:
        """Note those of some objects that are not in a dump, and have not been seen since."""
        with self._database.transaction() as connection:
            connection.execute(
                _NOTE_DELETED.encode(), {"dump": dump, "stream": stream, "ids": list(ids), "as_of": as_of}
            )

    def compared(self, dump: date, newer: int, courts: Sequence[str]) -> None:
        """Note that a dump was compared to its end; `newer` rows were fetched later than it, and not judged."""
        with self._database.transaction() as connection:
            params = {"dump": dump, "newer": newer, "courts": sorted(courts)}
            connection.execute(_COMPARED.encode(), params)

    def count_newer(self, streams: Sequence[str], as_of: datetime) -> int:
        """How many stored rows were fetched after a moment."""
        query = (
            "SELECT count(*) FROM courtlistener.records "
            "WHERE stream = ANY(%(streams)s) AND gone_at IS NULL AND fetched_at > %(as_of)s"
        )
        [(count,)] = self._database.rows(query, {"streams": list(streams), "as_of": as_of})
        return int(count)

    # --- lookups ------------------------------------------------------------------------------------------------------

    def waiting(self, *, limit: int = 1000, dump: date | None = None) -> list[Difference]:
        """What waits for a lookup and is due, of one dump or of all: each object once, parents first."""
        self._close_seen()
        with self._database.transaction() as connection, connection.cursor(row_factory=class_row(Difference)) as cursor:
            return cursor.execute(_WAITING.encode(), {"limit": limit, "dump": dump}).fetchall()

    def is_waiting(self, difference: Difference) -> bool:
        """Whether an object still waits: its parent's lookup, or a page, may have told of it since."""
        self._close_seen()
        return bool(
            self._database.rows(
                f"SELECT FROM courtlistener.dump_differences WHERE {_OBJECT} AND repaired_at IS NULL", _key(difference)
            )
        )

    def close(self, difference: Difference, outcome: str) -> None:
        """Note what a lookup has shown, for all dumps that gave reason for it."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE courtlistener.dump_differences SET repaired_at = now(), outcome = %(outcome)s "
                f"WHERE {_OBJECT} AND repaired_at IS NULL",
                {**_key(difference), "outcome": outcome},
            )

    def postpone(self, difference: Difference) -> None:
        """Try a lookup that failed again after an hour, the next time after two, up to a day."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE courtlistener.dump_differences SET tries = tries + 1, "
                "due_at = now() + least(interval '1 day', interval '1 hour' * power(2, least(tries, 10))) "
                f"WHERE {_OBJECT} AND repaired_at IS NULL",
                _key(difference),
            )

    def has_opinions(self, cluster_id: int) -> bool:
        """Whether opinions are stored that hang on a decision, and do not seem to be deleted themselves."""
        query = (
            "SELECT FROM courtlistener.opinions WHERE cluster_id = %(id)s AND gone_at IS NULL AND NOT EXISTS ("
            "SELECT FROM courtlistener.dump_differences found WHERE found.stream = 'opinions' "
            f"AND found.id = opinions.id AND found.kind = '{DELETED}' AND found.repaired_at IS NULL) LIMIT 1"
        )
        return bool(self._database.rows(query, {"id": cluster_id}))

    def gone_reason(self, stream: str, id: int) -> str:
        """What CourtListener said of an object that is gone."""
        query = "SELECT gone_reason FROM courtlistener.records WHERE stream = %(stream)s AND id = %(id)s"
        rows = self._database.rows(query, {"stream": stream, "id": id})
        return str(rows[0][0]) if rows and rows[0][0] else "gone"

    def _close_seen(self) -> None:
        """Close what has been seen since it was found, by whatever run."""
        with self._database.transaction() as connection:
            connection.execute(_CLOSE_SEEN.encode())

    # --- the report ---------------------------------------------------------------------------------------------------

    def comparison(self, dump: date) -> tuple[datetime, int, frozenset[str]] | None:
        """When a dump was compared, how many rows were too new for it, and its courts; None if it was not."""
        query = "SELECT compared_at, newer, courts FROM courtlistener.dump_comparisons WHERE dump = %(dump)s"
        rows = self._database.rows(query, {"dump": dump})
        return (rows[0][0], int(rows[0][1]), frozenset(rows[0][2])) if rows else None

    def counts(self, dump: date) -> list[Count]:
        """How many differences a dump has shown, by stream and kind."""
        rows = self._database.rows(
            "SELECT stream, kind, count(*), count(*) FILTER (WHERE repaired_at IS NULL) "
            "FROM courtlistener.dump_differences WHERE dump = %(dump)s GROUP BY 1, 2 ORDER BY 1, 2",
            {"dump": dump},
        )
        return [Count(*row) for row in rows]

    def examples(self, dump: date, kind: str, *, limit: int = 20) -> list[Difference]:
        """The first differences of a kind."""
        with self._database.transaction() as connection, connection.cursor(row_factory=class_row(Difference)) as cursor:
            return cursor.execute(_EXAMPLES.encode(), {"dump": dump, "kind": kind, "limit": limit}).fetchall()


def _key(difference: Difference) -> dict[str, Any]:
    return {"stream": difference.stream, "id": difference.id, "kind": difference.kind}


_OBJECT = "stream = %(stream)s AND id = %(id)s AND kind = %(kind)s"
_COLUMNS = "dump, stream, id, kind, court_id, docket_id, fields, outcome"

_NOTE = f"""
INSERT INTO courtlistener.dump_differences ({_COLUMNS}, repaired_at)
VALUES (%(dump)s, %(stream)s, %(id)s, %(kind)s, %(court_id)s, %(docket_id)s, %(fields)s, %(outcome)s,
        CASE WHEN %(outcome)s::text IS NOT NULL THEN now() END)
ON CONFLICT (dump, stream, id, kind) DO NOTHING
"""

_NOTE_DELETED = f"""
INSERT INTO courtlistener.dump_differences ({_COLUMNS})
SELECT %(dump)s, stream, id, '{DELETED}', court_id, docket_id, '{{}}', NULL FROM courtlistener.records
WHERE stream = %(stream)s AND id = ANY(%(ids)s) AND gone_at IS NULL AND fetched_at < %(as_of)s
ON CONFLICT (dump, stream, id, kind) DO NOTHING
"""

_COMPARED = """
INSERT INTO courtlistener.dump_comparisons AS known (dump, newer, courts) VALUES (%(dump)s, %(newer)s, %(courts)s)
ON CONFLICT (dump) DO UPDATE SET newer = excluded.newer, compared_at = now(),
    courts = ARRAY(SELECT DISTINCT unnest(known.courts || excluded.courts) ORDER BY 1)
"""

# A tombstone that waits for its lookup has not been seen since; one that lives again has.
_CLOSE_SEEN = f"""
UPDATE courtlistener.dump_differences found SET repaired_at = now(), outcome = CASE
    WHEN stored.gone_at IS NULL THEN 'CourtListener has it' ELSE coalesce(stored.gone_reason, 'gone') END
FROM courtlistener.records stored
WHERE found.repaired_at IS NULL AND (stored.stream, stored.id) = (found.stream, found.id) AND CASE found.kind
    WHEN '{DELETED}' THEN stored.gone_at IS NOT NULL OR stored.fetched_at > found.found_at
    ELSE stored.gone_at IS NULL END
"""

_WAITING = f"""
SELECT {_COLUMNS} FROM (
    SELECT DISTINCT ON (stream, id, kind) {_COLUMNS} FROM courtlistener.dump_differences
    WHERE repaired_at IS NULL AND due_at <= now() AND (dump = %(dump)s OR %(dump)s::date IS NULL)
    ORDER BY stream, id, kind, dump DESC
) AS waiting
ORDER BY array_position(ARRAY['dockets', 'clusters', 'opinions'], stream), id, kind LIMIT %(limit)s
"""

_EXAMPLES = f"""
SELECT {_COLUMNS} FROM courtlistener.dump_differences
WHERE dump = %(dump)s AND kind = %(kind)s
ORDER BY repaired_at IS NOT NULL, array_position(ARRAY['dockets', 'clusters', 'opinions'], stream), id LIMIT %(limit)s
"""
