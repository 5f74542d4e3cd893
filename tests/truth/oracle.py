"""What should be stored, worked out from the corpus alone, and which changes an increment can know of.

Belongs here: the partitions of every object, its keys and body, and the rule below. Does not belong here: any code of
the product; reading what it stored (`verdict.py`).

Which changes a catch-up brings (rule 2 of docs/truth.md). An object is **fetched** by the next catch-up of its court if

* its own `date_modified` has moved; or that of an entry (its documents), of a document (its entry and that one's
  documents), or of a cluster or an opinion that is new where it is (its docket, its cluster);
* a docket or cluster that is fetched lists it, and it is not where the store has it; or no longer lists it;
* it is an entry of a docket that is fetched and has entered a partition;
* it is what a fetched object hangs on, and the store has it in another court or not at all.

No list tells of entries, and a document that is missed does not say in which entry it is now: only that entry does.
No list tells of dates: one of a decision that is stored is told by that decision only.

A change is **seen** if what it did to an object's body belongs to a fetched object, or what it did to its place (its
partitions and keys) to one that is fetched or whose parent is. Whatever else a change does to an object makes it
**dirty** until it is fetched: a dirty object is excused until then, and after a full refresh no longer.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from courtlistener_assets.devkit.simulator.pacific import parse_moment
from courtlistener_assets.devkit.simulator.shapes import Record, key_of
from tests.truth.world import COURTS, LATER, MARK, MONTHS, Key, World

#: A catch-up looks back by ten minutes at least. What is dated earlier than this before it became visible is not found.
SURELY_FOUND = timedelta(minutes=9)
UNDATED = "undated"
#: In the server's order of preference.
OPINION_TEXTS = (
    "html_with_citations", "xml_harvard", "xml_scan", "html_columbia", "html_lawbox", "html_anon_2020", "html",
    "plain_text",
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where an object belongs: its partitions (`ca9|2024-02`, `ca9|undated`), and the keys that its row must have."""

    partitions: frozenset[str] = frozenset()
    court_id: str = ""
    docket_id: int = 0
    cluster_id: int | None = None
    docket_entry_id: int | None = None
    #: That by which dockets and clusters belong to a month.
    date_filed: str | None = None

    def __str__(self) -> str:
        return f"{', '.join(sorted(self.partitions)) or 'no partition'} (docket {self.docket_id})"


@dataclass(frozen=True)
class Wanted:
    """An object as the store should have it; `body` is as the server has it, without what is nested in an entry."""

    place: Place
    body: Record


State = dict[Key, Wanted]


def state_of(world: World, months: Iterable[str] = (*MONTHS, LATER)) -> State:
    """Every object of the server, with the partitions it belongs to; most other courts' and months' belong to none."""
    corpus, found, wanted = world.corpus, State(), set(months)
    dockets = {record["id"]: record for record in corpus.dockets}
    decided, with_entries = defaultdict(set), set()
    for cluster in corpus.clusters:
        decided[cluster["docket_id"]].add(_month(cluster["date_filed"]))
    for entry in corpus.docket_entries:
        with_entries.add(key_of(entry["docket"]))

    def partitions(court: str, names: Iterable[str]) -> frozenset[str]:
        kept = (name for name in names if name == UNDATED or name in wanted)
        return frozenset(f"{court}|{name}" for name in kept) if court in COURTS else frozenset()

    for id, docket in dockets.items():
        court, filed = docket["court_id"], _month(docket["date_filed"])
        names = decided[id] | ({filed} if filed else {UNDATED} if id in with_entries else set())
        place = Place(partitions(court, names), court, id, date_filed=docket["date_filed"])
        found[Key("dockets", id)] = Wanted(place, docket)
    for cluster in corpus.clusters:
        court, id = dockets[cluster["docket_id"]]["court_id"], cluster["id"]
        month, docket_id = _month(cluster["date_filed"]), cluster["docket_id"]
        place = Place(partitions(court, [month]), court, docket_id, id, date_filed=cluster["date_filed"])
        found[Key("clusters", id)] = Wanted(place, cluster)
    for opinion in corpus.opinions:
        of_cluster = found[Key("clusters", opinion["cluster_id"])].place
        place = replace(of_cluster, date_filed=None)
        found[Key("opinions", opinion["id"])] = Wanted(place, opinion)
    for entry in corpus.docket_entries:
        docket = dockets[key_of(entry["docket"])]
        court = docket["court_id"]
        above = partitions(court, [_month(docket["date_filed"]) or UNDATED])
        place = Place(above, court, docket["id"], docket_entry_id=entry["id"])
        body = {name: value for name, value in entry.items() if name != "recap_documents"}
        found[Key("docket_entries", entry["id"])] = Wanted(place, body)
        for document in entry["recap_documents"]:
            found[Key("recap_documents", document["id"])] = Wanted(place, document)
    return found


def text_of(key: Key, body: Mapping[str, Any]) -> str:
    """The text of a document as a reader gets it; "" for an object that is none, or has none."""
    names = {"opinions": OPINION_TEXTS, "recap_documents": ("plain_text",)}.get(key.stream, ())
    return next((body[name] for name in names if (body.get(name) or "").strip()), "")


def marks_of(state: State) -> set[str]:
    """The marks of all texts that the server has."""
    return {mark for wanted in state.values() for mark in MARK.findall(json.dumps(wanted.body))}


def _month(day: str | None) -> str:
    return (day or "")[:7]


@dataclass(frozen=True)
class Change:
    """Something that happened at the server, for the history of an object."""

    number: int
    at: datetime
    what: str

    def __str__(self) -> str:
        return f"#{self.number} {self.at:%d %H:%M:%S} {self.what}"


@dataclass(frozen=True)
class Dirt:
    """What a change did to an object that no increment is told of.

    Its place is revealed when one of `revealers` is fetched, or an object of `above` that the same change displaced;
    `looked_up`: it is then fetched itself, since the store has it elsewhere or not at all. `elsewhere`: the store has
    it in another court, or not at all, which a fetched child reveals as well. `inherited`: it is where it is because of
    what it hangs on, so that it is not placed right by being fetched itself.
    """

    change: Change
    about_place: bool
    revealers: frozenset[Key] = frozenset()
    above: frozenset[Key] = frozenset()
    looked_up: bool = False
    elsewhere: bool = False
    inherited: bool = False


@dataclass(frozen=True)
class Evidence:
    """What the next catch-up puts right because an object has a new date, as long as it still meets the object."""

    key: Key
    dirt: dict[Key, list[Dirt]]


@dataclass
class Oracle:
    """Follows the changes of a corpus."""

    world: World
    #: Those that were downloaded so far.
    months: tuple[str, ...] = MONTHS
    state: State = field(default_factory=dict)
    history: dict[Key, list[str]] = field(default_factory=lambda: defaultdict(list))
    dirt: dict[Key, list[Dirt]] = field(default_factory=dict)
    #: Since the last catch-up.
    evidence: list[Evidence] = field(default_factory=list)
    #: What was fetched and displaced by changes so far, for the count of requests; whoever counts empties them.
    fetched: set[Key] = field(default_factory=set)
    displaced: set[Key] = field(default_factory=set)
    #: All that an object ever hung on.
    last_above: dict[Key, set[Key]] = field(default_factory=lambda: defaultdict(set))
    #: What the store may have: whatever ever was in a partition, or was fetched, and what that hangs on.
    met: set[Key] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.state = {key: _copy(wanted) for key, wanted in state_of(self.world).items()}
        self._meet(())

    def observe(self, change: Change) -> None:
        """Compare the corpus with what it was before this change."""
        before, after = self.state, state_of(self.world)
        affected = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        new = {key: _copy(after[key]) if key in affected else before[key] for key in after}
        displaced = {key for key in affected if _place(before, key) != _place(new, key)}
        effect = _Effect(change, before, new, displaced, frozenset(self.met))
        self._retract(effect)
        fetched = self._fetched(effect)
        for key in effect.displaced:
            self.last_above[key] |= {*_above(before, key), *_above(new, key)}
        for key in sorted(affected):
            seen = self._note(effect, key, fetched)
            self.history[key].append(f"{change}{'' if seen else ' [not seen]'}{_told(effect, key)}")
        self.state = new
        self.fetched |= fetched
        self.displaced |= effect.displaced
        self._meet(fetched)

    def _meet(self, fetched: Iterable[Key]) -> None:
        self.met |= {key for key, wanted in self.state.items() if wanted.place.partitions}
        self.met |= {key for each in fetched for key in (each, *_above(self.state, each))}

    def caught_up(self, court: str) -> None:
        """Take all that had a new date in a court for fetched."""
        self.evidence = [each for each in self.evidence if self.state[each.key].place.court_id != court]

    def _retract(self, effect: _Effect) -> None:
        """Whatever was to be put right by an object that goes, or goes elsewhere, before a catch-up has met it."""
        for each in [each for each in self.evidence if each.key in effect.displaced or each.key not in effect.new]:
            self.evidence.remove(each)
            for key, dirt in each.dirt.items():
                known = self.dirt.get(key, [])
                self.dirt[key] = [*(one for one in dirt if one not in known), *known]
                self.history[key].append(f"{effect.change} [takes away why it would be fetched: excused again]")

    def forget_dirt(self) -> None:
        """After a full refresh nothing is excused."""
        self.dirt.clear()
        self.evidence.clear()

    def excused(self, key: Key) -> bool:
        """Whether an object may differ until it is fetched."""
        return key in self.dirt

    def is_below_excused(self, key: Key) -> bool:
        """Whether an object hangs on one that may be in another place: so may it, although it came later."""
        return any(each.about_place for above in self.above(key) for each in self.dirt.get(above, ()))

    def history_of(self, key: Key) -> tuple[str, ...]:
        """What has happened to an object, and to what it hangs on or ever hung on."""
        others = sorted({*self.above(key), *self.last_above.get(key, ())})
        told = [f"of {other}: {line}" for other in others for line in self.history.get(other, ())]
        return (*self.history.get(key, ()), *told)

    def above(self, key: Key) -> list[Key]:
        """What an object hangs on, or hung on before it went."""
        return _above(self.state, key) if key in self.state else sorted(self.last_above.get(key, set()))

    def has_excused_children(self, docket: Key) -> bool:
        """Whether a decision or an entry by which a docket belongs, or belonged, to a partition may differ."""
        return any(
            key.stream in ("clusters", "docket_entries")
            and docket in {*_above(self.state, key), *self.last_above.get(key, ())}
            for key in self.dirt
        )

    def docket_of(self, key: Key) -> int:
        """The id of the docket that an object belongs to; 0 for one that has gone."""
        return self.state[key].place.docket_id if key in self.state else 0

    # --- what a catch-up fetches because of this change ---------------------------------------------------------------

    def _fetched(self, effect: _Effect) -> set[Key]:
        """All objects that the next catch-up fetches on account of the dates that this change moved.

        Takes the dirt off them.
        """
        oldest, found = self.world.clock.now - SURELY_FOUND, set[Key]()
        for dated in [key for key in effect.new if effect.is_redated(key, oldest)]:
            dirt, now = dict(self.dirt), effect.change.number
            queue = [(key, now) for key in (dated, *_swept_with(effect, dated))]
            done = set[tuple[Key, int]]()
            while queue:
                key, until = queue.pop()
                if (key, until) not in done and key in effect.new:
                    done.add((key, until))
                    self._clean(effect.change, key, until)
                    queue += self._led_to(effect, key, until)
            found |= {key for key, _ in done}
            self.evidence.append(
                Evidence(dated, {key: each for key, each in dirt.items() if each != self.dirt.get(key)})
            )
        return found

    def _clean(self, change: Change, key: Key, until: int) -> None:
        """Take the dirt of the changes up to number `until` off an object that is fetched.

        A place that it has from what it hangs on stays dirty.
        """
        dirt = self.dirt.pop(key, [])
        if left := [each for each in dirt if each.inherited or each.change.number > until]:
            self.dirt[key] = left
        if left != dirt:
            excused = "still excused for some" if left else "no longer excused"
            self.history[key].append(f"{change} [fetched by the next catch-up, {excused}]")

    def _led_to(self, effect: _Effect, key: Key, until: int) -> list[tuple[Key, int]]:
        """Further objects that are fetched because this one is, and until which change that is sure.

        What is looked up because the store has it elsewhere is not if the store knows already, as it may from any
        other work since: of later changes it then hears nothing.
        """
        now, found = effect.change.number, list[tuple[Key, int]]()
        # No sweep meets anything of other courts, and by itself no object says in which court it is.
        for above in [above for above in _above(effect.new, key) if effect.new[above].place.court_id in COURTS]:
            numbers = [each.change.number for each in self.dirt.get(above, ()) if each.elsewhere]
            numbers += [now] if effect.is_elsewhere(above) else []
            found += [(above, max(numbers))] if numbers and min(numbers) <= until else []
        if until == now:
            found += [(below, now) for below in _below(effect.new, key) if effect.is_looked_up(below)]
        if key.stream == "docket_entries":
            found += [(below, until) for below in _below(effect.new, key)]
        for other in [other for other, dirt in self.dirt.items() if any(key in each.revealers for each in dirt)]:
            found += self._reveal(other, key, until)
        return found

    def _reveal(self, other: Key, by: Key, until: int) -> list[tuple[Key, int]]:
        """Clean the place of an object, and of all that the same change took along; returns what is looked up."""
        revealed = [each for each in self.dirt.get(other, ()) if by in each.revealers and each.change.number <= until]
        changes = {each.change for each in revealed}
        for key, dirt in list(self.dirt.items()):
            if key != other and not any(other in each.above for each in dirt):
                continue
            kept = [
                each
                for each in dirt
                if not (each.about_place and each.change in changes and (key == other or other in each.above))
            ]
            if kept != dirt:
                self.history[key].append(f"[placed right by the next catch-up, which fetches {by}]")
            if kept:
                self.dirt[key] = kept
            else:
                del self.dirt[key]
        numbers = [each.change.number for each in revealed if each.looked_up]
        return [(other, max(numbers))] if numbers else []

    # --- what this change did to an object ----------------------------------------------------------------------------

    def _note(self, effect: _Effect, key: Key, fetched: set[Key]) -> bool:
        """Note what no increment is told of; returns whether this object's part of the change is seen."""
        before, new = effect.before, effect.new
        seen = key in fetched
        if not seen and key in effect.displaced and not effect.only_months_by_decisions(key):
            above = {*_above(before, key), *_above(new, key)}
            parents = {each for each in (_parent(before, key), _parent(new, key)) if each}
            moved_itself = _parent(before, key) != _parent(new, key)
            if moved_itself:
                revealers = {each for each in parents if _lists(each, key)}
                revealers -= self._knows_nothing(key, _parent(before, key), _parent(new, key), before)
            else:  # It follows what it hangs on, but tells nobody of a date of its own.
                revealers = set(list(filter(effect.takes_along, _above(new, key)))[-1:])
            leading = revealers if moved_itself else set(filter(effect.takes_along, above))
            seen = bool(leading & fetched)
            if not seen:
                self.dirt.setdefault(key, []).append(
                    Dirt(
                        effect.change,
                        about_place=True,
                        revealers=frozenset(revealers),
                        above=frozenset(above),
                        looked_up=effect.is_looked_up(key),
                        elsewhere=effect.is_elsewhere(key),
                        inherited=bool(revealers) and not moved_itself,
                    )
                )
        if key not in fetched and key in before and key in new and before[key].body != new[key].body:
            self.dirt.setdefault(key, []).append(Dirt(effect.change, False))
            seen = False
        return seen

    def _knows_nothing(self, key: Key, old: Key | None, new: Key | None, before: State) -> set[Key]:
        """The old parent of an object that has moved, if that does not tell the store anything.

        It was not stored there yet, or it is a document that goes to another entry.
        """
        if old is None:
            return set()
        moved_before = any(each.about_place and not each.inherited for each in self.dirt.get(key, ()))
        if moved_before:
            self.dirt[key] = [replace(each, revealers=each.revealers - {old}) for each in self.dirt[key]]
        months = {partition.partition("|")[2] for partition in before[key].place.partitions}
        never_stored = not months & {*self.months, UNDATED}
        untold = new is not None and (never_stored or key.stream == "recap_documents")
        return {old} if moved_before or untold else set()


@dataclass(frozen=True)
class _Effect:
    """The states before and after a change; `displaced` are the objects whose place it changed.

    `met` are those that the store may have had before.
    """

    change: Change
    before: State
    new: State
    displaced: set[Key]
    met: frozenset[Key]

    def is_redated(self, key: Key, oldest: datetime) -> bool:
        """Whether the sweeps by `date_modified` of a configured court meet the object now."""
        moment, old = self.new[key].body["date_modified"], self.before.get(key)
        if self.new[key].place.court_id not in COURTS or (old and old.body["date_modified"] == moment):
            return False
        if key.stream == "opinions" and _month(self.new[_above(self.new, key)[0]].place.date_filed) < MONTHS[0]:
            return False  # Opinions of months before the first one are not asked for.
        return parse_moment(moment) >= oldest

    def takes_along(self, key: Key) -> bool:
        """Whether the change took along what hangs on an object, so that whoever fetches the one places the other.

        A docket that the store has where it is tells it nothing of its decisions' dates: it lists the same addresses.
        """
        return key in self.displaced and not (key in self.met and self._stays(key))

    def only_months_by_decisions(self, key: Key) -> bool:
        """Whether it is a docket that stays where it was, but for the months in which decisions put it."""
        return self._stays(key) and bool(self.before[key].place.partitions)

    def _stays(self, key: Key) -> bool:
        """Whether it is a docket whose own court and date have not changed."""
        old, new = self.before.get(key), self.new.get(key)
        if key.stream != "dockets" or not old or not new:
            return False
        return (old.place.court_id, old.place.date_filed) == (new.place.court_id, new.place.date_filed)

    def is_elsewhere(self, key: Key) -> bool:
        """Whether the object was in another court before, or in none."""
        old, new = self.before.get(key), self.new.get(key)
        return new is not None and (old is None or old.place.court_id != new.place.court_id)

    def is_looked_up(self, key: Key) -> bool:
        """Whether whoever is told of the object's new place must fetch it: it has another parent, or was not stored."""
        old = self.before.get(key)
        if key not in self.displaced or key not in self.new:
            return False
        return old is None or _parent(self.before, key) != _parent(self.new, key) or old.place.court_id not in COURTS


def _copy(wanted: Wanted) -> Wanted:
    """The corpus changes its objects in place."""
    lists = {name: list(value) for name, value in wanted.body.items() if isinstance(value, list)}
    return Wanted(wanted.place, {**wanted.body, **lists})


def _place(state: State, key: Key) -> Place | None:
    return state[key].place if key in state else None


def _parent(state: State, key: Key) -> Key | None:
    if key not in state or key.stream == "dockets":
        return None
    place = state[key].place
    return {
        "clusters": Key("dockets", place.docket_id),
        "opinions": Key("clusters", place.cluster_id or 0),
        "docket_entries": Key("dockets", place.docket_id),
        "recap_documents": Key("docket_entries", place.docket_entry_id or 0),
    }[key.stream]


def _above(state: State, key: Key) -> list[Key]:
    """All that an object hangs on, the nearest first."""
    found, parent = [], _parent(state, key)
    while parent:
        found.append(parent)
        parent = _parent(state, parent)
    return found


def _below(state: State, key: Key) -> list[Key]:
    return [other for other in state if _parent(state, other) == key]


def _lists(parent: Key, child: Key) -> bool:
    """Whether a parent lists a child in its body; no docket lists its entries."""
    return child.stream != "docket_entries"


def _swept_with(effect: _Effect, key: Key) -> list[Key]:
    """What the sweeps by a child's date surely bring because of this child.

    None go by decisions of before the first month, and parents that list the child already are not asked for.
    """
    state, parent = effect.new, _parent(effect.new, key)
    if parent is None or key.stream == "docket_entries":
        return []
    if key.stream == "clusters" and _month(state[key].body["date_filed"]) < MONTHS[0]:
        return []
    return [parent] if key.stream == "recap_documents" or parent != _parent(effect.before, key) else []


def _told(effect: _Effect, key: Key) -> str:
    if key not in effect.displaced:
        return ""
    return f" [{_place(effect.before, key) or 'absent'} -> {_place(effect.new, key) or 'absent'}]"
