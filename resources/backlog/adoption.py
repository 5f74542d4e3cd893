"""Postgres and the Redis lists held against each other: what only the lists have is adopted, what they lost refilled.

Belongs here: which entries become failures, and which lists are wrong. Does not belong here: what an entry says
(`failure_entries.py`), when a failure is due and what becomes of it (`failures.py`).

An entry is adopted in three steps, each of which may be repeated: a script moves it out of its list under a token, one
transaction notes the token and the failure, and the entry is put away. Whoever dies in between leaves it where the
next one finds it, and a token that Postgres knows becomes no failure again. Postgres alone says what state a failure is
in: an entry of ours that stands in the wrong list changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import psycopg

from resources.backlog.failure_entries import (
    DOCKETS,
    UNREADABLE,
    OpenFailure,
    PushedFailure,
    Unreadable,
    identity_in,
    identity_of,
    read_entry,
)
from resources.backlog.failure_lists import LIST_TTL_SECONDS, FailureLists
from resources.connections.postgres import Connection, Database

#: Whether an asset has a partition of this key.
IsPartition = Callable[[str, str], bool]
#: Entries that are adopted by one tick of the sensor; the next tick takes the rest.
_MOST_ADOPTED = 1000


@dataclass(frozen=True)
class Adopted:
    """How many entries of other programs became failures, and how many could not be read."""

    failures: int = 0
    unreadable: int = 0


def adopt(database: Database, lists: FailureLists, is_partition: IsPartition) -> Adopted:
    """Let every entry that another program has pushed become a failure; one that cannot be read is dead at once."""
    found, left = lists.read_failed() or {}, _MOST_ADOPTED
    known = _known(database, found.values())
    for hour, entries in found.items():
        foreign = [entry for entry in entries if identity_in(entry) not in known][:left]
        lists.take(hour, foreign)
        left -= len(foreign)
    adopted: list[PushedFailure | Unreadable] = []
    for token, entry in lists.taken().items():
        adopted.append(_noted(database, token, _placed(database, read_entry(entry), is_partition)))
        lists.put_away(token, entry)
    unreadable = sum(isinstance(each, Unreadable) for each in adopted)
    return Adopted(len(adopted) - unreadable, unreadable)


def wrong_places(database: Database, lists: FailureLists) -> dict[str, list[str]]:
    """Return the lists that do not hold what Postgres knows, each with the identities of our entries in it.

    None are wrong while Redis does not answer.
    """
    found = lists.read_failed()
    if found is None:
        return {}
    # A name that is no text was not given by us.
    stand = {f"failed {hour}": entries for hour, entries in found.items() if hour.isascii()}
    wanted = {str(place): list(ids) for place, ids in database.rows(_PLACES, {"ttl": LIST_TTL_SECONDS})}
    stand |= {place: lists.read_place(place) for place in wanted if not place.startswith("failed ")}
    known = _known(database, stand.values())
    wrong = {}
    for place in {*stand, *wanted}:
        own = [each for entry in stand.get(place, []) if (each := identity_in(entry)) in known and each]
        if sorted(id for id, _ in own) != sorted(wanted.get(place, [])):
            wrong[place] = [identity for _, identity in own]
    return wrong


def _known(database: Database, lists: Iterable[Sequence[bytes]]) -> set[tuple[int, str]]:
    """Return the ids and identities in these lists that are failures of this database, whatever their state."""
    ids = {own[0] for entries in lists for entry in entries if (own := identity_in(entry))}
    if not ids:
        return set()
    rows = database.rows(
        "SELECT id, asset, target FROM courtlistener.failures WHERE id = ANY(%(ids)s)", {"ids": sorted(ids)}
    )
    return {(id, identity_of(id, *what)) for id, *what in rows}


def _placed(
    database: Database, read: PushedFailure | Unreadable, is_partition: IsPartition
) -> PushedFailure | Unreadable:
    """Find the partition of a docket that is stored; a partition that does not exist makes an entry unreadable."""
    if isinstance(read, Unreadable):
        return read
    if read.partition:
        if is_partition(read.asset, read.partition):
            return read
        return Unreadable(f"there is no partition {read.partition} of {read.asset}", read.message)
    rows = database.rows(
        "SELECT court_id || '|' || to_char(date_filed, 'YYYY-MM-01') FROM courtlistener.dockets "
        "WHERE id = %(id)s AND gone_at IS NULL AND court_id IS NOT NULL AND date_filed IS NOT NULL",
        {"id": read.docket_id},
    )
    places = [place for (place,) in rows if is_partition(DOCKETS, place)]
    return replace(read, partition=places[0]) if places else read


def _noted(database: Database, token: str, read: PushedFailure | Unreadable) -> PushedFailure | Unreadable:
    """Record a taken entry, once; returns as what."""
    try:
        with database.transaction() as connection:
            _note(connection, token, read)
    except psycopg.DataError as error:
        read = Unreadable(f"Postgres refuses it: {error}", "")
        with database.transaction() as connection:
            _note(connection, token, read)
    return read


def _note(connection: Connection, token: str, read: PushedFailure | Unreadable) -> None:
    connection.execute("DELETE FROM courtlistener.taken_entries WHERE taken_at < now() - interval '30 days'")
    new = connection.execute(
        "INSERT INTO courtlistener.taken_entries (token) VALUES (%s) ON CONFLICT DO NOTHING RETURNING token", [token]
    ).fetchone()
    if new and isinstance(read, Unreadable):
        connection.execute(_DEAD_AT_ONCE, {"token": token, "error": UNREADABLE, "message": read.message})
    elif new and isinstance(read, PushedFailure):
        connection.execute(_ADOPT, asdict(read))


# What waits already, waits on. What is dead here and was pushed again is tried again: somebody wants it.
_ADOPT = """
INSERT INTO courtlistener.failures AS open (asset, partition, sweep, docket_id, object_id, after_id, up_to_id, error,
    message, requests, tries, first_at)
VALUES (%(asset)s, %(partition)s, %(sweep)s, %(docket_id)s, %(object_id)s, %(after_id)s, %(up_to_id)s, %(error)s,
    %(message)s, %(requests)s, 0, coalesce(%(first_at)s, now()))
ON CONFLICT (asset, partition, target) WHERE resolved_at IS NULL
DO UPDATE SET tries = 0, retry_after = NULL, dead_at = NULL, last_at = now() WHERE open.dead_at IS NOT NULL
"""

_DEAD_AT_ONCE = """
INSERT INTO courtlistener.failures (asset, partition, sweep, error, message, tries, dead_at)
VALUES ('', '', %(token)s, %(error)s, %(message)s, 0, now())
"""

_HOUR = "'failed ' || to_char(first_at AT TIME ZONE 'UTC', 'YYYY-MM-DD_HH24')"
#: Where a failure stands, as `FailureLists.place_key` understands it.
PLACE = f"""CASE WHEN dead_at IS NOT NULL THEN 'dead' WHEN claimed_by IS NOT NULL THEN 'claimed ' || claimed_by
    ELSE {_HOUR} END"""

# Lists whose failures are all resolved must be empty, so they are among the wanted ones.
_PLACES = f"""
SELECT place, array_remove(array_agg(id), NULL) FROM (
    SELECT {PLACE}, id FROM courtlistener.failures WHERE resolved_at IS NULL
    UNION ALL
    SELECT DISTINCT {_HOUR}, NULL::bigint FROM courtlistener.failures
    WHERE resolved_at > now() - make_interval(secs => %(ttl)s)
    UNION ALL
    SELECT 'dead', NULL
) AS listed (place, id) GROUP BY 1
"""


def place_of(failure: OpenFailure) -> str:
    """Where a failure stands, as PLACE has it."""
    if failure.dead_at:
        return "dead"
    return f"claimed {failure.claimed_by}" if failure.claimed_by else f"failed {failure.hour}"


def contents_of(places: Iterable[str], failures: Iterable[OpenFailure]) -> Mapping[str, list[OpenFailure]]:
    """Return what is to stand in each of some places."""
    contents = defaultdict[str, list[OpenFailure]](list, {place: [] for place in places})
    for failure in failures:
        contents[place_of(failure)].append(failure)
    return contents
