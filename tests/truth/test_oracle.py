"""What an increment can know of: the oracle excuses what nothing that it asks for shows, and no more than that."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.truth.mutations import Mutations
from tests.truth.oracle import Change, Oracle
from tests.truth.world import COURTS, FAR, MONTHS, Key, World, new_world


@pytest.fixture
def world() -> World:
    return new_world(1)


@pytest.fixture
def happen(world: World) -> Callable[[Oracle, str], None]:
    """Tell the oracle that something has happened, and let time pass."""
    numbers = iter(range(1, 100))

    def happened(oracle: Oracle, what: str) -> None:
        oracle.observe(Change(next(numbers), world.clock.now, what))
        world.clock.advance(timedelta(minutes=1))

    return happened


def far_decision(world: World, oracle: Oracle) -> tuple[Key, Key, Key]:
    """A docket of the first court without a date, its only decision, which is dated in 2041, and an opinion of it."""
    for key, wanted in oracle.state.items():
        if key.stream == "opinions" and wanted.place.court_id == COURTS[0]:
            cluster = Key("clusters", wanted.place.cluster_id or 0)
            if world.record(cluster)["date_filed"].startswith(FAR):
                return Key("dockets", wanted.place.docket_id), cluster, key
    raise LookupError


@pytest.mark.parametrize("stored", [True, False])
def test_a_docket_shows_a_silent_correction_of_its_decisions_date_only_to_a_store_without_it(
    world: World, happen: Callable[[Oracle, str], None], stored: bool
) -> None:
    """The body of a docket lists the addresses of its decisions, which are the same as before; no date is in it."""
    oracle, make = Oracle(world), Mutations(world)
    docket, cluster, opinion = far_decision(world, oracle)
    if stored:  # The sweep by the dates of decisions brings it with its docket, and no partition has either.
        make.change(cluster, touch=world.clock.now)
        happen(oracle, "touch the decision")
    make.change(cluster, touch=None, date_filed=f"{MONTHS[2]}-11")
    happen(oracle, "date the decision, not touched")
    assert oracle.excused(cluster)
    assert oracle.excused(opinion)
    world.add_cluster(docket.id, f"{MONTHS[1]}-05", world.clock.now)
    happen(oracle, "add another decision, whose docket is fetched with it")
    assert oracle.excused(opinion) is stored
    make.change(cluster, touch=world.clock.now)
    happen(oracle, "touch the decision again")
    assert not oracle.excused(opinion)
