"""What is searched: how large, with which faults; and what must come out if a guard is taken away.

Belongs here: tables. Does not belong here: the model (`model.py`), the search (`checker.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.proof.model import Guards, PermitPath, Size


def _kinds(names: str) -> frozenset[str]:
    return frozenset(names.split())


CALLS = _kinds("redis_call journal_call postgres_call settle_call crash cut late")
LOSSES = _kinds("lose_all lose_permits lose_state")
COPIES = _kinds("restore restore_permits promote")

#: One tick a window: seconds, where the others take minutes.
_SMALL = Size(requests=3, window=1, ttl=1, use_within=0, jump=1)

#: `make test`: each takes seconds.
SMALL = {
    "nothing goes wrong": replace(_SMALL, requests=4, faults=0),
    "two permits a window": replace(_SMALL, limit=2, faults=0),
    "a call fails, a worker dies": replace(_SMALL, kinds=CALLS),
    "Redis loses something": replace(_SMALL, kinds=LOSSES),
    "an older copy of Redis' keys comes back": replace(_SMALL, kinds=COPIES),
    "Redis' clock jumps": replace(_SMALL, faults=0, jumps=1, clocks=("redis",)),
    "Postgres' clock jumps": replace(_SMALL, faults=0, jumps=1, clocks=("postgres",)),
    "both clocks jump": replace(_SMALL, faults=0, jumps=1, clocks=("both",)),
    "a clock jumps by less than is noticed": replace(_SMALL, faults=0, jumps=1, tolerance=1, clocks=("redis",)),
}

#: `make prove`.
FULL = {
    "nothing goes wrong": Size(faults=0),
    "two permits a window": replace(_SMALL, limit=2, requests=4, kinds=CALLS | LOSSES),
    "a call fails, a worker dies": Size(kinds=CALLS),
    "two of these": Size(requests=3, faults=2, kinds=CALLS),
    "Redis loses something": Size(kinds=LOSSES),
    "Redis loses something, and another fault": replace(_SMALL, faults=2, kinds=LOSSES | CALLS),
    "an older copy of Redis' keys comes back": Size(kinds=COPIES),
    "Redis' clock jumps": Size(faults=0, jumps=1, clocks=("redis",)),
    "Postgres' clock jumps": Size(faults=0, jumps=1, clocks=("postgres",)),
    "both clocks jump": Size(faults=0, jumps=1, clocks=("both",)),
    "a clock jumps, and another fault": replace(
        _SMALL, kinds=CALLS | LOSSES, jumps=1, clocks=("redis", "postgres", "both")
    ),
    "a clock jumps by less than is noticed": Size(faults=0, jumps=1, jump=1, tolerance=1, clocks=("redis", "both")),
    "Redis' clock jumps back and forth": replace(_SMALL, faults=0, jumps=2, clocks=("redis",)),
    "Postgres' clock jumps, workers are new": Size(requests=3, faults=0, jumps=1, clocks=("postgres",), newcomers=True),
}


@dataclass(frozen=True)
class Mutation:
    """Guards that are taken away, where that must show, and the invariant that breaks."""

    without: tuple[str, ...]
    size: Size
    breaks: str = "refused"

    @property
    def model(self) -> PermitPath:
        return PermitPath(self.size, replace(Guards(), **dict.fromkeys(self.without, False)))


def _small(kinds: str = "", faults: int = 1, **more: object) -> Size:
    return replace(_SMALL, kinds=_kinds(kinds), faults=faults if kinds else 0, **more)  # type: ignore[arg-type]


MUTATIONS = {
    "a permit in flight takes no place": Mutation(("in_flight",), _small()),
    "a permit ages from the grant": Mutation(("from_answer",), _small()),
    "an answer comes whenever the server's clock says": Mutation(
        ("elapsed",), _small(jumps=2, requests=2, clocks=("redis",))
    ),
    "a request without an answer is settled": Mutation(("unanswered",), _small()),
    "permits in flight have no time to live": Mutation(("time_to_live",), _small("crash"), "progress"),
    "a permit is used however old it is": Mutation(("use_within",), _small()),
    "the journal does not look at the epoch": Mutation(("epoch",), _small("lose_all"), "journaled"),
    "the journal's row is not locked FOR SHARE": Mutation(("share",), _small("lose_all")),
    "an epoch may be that of an attempt given up": Mutation(("fresh_epoch",), _small("late")),
    "rebuild.lua does not count what was collected": Mutation(("same_server",), _small("lose_all", 2)),
    "the size of the permits is not fenced": Mutation(("size",), _small("lose_permits")),
    "the last grant is not looked for among the permits": Mutation(("stamp",), _small("restore_permits")),
    "a serial may be journaled twice": Mutation(("serial",), _small("restore")),
    "serials may contradict the order of the grants": Mutation(("serial_order",), _small("restore")),
    "neither replication id nor serials": Mutation(("replid", "serial"), _small("promote")),
    "a grant that is not journaled is kept": Mutation(("give_back",), _small("journal_call"), "returned"),
    "a request asks again after its permit was given back": Mutation(("fresh_name",), _small("late journal_call", 2)),
    "Redis' clock is not looked at before a rebuild": Mutation(
        ("compare",), _small("lose_all", jumps=1, clocks=("postgres",), newcomers=True)
    ),
    "no cool-down": Mutation(("cool_down",), _small("cut"), "paced"),
    "changed_at may lie ahead": Mutation(
        ("changed_at",), _small("cut", workers=1, requests=2, jumps=1, clocks=("postgres",)), "progress"
    ),
    "Redis' clock is not compared": Mutation(("redis_ahead", "redis_watch"), _small(jumps=1, clocks=("redis",))),
    "Postgres' clock is not watched": Mutation(("postgres_watch",), _small(jumps=1, clocks=("both",))),
    "the journal is not corrected after a jump": Mutation(("correct",), _small(jumps=1, clocks=("both",))),
    "windows are no longer than the server's": Mutation(("margin",), _small(jumps=1, tolerance=1, clocks=("redis",))),
}


#: Guards that another one backs up: without them everything holds, here and in larger instances.
BACKED_UP = {
    # Every change of holder takes a new epoch.
    "holder": _small("cut"),
    # Numbers that are given again, or out of order, show older keys as well.
    "replid": _small("promote"),
    # Nobody asks again for a request whose permit was given back.
    "give_back_epoch": _small("late journal_call", 2, requests=2),
    # What a clock that goes back stamps looks too young; the fence ends the wait for it.
    "clock_back": _small(jumps=1, clocks=("redis",), requests=2),
    # Redis' clock is compared with Postgres' clock, and that with the worker's.
    "redis_watch": _small(jumps=1, clocks=("redis",), requests=2),
    # Postgres' clock is compared with Redis' before a rebuild, and with the worker's.
    "postgres_ahead": _small(jumps=1, clocks=("postgres",), newcomers=True),
}
