"""The objects that the simulated server holds, each hanging on its parent.

Belongs here: storage, the relations between objects, and the one date that a change may move: the object's own. Does
not belong here: what the server's code does to several objects at once (`corpus.py`).
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from courtlistener_assets.devkit.simulator.endpoints import ENDPOINTS
from courtlistener_assets.devkit.simulator.pacific import pacific_text
from courtlistener_assets.devkit.simulator.shapes import Record, address, key_of

Key = int | str


class _Parent(NamedTuple):
    """What objects hang on: by which relation, on which endpoint's objects, and in which of their lists ("": none)."""

    relation: str
    endpoint: str
    listed_in: str = ""


_PARENTS = {
    "dockets": _Parent("court", "courts"),
    "clusters": _Parent("docket", "dockets", "clusters"),
    "opinions": _Parent("cluster", "clusters", "sub_opinions"),
    "docket-entries": _Parent("docket", "dockets"),
    "recap-documents": _Parent("docket_entry", "docket-entries", "recap_documents"),
    "audio": _Parent("docket", "dockets", "audio_files"),
}

#: The relations by which objects refer to others of their own endpoint.
_REFERENCES = {"dockets": ("parent_docket",), "opinions": ("opinions_cited", "main_version")}


class Objects:
    """All objects by endpoint and id. Reading gives the stored dicts themselves: change them through the methods.

    Methods raise KeyError for an object, a parent or a key that does not exist.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        #: While a change that was held is carried out: the moment at which it was made.
        self._moment: datetime | None = None
        self._tables: dict[str, dict[Key, Record]] = {name: {} for name in ENDPOINTS}
        self._entry_of_document: dict[Key, Key] = {}
        #: Merged clusters: the deleted id and the id of the cluster that took its place.
        self.redirections: dict[int, int] = {}
        #: Clusters removed by court order.
        self.sealed: list[int] = []
        #: Changes whenever an object does; caches compare it.
        self.version = 0
        self.lock = threading.RLock()

    def snapshot(self) -> Objects:
        """Return a copy that later changes do not reach."""
        copied = Objects(self._clock)
        with self.lock:
            copied._tables = copy.deepcopy(self._tables)
            copied._entry_of_document = dict(self._entry_of_document)
            copied.redirections, copied.sealed = dict(self.redirections), list(self.sealed)
            # Another one than any that a change leads to: the copy's lists hold its own objects.
            copied.version = -1 - self.version
        return copied

    def __getstate__(self) -> dict[str, Any]:
        """All but the lock, which cannot be copied: a copy, or what a pickle gives back, has one of its own."""
        with self.lock:
            return {name: value for name, value in self.__dict__.items() if name != "lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, lock=threading.RLock())

    # --- reading

    @property
    def dockets(self) -> list[Record]:
        return self.table("dockets")

    @property
    def clusters(self) -> list[Record]:
        return self.table("clusters")

    @property
    def opinions(self) -> list[Record]:
        return self.table("opinions")

    @property
    def docket_entries(self) -> list[Record]:
        return self.table("docket-entries")

    def table(self, endpoint: str) -> list[Record]:
        """Return all objects of an endpoint, in order of their ids where these are numbers."""
        with self.lock:
            table = self._tables[endpoint]
            return list(table.values()) if ENDPOINTS[endpoint].text_key else [table[key] for key in sorted(table)]

    def get(self, endpoint: str, key: Key) -> Record | None:
        return self._tables[endpoint].get(key)

    def parent_key(self, endpoint: str, relation: str, record: Record) -> Key:
        """Return the id of the object that a record belongs to."""
        if endpoint == "recap-documents":
            return self._entry_of_document[record["id"]]
        key: Key = record[f"{relation}_id"] if f"{relation}_id" in record else key_of(record[relation])
        return key

    def children(self, endpoint: str, relation: str, key: Key) -> list[Record]:
        """Return the objects of an endpoint that belong to `key` by `relation`, `children("clusters", "docket", 7)`."""
        return [record for record in self.table(endpoint) if self.parent_key(endpoint, relation, record) == key]

    # --- changing

    def add(self, endpoint: str, record: Record) -> Record:
        """Store an object (or replace the one with its id) and enter it into its parent's list; no date moves.

        A docket entry brings its nested documents along; a document alone comes by `add_document`.
        """
        with self.lock:
            replaced = self._tables[endpoint].get(record["id"])
            if replaced:
                self._unlist(endpoint, replaced)
            self._tables[endpoint][record["id"]] = record
            self._list(endpoint, record)
            for document in record.get("recap_documents", ()):
                self._tables["recap-documents"][document["id"]] = document
                self._entry_of_document[document["id"]] = record["id"]
            self.version += 1
        return record

    def add_document(self, entry_id: int, document: Record) -> Record:
        """Store a document of an entry that is there already, and is not touched."""
        with self.lock:
            self._entry_of_document[document["id"]] = self._tables["docket-entries"][entry_id]["id"]
            return self.add("recap-documents", document)

    def touch(self, endpoint: str, key: Key, *, modified: datetime | None = None, **changes: Any) -> Record:
        """Change an object and set its `date_modified`, to now unless `modified` says otherwise."""
        return self.update(endpoint, key, **changes, date_modified=pacific_text(modified or self.now()))

    def update(self, endpoint: str, key: Key, **changes: Any) -> Record:
        """Change an object without a new date, as Django's `.update()` does."""
        with self.lock:
            record = self._tables[endpoint][key]
            if unknown := changes.keys() - record.keys():
                raise KeyError(f"{endpoint} have no {', '.join(sorted(unknown))}")
            record.update(changes)
            self.version += 1
        return record

    def delete(self, endpoint: str, key: Key) -> None:
        """Delete an object with all that hangs on it; nothing's date moves."""
        with self.lock:
            record = self._tables[endpoint][key]
            for child, parent in _PARENTS.items():
                if parent.endpoint == endpoint:
                    for one in self.children(child, parent.relation, key):
                        self.delete(child, one["id"])
            self._unlist(endpoint, record)
            self._forget(endpoint, record["resource_uri"])
            del self._tables[endpoint][key]
            if endpoint == "recap-documents":
                del self._entry_of_document[key]
            self.version += 1

    def move(self, endpoint: str, key: Key, parent: Key, *, touched: bool = True) -> None:
        """Hang an object on another parent. `touched`: its own date moves; that of no other object does."""
        with self.lock:
            record, (relation, parents, _) = self._tables[endpoint][key], _PARENTS[endpoint]
            new = self._tables[parents][parent]
            self._unlist(endpoint, record)
            if endpoint == "recap-documents":
                self._entry_of_document[key] = parent
            else:
                record[relation] = address(parents, new["id"])
                if f"{relation}_id" in record:
                    record[f"{relation}_id"] = parent
            self._list(endpoint, record)
            (self.touch if touched else self.update)(endpoint, key)

    def _forget(self, endpoint: str, named: str) -> None:
        """Let no object refer to one that is deleted, beside its parent."""
        for relation in _REFERENCES.get(endpoint, ()):
            for record in self._tables[endpoint].values():
                if isinstance(record[relation], list) and named in record[relation]:
                    record[relation] = [one for one in record[relation] if one != named]
                elif record[relation] == named:
                    record[relation] = None

    def now(self) -> datetime:
        """Return the moment that a change gets for its date."""
        return self._moment or datetime.fromtimestamp(self._clock(), UTC)

    # --- the lists in which parents name or nest their children

    def _list(self, endpoint: str, record: Record) -> None:
        children = self._listing(endpoint, record)
        if endpoint == "recap-documents":
            children.append(record)
        elif record["resource_uri"] not in children:
            # The server lists children newest first.
            children.insert(0, record["resource_uri"])

    def _unlist(self, endpoint: str, record: Record) -> None:
        children = self._listing(endpoint, record)
        named = record["resource_uri"]
        children[:] = [one for one in children if (one["resource_uri"] if isinstance(one, dict) else one) != named]

    def _listing(self, endpoint: str, record: Record) -> list[Any]:
        """Return the list that has an object; one that nobody sees where there is none."""
        parent = _PARENTS.get(endpoint)
        if parent is None or not parent.listed_in:
            return []
        children: list[Any] = self._tables[parent.endpoint][self.parent_key(endpoint, parent.relation, record)][
            parent.listed_in
        ]
        return children
