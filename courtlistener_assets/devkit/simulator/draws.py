"""Numbers and times drawn from one seeded generator.

Belongs here: ids with gaps, days, moments. Does not belong here: what they are drawn for.
"""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta


class Draws:
    """Chance with a memory of the last id of each endpoint."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self._last_ids: dict[str, int] = {}

    def next_id(self, endpoint: str) -> int:
        """Ids start with 1, rise, and leave gaps."""
        step = self.chance.choice((1, 1, 1, 2, 5)) if endpoint in self._last_ids else 1
        self._last_ids[endpoint] = self._last_ids.get(endpoint, 0) + step
        return self._last_ids[endpoint]

    def day(self, month: str) -> date:
        """A day of a month, `2024-01`."""
        return date.fromisoformat(f"{month}-{self.chance.randrange(1, 29):02d}")

    def moment(self, day: date) -> datetime:
        """When the server heard of what happened on a day: on the next one."""
        seconds, microseconds = self.chance.randrange(86_400), self.chance.randrange(1, 1_000_000)
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return midnight + timedelta(days=1, seconds=seconds, microseconds=microseconds)
