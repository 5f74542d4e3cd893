"""Failed dockets: what waits for a retry, what is being retried, what is dead.

Belongs here: the life of a failure in Postgres, and telling the Redis lists about it. Does not belong here: recording
failures (`store.py`, in the transaction of their page), requesting runs (`courtlistener_assets/defs/sensors/`).

Waiting -> claimed by a run -> resolved, or waiting again with one more try -> dead after the last one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from psycopg.rows import class_row

from resources.backlog import adoption
from resources.backlog.failure_counts import FailureCount, failure_summary
from resources.backlog.failure_entries import OpenFailure
from resources.backlog.failure_lists import FailureLists
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
class Chosen:
    """Which dead failures a person means: those of any of these; all, if nothing is named."""

    failure_ids: Sequence[int] = ()
    docket_ids: Sequence[int] = ()
    partitions: Sequence[str] = ()

    def parameters(self) -> dict[str, Any]:
        """What _CHOSEN takes."""
        return {name: list(value) for name, value in vars(self).items()}


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


# The delay is four times as long with each try, up to 3 days. Up to half of it is added, as a function of failure and
# try, so that what failed together does not come back together. With an hour at first, five tries are spread over 3.5
# to 5.3 days: what breaks a page is mended by people at the server, if at all.
_JITTER = "(1 + 0.5 * ((id * 7919 + tries * 104729) %% 1000) / 1000.0)"
_DUE = f"""greatest(retry_after, last_at + make_interval(secs =>
    least(259200, %(base)s * power(4.0, least(tries, 15) - 1)) * {_JITTER}))"""

_CHOSEN = """(
    cardinality(%(failure_ids)s::bigint[] || %(docket_ids)s::bigint[]) + cardinality(%(partitions)s::text[]) = 0
    OR id = ANY(%(failure_ids)s) OR docket_id = ANY(%(docket_ids)s) OR partition = ANY(%(partitions)s))"""

# What another program has met, or a person wants tried again, waits for nothing but the quota.
_NEVER_TRIED = "(tries = 0 AND coalesce(retry_after <= coalesce(%(now)s, now()), true))"

_COLUMNS = (
    "id, asset, partition, sweep, docket_id, object_id, after_id, up_to_id, error, message, tries, requests, first_at, "
    f"last_at, claimed_by, resolved_at, dead_at, {_DUE} AS due_at"
)


class Failures:
    """All failures of the downloads.

    The first retry is due `base_seconds` after the first failure; a failure becomes a dead letter after `max_tries`
    tries, the first one included.
    """

    def __init__(
        self, database: Database, lists: FailureLists, *, base_seconds: float = 3600.0, max_tries: int = 5
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
                f"AND ({_DUE} <= coalesce(%(now)s, now()) OR {_NEVER_TRIED}) "
                "ORDER BY last_at, id LIMIT 5000 FOR UPDATE SKIP LOCKED",
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
        self._lists.resolve(resolved, claim_id=claim_id)
        self._lists.file(failed, claim_id=claim_id)
        self.dead_letter_exhausted()
        self.prune()
        return len(resolved), len(failed)

    def prune(self) -> int:
        """Delete some of the failures that were resolved more than RESOLVED_DAYS ago; returns how many."""
        with self._database.transaction() as connection:
            return connection.execute(_PRUNE, {"days": RESOLVED_DAYS, "most": _MOST_PRUNED}).rowcount

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

    def release(self, claim_id: str, asset: str | None, wait_seconds: float) -> int:
        """Release what nothing was found out about, of an asset or of all, which counts as no try; returns how many.

        Up to half of the time is added to it, so that a server that is up again is not asked for everything at once.
        """
        back = self._update(
            f"claimed_by = NULL, claimed_at = NULL, retry_after = now() + make_interval(secs => %(wait)s * {_JITTER})",
            "claimed_by = %(claim)s AND (%(asset)s::text IS NULL OR asset = %(asset)s) AND resolved_at IS NULL",
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

    def resolve(self, claim_id: str, failure_id: int, *, partition: str = "") -> int:
        """Resolve one failure of a claim, while its run goes on; `partition` is where it belongs, if that is new."""
        resolved = self._update(
            "resolved_at = now(), claimed_by = NULL, claimed_at = NULL, "
            "partition = coalesce(nullif(%(partition)s, ''), partition)",
            "claimed_by = %(claim)s AND id = %(id)s AND resolved_at IS NULL",
            claim=claim_id,
            id=failure_id,
            partition=partition,
        )
        self._lists.resolve(resolved, claim_id=claim_id)
        return len(resolved)

    def give_up(self, claim_id: str, reasons: Mapping[int, str]) -> int:
        """Give up failures of a claim at once, each for its reason: no retry can help; returns how many."""
        dead = self._update(
            "dead_at = now(), claimed_by = NULL, claimed_at = NULL, message = reason",
            "claimed_by = %(claim)s AND id = failure_id AND resolved_at IS NULL",
            source="FROM unnest(%(ids)s::bigint[], %(reasons)s::text[]) AS given (failure_id, reason)",
            claim=claim_id,
            ids=list(reasons),
            reasons=list(reasons.values()),
        )
        self._lists.dead_letter(dead, claim_id=claim_id)
        return len(dead)

    def requeue_dead(self, chosen: Chosen) -> int:
        """Retry dead failures as if they had never been tried, at once; returns how many.

        An entry that could not be read stays dead.
        """
        back = self._update(
            "dead_at = NULL, tries = 0, last_at = now(), retry_after = NULL",
            f"resolved_at IS NULL AND dead_at IS NOT NULL AND asset <> '' AND {_CHOSEN}",
            **chosen.parameters(),
        )
        self._lists.file(back)
        return len(back)

    def drop_dead(self, chosen: Chosen) -> int:
        """Forget dead entries of other programs that belong to no partition; returns how many."""
        dropped = self._update(
            "resolved_at = now()",
            f"resolved_at IS NULL AND dead_at IS NOT NULL AND partition = '' AND {_CHOSEN}",
            **chosen.parameters(),
        )
        self._lists.resolve(dropped)
        return len(dropped)

    # --- looking --------------------------------------------------------------------------------------------------

    def claims(self) -> dict[str, datetime]:
        """Return the claims that are not acknowledged, and when each was made."""
        rows = self._database.rows(
            "SELECT claimed_by, min(claimed_at) FROM courtlistener.failures "
            "WHERE claimed_by IS NOT NULL AND resolved_at IS NULL GROUP BY 1"
        )
        return {str(claim): made for claim, made in rows}

    def of_claim(self, claim_id: str) -> list[OpenFailure]:
        """List what a claim still holds."""
        with self._database.transaction() as connection:
            where = "claimed_by = %(claim)s AND resolved_at IS NULL ORDER BY id"
            return self._select(connection, where, claim=claim_id)

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

    def by_error(self) -> list[FailureCount]:
        """Count those that are not resolved by asset, type of error and state, the most frequent first."""
        return failure_summary(self._database)

    # --- the Redis lists ------------------------------------------------------------------------------------------

    def adopt(self, is_partition: adoption.IsPartition) -> adoption.Adopted:
        """Let what other programs have pushed onto the lists become failures; without Redis nothing."""
        return adoption.adopt(self._database, self._lists, is_partition)

    def refill(self) -> list[str]:
        """Rewrite the Redis lists that do not hold what Postgres knows; returns their places."""
        wrong = adoption.wrong_places(self._database, self._lists)
        if wrong:
            with self._database.transaction() as connection:
                where = f"resolved_at IS NULL AND {adoption.PLACE} = ANY(%(places)s) ORDER BY id"
                failures = self._select(connection, where, places=list(wrong))
            for place, contents in adoption.contents_of(wrong, failures).items():
                self._lists.refill(place, contents, gone=wrong[place])
        return sorted(wrong)

    # --- SQL ------------------------------------------------------------------------------------------------------

    def _select(self, connection: Connection, where: str, **params: object) -> list[OpenFailure]:
        with connection.cursor(row_factory=class_row(OpenFailure)) as cursor:
            query = f"SELECT {_COLUMNS} FROM courtlistener.failures WHERE {where}"
            return cursor.execute(query.encode(), {"base": self._base_seconds, **params}).fetchall()

    def _update(self, change: str, where: str, *, source: str = "", **params: object) -> list[OpenFailure]:
        query = f"UPDATE courtlistener.failures SET {change} {source} WHERE {where} RETURNING {_COLUMNS}"
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


def failure_counts(database: Database) -> dict[str, int]:
    """Count the failures that are `waiting`, `claimed` and `dead`."""
    [row] = database.rows(
        "SELECT count(*) FILTER (WHERE dead_at IS NULL AND claimed_by IS NULL), "
        "count(*) FILTER (WHERE claimed_by IS NOT NULL), count(*) FILTER (WHERE dead_at IS NOT NULL) "
        "FROM courtlistener.failures WHERE resolved_at IS NULL"
    )
    return dict(zip(("waiting", "claimed", "dead"), (int(count) for count in row), strict=True))
