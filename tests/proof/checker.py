"""A small explicit-state model checker: every state that can be reached, breadth first, so that traces are shortest.

Belongs here: searching, telling how a state was reached, and whether a goal stays possible. Does not belong here: what
the states mean (`model.py`).
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

#: What happened, as words and numbers that the model can tell as a sentence.
Event = tuple[str | int, ...]


#: One way on: what happens, the state after it, is it a fault, is it what must stay possible, the invariant it breaks.
Step = tuple[Event, bytes, bool, bool, str]


class Model(Protocol):
    """States are bytes: equal states, or states that differ only in names, must be equal bytes."""

    def first(self) -> bytes: ...

    def steps(self, state: bytes) -> Iterable[Step]: ...

    def tell(self, path: list[bytes]) -> list[str]: ...


@dataclass
class Result:
    """What a search found. `broken` and `story` are empty if every invariant holds in all states."""

    states: int = 0
    steps: int = 0
    depth: int = 0
    seconds: float = 0.0
    complete: bool = False
    broken: str = ""
    story: list[str] = field(default_factory=list)

    @property
    def length(self) -> int:
        """Events of the counterexample."""
        return len(self.story)


def check(model: Model, *, most_states: int = 5_000_000, progress: bool = True, only: str = "") -> Result:
    """Visit all states; with `progress`, also search for one from which no goal can be reached without a fault.

    With `only`, other invariants may be broken.
    """
    began = time.monotonic()
    first = model.first()
    index = {first: 0}
    states = [first]
    reached_from = array("l", [-1])
    depths = array("l", [0])
    result = Result()
    # Steps without faults, as pairs of states; those that are goals.
    origins, targets = array("l"), array("l")
    good = bytearray(1)
    at = 0

    def story(last: int, final: bytes | None) -> list[str]:
        path = [] if final is None else [final]
        while last >= 0:
            path.append(states[last])
            last = reached_from[last]
        return model.tell(path[::-1])

    while at < len(states):
        for _, after, fault, goal, broken in model.steps(states[at]):
            result.steps += 1
            if broken and (not only or broken == only):
                result.broken, result.story = broken, story(at, after)
                break
            there = index.get(after)
            if there is None:
                there = index[after] = len(states)
                states.append(after)
                reached_from.append(at)
                depths.append(depths[at] + 1)
                good.append(0)
            if progress and not fault:
                if goal:
                    good[at] = 1
                elif there != at:
                    origins.append(at)
                    targets.append(there)
        at += 1
        if result.broken or len(states) > most_states:
            break
    result.complete = at == len(states) and not result.broken
    result.states, result.depth = len(states), depths[-1]
    if progress and result.complete:
        stuck = _first_without_goal(good, origins, targets)
        if stuck is not None:
            result.broken, result.story = "progress", story(stuck, None)
    result.seconds = time.monotonic() - began
    return result


def _first_without_goal(good: bytearray, origins: array[int], targets: array[int]) -> int | None:
    """Backwards from the states that have a goal; the first state, in the order of their discovery, that is left."""
    count = len(good)
    starts = array("l", bytes(array("l").itemsize * (count + 1)))
    for target in targets:
        starts[target + 1] += 1
    for state in range(count):
        starts[state + 1] += starts[state]
    sources, place = array("l", bytes(array("l").itemsize * len(origins))), array("l", starts)
    for origin, target in zip(origins, targets, strict=True):
        sources[place[target]] = origin
        place[target] += 1
    todo = [state for state in range(count) if good[state]]
    while todo:
        state = todo.pop()
        for origin in sources[starts[state] : starts[state + 1]]:
            if not good[origin]:
                good[origin] = 1
                todo.append(origin)
    left = good.find(0)
    return None if left < 0 else left
