"""What the server's own code does to its objects, and when that becomes visible.

Belongs here: changes of several objects at once, changes that are committed late, a replica that lags. Does not belong
here: storage (`objects.py`), how objects are made up (`generator.py`, `opinions_file.py`) or asked for (`filters.py`).

A date moves only where it is said: `touched` speaks of the object that moves, and parents never notice.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from courtlistener_assets.devkit.simulator.objects import Key, Objects
from courtlistener_assets.devkit.simulator.shapes import ORIGIN, redirection


class Corpus(Objects):
    """All objects of the server, and its changes to them."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock)
        self._held: list[tuple[datetime, Callable[[], Any]]] = []
        self._replica: Objects | None = None

    # --- time that is not kind

    def hold(self, change: Callable[..., object], *arguments: Any, **options: Any) -> None:
        """Make a change that is committed late: it has the date of now, and nobody sees it before `release`.

        `corpus.hold(corpus.touch, "opinions", 7, html="<p>Affirmed.</p>")`
        """
        self._held.append((self.now(), functools.partial(change, *arguments, **options)))

    def release(self) -> None:
        """Commit the changes that are held, in their order.

        Raises what a change raises, which is then held no more; those after it still are.
        """
        with self.lock:
            while self._held:
                self._moment, change = self._held.pop(0)
                try:
                    change()
                finally:
                    self._moment = None

    def lag(self) -> None:
        """Answer from a replica that hears of no change from now on."""
        self._replica = self.snapshot()

    def replicate(self) -> None:
        """Let the replica hear of everything: it lags no more."""
        self._replica = None

    @property
    def served(self) -> Objects:
        """What requests are answered from."""
        return self._replica or self

    # --- other parents, other dates

    def move_docket(self, docket_id: int, court_id: str, *, touched: bool = True) -> None:
        self.move("dockets", docket_id, court_id, touched=touched)

    def date_docket(self, docket_id: int, day: str | None, *, touched: bool = True) -> None:
        """Change `date_filed`, `2024-01-31` or None."""
        (self.touch if touched else self.update)("dockets", docket_id, date_filed=day)

    def move_cluster(self, cluster_id: int, docket_id: int, *, touched: bool = True) -> None:
        self.move("clusters", cluster_id, docket_id, touched=touched)

    def date_cluster(self, cluster_id: int, day: str, *, touched: bool = True) -> None:
        """Change `date_filed`, `2024-01-31`; a decision always has one."""
        (self.touch if touched else self.update)("clusters", cluster_id, date_filed=day)

    def move_opinion(self, opinion_id: int, cluster_id: int, *, touched: bool = True) -> None:
        self.move("opinions", opinion_id, cluster_id, touched=touched)

    def move_entry(self, entry_id: int, docket_id: int, *, touched: bool = True) -> None:
        self.move("docket-entries", entry_id, docket_id, touched=touched)

    def move_document(self, document_id: int, entry_id: int, *, touched: bool = True) -> None:
        self.move("recap-documents", document_id, entry_id, touched=touched)

    # --- merges

    def merge_cluster(
        self, deleted_id: int, into_id: int, *, opinions_touched: bool = True, kept_touched: bool = False
    ) -> None:
        """Merge one cluster into another: its opinions move, and its address redirects (301) from now on.

        The cluster that is kept names the other one in its body; its date moves only with its own metadata.
        """
        with self.lock:
            self._check_merge("clusters", deleted_id, into_id)
            for opinion in self.children("opinions", "cluster", deleted_id):
                self.move_opinion(opinion["id"], into_id, touched=opinions_touched)
            earlier = [former for former, target in self.redirections.items() if target == deleted_id]
            self.delete("clusters", deleted_id)
            for former in (*earlier, deleted_id):
                self._redirect(former, into_id, self.now())
            (self.touch if kept_touched else self.update)("clusters", into_id)

    def merge_docket(self, deleted_id: int, into_id: int, *, touched: bool = True) -> None:
        """Merge one docket into another: all that hangs on it moves, and it is deleted (404)."""
        with self.lock:
            self._check_merge("dockets", deleted_id, into_id)
            for endpoint in ("clusters", "docket-entries", "audio"):
                for record in self.children(endpoint, "docket", deleted_id):
                    self.move(endpoint, record["id"], into_id, touched=touched)
            self.delete("dockets", deleted_id)

    def _check_merge(self, endpoint: str, deleted_id: int, into_id: int) -> None:
        """Raise KeyError if one of the two does not exist, ValueError if they are the same."""
        if self._tables[endpoint][deleted_id] is self._tables[endpoint][into_id]:
            raise ValueError(f"{endpoint} {deleted_id} cannot be merged into itself")

    def add_redirection(self, deleted_id: int, into_id: int, *, modified: datetime) -> None:
        """Let the address of a cluster that does not exist redirect to one that was touched for it."""
        with self.lock:
            self._redirect(deleted_id, into_id, modified)
            self.touch("clusters", into_id, modified=modified)

    def _redirect(self, deleted_id: int, into_id: int, moment: datetime) -> None:
        entries: list[Any] = self._tables["clusters"][into_id]["cluster_redirections"]
        entries.append(redirection(deleted_id, moment))
        self.redirections[deleted_id] = into_id

    # --- what disappears

    def delete(self, endpoint: str, key: Key) -> None:
        """Delete an object with all that hangs on it (404); nothing's date moves, and nothing redirects to it."""
        with self.lock:
            super().delete(endpoint, key)
            if endpoint == "clusters":
                self.redirections = {former: into for former, into in self.redirections.items() if into != key}

    def seal_cluster(self, cluster_id: int, *, with_empty_docket: bool = False) -> None:
        """Remove a cluster and its opinions by court order (410); nothing's date moves.

        `with_empty_docket`: its docket goes, too (404), if nothing else hangs on it, as by the server's own button.
        """
        with self.lock:
            docket_id = self._tables["clusters"][cluster_id]["docket_id"]
            self.delete("clusters", cluster_id)
            self.sealed.append(cluster_id)
            hanging = (self.children(name, "docket", docket_id) for name in ("clusters", "docket-entries", "audio"))
            if with_empty_docket and not any(hanging):
                self.delete("dockets", docket_id)

    def seal_document(self, document_id: int, *, touched: bool = False) -> None:
        """Take the text of a document away by court order; the object stays.

        `touched`: its date moves, as it does when the server's own button saves it.
        """
        nothing: dict[str, Any] = {
            "plain_text": "", "sha1": "", "filepath_local": None, "filepath_ia": "", "page_count": None,
            "file_size": None, "date_upload": None, "ocr_status": None, "ia_upload_failure_count": None,
            "thumbnail": None, "thumbnail_status": 0, "is_available": False,
        }  # fmt: skip
        (self.touch if touched else self.update)("recap-documents", document_id, is_sealed=True, **nothing)


def as_served(text: str, base_url: str) -> str:
    """Return stored JSON as a client sees it that asked `base_url` (`http://127.0.0.1:8000`)."""
    return text.replace(ORIGIN, base_url)
