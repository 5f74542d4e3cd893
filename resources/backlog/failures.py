"""Failed dockets: what waits for a retry, what is being retried, what is dead.

Belongs here: the life of a failure in Postgres, and telling the Redis lists about it. Does not belong here: recording
failures (`store.py`, in the transaction of their page), requesting runs (`courtlistener_assets/defs/sensors/`).

Waiting -> claimed by a run -> resolved, or waiting again with one more try -> dead after the last one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from psycopg.rows import class_row

from resources.backlog.failure_lists import LIST_TTL_SECONDS, FailureLists, OpenFailure
from resources.connections.postgres import Connection, Database

#: What was resolved stays to be looked at, in SQL, for so long.
RESOLVED_DAYS = 90
_MOST_PRUNED = 1000
_MOST_UNSHOWN = 1000


@dataclass(frozen=True)
class Claim:
    """Failures of one partition that one run is to retry; the same failures get another `number` each time."""

    id: str
    partition: str
    number: int
    failures: tuple[OpenFailure, ...]


@dataclass(frozen=True)
class PartitionFailures:
    """How many failures of a partition are not resolved, and how many of these are dead."""

    open: int
    dead: int


@dataclass(frozen=True)
class Unshown:
    """Failures of a partition that its check has not shown as they are now: open, dead or resolved, by id."""

    asset: str
    partition: str
    states: dict[int, str]


# The delay doubles with each try, up to 6 hours. Up to half of it is added, as a function of failure and try, so that
# what failed together does not come back together.
_DUE = """greatest(retry_after, last_at + make_interval(secs =>
    least(21600, %(base)s * power(2.0, least(tries, 30) - 1))
    * (1 + 0.5 * ((id * 7919 + tries * 104729) %% 1000) / 1000.0)))"""

_COLUMNS = (
    "id, asset, partition, sweep, docket_id, object_id, after_id, up_to_id, error, message, tries, requests, first_at, "
    f"last_at, claimed_by, resolved_at, dead_at, {_DUE} AS due_at"
)

_HOUR = "'failed ' || to_char(first_at AT TIME ZONE 'UTC', 'YYYY-MM-DD_HH24')"
_PLACE = f"""CASE WHEN dead_at IS NOT NULL THEN 'dead' WHEN claimed_by IS NOT NULL THEN 'claimed ' || claimed_by
    ELSE {_HOUR} END"""


class Failures:
    """All failures of the downloads.

    The first retry is due `base_seconds` after the first failure; a failure becomes a dead letter after `max_tries`
    tries, the first one included.
    """

    def __init__(
        self, database: Database, lists: FailureLists, *, base_seconds: float = 60.0, max_tries: int = 5
    ) -> None:
        self._database = database
        self._lists = lists
        self._base_seconds = base_seconds
        self._max_tries = max_tries

    # --- the life of a failure ------------------------------------------------------------------------------------

    def claim_due(
        self,
        *,
        now: datetime | None = None,
        max_claims: int = 10,
        max_failures: int = 50,
        apart: Collection[str] = (),
    ) -> list[Claim]:
        """Claim what is due, at most `max_failures` of each of `max_claims` partitions, exclusively.

        Failures of an asset in `apart` have partitions of another kind and get claims of their own.
        """
        with self._database.transaction() as connection:
            due = self._select(
                connection,
                "resolved_at IS NULL AND dead_at IS NULL AND claimed_by IS NULL "
                f"AND {_DUE} <= coalesce(%(now)s, now()) ORDER BY last_at, id LIMIT 5000 FOR UPDATE SKIP LOCKED",
                now=now,
            )
            groups: dict[tuple[str, str], list[OpenFailure]] = defaultdict(list)
            for failure in due:
                groups[failure.partition, failure.asset if failure.asset in apart else ""].append(failure)
            claims = [
                self._claim(connection, partition, failures[:max_failures])
                for (partition, _), failures in list(groups.items())[:max_claims]
            ]
        for claim in claims:
            self._lists.claim(claim.id, claim.failures)
        return claims

    def _claim(self, connection: Connection, partition: str, failures: list[OpenFailure]) -> Claim:
        claim_id = uuid4().hex[:16]
        rows = connection.execute(
            "UPDATE courtlistener.failures SET claimed_by = %(claim)s, claimed_at = clock_timestamp(), "
            "retry_after = NULL, claims = claims + 1 WHERE id = ANY(%(ids)s) RETURNING claims",
            {"claim": claim_id, "ids": [failure.id for failure in failures]},
        ).fetchall()
        return Claim(claim_id, partition, max(number for (number,) in rows), tuple(failures))

    def acknowledge(self, claim_id: str, asset: str) -> tuple[int, int]:
        """Close an asset's part of a claim whose run has retried it; returns how many are resolved, how many failed.

        What failed again was recorded by the run, after it had been claimed; what was not, has succeeded.
        """
        tried = self._update(
            "resolved_at = CASE WHEN last_at <= claimed_at THEN now() END, claimed_by = NULL, claimed_at = NULL",
            "claimed_by = %(claim)s AND asset = %(asset)s AND resolved_at IS NULL",
            claim=claim_id,
            asset=asset,
        )
        resolved = [failure for failure in tried if failure.resolved_at]
        failed = [failure for failure in tried if not failure.resolved_at]
        self._lists.resolve(claim_id, resolved)
        self._lists.file(failed, claim_id=claim_id)
        self.dead_letter_exhausted()
        with self._database.transaction() as connection:
            connection.execute(_PRUNE, {"days": RESOLVED_DAYS, "most": _MOST_PRUNED})
        return len(resolved), len(failed)

    def release_orphaned(self, claim_id: str) -> int:
        """Release what a run that ended has not acknowledged, as one more try; returns how many."""
        back = self._update(
            "tries = tries + CASE WHEN last_at <= claimed_at THEN 1 ELSE 0 END, last_at = clock_timestamp(), "
            "claimed_by = NULL, claimed_at = NULL",
            "claimed_by = %(claim)s AND resolved_at IS NULL",
            claim=claim_id,
        )
        self._lists.file(back, claim_id=claim_id)
        self.dead_letter_exhausted()
        return len(back)

    def release(self, claim_id: str, asset: str, wait_seconds: float) -> int:
        """Release what the quota had no room for, which counts as no try; returns how many."""
        back = self._update(
            "claimed_by = NULL, claimed_at = NULL, retry_after = now() + make_interval(secs => %(wait)s)",
            "claimed_by = %(claim)s AND asset = %(asset)s AND resolved_at IS NULL",
            claim=claim_id,
            asset=asset,
            wait=wait_seconds,
        )
        self._lists.file(back, claim_id=claim_id)
        return len(back)

    def dead_letter_exhausted(self) -> int:
        """Give up what has failed too often; returns how many."""
        dead = self._update(
            "dead_at = now()",
            "resolved_at IS NULL AND dead_at IS NULL AND claimed_by IS NULL AND tries >= %(max_tries)s",
            max_tries=self._max_tries,
        )
        self._lists.dead_letter(dead)
        return len(dead)

    def requeue_dead(self, failure_ids: Sequence[int] | None = None) -> int:
        """Retry dead failures (all, or these) from the first delay on; returns how many."""
        back = self._update(
            "dead_at = NULL, tries = 1, last_at = now(), retry_after = NULL",
            "resolved_at IS NULL AND dead_at IS NOT NULL AND (%(ids)s::bigint[] IS NULL OR id = ANY(%(ids)s))",
            ids=None if failure_ids is None else list(failure_ids),
        )
        self._lists.file(back)
        return len(back)

    # --- looking --------------------------------------------------------------------------------------------------

    def claims(self) -> dict[str, datetime]:
        """Return the claims that are not acknowledged, and when each was made."""
        rows = self._database.rows(
            "SELECT claimed_by, min(claimed_at) FROM courtlistener.failures "
            "WHERE claimed_by IS NOT NULL AND resolved_at IS NULL GROUP BY 1"
        )
        return {str(claim): made for claim, made in rows}

    def open(self, *, limit: int = 1000) -> list[OpenFailure]:
        """Return what is not resolved: the dead first, then by when it is due."""
        with self._database.transaction() as connection:
            return self._select(
                connection, "resolved_at IS NULL ORDER BY dead_at NULLS LAST, due_at, id LIMIT %(limit)s", limit=limit
            )

    def of_partition(self, asset: str, partition: str, *, dead_too: bool = False) -> list[OpenFailure]:
        """List an asset's failures in a partition that wait for a retry; with `dead_too` all that are not resolved."""
        with self._database.transaction() as connection:
            return self._select(
                connection,
                "asset = %(asset)s AND partition = %(partition)s AND resolved_at IS NULL "
                "AND (%(dead_too)s OR (dead_at IS NULL AND claimed_by IS NULL)) ORDER BY id",
                asset=asset,
                partition=partition,
                dead_too=dead_too,
            )

    def counts_of(self, asset: str, partition: str) -> PartitionFailures:
        """Count an asset's failures in a partition."""
        [(open_, dead)] = self._database.rows(
            "SELECT count(*), count(*) FILTER (WHERE state = 'dead') FROM courtlistener.failures "
            "WHERE asset = %(asset)s AND partition = %(partition)s AND resolved_at IS NULL",
            {"asset": asset, "partition": partition},
        )
        return PartitionFailures(int(open_), int(dead))

    def unshown(self, asset: str | None = None, partition: str | None = None, *, limit: int = 100) -> list[Unshown]:
        """List what was recorded, has died, was requeued or resolved since its partition's check was evaluated.

        Of all partitions or, if `asset` and `partition` are given, of one. After an upgrade that may be all failures
        there are; one call lists some of them.
        """
        rows = self._database.rows(
            "SELECT asset, partition, array_agg(id), array_agg(state) FROM ("
            "SELECT asset, partition, id, state FROM courtlistener.failures WHERE shown IS DISTINCT FROM state "
            f"{'AND asset = %(asset)s AND partition = %(partition)s ' if asset else ''}"
            f"ORDER BY asset, partition LIMIT {_MOST_UNSHOWN}) AS changed GROUP BY asset, partition LIMIT %(limit)s",
            {"asset": asset, "partition": partition, "limit": limit},
        )
        return [
            Unshown(asset, partition, dict(zip(ids, states, strict=True))) for asset, partition, ids, states in rows
        ]

    def mark_shown(self, unshown: Sequence[Unshown]) -> None:
        """Note that checks have shown these; what has changed since they were listed is listed again."""
        with self._database.transaction() as connection:
            for each in unshown:
                connection.execute(
                    "UPDATE courtlistener.failures SET shown = seen.state "
                    "FROM unnest(%(ids)s::bigint[], %(states)s::text[]) AS seen (id, state) "
                    "WHERE failures.id = seen.id",
                    {"ids": list(each.states), "states": list(each.states.values())},
                )

    def counts(self) -> dict[str, int]:
        """Count those that are `waiting`, `claimed` and `dead`."""
        return failure_counts(self._database)

    def refill(self) -> list[str]:
        """Rewrite the Redis lists that do not hold what Postgres knows; returns their places."""
        wanted = {place: int(count) for place, count in self._database.rows(_PLACES, {"ttl": LIST_TTL_SECONDS})}
        found = self._lists.lengths(list(wanted))
        wrong = [place for place, length in found.items() if length != wanted[place]]
        if wrong:
            contents: dict[str, list[OpenFailure]] = {place: [] for place in wrong}
            with self._database.transaction() as connection:
                for failure in self._select(
                    connection, f"resolved_at IS NULL AND {_PLACE} = ANY(%(places)s) ORDER BY id", places=wrong
                ):
                    contents[_place_of(failure)].append(failure)
            self._lists.replace(contents)
        return wrong

    # --- SQL ------------------------------------------------------------------------------------------------------

    def _select(self, connection: Connection, where: str, **params: object) -> list[OpenFailure]:
        with connection.cursor(row_factory=class_row(OpenFailure)) as cursor:
            query = f"SELECT {_COLUMNS} FROM courtlistener.failures WHERE {where}"
            return cursor.execute(query.encode(), {"base": self._base_seconds, **params}).fetchall()

    def _update(self, change: str, where: str, **params: object) -> list[OpenFailure]:
        query = f"UPDATE courtlistener.failures SET {change} WHERE {where} RETURNING {_COLUMNS}"
        with (
            self._database.transaction() as connection,
            connection.cursor(row_factory=class_row(OpenFailure)) as cursor,
        ):
            return cursor.execute(query.encode(), {"base": self._base_seconds, **params}).fetchall()


# SKIP LOCKED: two runs that end together need not wait for each other here.
_PRUNE = """
DELETE FROM courtlistener.failures WHERE id = ANY (ARRAY (
    SELECT id FROM courtlistener.failures WHERE resolved_at < now() - make_interval(days => %(days)s)
    ORDER BY resolved_at LIMIT %(most)s FOR UPDATE SKIP LOCKED))
"""

# Lists whose failures are all resolved must be empty, so they are among the wanted ones.
_PLACES = f"""
SELECT place, sum(count) FROM (
    SELECT {_PLACE}, 1 FROM courtlistener.failures WHERE resolved_at IS NULL
    UNION ALL
    SELECT {_HOUR}, 0 FROM courtlistener.failures WHERE resolved_at > now() - make_interval(secs => %(ttl)s)
    UNION ALL
    SELECT 'dead', 0
) AS listed (place, count) GROUP BY 1
"""


def failure_counts(database: Database) -> dict[str, int]:
    """Count the failures that are `waiting`, `claimed` and `dead`."""
    [row] = database.rows(
        "SELECT count(*) FILTER (WHERE dead_at IS NULL AND claimed_by IS NULL), "
        "count(*) FILTER (WHERE claimed_by IS NOT NULL), count(*) FILTER (WHERE dead_at IS NOT NULL) "
        "FROM courtlistener.failures WHERE resolved_at IS NULL"
    )
    return dict(zip(("waiting", "claimed", "dead"), (int(count) for count in row), strict=True))


def _place_of(failure: OpenFailure) -> str:
    if failure.dead_at:
        return "dead"
    return f"claimed {failure.claimed_by}" if failure.claimed_by else f"failed {failure.hour}"
