"""What the server's own code does to its objects, one function each; `touch` is the date that what it saves gets.

None stands for a change that moves no `date_modified`. A date that lies in the past is that of a transaction which
commits late, or of a clock that is behind.

Belongs here: the borders to the simulator's corpus. Does not belong here: choosing what happens (`changes.py`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from courtlistener_assets.devkit.simulator.shapes import Record
from tests.truth.world import ENDPOINTS, Key, World


class Mutations:
    """Changes of a world's corpus."""

    def __init__(self, world: World) -> None:
        self._corpus = world.corpus

    def change(self, key: Key, *, touch: datetime | None, **fields: Any) -> None:
        """Set fields of an object."""
        if touch:
            self._corpus.touch(ENDPOINTS[key.stream], key.id, modified=touch, **fields)
        else:
            self._corpus.update(ENDPOINTS[key.stream], key.id, **fields)

    def delete(self, key: Key) -> None:
        """Delete an object with everything that hangs on it."""
        self._corpus.delete(ENDPOINTS[key.stream], key.id)

    def move(self, key: Key, parent: Key, *, touch: datetime | None) -> None:
        """Hang a cluster or entry on another docket, an opinion on another cluster, a document on another entry."""
        self._corpus.move(ENDPOINTS[key.stream], key.id, parent.id, touched=False)
        self.change(key, touch=touch)

    def move_docket(self, key: Key, court: str, *, touch: datetime | None) -> None:
        self._corpus.move_docket(key.id, court, touched=False)
        self.change(key, touch=touch)

    def add_document(self, entry: Key, document: Record) -> Key:
        """Add a document to an entry that is not touched."""
        self._corpus.add_document(entry.id, document)
        return Key("recap_documents", document["id"])

    def merge_cluster(self, gone: Key, into: Key, *, touch: datetime | None, opinions_touched: bool) -> None:
        """Merge a cluster into another one."""
        self._corpus.merge_cluster(gone.id, into.id, opinions_touched=opinions_touched, kept_touched=False)
        self.change(into, touch=touch)

    def merge_docket(self, gone: Key, into: Key, *, touched: bool) -> None:
        """Move what hangs on a docket to another one, and delete it."""
        self._corpus.merge_docket(gone.id, into.id, touched=touched)

    def seal_cluster(self, key: Key) -> None:
        """Remove a cluster and its opinions by court order (410)."""
        self._corpus.seal_cluster(key.id)

    def seal_document(self, key: Key) -> None:
        """Seal a filing: the server takes its text away without a new date."""
        self._corpus.seal_document(key.id)
