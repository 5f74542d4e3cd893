"""The names of all Redis keys, in one place; `lua/README.md` says what each holds.

The hour keys keep the names of the pipeline that this project replaces, so that both can share one Redis.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from resources.errors import SettingError

#: Letters, digits and what separates names; braces only as the hash tag of a cluster, around one part. Anything else
#: would be a pattern in SCAN and in an ACL, or end a line of an ACL file.
_PREFIX = re.compile(r"[\w.:-]*(?:\{[\w.:-]+\})?[\w.:-]*", re.ASCII)
_LONGEST_PREFIX = 100


def checked_prefix(prefix: str) -> str:
    """Return a prefix that can begin the names of keys; raises SettingError, which says what can."""
    if not prefix or len(prefix) > _LONGEST_PREFIX or not _PREFIX.fullmatch(prefix):
        raise SettingError(
            f"{prefix[:_LONGEST_PREFIX]!r} cannot begin the names of keys: use up to {_LONGEST_PREFIX} letters, digits "
            "and _ - . : in it, and one pair of braces around a part of it for a cluster, as in {courtlistener}"
        )
    return prefix


def hour_stamp(moment: datetime) -> str:
    """Return the hour of a moment as key names have it, `2024-01-31_13`."""
    return moment.strftime("%Y-%m-%d_%H")


@dataclass(frozen=True)
class RedisKeys:
    """Builds key names under a prefix. `{courtlistener}` as prefix puts all keys into one slot of a Redis Cluster."""

    prefix: str = "courtlistener"

    def __post_init__(self) -> None:
        """Raises SettingError for a prefix that cannot begin the names of keys."""
        checked_prefix(self.prefix)

    def rate_limit(self, hour: str) -> str:
        """string: requests charged in this hour (UTC), lives 25 hours."""
        return f"{self.prefix}:rate_limit:{hour}"

    def counter(self, hour: str) -> str:
        """string: calls made in this hour."""
        return f"{self.prefix}:counter:{hour}"

    def permits(self, account: str) -> str:
        """zset: permits; member request id, score the microsecond from which it ages (odd while in flight)."""
        return f"{self.prefix}:permits:{account}"

    def priority(self, account: str) -> str:
        """zset: those of the permits that the priority lane holds, scores as there."""
        return f"{self.prefix}:priority:{account}"

    def loading(self, account: str, epoch: int) -> str:
        """zset: permits that are collected for a new epoch, lives a minute."""
        return f"{self.prefix}:loading:{account}:{epoch}"

    def loading_priority(self, account: str, epoch: int) -> str:
        """zset: those of them that the priority lane holds, lives a minute."""
        return f"{self.prefix}:loading_priority:{account}:{epoch}"

    def epoch(self, account: str) -> str:
        """hash: who is in charge and what the account may do; all fields or none, see `lua/README.md`."""
        return f"{self.prefix}:epoch:{account}"

    def waiters(self, account: str) -> str:
        """zset: who waits, member request id, score its ticket."""
        return f"{self.prefix}:waiters:{account}"

    def waiter_deadlines(self, account: str) -> str:
        """zset: who waits, member request id, score the microsecond by which it must ask again."""
        return f"{self.prefix}:waiter_deadlines:{account}"

    def turn(self, account: str) -> str:
        """hash: what was last announced to the waiters: head, turn_us, floor_us, open, roll_us, mute."""
        return f"{self.prefix}:turn:{account}"

    def turns(self, account: str) -> str:
        """channel: announcements to the waiters."""
        return f"{self.prefix}:turns:{account}"

    def scripts(self) -> str:
        """zset: versions of the scripts that workers run, score the second in which one of them began."""
        return f"{self.prefix}:scripts"

    def failed(self, hour: str) -> str:
        """list: failed dockets of this hour, as JSON; other programs may push theirs."""
        return f"{self.prefix}:failed:{hour}"

    def claimed(self, claim: str) -> str:
        """list: failed dockets that a run is retrying."""
        return f"{self.prefix}:claimed:{claim}"

    def dead(self) -> str:
        """list: failed dockets given up after the last attempt."""
        return f"{self.prefix}:dead"

    def taken(self) -> str:
        """list: entries that other programs have pushed, a token before each, until Postgres has them."""
        return f"{self.prefix}:taken"

    def unreadable(self, name: str) -> str:
        """what stood in the place of a list of failed dockets and is none."""
        return f"{self.prefix}:unreadable:{name}"

    def pipeline(self, run_id: str) -> str:
        """hash: state of a run."""
        return f"{self.prefix}:pipeline:{run_id}"

    def processed(self, run_id: str) -> str:
        """zset: the last 100,000 dockets that a run has processed, and with a ! those that failed; score the time."""
        return f"{self.prefix}:processed:{run_id}"

    def task_start(self, run_id: str, task: str) -> str:
        """string: when a task of a run began."""
        return f"{self.prefix}:task_start:{run_id}:{task}"
