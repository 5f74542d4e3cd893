"""The changes of a round, of all the kinds that the server's own code makes, in an order that a seed decides.

Belongs here: choosing what happens to which object. Does not belong here: doing it (`mutations.py`), or judging what
becomes visible (`oracle.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from courtlistener_assets.devkit.simulator import prose
from tests.truth.mutations import Mutations
from tests.truth.oracle import Change, Oracle, text_of
from tests.truth.world import BEFORE, COURTS, FAR, LATER, MONTHS, OTHER_COURT, Key, World, parent_of

STREAMS = ("dockets", "clusters", "opinions", "docket_entries", "recap_documents")
#: How often each kind happens; those that are told apart by a touch say so in their text.
_WEIGHTS = {
    "touch": 32, "update": 14, "text_arrives": 18,
    "add_docket": 8, "add_cluster": 12, "add_opinion": 8, "add_entry": 12, "add_document": 8,
    "delete": 16, "move_docket": 9, "date_docket": 14, "move_cluster": 7, "date_cluster": 16,
    "move_opinion": 6, "move_entry": 6, "move_document": 6,
    "merge_cluster": 8, "merge_docket": 4, "seal_cluster": 5, "seal_document": 7,
}  # fmt: skip
#: Less than what every pass looks back.
MOST_LATE_SECONDS = 500.0
_MONTHS = (BEFORE, *MONTHS, *MONTHS, LATER)


class NothingToChange(Exception):
    """There is no object of the kind that a change needs."""


class Changes:
    """Makes one change after the other; `counts` says how many of each kind."""

    def __init__(self, world: World, oracle: Oracle) -> None:
        self.counts: Counter[str] = Counter()
        self._world, self._oracle, self._chance = world, oracle, world.chance
        self._make = Mutations(world)
        self._late_seconds = MOST_LATE_SECONDS

    def next(self, *, within: float = 0) -> Change:
        """Let time pass, at most some seconds if `within` says so, and something happen."""
        most = within or self._chance.choice((200, 2400, 2400))
        self._world.clock.advance(timedelta(seconds=self._chance.uniform(1, most)))
        self._late_seconds = 0 if within else MOST_LATE_SECONDS
        while True:
            [kind] = self._chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
            make: Callable[[], str] = getattr(self, f"_{kind}")
            try:
                what = make()
            except NothingToChange:
                continue
            self.counts[kind] += 1
            change = Change(self.counts.total(), self._world.clock.now, what)
            self._oracle.observe(change)
            return change

    # --- choosing

    def _any(self, *streams: str, where: Callable[[Key], bool] = lambda key: True) -> Key:
        """An object, most often one that belongs to a partition."""
        keys = [key for key in self._world.keys(self._chance.choice(streams)) if where(key)]
        inside = [key for key in keys if self._oracle.state[key].place.partitions]
        if not keys:
            raise NothingToChange
        return self._chance.choice(inside if inside and self._chance.random() < 0.85 else keys)

    def _other(self, key: Key, *streams: str, near: bool = False) -> Key:
        """Another object; `near`: often one of the same court."""
        court = self._oracle.state[key].place.court_id
        same = near and self._chance.random() < 0.5
        return self._any(
            *streams, where=lambda each: each != key and (not same or self._oracle.state[each].place.court_id == court)
        )

    def _touch(self) -> str:
        return self._renew(self._moment())

    def _update(self) -> str:
        return self._renew(None)

    def _renew(self, touch: datetime | None) -> str:
        key, world = self._any(*STREAMS), self._world
        fields: dict[str, Any] = {}
        match key.stream:
            case "dockets":
                fields = {"cause": world.sentence(), "case_name": prose.case_name(world.chance)}
            case "clusters":
                fields = {"syllabus": world.sentence(), "precedential_status": "Unpublished"}
            case "opinions":
                fields = dict(world.opinion_text())
            case "docket_entries":
                fields = {"description": world.sentence()}
            case "recap_documents":
                fields = {"description": world.sentence(), **world.document_text()}
        self._make.change(key, touch=touch, **fields)
        return f"change the text of {key}, {_touched(touch)}"

    def _text_arrives(self) -> str:
        """A document gets its text; its entry is not touched."""
        key = self._any("recap_documents", where=lambda key: not text_of(key, self._world.record(key)))
        touch = self._moment()
        self._make.change(key, touch=touch, **self._world.document_text())
        return f"text arrives at {key} of {parent_of(self._world, key)}, {_touched(touch)}"

    # --- new objects, whose parents are not touched

    def _add_docket(self) -> str:
        court = self._chance.choice((*COURTS, OTHER_COURT))
        filed = self._world.day(self._chance.choice(_MONTHS)) if self._chance.random() < 0.5 else None
        moment = self._moment()
        key = self._world.add_docket(court, filed, moment)
        for _ in range(self._chance.choice((0, 0, 1, 2))):
            self._world.add_entry(key.id, moment, self._chance.choice((0, 1, 2)))
        return f"add {key} of {court} filed {filed}, {_touched(moment)}"

    def _add_cluster(self) -> str:
        docket, moment = self._any("dockets"), self._moment()
        key = self._world.add_cluster(docket.id, self._a_day(), moment)
        for _ in range(self._chance.choice((1, 1, 2))):
            self._world.add_opinion(key.id, moment)
        return f"add {key} with opinions to {docket}, not touched"

    def _add_opinion(self) -> str:
        cluster = self._any("clusters")
        return f"add {self._world.add_opinion(cluster.id, self._moment())} to {cluster}, not touched"

    def _add_entry(self) -> str:
        docket = self._any("dockets")
        key = self._world.add_entry(docket.id, self._moment(), self._chance.choice((0, 1, 2)))
        return f"add {key} to {docket}, not touched"

    def _add_document(self) -> str:
        entry = self._any("docket_entries")
        key = self._make.add_document(entry, self._world.new_document(self._moment()))
        return f"add {key} to {entry}, not touched"

    # --- what disappears

    def _delete(self) -> str:
        key = self._any("dockets", "clusters", "clusters", "opinions", "docket_entries", "recap_documents")
        self._make.delete(key)
        return f"delete {key}"

    def _seal_cluster(self) -> str:
        key = self._any("clusters")
        self._make.seal_cluster(key)
        return f"seal {key}"

    def _seal_document(self) -> str:
        key = self._any("recap_documents", where=lambda key: bool(text_of(key, self._world.record(key))))
        self._make.seal_document(key)
        return f"seal {key}"

    def _merge_cluster(self) -> str:
        key, touch = self._any("clusters"), self._is_touched()
        into, opinions = self._other(key, "clusters", near=True), self._chance.random() < 0.5
        self._make.merge_cluster(key, into, touch=touch, opinions_touched=opinions)
        return f"merge {key} into {into}, {_touched(touch)}, its opinions {'' if opinions else 'not '}touched"

    def _merge_docket(self) -> str:
        key, touched = self._any("dockets"), self._chance.random() < 0.6
        into = self._other(key, "dockets", near=True)
        self._make.merge_docket(key, into, touched=touched)
        return f"merge {key} into {into}, what moves {'' if touched else 'not '}touched"

    # --- what goes elsewhere

    def _move_docket(self) -> str:
        key, touch = self._any("dockets"), self._is_touched()
        court = self._chance.choice((*COURTS, OTHER_COURT))
        if court == self._oracle.state[key].place.court_id:
            raise NothingToChange
        self._make.move_docket(key, court, touch=touch)
        return f"move {key} to {court}, {_touched(touch)}"

    def _date_docket(self) -> str:
        key, touch = self._any("dockets"), self._is_touched()
        filed = None if self._chance.random() < 0.2 else self._world.day(self._chance.choice(_MONTHS))
        self._make.change(key, touch=touch, date_filed=filed)
        return f"date {key} {filed}, {_touched(touch)}"

    def _date_cluster(self) -> str:
        """One that was dated far in the future is corrected more often than others."""
        far = [key for key in self._world.keys("clusters") if self._world.record(key)["date_filed"].startswith(FAR)]
        key = self._chance.choice(far) if far and self._chance.random() < 0.4 else self._any("clusters")
        day, touch = self._a_day(), self._is_touched()
        self._make.change(key, touch=touch, date_filed=day)
        return f"date {key} {day}, {_touched(touch)}"

    def _move_cluster(self) -> str:
        return self._move("clusters", "dockets")

    def _move_opinion(self) -> str:
        return self._move("opinions", "clusters")

    def _move_entry(self) -> str:
        return self._move("docket_entries", "dockets")

    def _move_document(self) -> str:
        return self._move("recap_documents", "docket_entries")

    def _move(self, stream: str, parents: str) -> str:
        key, touch = self._any(stream), self._is_touched()
        old = parent_of(self._world, key)
        assert old
        parent = self._other(old, parents, near=True)
        self._make.move(key, parent, touch=touch)
        return f"move {key} from {old} to {parent}, {_touched(touch)}"

    def _a_day(self) -> str:
        return self._world.day(FAR if self._chance.random() < 0.06 else self._chance.choice(_MONTHS))

    def _is_touched(self) -> datetime | None:
        """The new date of what is changed, None if it keeps the old one."""
        return self._moment() if self._chance.random() < 0.6 else None

    def _moment(self) -> datetime:
        """Most often now; else the date that a clock gave that is behind, or a transaction that commits late."""
        late = self._chance.uniform(0, self._late_seconds) if self._chance.random() < 0.25 else 0
        return self._world.clock.now - timedelta(seconds=late)


def _touched(touch: datetime | None) -> str:
    return f"touched {touch:%H:%M:%S}" if touch else "not touched"
