"""What bulk files lack of the objects that they have brought: what it takes to ask the API for it, and asking.

Belongs here: the cost, and the deferrals by which the sensor `resume_deferred` asks, month by month, whenever the quota
has room. Does not belong here: which fields they lack (`download/bulk/tables.py`), what a full refresh does.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from courtlistener_assets.download.bulk.bootstrap import STREAMS
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.stream import Stream
from courtlistener_assets.operations.status import own_account
from courtlistener_assets.settings import Settings
from resources.backlog.deferrals import Deferrals
from resources.connections.postgres import Database
from resources.quota.eta import Outlook, in_words
from resources.quota.outlook import read_outlook
from resources.records.bulk import BulkWalks


@dataclass(frozen=True)
class Completion:
    """Full refreshes of the months, by asset, that have objects of bulk files, and what they take together.

    `seconds` are those of the account's windows; `asked`: they will be made.
    """

    partitions: Mapping[str, Sequence[str]]
    requests: int
    seconds: float
    asked: bool

    def __str__(self) -> str:
        """In words, for people."""
        if not self.requests:
            return "No object lacks what bulk files do not have."
        cost = f"{self.requests:,} requests, {in_words(self.seconds)} under the account's windows"
        if self.asked:
            return f"What the files lack of these objects is asked for by the sensor resume_deferred: {cost}."
        return f"What the files lack of these objects would take {cost}: COURTLISTENER_COMPLETE_BULK asks for it."


def complete(months: Sequence[CourtMonth], settings: Settings, database: Database) -> Completion:
    """Ask for what these months lack if the settings say so; returns what it takes."""
    lacking = _lacking(months, settings.chosen_streams, BulkWalks(database))
    requests = sum(sum(pages.values()) for pages in lacking.values())
    seconds = account_outlook(settings, database).seconds_for(requests)
    partitions = {asset: sorted(pages) for asset, pages in lacking.items()}
    own_run = str(uuid.uuid4())  # The sweeps of the bootstrap's own would count as walked in full already.
    for asset, wanted in partitions.items() if settings.complete_bulk else ():
        Deferrals(database).record(
            asset,
            wanted,
            wait_seconds=0.0,
            reason="It has objects of bulk files, which lack some fields.",
            run_id=own_run,
            config={"full_refresh": True},
            eta_seconds=seconds,
        )
    return Completion(partitions, requests, seconds, settings.complete_bulk)


def expectations(months: int, settings: Settings) -> list[str]:
    """What some court months will lack, and what it takes at least, in sentences."""
    streams = {stream.name: stream for stream in settings.chosen_streams}
    least = months * sum(len(streams[name].sweeps) for name in STREAMS)
    lines = ["What the files lack of each object is not asked for; how many requests it would take is said at the end."]
    if settings.complete_bulk:
        words = in_words(Outlook.unused(settings.rate_limits).seconds_for(least))
        lines = [
            "What the files lack of each object is asked for afterwards (COURTLISTENER_COMPLETE_BULK), a page for 20 "
            f"objects: at least {least:,} requests, {words} under {settings.rate_limits}. How many is said when the "
            "files are read, before the first is sent."
        ]
    if filings := [name for name in streams if name not in STREAMS and streams[name].by_month]:
        least = months * sum(len(streams[name].sweeps) for name in filings)
        lines.append(
            f"{', '.join(filings)} are in no file: if you download them, a page for 20 objects, at least {least:,} "
            "requests."
        )
    return lines


def account_outlook(settings: Settings, database: Database) -> Outlook:
    """What the account may send, as the ledger knows it; else what the settings say."""
    account = own_account(settings)
    known = read_outlook(database, account, settings.reserve_share) if account else None
    return known or Outlook.unused(settings.rate_limits, settings.reserve_share)


def _lacking(months: Sequence[CourtMonth], streams: Sequence[Stream], walks: BulkWalks) -> dict[str, dict[str, int]]:
    """By asset and partition, the pages of what has objects of bulk files."""
    partitions = [str(month) for month in months]
    return {
        stream.name: walks.lacking(
            stream.name, stream.members()[stream.name], [sweep.name for sweep in stream.sweeps], partitions
        )
        for stream in streams
        if stream.name in STREAMS
    }
