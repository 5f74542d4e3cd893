"""The backlog: what runs have left to do.

Belongs here: the two kinds of it together. Does not belong here: any of their rules (`failures.py`, `deferrals.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from resources.backlog.deferrals import Deferrals
from resources.backlog.failures import Failures


@dataclass(frozen=True)
class Backlog:
    """Failures to retry, and partitions to resume."""

    failures: Failures
    deferrals: Deferrals
