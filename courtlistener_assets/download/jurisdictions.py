"""Groups of courts that one catch-up serves: CourtListener's jurisdictions, and which configured courts they have.

Belongs here: the codes, COURTLISTENER_GROUPED, and when the server is asked again which courts are in a group. Does not
belong here: keeping its answer (`resources/records/jurisdictions.py`), or walking a group (`catch_up.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from courtlistener_assets.logs import run_log
from resources.errors import SettingError, UnusableRecord
from resources.records.jurisdictions import Grouping, Jurisdictions

if TYPE_CHECKING:
    from resources.courtlistener.client import CourtListenerClient  # Settings are read without it.

#: As CourtListener has them.
CODES = {
    "F": "Federal Appellate",
    "FD": "Federal District",
    "FB": "Federal Bankruptcy",
    "FBP": "Federal Bankruptcy Panel",
    "FS": "Federal Special",
    "S": "State Supreme",
    "SA": "State Appellate",
    "ST": "State Trial",
    "SS": "State Special",
    "TRS": "Tribal Supreme",
    "TRA": "Tribal Appellate",
    "TRT": "Tribal Trial",
    "TRX": "Tribal Special",
    "TS": "Territory Supreme",
    "TA": "Territory Appellate",
    "TT": "Territory Trial",
    "TSP": "Territory Special",
    "SAG": "State Attorney General",
    "MA": "Military Appellate",
    "MT": "Military Trial",
    "C": "Committee",
    "I": "International",
    "T": "Testing",
}
#: Courts are founded and closed; which jurisdiction a court has hardly ever changes.
READ_AGAIN_AFTER = timedelta(days=30)


def jurisdictions(value: str) -> tuple[str, ...]:
    """Read `F,FD`; raises SettingError for a code that CourtListener does not have."""
    codes = tuple(dict.fromkeys(code.strip() for code in value.split(",") if code.strip()))
    for code in codes:
        if code not in CODES:
            meant = f"did you mean {code.upper()}?" if code.upper() in CODES else f"there are {', '.join(CODES)}"
            raise SettingError(f"there is no jurisdiction {code!r}; {meant}")
    return codes


def grouping_of(
    client: CourtListenerClient,
    known: Jurisdictions,
    codes: Sequence[str],
    courts: Sequence[str],
    *,
    now: datetime | None = None,
) -> Grouping:
    """Return which of `courts` belong to the jurisdictions `codes`, by the server's word.

    It is asked, one request for each 20 courts of a jurisdiction, if that was never done for one of `codes` or
    `courts`, or too long ago. Raises what the client and the store raise.
    """
    found = known.grouping(codes, courts)
    oldest = (now or datetime.now(UTC)) - READ_AGAIN_AFTER
    if found.is_complete and (found.read_at is None or found.read_at >= oldest):
        return found
    read = {code: [_court_id(each) for each in client.numbered("courts", jurisdiction=code)] for code in codes}
    for code, ids in read.items():
        run_log.info(
            f"CourtListener has {len(ids)} courts of the jurisdiction {code}",
            extra={"event": "jurisdiction_read", "jurisdiction": code, "courts": len(ids)},
        )
    known.replace(read, courts)
    return known.grouping(codes, courts)


def _court_id(court: object) -> str:
    id = court.get("id") if isinstance(court, dict) else None
    if not isinstance(id, str) or not id:
        raise UnusableRecord(f"an entry of the list of courts has no id: {court!r:.80}")
    return id
