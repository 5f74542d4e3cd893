"""The permit path as a model: what workers, Redis, Postgres, CourtListener and clocks may do next, in any order.

Belongs here: states, steps, invariants. Does not belong here: searching (`checker.py`), how large a model is searched
and which guards are taken away (`instances.py`).

Time goes in ticks. All moments are kept relative to the clock that stamped them, so a state has no date and histories
have no end: a clock that jumps changes the ages of what it has stamped. Of an epoch only this matters: is it in force,
or that of the rebuild under way, or past (no number comes again)? Serials are counted from the lowest that Redis can
still give again. Workers and requests have no names: states that differ only in these are one.

Left out: several windows, lanes and the reserve, waiters, the hour that is shared, holds and blocks. They delay grants.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count

from tests.proof.checker import Event, Step

# -- A state: a row of small numbers for what there is once, one for each worker, one for each request. --

_once, _worker, _request = count(), count(), count()
#: Postgres' row: the holder, whether it keeps the ledger for now, whether the clock is behind `changed_at`, and what it
#: has gained on Redis' since the last rebuild (+ ZERO).
HOLDER, COOLING, BEHIND, GAINED = (next(_once) for _ in range(4))
#: A rebuild under way: its worker (1, 2; 0 none), by how much it corrects the journal, what Postgres' clock has gained
#: since it began (+ ZERO), whether the permits are in place, whether Redis still has what was collected.
REBUILDS, CORRECTS, GAINED_SINCE, IN_PLACE, INTACT = (next(_once) for _ in range(5))
#: A rebuild that was given up, whose last command may still arrive.
ABANDONED = next(_once)
#: Redis: epoch, replication id as written, recorded size, permits that do not count any more, last serial, how far
#: last_us is after its clock (+ ZERO), whether its permits include the last grant.
EPOCH, REPLID, SIZE, OLD, SERIAL, LAST, STAMP = (next(_once) for _ in range(7))
#: An older copy of its keys, if there is one.
COPY, COPY_EPOCH, COPY_REPLID, COPY_SIZE, COPY_OLD, COPY_SERIAL, COPY_LAST, COPY_STAMP = (next(_once) for _ in range(8))
#: Serials of the epoch in force that the journal has, as bits: granted before the copy came back, and since.
EARLIER, LATER = next(_once), next(_once)
#: Faults and jumps that are left; whether there was a take-over in this tick.
FAULTS, JUMPS, TOOK_OVER = (next(_once) for _ in range(3))
_ONCE = next(_once)

#: A worker: does it know Redis' clock since the rebuild, what has that gained since (+ ZERO); the same for Postgres'
#: clock since its start; has Redis failed it since it is in charge; is it cut off from Redis.
KNOWS_REDIS, REDIS_GAINED, KNOWS_POSTGRES, POSTGRES_GAINED, FAILED, CUT = (next(_worker) for _ in range(6))
_WORKER = next(_worker)

#: A request: what it does, whose it is, ticks since the grant, was its permit journaled under the epoch in force.
PHASE, OWNER, AGE, IN_FORCE = (next(_request) for _ in range(4))
#: The grant that has to be journaled: epoch, serial, whether Redis gave it after the copy came back, and what Redis'
#: clock has gained since it replied (+ ZERO).
GRANT_EPOCH, GRANT_SERIAL, GRANT_LATER, GAINED_AFTER = (next(_request) for _ in range(4))
#: Stamps, the moments from which it ages: in the journal, in Redis, in the copy, collected, in the abandoned rebuild.
JOURNAL, REDIS, COPIED, COLLECTED, GIVEN_UP = (next(_request) for _ in range(5))
#: The server's log: 0 no, otherwise 1 + ticks since it arrived. A command that may still reach Redis, and its epoch.
LOG, LATE, LATE_EPOCH = (next(_request) for _ in range(3))
_REQUEST = next(_request)

#: Phases. TURNS: to Postgres, since Redis has failed. ALONE: under way, with nobody who waits for the answer.
FREE, ASKS, TURNS, GRANTED, RETURNS, DISTRUSTS, HOLDS, SENT, ANSWERED, ALONE, OVER = range(11)
PAST, NOW, ATTEMPT, NONE = range(4)
AT_REDIS, AT_POSTGRES = range(2)
LATE_SETTLE, LATE_UNUSED, LATE_RETURN = range(1, 4)
ZERO = 100
#: A stamp is twice a moment, and 1 more in flight; 0 is none.
_OLDEST = 3
_GIVEN_BACK = 255
#: Serials: 0 is below all that may come again; none, since Redis has given this grant before; one that the journal has
#: for another grant.
_REPEATED, _TAKEN = 254, 255
_COPIES = (COPY_EPOCH, COPY_REPLID, COPY_SIZE, COPY_OLD, COPY_SERIAL, COPY_LAST, COPY_STAMP)
_ORIGINALS = (EPOCH, REPLID, SIZE, OLD, SERIAL, LAST, STAMP)
_STAMPS = {"redis": (REDIS, COPIED, COLLECTED, GIVEN_UP), "postgres": (JOURNAL,)}

INVARIANTS = {
    "refused": "the server refuses no request",
    "journaled": "no request is sent without a permit that was journaled under the epoch in force",
    "twice": "no permit is granted twice: what is given back or withdrawn is not used",
    "returned": "a grant that could not be journaled is given back",
    "paced": "the ledger moves to Postgres at most once a cool-down",
    "progress": "from every state, another grant can be reached without a fault",
}


@dataclass(frozen=True)
class Guards:
    """What keeps the invariants; the mutations take one away each."""

    epoch: bool = True
    holder: bool = True
    share: bool = True
    serial: bool = True
    serial_order: bool = True
    replid: bool = True
    size: bool = True
    stamp: bool = True
    clock_back: bool = True
    fresh_epoch: bool = True
    same_server: bool = True
    give_back: bool = True
    give_back_epoch: bool = True
    fresh_name: bool = True
    in_flight: bool = True
    unanswered: bool = True
    from_answer: bool = True
    elapsed: bool = True
    time_to_live: bool = True
    use_within: bool = True
    cool_down: bool = True
    changed_at: bool = True
    redis_ahead: bool = True
    redis_watch: bool = True
    postgres_ahead: bool = True
    postgres_watch: bool = True
    compare: bool = True
    correct: bool = True
    margin: bool = True


@dataclass(frozen=True)
class Size:
    """How large the model is, and what may go wrong in it: faults by name, so many, and jumps of clocks."""

    workers: int = 2
    requests: int = 4
    limit: int = 1
    window: int = 2
    ttl: int = 2
    use_within: int = 1
    faults: int = 1
    kinds: frozenset[str] = frozenset()
    jumps: int = 0
    jump: int = 2
    #: "redis", "postgres", or "both" at once.
    clocks: tuple[str, ...] = ()
    #: How much of a jump nobody notices.
    tolerance: int = 0
    #: Also workers that have not seen Postgres' clock before it jumps.
    newcomers: bool = False


class World:
    """A state, to be changed."""

    __slots__ = ("once", "requests", "workers")

    def __init__(self, once: list[int], workers: list[list[int]], requests: list[list[int]]) -> None:
        self.once, self.workers, self.requests = once, workers, requests

    def copy(self) -> World:
        return World(self.once[:], [worker[:] for worker in self.workers], [request[:] for request in self.requests])

    def spoiled(self) -> World:
        """A copy that has used up a fault."""
        world = self.copy()
        world.once[FAULTS] -= 1
        return world


@dataclass
class PermitPath:
    """The model, for the checker."""

    size: Size
    guards: Guards = field(default_factory=Guards)
    #: Workers and requests keep their names, for a story.
    named: bool = False

    def __post_init__(self) -> None:
        size = self.size
        self.reach = size.jump * size.jumps
        #: What is stamped now; stamps of 1 never count again, whatever clocks do.
        self.now = size.window + size.tolerance + self.reach + 1
        self.fresh = 2 * (self.now + size.ttl) + 1
        #: The least that still takes a place in the window.
        self.young = 2 * (self.now - size.window - (size.tolerance if self.guards.margin else 0) + 1)
        self.copies = bool(size.kinds & {"restore", "restore_permits", "promote"})

    # -- States as bytes --

    def first(self) -> bytes:
        """Nothing has been granted, Redis is empty, and in charge by the row."""
        once = [0] * _ONCE
        once[EPOCH], once[REPLID], once[STAMP] = NONE, 1, 1
        once[LAST] = once[COPY_LAST] = once[GAINED] = once[GAINED_SINCE] = ZERO
        once[FAULTS], once[JUMPS] = self.size.faults, self.size.jumps
        workers = [self._new_worker() for _ in range(self.size.workers)]
        return self.pack(World(once, workers, [[0] * _REQUEST for _ in range(self.size.requests)]))

    def _new_worker(self) -> list[int]:
        worker = [0] * _WORKER
        worker[REDIS_GAINED] = worker[POSTGRES_GAINED] = ZERO
        worker[KNOWS_POSTGRES] = int(bool(self.size.jumps) and not self.size.newcomers)
        return worker

    def unpack(self, state: bytes) -> World:
        """The reverse of `pack`."""
        bounds = range(_ONCE, _ONCE + _WORKER * self.size.workers, _WORKER)
        workers = [list(state[at : at + _WORKER]) for at in bounds]
        return World(
            list(state[:_ONCE]),
            workers,
            [list(state[at : at + _REQUEST]) for at in range(_ONCE + _WORKER * len(workers), len(state), _REQUEST)],
        )

    def pack(self, world: World) -> bytes:
        """The state without what does not matter any more; and without names, unless this is a story."""
        self._forget(world)
        once, workers, requests = world.once, world.workers, world.requests
        packed = [bytes(request) for request in requests]
        if self.named:
            return b"".join([bytes(once), *map(bytes, workers), *packed])
        packed.sort()
        straight = b"".join([bytes(once), *map(bytes, workers), *packed])
        if len(workers) < 2 or workers[0] < workers[1]:
            return straight
        once, packed = once[:], []
        if once[REBUILDS]:
            once[REBUILDS] = 3 - once[REBUILDS]
        for request in requests:
            if ASKS <= request[PHASE] <= HOLDS:
                request = request[:]
                request[OWNER] = 1 - request[OWNER]
            packed.append(bytes(request))
        packed.sort()
        flipped = b"".join([bytes(once), *map(bytes, reversed(workers)), *packed])
        return flipped if workers[0] > workers[1] else min(straight, flipped)

    def _forget(self, world: World) -> None:
        once, requests = world.once, world.requests
        if not once[COPY]:
            once[COPY_EPOCH] = once[COPY_REPLID] = once[COPY_SIZE] = once[COPY_OLD] = 0
            once[COPY_SERIAL] = once[COPY_STAMP] = 0
            once[COPY_LAST] = ZERO
        self._renumber(world)
        if once[HOLDER] == AT_POSTGRES:
            once[GAINED] = ZERO
        if not self.size.jumps:
            once[LAST] = once[COPY_LAST] = ZERO
        for request in requests:
            if request[PHASE] != OVER:
                continue
            for stamp, old in ((REDIS, OLD), (COPIED, COPY_OLD)):
                if 0 < request[stamp] <= _OLDEST:
                    request[stamp] = 0
                    once[old] += 1
            for stamp in (JOURNAL, COLLECTED, GIVEN_UP):
                if request[stamp] <= _OLDEST or request[stamp] == _GIVEN_BACK:
                    request[stamp] = 0
            request[OWNER] = request[AGE] = request[IN_FORCE] = 0
            if request[REDIS] or request[COPIED] or request[COLLECTED] or request[GIVEN_UP]:
                continue
            request[LATE] = request[LATE_EPOCH] = 0
            if not request[JOURNAL] and not request[LOG]:
                request[PHASE] = FREE

    def _renumber(self, world: World) -> None:
        """Serials from the lowest that may be given again; without copies none is."""
        once, requests = world.once, world.requests
        if not self.copies or once[EPOCH] not in (NOW, ATTEMPT):
            once[SERIAL] = 0
        if once[COPY_EPOCH] not in (NOW, ATTEMPT):
            once[COPY_SERIAL] = 0
        if not self.copies:
            once[EARLIER] = once[LATER] = 0
            for request in requests:
                request[GRANT_SERIAL] = request[GRANT_LATER] = 0
            return
        if once[EPOCH] == NOW:
            copied = bool(once[COPY]) and once[COPY_EPOCH] == NOW
            lowest = min(once[SERIAL], once[COPY_SERIAL]) if copied else once[SERIAL]
            waiting = [r[GRANT_SERIAL] for r in requests if r[GRANT_EPOCH] == NOW and 0 < r[GRANT_SERIAL] < _REPEATED]
            lowest = min([lowest, *(serial - 1 for serial in waiting if waiting.count(serial) > 1)])
            if any(
                serial > once[SERIAL] for serial in waiting
            ):  # Granted before the copy came back, not journaled yet.
                lowest = 0
            if lowest:
                journaled = once[EARLIER] | once[LATER]
                once[SERIAL] -= lowest
                once[COPY_SERIAL] -= lowest if copied else 0
                for request in requests:
                    serial = request[GRANT_SERIAL]
                    if request[GRANT_EPOCH] == NOW and 0 < serial < _REPEATED:
                        taken = _TAKEN if journaled >> (serial - 1) & 1 else 0
                        request[GRANT_SERIAL] = serial - lowest if serial > lowest else taken
                once[EARLIER] >>= lowest
                once[LATER] >>= lowest
            if once[SERIAL] > 5:  # Older copies than that are not looked into.
                once[COPY] = 0
                for request in requests:
                    request[COPIED] = 0
                self._forget(world)
        if not once[EARLIER] and all(r[GRANT_LATER] or not r[GRANT_SERIAL] for r in requests):
            for request in requests:
                request[GRANT_LATER] = 0

    # -- What may happen next --

    def steps(self, state: bytes) -> Iterator[Step]:
        """Every way on."""
        world = self.unpack(state)
        yield from self._clock_steps(world)
        busy = {r[OWNER] for r in world.requests if ASKS <= r[PHASE] <= HOLDS}
        for w in range(self.size.workers):
            yield from self._worker_steps(world, w, w in busy)
        for i, request in enumerate(world.requests):
            if request[PHASE] != FREE:
                yield from self._request_steps(world, i, request)
        if world.once[REBUILDS]:
            yield from self._rebuild_steps(world, world.once[REBUILDS] - 1)
        if world.once[ABANDONED]:
            after = world.copy()
            after.once[ABANDONED] = 0
            self._put_in_place(after, GIVEN_UP, PAST if self.guards.fresh_epoch else ATTEMPT)
            yield self._step(("an abandoned rebuild reaches Redis after all",), after)
        if world.once[FAULTS]:
            yield from self._losses(world)
        if world.once[COPY]:
            yield from self._restores(world)

    def _step(self, event: Event, world: World, *, fault: bool = False, goal: bool = False, broken: str = "") -> Step:
        return event, self.pack(world), fault, goal, broken

    def _may(self, world: World, *kinds: str) -> bool:
        return world.once[FAULTS] > 0 and not self.size.kinds.isdisjoint(kinds)

    def _clock_steps(self, world: World) -> Iterator[Step]:
        after = world.copy()
        self._tick(after)
        yield self._step(("a tick passes",), after)
        if world.once[JUMPS]:
            for clock in self.size.clocks:
                for by in (self.size.jump, -self.size.jump):
                    after = world.copy()
                    after.once[JUMPS] -= 1
                    self._jump(after, clock, by)
                    yield self._step(("jump", clock, by), after, fault=True)

    def _worker_steps(self, world: World, w: int, busy: bool) -> Iterator[Step]:
        rebuilds = world.once[REBUILDS] == w + 1
        if not busy and not rebuilds:
            for i, request in enumerate(world.requests):
                if request[PHASE] == FREE:
                    after = world.copy()
                    after.requests[i][PHASE], after.requests[i][OWNER] = ASKS, w
                    yield self._step(("wants to send {}", w, i), after)
                    break
        if (busy or rebuilds) and self._may(world, "crash"):
            after = world.spoiled()
            if rebuilds:
                self._roll_back(after)
            for request in after.requests:
                if ASKS <= request[PHASE] <= HOLDS and request[OWNER] == w:
                    self._end(request)
            known = after.workers[w][POSTGRES_GAINED]
            after.workers[w] = self._new_worker()
            if not self.size.newcomers:  # The row tells it what was seen from this machine.
                after.workers[w][POSTGRES_GAINED] = known
            yield self._step(("is killed and starts anew", w), after, fault=True)
        if not world.workers[w][CUT] and self._may(world, "cut"):
            after = world.spoiled()
            after.workers[w][CUT] = 1
            yield self._step(("is cut off from Redis", w), after, fault=True)

    def _request_steps(self, world: World, i: int, request: list[int]) -> Iterator[Step]:
        phase, w = request[PHASE], request[OWNER]
        unlocked = not world.once[REBUILDS]
        if phase in (ASKS, TURNS) and world.once[REBUILDS] != w + 1:
            if phase == ASKS:
                yield from self._asks_redis(world, i, w)
            else:
                yield from self._turns_to_postgres(world, i, w)
            if unlocked:
                yield from self._asks_postgres(world, i, w)
        elif phase == GRANTED and (unlocked or not self.guards.share):
            yield from self._journals(world, i, w)
        elif phase == RETURNS:
            yield from self._returns(world, i, w)
        elif phase == DISTRUSTS and unlocked:
            after = world.copy()
            self._distrust(after, i)
            rebuilds = ", and begins to rebuild Redis" if after.once[REBUILDS] else ""
            yield self._step((f"gives {{}} back and withdraws it{rebuilds}", w, i), after)
        elif phase == HOLDS:
            yield from self._uses(world, i, w)
        elif phase in (SENT, ANSWERED, ALONE):
            yield from self._is_under_way(world, i)
        if request[LATE]:
            after = world.copy()
            late = after.requests[i]
            if late[LATE] == LATE_SETTLE:
                self._settle(after, late, REDIS)
            elif late[LATE] == LATE_UNUSED:
                self._remove(after, late)
            else:
                self._return(after, late, late[LATE_EPOCH])
            late[LATE] = late[LATE_EPOCH] = 0
            yield self._step(("a late command about {} reaches Redis", -1, i), after)

    def _asks_redis(self, world: World, i: int, w: int) -> Iterator[Step]:
        if world.workers[w][CUT]:
            after = world.copy()
            after.workers[w][FAILED], after.requests[i][PHASE] = 1, TURNS
            yield self._step(("does not reach Redis", w), after)
            return
        if not self._fenced(world):
            after = world.copy()
            event = self._ask_redis(after, i)
            if event:
                yield self._step(event, after)
            if event and after.requests[i][REDIS] and self._may(world, "redis_call"):
                after = world.spoiled()
                known = after.workers[w][:]
                self._ask_redis(after, i)
                self._end(after.requests[i], TURNS)
                after.workers[w] = known
                after.workers[w][FAILED] = 1
                yield self._step(("is granted {} by Redis, but the reply is lost", w, i), after, fault=True)
        if self._may(world, "redis_call"):
            after = world.spoiled()
            after.workers[w][FAILED], after.requests[i][PHASE] = 1, TURNS
            yield self._step(("gets no answer from Redis", w), after, fault=True)

    def _turns_to_postgres(self, world: World, i: int, w: int) -> Iterator[Step]:
        if world.once[HOLDER] == AT_REDIS and not world.workers[w][FAILED]:
            after = world.copy()
            after.requests[i][PHASE] = ASKS
            yield self._step(("learns that Redis is in charge again", w), after)
        # Postgres does not answer: the next try has another name.
        after = world.copy()
        self._end(after.requests[i], OVER if self.guards.fresh_name else ASKS)
        yield self._step(("gives {} up", w, i), after)

    def _asks_postgres(self, world: World, i: int, w: int) -> Iterator[Step]:
        once = world.once
        if once[HOLDER] == AT_POSTGRES:
            after = world.copy()
            event = self._ask_postgres(after, i)
            if event:
                yield self._step(event, after)
            if event and not world.requests[i][JOURNAL] and self._may(world, "postgres_call"):
                after = world.spoiled()
                known = after.workers[w][:]
                self._ask_postgres(after, i)
                after.requests[i][PHASE], after.workers[w] = TURNS, known
                yield self._step(("is granted {} by Postgres, but the reply is lost", w, i), after, fault=True)
            if once[COOLING]:
                return
        elif world.workers[w][FAILED]:
            after = world.copy()
            if self.guards.changed_at or not once[BEHIND]:
                broken = "paced" if once[TOOK_OVER] else ""
                self._take_over(after)
                self._ask_postgres(after, i)
                yield self._step(("takes the ledger over for Postgres and asks it for {}", w, i), after, broken=broken)
        if once[HOLDER] == AT_POSTGRES or once[EPOCH] != NOW or self._fenced(world):
            after = world.copy()
            self._begin_rebuild(after, w)
            yield self._step(("locks the row and collects the journal's permits in Redis", w), after)

    def _journals(self, world: World, i: int, w: int) -> Iterator[Step]:
        after = world.copy()
        yield self._step(self._journal(after, i), after)
        if self._may(world, "journal_call"):
            written = after.requests[i][JOURNAL]
            after = world.spoiled()
            after.requests[i][PHASE] = RETURNS
            yield self._step(("cannot journal {}", w, i), after, fault=True)
            if written:
                after = world.spoiled()
                known = after.workers[w][:]
                self._journal(after, i)
                after.requests[i][PHASE], after.workers[w] = RETURNS, known
                after.requests[i][GRANT_EPOCH] = world.requests[i][GRANT_EPOCH]
                yield self._step(("journals {}, but the reply is lost", w, i), after, fault=True)

    def _returns(self, world: World, i: int, w: int) -> Iterator[Step]:
        then = OVER if self.guards.fresh_name else ASKS
        epoch = world.requests[i][GRANT_EPOCH]
        cut = bool(world.workers[w][CUT])
        if not cut:
            after = world.copy()
            request = after.requests[i]
            if self.guards.give_back:
                self._return(after, request, epoch)
            self._end(request, then)
            broken = "returned" if after.once[EPOCH] == epoch and request[REDIS] & 1 else ""
            yield self._step(("gives {} back", w, i), after, broken=broken)
        if cut or self._may(world, "redis_call"):
            after = world.copy() if cut else world.spoiled()
            self._end(after.requests[i], then)
            after.workers[w][FAILED] = 1
            yield self._step(("does not reach Redis to give {} back", w, i), after, fault=not cut)
        if not cut and self._may(world, "late"):
            after = world.spoiled()
            request = after.requests[i]
            request[LATE], request[LATE_EPOCH] = LATE_RETURN, epoch
            self._end(request, then)
            after.workers[w][FAILED] = 1
            yield self._step(("gives {} back, by a command that is late", w, i), after, fault=True)

    def _uses(self, world: World, i: int, w: int) -> Iterator[Step]:
        request = world.requests[i]
        if request[AGE] <= self.size.use_within or not self.guards.use_within:
            after = world.copy()
            sent = after.requests[i]
            # It takes its time from now on.
            sent[PHASE], sent[OWNER], sent[AGE] = SENT, 0, min(sent[AGE], self.size.use_within)
            journaled = request[IN_FORCE] and request[JOURNAL] & 1 and request[JOURNAL] != _GIVEN_BACK
            yield self._step(("sends {}", w, i), after, goal=True, broken="" if journaled else "journaled")
        after = world.copy()
        self._unused(after, i, reached=not world.workers[w][CUT])
        yield self._step(("does not use {}", w, i), after)
        if self._may(world, "late"):
            after = world.spoiled()
            self._unused(after, i, reached=False)
            after.requests[i][LATE] = LATE_UNUSED
            yield self._step(("does not use {}, which Redis hears late", w, i), after, fault=True)

    def _is_under_way(self, world: World, i: int) -> Iterator[Step]:
        request = world.requests[i]
        phase = request[PHASE]
        if phase in (SENT, ALONE):
            after = world.copy()
            after.requests[i][LOG] = 1
            after.requests[i][PHASE] = ANSWERED if phase == SENT else OVER
            full = sum(1 for r in world.requests if r[LOG]) >= self.size.limit
            used = request[JOURNAL] not in (0, _GIVEN_BACK)
            broken = "refused" if full else "" if used else "twice"
            yield self._step(("{} arrives at the server", -1, i), after, broken=broken)
        if phase in (SENT, ANSWERED):
            after = world.copy()
            alone = after.requests[i]
            if not self.guards.unanswered:
                self._settle(after, alone, JOURNAL)
                self._settle(after, alone, REDIS)
            if phase == SENT:
                alone[PHASE] = ALONE
            else:
                self._end(alone)
            yield self._step(("nobody waits for the answer to {} any more", -1, i), after)
        if phase == ANSWERED:
            for places, fault, told in (
                ((JOURNAL, REDIS), "", "{} is answered and settled"),
                ((JOURNAL,), "settle_call", "{} is answered and settled, but not in Redis"),
                ((REDIS,), "settle_call", "{} is answered and settled, but not in the journal"),
                ((JOURNAL,), "late", "{} is answered and settled, which Redis hears late"),
            ):
                if fault and not self._may(world, fault):
                    continue
                after = world.spoiled() if fault else world.copy()
                settled = after.requests[i]
                for place in places:
                    self._settle(after, settled, place)
                self._end(settled)
                settled[LATE] = LATE_SETTLE if fault == "late" else settled[LATE]
                yield self._step((told, -1, i), after, fault=bool(fault))

    def _rebuild_steps(self, world: World, w: int) -> Iterator[Step]:
        once = world.once
        if once[IN_PLACE]:
            after = world.copy()
            self._commit(after)
            yield self._step(("commits: Redis is in charge", w), after)
            if self._may(world, "postgres_call"):
                after = world.spoiled()
                self._roll_back(after)
                yield self._step(("cannot commit", w), after, fault=True)
            return
        fails = bool(world.workers[w][CUT]) or (self.guards.same_server and not once[INTACT])
        if not fails:
            after = world.copy()
            self._put_in_place(after, COLLECTED, ATTEMPT)
            after.once[IN_PLACE] = 1
            yield self._step(("puts the collected permits in place", w), after)
            if self._may(world, "redis_call"):
                after = world.spoiled()
                self._put_in_place(after, COLLECTED, ATTEMPT)
                self._give_up_rebuild(after)
                yield self._step(("puts the collected permits in place, but the reply is lost", w), after, fault=True)
        if fails or self._may(world, "redis_call"):
            after = world.copy() if fails else world.spoiled()
            self._give_up_rebuild(after)
            yield self._step(("gives the rebuild up", w), after, fault=not fails)
        if not fails and self._may(world, "late"):
            after = world.spoiled()
            after.once[ABANDONED] = 1
            for request in after.requests:
                request[GIVEN_UP] = request[COLLECTED]
            self._give_up_rebuild(after)
            yield self._step(("gives the rebuild up, but its last command is still under way", w), after, fault=True)

    def _losses(self, world: World) -> Iterator[Step]:
        if world.once[EPOCH] == NONE and not world.once[INTACT]:
            return  # There is nothing to lose.
        for kind, told in (
            ("lose_all", "Redis loses everything"),
            ("lose_permits", "Redis loses the permits"),
            ("lose_state", "Redis loses its state, but not the permits"),
        ):
            if kind in self.size.kinds:
                after = world.spoiled()
                once = after.once
                if kind != "lose_permits":
                    once[EPOCH] = NONE
                    once[SIZE] = once[SERIAL] = 0
                if kind != "lose_state":
                    once[OLD] = once[INTACT] = 0
                    for request in after.requests:
                        request[REDIS] = 0
                yield self._step((told,), after, fault=True)
        if self.copies and not world.once[COPY] and world.once[STAMP]:
            after = world.spoiled()
            after.once[COPY] = 1
            for copied, original in zip(_COPIES, _ORIGINALS, strict=True):
                after.once[copied] = after.once[original]
            for request in after.requests:
                request[COPIED] = request[REDIS]
            yield self._step(("somebody copies the keys of Redis",), after, fault=True)

    def _restores(self, world: World) -> Iterator[Step]:
        """What was copied comes back; the fault was counted when it was copied."""
        for kind, told in (
            ("restore", "the keys of Redis are restored from the copy"),
            ("restore_permits", "the permits in Redis are restored from the copy, but not its state"),
            ("promote", "a replica that has no more than the copy takes the place of Redis"),
        ):
            if kind not in self.size.kinds:
                continue
            after = world.copy()
            once = after.once
            once[COPY] = 0
            once[OLD], once[STAMP] = once[COPY_OLD], once[COPY_STAMP]
            for request in after.requests:
                request[REDIS], request[COPIED] = request[COPIED], 0
            if kind != "restore_permits":
                for copied, original in zip(_COPIES, _ORIGINALS, strict=True):
                    once[original] = once[copied]
                once[STAMP] = 1
                if once[EPOCH] in (NOW, ATTEMPT):
                    once[EARLIER] |= once[LATER]
                    once[LATER] = 0
                    for request in after.requests:
                        request[GRANT_LATER] = 0
            if kind == "promote":
                once[REPLID] = once[INTACT] = 0
            yield self._step((told,), after, fault=True)

    # -- Redis --

    def _fenced(self, world: World) -> bool:
        """acquire.lua, fence.lua: is this not what the rebuild wrote, and has grown since?"""
        once, guards = world.once, self.guards
        return (
            once[EPOCH] == NONE
            or (guards.replid and not once[REPLID])
            or (guards.size and once[SIZE] != once[OLD] + sum(1 for r in world.requests if r[REDIS]))
            or (guards.stamp and not once[STAMP])
            or (guards.clock_back and once[LAST] > ZERO)
        )

    def _ask_redis(self, world: World, i: int) -> Event | None:
        """acquire.lua; nothing if the request has to wait."""
        once, request = world.once, world.requests[i]
        if request[REDIS]:
            request[PHASE], request[GRANT_EPOCH], request[GAINED_AFTER] = GRANTED, once[EPOCH], ZERO
            request[GRANT_SERIAL] = _REPEATED
            return "is granted {} by Redis once more", request[OWNER], i
        in_window = sum(
            1 for r in world.requests if r[REDIS] >= self.young and (self.guards.in_flight or not r[REDIS] & 1)
        )
        if in_window >= self.size.limit:
            return None
        once[SERIAL] += 1
        once[LAST] = max(ZERO, once[LAST])
        # Permits that were copied before lack this one.
        once[STAMP], once[COPY_STAMP] = 1, 0
        request[PHASE], request[AGE], request[REDIS] = GRANTED, 0, self.fresh
        request[GRANT_EPOCH], request[GRANT_SERIAL], request[GRANT_LATER] = once[EPOCH], once[SERIAL], 1
        request[GAINED_AFTER] = ZERO
        once[SIZE] = (once[SIZE] + 1) % 256
        while self.size.limit < once[SIZE] < 128:  # Only the largest scores are kept.
            once[SIZE] -= 1
            if once[OLD]:
                once[OLD] -= 1
            else:
                least = min((r for r in world.requests if r[REDIS]), key=lambda r: r[REDIS])
                least[REDIS] = 0
        return "is granted {} by Redis", request[OWNER], i

    def _return(self, world: World, request: list[int], epoch: int) -> None:
        """settle.lua for a grant that was not journaled."""
        if world.once[EPOCH] == epoch or not self.guards.give_back_epoch:
            self._remove(world, request)

    def _remove(self, world: World, request: list[int]) -> None:
        if request[REDIS] & 1:
            request[REDIS] = 0
            if world.once[EPOCH] != NONE:
                world.once[SIZE] = (world.once[SIZE] - 1) % 256  # May be -1, which fences.

    def _put_in_place(self, world: World, source: int, epoch: int) -> None:
        """rebuild.lua."""
        once = world.once
        once[EPOCH], once[REPLID], once[SERIAL], once[OLD], once[LAST] = epoch, 1, 0, 0, ZERO
        once[STAMP], once[COPY_STAMP] = 1, 0
        for request in world.requests:
            # What Redis has lost meanwhile is not there to be put in place.
            request[REDIS] = request[source] if source == GIVEN_UP or once[INTACT] else 0
            if source == GIVEN_UP:
                request[source] = 0
        once[SIZE] = sum(1 for request in world.requests if request[REDIS])

    # -- The journal --

    def _journal(self, world: World, i: int) -> Event:
        """journal_permits(), and what the worker makes of the clocks."""
        once, request, guards = world.once, world.requests[i], self.guards
        w, serial = request[OWNER], request[GRANT_SERIAL]
        in_force = request[GRANT_EPOCH] == NOW and once[HOLDER] == AT_REDIS
        if (guards.epoch and request[GRANT_EPOCH] != NOW) or (guards.holder and once[HOLDER] != AT_REDIS):
            request[PHASE] = RETURNS
            return "finds another epoch in force than that of {}", w, i
        if serial != _REPEATED:
            journaled = once[EARLIER] | once[LATER]
            if guards.serial and (serial == _TAKEN or journaled << 1 >> serial & 1):
                request[PHASE] = DISTRUSTS
                return "finds the number of {} in the journal", w, i
            # Those that were granted before the copy came back, after which lower numbers were given.
            later, lowest = request[GRANT_LATER], 0 if serial == _TAKEN else serial
            out_of_order = once[EARLIER] >> lowest if later else once[LATER] & ((1 << lowest) - 1)
            if guards.serial_order and out_of_order:
                request[PHASE] = DISTRUSTS
                return "finds numbers in the journal that contradict that of {}", w, i
            if in_force and 0 < serial < _TAKEN:
                once[LATER if later else EARLIER] |= 1 << (serial - 1)
        request[JOURNAL], request[IN_FORCE] = self.fresh, int(in_force)
        doubt = self._doubt(world, i) if self.size.jumps and in_force else ""
        if doubt:
            request[PHASE] = DISTRUSTS
            return f"journals {{}}, but {doubt}", w, i
        self._end(request, HOLDS)
        return "journals {}", w, i

    def _doubt(self, world: World, i: int) -> str:
        """Which clocks cannot be right. What passed between the grant and this counts for the permit."""
        once, guards, tolerance = world.once, self.guards, self.size.tolerance
        request = world.requests[i]
        worker, after = world.workers[request[OWNER]], request[GAINED_AFTER] - ZERO
        if not worker[KNOWS_REDIS]:
            worker[KNOWS_REDIS], worker[REDIS_GAINED] = 1, ZERO
        if guards.redis_watch and worker[REDIS_GAINED] - ZERO - after > tolerance:
            return "Redis' clock has jumped"
        if self._jump_of_postgres(worker):
            return "Postgres' clock has jumped"
        gained = once[GAINED] - ZERO + after
        if guards.redis_ahead and -gained - request[AGE] > tolerance:
            return "Redis' clock is ahead of Postgres'"
        if guards.postgres_ahead and gained > tolerance:
            return "Postgres' clock is ahead of Redis'"
        worker[REDIS_GAINED] = min(ZERO + after, worker[REDIS_GAINED])
        return ""

    def _jump_of_postgres(self, worker: list[int]) -> int:
        """What Postgres' clock has gained since the worker has known it, if that is too much."""
        if not worker[KNOWS_POSTGRES]:
            worker[KNOWS_POSTGRES], worker[POSTGRES_GAINED] = 1, ZERO
        gained = worker[POSTGRES_GAINED] - ZERO
        if gained > self.size.tolerance and self.guards.postgres_watch:
            return gained
        if gained <= 0:
            worker[POSTGRES_GAINED] = ZERO
        return 0

    def _settle(self, world: World, request: list[int], place: int) -> None:
        """The permit ages from now on; not from before last_us, nor before the worker's own clock says."""
        if request[place] & 1 and request[place] != _GIVEN_BACK:
            moment = self.now + (max(0, world.once[LAST] - ZERO) if place == REDIS else 0)
            if self.guards.elapsed:
                moment = max(moment, request[place] // 2 - self.size.ttl + request[AGE])
            request[place] = 2 * (moment if self.guards.from_answer else max(1, moment - request[AGE]))

    def _unused(self, world: World, i: int, *, reached: bool) -> None:
        """The permit is given back: its request was not sent."""
        request = world.requests[i]
        request[JOURNAL] = _GIVEN_BACK
        if reached:
            self._remove(world, request)
        self._end(request)

    # -- Under the row's lock --

    def _correct(self, world: World, by: int) -> None:
        if not by:
            return
        for request in world.requests:
            request[JOURNAL] = self._corrected(request[JOURNAL], by)
        world.once[GAINED] -= by
        for worker in world.workers:
            worker[POSTGRES_GAINED] -= by if worker[KNOWS_POSTGRES] else 0

    def _corrected(self, stamp: int, by: int) -> int:
        if not stamp or stamp == _GIVEN_BACK or not self.guards.correct:
            return stamp
        return min(stamp + 2 * by, self.fresh if stamp & 1 else 2 * self.now)

    def _ask_postgres(self, world: World, i: int) -> Event | None:
        """acquire_permits(); nothing if the request has to wait."""
        request = world.requests[i]
        w, told = request[OWNER], "is granted {} by Postgres"
        if request[JOURNAL]:
            request[AGE] = min(request[AGE], max(0, (self.fresh - request[JOURNAL]) // 2))
            told += " once more"
        elif sum(1 for r in world.requests if self.young <= r[JOURNAL] != _GIVEN_BACK) < self.size.limit:
            request[AGE], request[JOURNAL] = 0, self.fresh
        else:
            return None
        request[PHASE], request[IN_FORCE] = HOLDS, 1
        if self.size.jumps and self._jump_of_postgres(world.workers[w]):
            request[PHASE] = DISTRUSTS
            told += ", whose clock has jumped"
        return told, w, i

    def _new_epoch(self, world: World, *, committed: bool) -> None:
        """The epoch in force is past. That of the attempt is in force, or it is past, too."""
        attempt = NOW if committed else PAST if self.guards.fresh_epoch else ATTEMPT
        self._rename(world, {NOW: PAST, ATTEMPT: attempt})
        world.once[EARLIER] = world.once[LATER] = 0
        for worker in world.workers:
            worker[FAILED] = worker[KNOWS_REDIS] = 0
            worker[REDIS_GAINED] = ZERO
        world.once[BEHIND] = 0

    def _rename(self, world: World, names: dict[int, int]) -> None:
        for where in (EPOCH, COPY_EPOCH):
            world.once[where] = names.get(world.once[where], world.once[where])
        for request in world.requests:
            for where in (GRANT_EPOCH, LATE_EPOCH):
                request[where] = names.get(request[where], request[where])
            if request[GRANT_EPOCH] == PAST:
                request[GRANT_SERIAL] = request[GRANT_LATER] = 0

    def _take_over(self, world: World) -> None:
        self._new_epoch(world, committed=False)
        once = world.once
        once[HOLDER], once[COOLING], once[TOOK_OVER] = AT_POSTGRES, int(self.guards.cool_down), 1

    def _begin_rebuild(self, world: World, w: int) -> None:
        """The row is locked, the journal read, and its young permits stand in Redis under a key of their own."""
        once = world.once
        by = self._jump_of_postgres(world.workers[w]) if self.size.jumps else 0
        gained = once[GAINED] - ZERO - by
        if (
            self.guards.compare
            and once[HOLDER] == AT_REDIS
            and not world.workers[w][CUT]
            and gained > self.size.tolerance
        ):
            by += gained
        once[REBUILDS], once[CORRECTS], once[GAINED_SINCE], once[INTACT] = w + 1, by, ZERO, 1
        for request in world.requests:
            stamp = self._corrected(request[JOURNAL], by) if by else request[JOURNAL]
            request[COLLECTED] = stamp if self.young <= stamp != _GIVEN_BACK else 0

    def _unlock(self, world: World) -> None:
        once = world.once
        once[REBUILDS] = once[CORRECTS] = once[IN_PLACE] = once[INTACT] = 0
        once[GAINED_SINCE] = ZERO
        for request in world.requests:
            request[COLLECTED] = 0

    def _commit(self, world: World) -> None:
        once = world.once
        self._correct(world, once[CORRECTS])
        self._new_epoch(world, committed=True)
        once[HOLDER], once[COOLING], once[GAINED] = AT_REDIS, 0, once[GAINED_SINCE]
        self._unlock(world)

    def _give_up_rebuild(self, world: World) -> None:
        """Redis does not answer under the lock: Postgres takes over in the same transaction, or keeps the ledger."""
        self._correct(world, world.once[CORRECTS])
        if world.once[HOLDER] == AT_REDIS:
            self._take_over(world)
        elif self.guards.fresh_epoch:
            self._rename(world, {ATTEMPT: PAST})
        self._unlock(world)

    def _roll_back(self, world: World) -> None:
        if self.guards.fresh_epoch:
            self._rename(world, {ATTEMPT: PAST})
        self._unlock(world)

    def _distrust(self, world: World, i: int) -> None:
        """These may be too many: they are given back and withdrawn, and Redis is filled anew, if it is in charge."""
        request = world.requests[i]
        w, by_redis = request[OWNER], request[GAINED_AFTER] > 0
        if not world.workers[w][CUT]:
            self._return(world, request, request[GRANT_EPOCH])
        request[JOURNAL] = 0 if request[JOURNAL] != _GIVEN_BACK else _GIVEN_BACK
        self._end(request, OVER if self.guards.fresh_name else ASKS)
        if world.once[HOLDER] == AT_REDIS and by_redis:
            self._begin_rebuild(world, w)
        else:
            self._correct(world, self._jump_of_postgres(world.workers[w]))

    def _end(self, request: list[int], phase: int = OVER) -> None:
        request[PHASE] = phase
        request[GRANT_EPOCH] = request[GRANT_SERIAL] = request[GRANT_LATER] = request[GAINED_AFTER] = 0

    # -- Time --

    def _tick(self, world: World) -> None:
        """Everything is a tick older; what is too old to count stays so."""
        once, size = world.once, self.size
        once[COOLING] = once[TOOK_OVER] = 0
        for last in (LAST, COPY_LAST):
            once[last] = max(ZERO - self.reach, once[last] - 1)
        for request in world.requests:
            if request[PHASE] != FREE and request[PHASE] != OVER:
                request[AGE] = min(request[AGE] + 1, size.ttl + 1)
                if request[AGE] > size.ttl and request[PHASE] >= SENT:  # No request takes that long.
                    self._end(request)
            for where in (REDIS, JOURNAL, COPIED, COLLECTED, GIVEN_UP):
                stamp = request[where]
                if _OLDEST < stamp != _GIVEN_BACK and not (stamp == self.fresh and not self.guards.time_to_live):
                    request[where] = stamp - 2
            if request[LOG]:
                request[LOG] = request[LOG] + 1 if request[LOG] < size.window else 0

    def _jump(self, world: World, clock: str, by: int) -> None:
        """A clock is set: what it has stamped looks older by so many ticks."""
        once = world.once
        for which in _STAMPS if clock == "both" else (clock,):
            for request in world.requests:
                for where in _STAMPS[which]:
                    if _OLDEST < request[where] != _GIVEN_BACK:
                        request[where] = max(2 + (request[where] & 1), request[where] - 2 * by)
            gained = by if which == "postgres" else -by
            once[GAINED] += gained
            once[GAINED_SINCE] += gained if once[REBUILDS] else 0
            if which == "redis":
                once[LAST] = max(ZERO - self.reach, once[LAST] - by)
                once[COPY_LAST] = max(ZERO - self.reach, once[COPY_LAST] - by)
            elif by < 0:
                once[BEHIND] = 1
            for request in world.requests:
                if which == "redis" and request[GAINED_AFTER]:
                    request[GAINED_AFTER] += by
            knows, what = (KNOWS_REDIS, REDIS_GAINED) if which == "redis" else (KNOWS_POSTGRES, POSTGRES_GAINED)
            for worker in world.workers:
                worker[what] += by if worker[knows] else 0

    # -- Stories --

    def tell(self, path: list[bytes]) -> list[str]:
        """The way through these states as a story, in which everything keeps its name."""
        model, story = replace(self, named=True), []
        at = model.first()
        for state in path[1:]:
            for event, after, _, _, _ in model.steps(at):
                if self.pack(self.unpack(after)) == state:
                    story.append(_sentence(event))
                    at = after
                    break
            else:
                raise AssertionError("a state that no step leads to")
        return story


def _sentence(event: Event) -> str:
    told, *rest = event
    if told == "jump":
        clock, by = rest
        return f"{'both clocks jump' if clock == 'both' else f'the clock of {str(clock).title()} jumps'} by {by} ticks"
    who = f"worker {int(rest[0]) + 1} " if rest and int(rest[0]) >= 0 else ""
    return who + str(told).format("ABCDEFGH"[int(rest[1])] if len(rest) > 1 else "")
