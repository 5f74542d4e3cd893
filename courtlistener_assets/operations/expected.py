"""Which partitions there are to download, as what counts them wants to know it.

Belongs here: from streams, courts and months to a plan. Does not belong here: how far it is
(`resources/backlog/progress.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from courtlistener_assets.download.partitions import Everything, number_of_months
from courtlistener_assets.download.stream import Stream
from resources.backlog.progress import Plan


def months_from(first_month: date, last_day: date) -> list[date]:
    """Return the first days of all months from the first one up to that of a day."""
    return [_later(first_month, number) for number in range(number_of_months(first_month, last_day))]


def plan_for(
    streams: Sequence[Stream], courts: Sequence[str], first_month: date, last_month: date | None, today: date
) -> Plan:
    """Return all court months from the first one up to the last, and the streams that have no partitions.

    The last one is the present one, unless `last_month` comes before.
    """
    months = [each.isoformat() for each in months_from(first_month, min(today, last_month or today))]
    return Plan(
        courts=courts,
        first_month=first_month,
        last_month=last_month,
        months=months,
        whole=Everything.KEY,
        partitions={each.name: len(months) * len(courts) if each.by_month else 1 for each in streams},
        sweeps={stream.name: [sweep.name for sweep in stream.sweeps] for stream in streams},
        unpartitioned={stream.name for stream in streams if not stream.by_month},
        nested={stream.name for stream in streams if len(stream.tables) > 1},
    )


def _later(first: date, number: int) -> date:
    years, month = divmod(first.month - 1 + number, 12)
    return date(first.year + years, month + 1, 1)
