"""Which courts there are: by the server's word, which is kept; by courts-db where it was not asked.

Belongs here: the form of ids, when the server is asked and what it costs, search, did-you-mean. Does not belong here:
keeping its answers (`resources/records/known_courts.py`), groups of courts (`jurisdictions.py`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from courtlistener_assets.logs import run_log
from resources.courtlistener.answer import MOST_NUMBERED_PAGES
from resources.errors import (
    NoSuchReference,
    NotFound,
    PermissionDenied,
    SettingError,
    TransientApiError,
    UnusableRecord,
)
from resources.records.known_courts import Court, KnownCourts

if TYPE_CHECKING:
    from resources.courtlistener.client import CourtListenerClient  # Settings are read without it.

#: A court that the server did not have is asked about again after this.
ABSENT_ASKED_AGAIN_AFTER = timedelta(days=1)
#: About what the whole list costs, 20 courts a request: more courts than this are looked up in it.
LIST_REQUESTS = 40

_FORM = re.compile(r"[a-z0-9_]{1,40}")
_FIELDS = {"fields": "id,full_name,citation_string,jurisdiction,in_use", "order_by": "id"}
#: In an error: the filters that name what there is not are courts, and which court was asked for.
_REFUSED = re.compile(r"no such (?:\w+__)?court \(.*?(?:\b|__)court=(?P<court>[a-z0-9_]+)")
#: An error names no more courts than this.
_MOST_NAMED = 10
#: The courts of the settings that this process has read.
_configured: set[str] = set()


# --- without the server ----------------------------------------------------------------------------------------------


def check_courts(courts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the court ids as they are if each could be one; raises SettingError with those that may be meant.

    Whether there are such courts is not for a location that is being loaded to find out: the server knows.
    """
    for court in courts:
        if not _FORM.fullmatch(court):
            raise SettingError(f"{court!r} is not the id of a court such as ca9{meant(court, offline())}")
    _configured.update(courts)
    return courts


def is_known_id(court: str) -> bool:
    """Whether courts-db or the settings of this process name a court of this id."""
    return court in _configured or court in offline()


def nearest(court: str, known: Collection[str]) -> list[str]:
    """Return the known ids that are spelled most like this one, or are cited like it (`9th Cir.`), three at most."""
    plain = _plain(court)
    if plain in known:
        return [plain]
    cited = {_plain(each.citation): each.id for each in offline().values() if each.id in known and each.citation}
    begun = [id for citation, id in sorted(cited.items()) if plain and citation.startswith(plain)]
    if plain in cited or len(begun) == 1:
        return [cited.get(plain, begun[0] if begun else "")]
    alike = difflib.get_close_matches(plain, known, n=3) or difflib.get_close_matches(plain, cited, n=3)
    return [cited.get(each, each) for each in alike] or begun[:3]


def _plain(text: str) -> str:
    """A name without what people write in different ways: `ca9` of `CA-9`, `9thcir` of `9th Cir.`."""
    return re.sub(r"[^a-z0-9_]", "", text.lower())


def meant(court: str, known: Collection[str]) -> str:
    """Return `; did you mean scotus?` with the nearest known ids, "" if none is near."""
    near = nearest(court, known)
    return f"; did you mean {' or '.join(near)}?" if near else ""


@cache
def offline() -> dict[str, Court]:
    """The courts of courts-db by id; CourtListener has fewer, and a few others."""
    import courts_db  # Reads a megabyte of JSON; only who looks up courts pays for it.

    return {each["id"]: Court(each["id"], each["name"], each.get("citation_string") or "") for each in courts_db.courts}


@cache
def _presumed() -> frozenset[str]:
    """The federal courts, which CourtListener has: nobody need ask. If it refuses one, its refusal is looked into."""
    import courts_db

    return frozenset(each["id"] for each in courts_db.courts if each.get("system") == "federal")


def name_of_court(court: str, known: KnownCourts) -> str:
    """Return the name of a court, "" if nobody has said it; raises StoreUnavailable."""
    found = offline().get(court) or next((each for each in known.all() if each.id == court), None)
    return found.name if found else ""


def search(courts: Sequence[Court], words: Sequence[str]) -> list[Court]:
    """Return the courts whose id, name or citation has all the words; one with exactly such an id comes first."""
    wanted = [word.lower() for word in words]
    found = [
        each for each in courts if all(word in f"{each.id} {each.name} {each.citation}".lower() for word in wanted)
    ]
    return sorted(found, key=lambda each: (each.id not in wanted, each.id))


# --- with the server -------------------------------------------------------------------------------------------------


@contextmanager
def confirmed(client: CourtListenerClient, known: KnownCourts, courts: Sequence[str]) -> Iterator[None]:
    """Run what asks for `courts` once the server is known to have them; raises SettingError that names the others."""
    wanted = sorted({court for court in courts if court})
    confirm(client, known, wanted)
    try:
        yield
    except NoSuchReference as error:
        # The refusal of a list is the server's word: a step that fails has been stopped, and may ask no more.
        said = _REFUSED.search(str(error))
        if said and said["court"] in wanted:
            known.keep([], [said["court"]])
            _raise_if_absent(known, [said["court"]])
        raise


def confirm(
    client: CourtListenerClient, known: KnownCourts, courts: Sequence[str], *, now: datetime | None = None
) -> None:
    """Raise SettingError that names those of `courts` which the server does not have.

    It is asked about each court once, with one request, unless its list was read or the court is a federal one; when
    some are found not to be there, about no more. Raises what the client and the store raise.
    """
    doubtful = unconfirmed(known, courts, now=now)
    if len(doubtful) > LIST_REQUESTS:
        read_list(client, known)
        doubtful = unconfirmed(known, courts, now=now)
    for first in range(0, len(doubtful), _MOST_NAMED):
        _ask(client, known, doubtful[first : first + _MOST_NAMED])
        _raise_if_absent(known, doubtful)
    _raise_if_absent(known, courts)


def unconfirmed(known: KnownCourts, courts: Sequence[str], *, now: datetime | None = None) -> list[str]:
    """Return those of `courts` that the server must be asked about; raises StoreUnavailable."""
    answers = known.answers(courts)
    presumed = frozenset() if known.list_state().read_at else _presumed()
    oldest = (now or datetime.now(UTC)) - ABSENT_ASKED_AGAIN_AFTER
    unknown = [court for court in courts if court not in answers and court not in presumed]
    return unknown + [court for court, each in answers.items() if not each.is_there and each.read_at < oldest]


def absent(known: KnownCourts, courts: Sequence[str]) -> list[str]:
    """Return those of `courts` that the server said it does not have; raises StoreUnavailable."""
    answers = known.answers(courts)
    return [court for court in courts if court in answers and not answers[court].is_there]


def what_to_do(courts: Sequence[str], known: KnownCourts) -> str:
    """Say that CourtListener has none of these courts, which may be meant, and what to do."""
    names = {each.id for each in known.all()}
    if not known.list_state().read_at:
        names |= set(offline()) - set(courts)
    said = [f"CourtListener has no court {each!r}{meant(each, names) or '.'}" for each in courts[:_MOST_NAMED]]
    if more := len(courts) - len(said):
        said.append(f"Nor has it {more} others.")
    return " ".join([*said, "Correct COURTLISTENER_COURTS; `courtlistener courts WORDS` finds courts."])


def read_list(
    client: CourtListenerClient, known: KnownCourts, progress: Callable[[int, int], Any] = lambda page, courts: None
) -> int:
    """Read the whole list of courts, 20 a request, from where it was left; return how many pages were read.

    Each page is kept with its number, so that what stops in between goes on from there. Raises as the client does.
    """
    begun = known.list_state().next_page
    for number in range(begun, MOST_NUMBERED_PAGES + 1):
        page = client.page("courts", {**_FIELDS, "page": str(number)})
        courts = [_court_of(each) for each in page.objects]
        known.keep_page(courts, number, is_last=not page.has_next)
        progress(number, len(courts))
        if not page.has_next:
            run_log.info("The list of courts is read", extra={"event": "courts_read", "pages": number - begun + 1})
            return number - begun + 1
    raise TransientApiError(f"the list of courts has more than {MOST_NUMBERED_PAGES} pages")


def _ask(client: CourtListenerClient, known: KnownCourts, courts: Sequence[str]) -> None:
    for court in courts:
        try:
            page = client.page("courts", {**_FIELDS, "id": court})
        except (PermissionDenied, NotFound) as error:  # What is asked for next will tell.
            run_log.warning(f"Nothing says whether CourtListener has the court {court}: {error}")
            return
        found = [each for each in map(_court_of, page.objects) if each.id == court]
        known.keep(found, [] if found else [court])
        extra = {"event": "court_asked_about", "court": court, "is_there": bool(found)}
        run_log.info(f"CourtListener has {'the' if found else 'no'} court {court}", extra=extra)


def _raise_if_absent(known: KnownCourts, courts: Sequence[str]) -> None:
    if missing := absent(known, courts):
        raise SettingError(what_to_do(missing, known))


def _court_of(found: Any) -> Court:
    id = found.get("id") if isinstance(found, dict) else None
    if not isinstance(id, str) or not id:
        raise UnusableRecord(f"an entry of the list of courts has no id: {found!r:.80}")
    name, citation, jurisdiction = (
        str(found.get(key) or "").replace("\0", "") for key in ("full_name", "citation_string", "jurisdiction")
    )
    in_use = found.get("in_use")
    return Court(id, name, citation, jurisdiction, in_use if isinstance(in_use, bool) else None)
