"""The objects that the simulated server holds.

Belongs here: storage, the relations between objects, and changes to them. Does not belong here: how objects are made up
(`generator.py`, `opinions_file.py`) or asked for (`filters.py`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from courtlistener_assets.devkit.simulator.endpoints import ENDPOINTS
from courtlistener_assets.devkit.simulator.pacific import pacific_text, parse_moment
from courtlistener_assets.devkit.simulator.shapes import ORIGIN, Record, address, key_of, redirection

Key = int | str

#: The objects that their parents list: the relation, the parents' endpoint, and the key of the list.
_LISTED_IN = {
    "clusters": ("docket", "dockets", "clusters"),
    "opinions": ("cluster", "clusters", "sub_opinions"),
    "audio": ("docket", "dockets", "audio_files"),
}


class Corpus:
    """All objects by endpoint and id. Reading gives the stored dicts themselves: change them through the methods."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._tables: dict[str, dict[Key, Record]] = {name: {} for name in ENDPOINTS}
        self._entry_of_document: dict[Key, int] = {}
        #: Merged clusters: the deleted id and the id of the cluster that took its place.
        self.redirections: dict[int, int] = {}
        #: Clusters removed by court order.
        self.sealed: list[int] = []
        #: Changes whenever an object does; caches compare it.
        self.version = 0
        self.lock = threading.RLock()

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
        """Store an object (or replace the one with its id) and enter it into its parent's list.

        A docket entry brings its nested documents along.
        """
        with self.lock:
            self._tables[endpoint][record["id"]] = record
            if endpoint in _LISTED_IN:
                relation, parents, children = _LISTED_IN[endpoint]
                parent = self._tables[parents][self.parent_key(endpoint, relation, record)]
                self._enter(parent[children], record["resource_uri"])
            for document in record.get("recap_documents", ()):
                self._tables["recap-documents"][document["id"]] = document
                self._entry_of_document[document["id"]] = record["id"]
            self.version += 1
        return record

    def touch(self, endpoint: str, key: Key, *, modified: datetime | None = None, **changes: Any) -> Record:
        """Change an object and set its `date_modified`: to `modified`, or to now and later than any other object's."""
        with self.lock:
            record = self._tables[endpoint][key]
            record.update(changes, date_modified=pacific_text(modified or self._next_modification()))
            self.version += 1
        return record

    def merge_cluster(self, deleted_id: int, into_id: int) -> None:
        """Merge one cluster into another: its opinions move, its address redirects (301)."""
        with self.lock:
            target = self._tables["clusters"][into_id]
            for opinion in self.children("opinions", "cluster", deleted_id):
                opinion.update(cluster_id=into_id, cluster=target["resource_uri"])
                self._enter(target["sub_opinions"], opinion["resource_uri"])
                self.touch("opinions", opinion["id"])
            self._remove_cluster(deleted_id)
            self.add_redirection(deleted_id, into_id)

    def add_redirection(self, deleted_id: int, into_id: int, *, modified: datetime | None = None) -> None:
        """Let the address of a cluster that does not exist redirect to another one."""
        with self.lock:
            moment = modified or self._next_modification()
            self.redirections[deleted_id] = into_id
            redirections = self._tables["clusters"][into_id]["cluster_redirections"]
            entries = [*redirections, redirection(deleted_id, moment)]
            self.touch("clusters", into_id, modified=moment, cluster_redirections=entries)

    def seal_cluster(self, cluster_id: int) -> None:
        """Remove a cluster and its opinions by court order (410)."""
        with self.lock:
            for opinion in self.children("opinions", "cluster", cluster_id):
                del self._tables["opinions"][opinion["id"]]
            self._remove_cluster(cluster_id)
            self.sealed.append(cluster_id)

    def _next_modification(self) -> datetime:
        now = datetime.fromtimestamp(self._clock(), UTC)
        newest = (parse_moment(record["date_modified"]) for table in self._tables.values() for record in table.values())
        return max(now, *(moment + timedelta(microseconds=1) for moment in newest))

    def _remove_cluster(self, cluster_id: int) -> None:
        removed = self._tables["clusters"].pop(cluster_id, None)
        if removed:
            self._tables["dockets"][removed["docket_id"]]["clusters"].remove(address("clusters", cluster_id))
        self.version += 1

    @staticmethod
    def _enter(addresses: list[str], new: str) -> None:
        # The server lists children newest first.
        if new not in addresses:
            addresses.insert(0, new)


def as_served(text: str, base_url: str) -> str:
    """Return stored JSON as a client sees it that asked `base_url` (`http://127.0.0.1:8000`)."""
    return text.replace(ORIGIN, base_url)
