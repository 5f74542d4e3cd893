"""Does CourtListener have the configured courts?

Costs one request for each of a few courts of which nothing is known yet, under permits like any other.
"""

from __future__ import annotations

from collections.abc import Iterator

from courtlistener_assets.download.courts import absent, confirm, unconfirmed, what_to_do
from courtlistener_assets.operations.api import courtlistener
from courtlistener_assets.operations.doctor.findings import Finding, error, notice, ok
from courtlistener_assets.settings import Settings
from resources.connections import pools
from resources.errors import CourtListenerAssetsError, SettingError
from resources.records.known_courts import KnownCourts

#: Of more courts the doctor only says that they are not known.
MOST_ASKED = 5


def check_courts(settings: Settings) -> Iterator[Finding]:
    """Name the configured courts that CourtListener does not have."""
    database = pools.database(settings.postgres_url)
    if database.schema_state().pending:  # The doctor only looks: it does not migrate.
        return
    known, problem = KnownCourts(database), ""
    doubtful = unconfirmed(known, settings.courts)
    if doubtful and len(doubtful) <= MOST_ASKED and settings.token:
        problem = _ask(settings, known, doubtful)
        doubtful = unconfirmed(known, settings.courts)
    if missing := absent(known, settings.courts):
        message, _, remedy = what_to_do(missing, known).partition(" Correct ")
        yield error("courts", message, f"Correct {remedy}")
    if doubtful:
        message = f"Nobody knows yet whether CourtListener has {', '.join(doubtful[:MOST_ASKED])}"
        more = f" and {len(doubtful) - MOST_ASKED} more" if len(doubtful) > MOST_ASKED else ""
        yield notice(
            "courts", f"{message}{more}. {problem}".strip(), "`courtlistener courts` reads its list of courts."
        )
    elif not missing:
        yield ok("courts", f"CourtListener has all {len(settings.courts)}")


def _ask(settings: Settings, known: KnownCourts, courts: list[str]) -> str:
    """Ask about courts; return why that could not be done, "" if it could."""
    try:
        with courtlistener(settings, max_wait_seconds=5.0).open() as client:
            confirm(client, known, courts)
    except SettingError:
        return ""  # One is not there, which is known now.
    except CourtListenerAssetsError as problem:
        return str(problem)
    return ""
