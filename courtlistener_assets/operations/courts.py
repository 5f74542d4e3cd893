"""`courtlistener courts`: which courts there are.

Belongs here: where the command looks, and how it shows what it finds. Does not belong here: when runs ask about courts
(`download/courts.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from courtlistener_assets.download.courts import LIST_REQUESTS, meant, offline, read_list, search
from courtlistener_assets.download.jurisdictions import CODES
from courtlistener_assets.operations.api import courtlistener
from courtlistener_assets.operations.terminal import plain
from courtlistener_assets.settings import Settings
from resources.connections import pools
from resources.errors import CourtListenerAssetsError
from resources.quota.permits import Lane
from resources.records.known_courts import Court, KnownCourts


@dataclass(frozen=True)
class Found:
    """The courts, sentences on where they come from, and what may be meant if there are none, as `meant` says it."""

    courts: Sequence[Court]
    source: str
    hint: str = ""


def find(
    settings: Settings,
    words: Sequence[str],
    *,
    refresh: bool = False,
    ask: bool = True,
    say: Callable[[str], None] = lambda text: None,
) -> Found:
    """Search CourtListener's list, which is read now if it is not kept yet; in courts-db where that cannot be done."""
    try:
        known = _known(settings)
        problem = _read(settings, known, refresh, say) if ask else ""
        read_at, kept = known.list_state().read_at, known.all()
    except CourtListenerAssetsError as error:
        problem, read_at, kept = str(error), None, []
    if read_at:
        source = f"CourtListener's list of {len(kept)} courts, read {read_at:%Y-%m-%d}."
    else:
        kept = list((offline() | {each.id: each for each in kept}).values())
        source = "From courts-db: CourtListener lacks many of its courts, and has others."
    found = search(kept, words)
    hint = "" if found else meant(" ".join(words), {each.id for each in kept})
    return Found(found, f"{source} {problem}".strip(), hint)


def _known(settings: Settings) -> KnownCourts:
    database = pools.database(settings.postgres_url)
    database.ensure_schema()
    return KnownCourts(database)


def _read(settings: Settings, known: KnownCourts, refresh: bool, say: Callable[[str], None]) -> str:
    """Read the list unless it is kept; return why it could not be read, "" if it could."""
    state = known.list_state()
    if state.read_at and not refresh and state.next_page == 1:
        return ""
    if not settings.token:
        return "COURTLISTENER_API_TOKEN is not set, so CourtListener was not asked."
    say(f"Reading the list of courts from CourtListener: about {LIST_REQUESTS} requests of the quota, once.")
    try:
        with courtlistener(settings, max_wait_seconds=settings.max_wait_seconds).open(Lane.PRIORITY) as client:
            read_list(client, known, lambda page, courts: say(f"Page {page}: {courts} courts."))
    except CourtListenerAssetsError as error:
        return f"CourtListener's list was read to page {known.list_state().next_page - 1} only: {error}"
    return ""


def as_json(found: Found, settings: Settings) -> str:
    """Return `{"source": .., "courts": [{id, name, citation, jurisdiction, in_use, configured}, ..]}`."""
    rows = [{**asdict(each), "configured": each.id in settings.courts} for each in found.courts]
    return json.dumps({"source": found.source, "courts": rows}, indent=2)


def show(found: Found, settings: Settings, console: Console) -> None:
    """Print a table of the courts, and where they come from."""
    table = Table(header_style="bold")
    for name in ("id", "name", "jurisdiction", ""):
        table.add_column(name, overflow="fold")
    for each in found.courts:
        notes = ["configured"] * (each.id in settings.courts) + ["not in use"] * (each.in_use is False)
        jurisdiction = CODES.get(each.jurisdiction, each.jurisdiction)
        table.add_row(*(plain(text) for text in (each.id, each.name, jurisdiction, ", ".join(notes))))
    if found.courts:
        console.print(table)
    else:
        console.print(plain(f"No court has all of these words{found.hint or '.'}"))
    console.print(plain(found.source), style="dim")
