"""Failed dockets: who waits for a retry, who is being retried, who was given up.

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


@dataclass(frozen=True)
class RetryRule:
    """When failures are retried: `base_seconds` after the first failure, then twice as long each time.

    Up to `jitter` of the delay is added, as a function of failure and try, so that what failed together does not come
    back together. After `max_tries` failures, the first one included, a failure is given up.
    """

    base_seconds: float = 60.0
    longest_seconds: float = 6 * 3600.0
    jitter: float = 0.5
    max_tries: int = 5


@dataclass(frozen=True)
class Claim:
    """Failures of one partition that one run is to retry; the same failures get another `number` each time."""

    id: str
    partition: str
    number: int
    failures: tuple[OpenFailure, ...]


_DUE = """greatest(retry_after, last_at + make_interval(secs =>
    least(%(longest)s, %(base)s * power(2.0, least(tries, 30) - 1))
    * (1 + %(jitter)s * ((id * 7919 + tries * 104729) %% 1000) / 1000.0)))"""

_COLUMNS = (
    "id, asset, partition, sweep, docket_id, object_id, after_id, up_to_id, error, message, tries, requests, first_at, "
    f"last_at, claimed_by, dead_at, {_DUE} AS due_at"
)

_PLACE = """CASE WHEN dead_at IS NOT NULL THEN 'dead' WHEN claimed_by IS NOT NULL THEN 'claimed ' || claimed_by
    ELSE 'failed ' || to_char(first_at AT TIME ZONE 'UTC', 'YYYY-MM-DD_HH24') END"""


class Failures:
    """All failures of the downloads. `lists` may be None: the Redis lists are then left alone."""

    def __init__(self, database: Database, lists: FailureLists | None = None, rule: RetryRule | None = None) -> None:
        self._database = database
        self._lists = lists
        self._rule = rule or RetryRule()

    # --- the life of a failure ------------------------------------------------------------------------------------

    def claim_due(
        self,
        *,
        now: datetime | None = None,
        max_claims: int = 10,
        max_failures: int = 50,
        apart: Collection[str] = (),
    ) -> list[Claim]:
        """Claim what is due, at most `max_failures` of each of `max_claims` partitions; nobody else gets these.

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
            if self._lists:
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
        """The claim's run has tried an asset's failures again: returns how many are resolved, how many failed again.

        What failed again was recorded by the run, after it had been claimed; what was not, has succeeded.
        """
        with self._database.transaction() as connection:
            resolved = self._update(
                connection,
                "resolved_at = now(), claimed_by = NULL, claimed_at = NULL",
                "claimed_by = %(claim)s AND asset = %(asset)s AND resolved_at IS NULL AND last_at <= claimed_at",
                claim=claim_id,
                asset=asset,
            )
            failed = self._update(
                connection,
                "claimed_by = NULL, claimed_at = NULL",
                "claimed_by = %(claim)s AND asset = %(asset)s AND resolved_at IS NULL",
                claim=claim_id,
                asset=asset,
            )
            connection.execute(_PRUNE, {"days": RESOLVED_DAYS, "most": _MOST_PRUNED})
        if self._lists:
            self._lists.resolve(claim_id, resolved)
            self._lists.file(failed, claim_id=claim_id)
        self.dead_letter_exhausted()
        return len(resolved), len(failed)

    def release_orphaned(self, claim_id: str) -> int:
        """The claim's run is gone: one more try for all that it has not acknowledged; returns how many."""
        with self._database.transaction() as connection:
            back = self._update(
                connection,
                "tries = tries + CASE WHEN last_at <= claimed_at THEN 1 ELSE 0 END, last_at = clock_timestamp(), "
                "claimed_by = NULL, claimed_at = NULL",
                "claimed_by = %(claim)s AND resolved_at IS NULL",
                claim=claim_id,
            )
        if self._lists:
            self._lists.file(back, claim_id=claim_id)
        self.dead_letter_exhausted()
        return len(back)

    def release(self, claim_id: str, asset: str, wait_seconds: float) -> int:
        """The quota had no room: back to waiting, without a try more; returns how many."""
        with self._database.transaction() as connection:
            back = self._update(
                connection,
                "claimed_by = NULL, claimed_at = NULL, retry_after = now() + make_interval(secs => %(wait)s)",
                "claimed_by = %(claim)s AND asset = %(asset)s AND resolved_at IS NULL",
                claim=claim_id,
                asset=asset,
                wait=wait_seconds,
            )
        if self._lists:
            self._lists.file(back, claim_id=claim_id)
        return len(back)

    def dead_letter_exhausted(self) -> int:
        """Give up what has failed too often; returns how many."""
        with self._database.transaction() as connection:
            dead = self._update(
                connection,
                "dead_at = now()",
                "resolved_at IS NULL AND dead_at IS NULL AND claimed_by IS NULL AND tries >= %(max_tries)s",
                max_tries=self._rule.max_tries,
            )
        if self._lists:
            self._lists.dead_letter(dead)
        return len(dead)

    def requeue_dead(self, failure_ids: Sequence[int] | None = None) -> int:
        """Let dead failures (all, or these) be tried again from the first delay on; returns how many."""
        with self._database.transaction() as connection:
            back = self._update(
                connection,
                "dead_at = NULL, tries = 1, last_at = now(), retry_after = NULL",
                "resolved_at IS NULL AND dead_at IS NOT NULL AND (%(ids)s::bigint[] IS NULL OR id = ANY(%(ids)s))",
                ids=None if failure_ids is None else list(failure_ids),
            )
        if self._lists:
            self._lists.file(back)
        return len(back)

    # --- looking --------------------------------------------------------------------------------------------------

    def claims(self) -> dict[str, datetime]:
        """The claims that are not acknowledged, and when each was made."""
        rows = self._database.rows(
            "SELECT claimed_by, min(claimed_at) FROM courtlistener.failures "
            "WHERE claimed_by IS NOT NULL AND resolved_at IS NULL GROUP BY 1"
        )
        return {str(claim): made for claim, made in rows}

    def open(self, *, limit: int = 1000) -> list[OpenFailure]:
        """What is not resolved: the dead first, then by when it is due."""
        with self._database.transaction() as connection:
            return self._select(
                connection, "resolved_at IS NULL ORDER BY dead_at NULLS LAST, due_at, id LIMIT %(limit)s", limit=limit
            )

    def of_partition(self, asset: str, partition: str, *, dead_too: bool = False) -> list[OpenFailure]:
        """An asset's failures in a partition that wait for a retry; with `dead_too` all that are not resolved."""
        with self._database.transaction() as connection:
            return self._select(
                connection,
                "asset = %(asset)s AND partition = %(partition)s AND resolved_at IS NULL "
                "AND (%(dead_too)s OR (dead_at IS NULL AND claimed_by IS NULL)) ORDER BY id",
                asset=asset,
                partition=partition,
                dead_too=dead_too,
            )

    def counts(self) -> dict[str, int]:
        """How many are `waiting`, `claimed` and `dead`."""
        [row] = self._database.rows(
            "SELECT count(*) FILTER (WHERE dead_at IS NULL AND claimed_by IS NULL), "
            "count(*) FILTER (WHERE claimed_by IS NOT NULL), count(*) FILTER (WHERE dead_at IS NOT NULL) "
            "FROM courtlistener.failures WHERE resolved_at IS NULL"
        )
        return dict(zip(("waiting", "claimed", "dead"), (int(count) for count in row), strict=True))

    def refill(self) -> list[str]:
        """Write the Redis lists anew that do not hold what Postgres knows; returns their places."""
        if not self._lists:
            return []
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
            return cursor.execute(query.encode(), {**self._rule_params(), **params}).fetchall()

    def _update(self, connection: Connection, change: str, where: str, **params: object) -> list[OpenFailure]:
        with connection.cursor(row_factory=class_row(OpenFailure)) as cursor:
            query = f"UPDATE courtlistener.failures SET {change} WHERE {where} RETURNING {_COLUMNS}"
            return cursor.execute(query.encode(), {**self._rule_params(), **params}).fetchall()

    def _rule_params(self) -> dict[str, float]:
        rule = self._rule
        return {"base": rule.base_seconds, "longest": rule.longest_seconds, "jitter": rule.jitter}


# SKIP LOCKED: two runs that end together need not wait for each other here.
_PRUNE = """
DELETE FROM courtlistener.failures WHERE id = ANY (ARRAY (
    SELECT id FROM courtlistener.failures WHERE resolved_at < now() - make_interval(days => %(days)s)
    ORDER BY resolved_at LIMIT %(most)s FOR UPDATE SKIP LOCKED))
"""

# Lists of hours whose failures are all resolved must be empty, so they are among the wanted ones.
_PLACES = f"""
SELECT {_PLACE}, count(*) FROM courtlistener.failures WHERE resolved_at IS NULL GROUP BY 1
UNION ALL
SELECT DISTINCT hour, 0 FROM (
    SELECT 'failed ' || to_char(first_at AT TIME ZONE 'UTC', 'YYYY-MM-DD_HH24') AS hour FROM courtlistener.failures
    WHERE resolved_at > now() - make_interval(secs => %(ttl)s)
) AS past
WHERE hour NOT IN (SELECT {_PLACE} FROM courtlistener.failures WHERE resolved_at IS NULL)
UNION ALL
SELECT 'dead', 0 WHERE NOT EXISTS (
    SELECT FROM courtlistener.failures WHERE resolved_at IS NULL AND dead_at IS NOT NULL)
"""


def _place_of(failure: OpenFailure) -> str:
    if failure.dead_at:
        return "dead"
    return f"claimed {failure.claimed_by}" if failure.claimed_by else f"failed {failure.hour}"
