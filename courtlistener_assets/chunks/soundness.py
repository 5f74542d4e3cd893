"""Soundness: how whole the text of a partition is, by document, and the few figures that its file keeps.

Belongs here: counting what a reader of the chunks would object to, and the limits from which on it is too much. Does
not belong here: what is objected to (`text/tears.py`, `text/litter.py`), what Dagster says about it
(`defs/checks/`).

Judging reads all text once more. So it is done while the chunks are made, and its result stays in the file's metadata,
where the checks find it.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from courtlistener_assets.text.litter import ends_with_heading
from courtlistener_assets.text.tears import Tears, tears_of

#: In the metadata of a file: what `Soundness.kept` returns.
SOUNDNESS = "soundness"
#: Of the breaks in prose, so many may be inside a sentence, or have a number or a stamp there.
MOST_TORN = 0.01
#: Of the chunks, so many may end with a heading.
MOST_ORPHANED = 0.002
#: Fewer faults prove nothing, however small the partition.
ENOUGH = 3
_WORST = 20


@dataclass
class Soundness:
    """Counts of a partition. `worst` has the documents with most faults: their number, `opinion:123`."""

    tears: Tears = field(default_factory=Tears)
    chunks: int = 0
    orphaned_headings: int = 0
    worst: list[tuple[int, str]] = field(default_factory=list)

    def add(self, name: str, text: str, chunks: Sequence[str]) -> None:
        """Judge the clean text of a document and its chunks, in order."""
        tears = tears_of(text)
        orphaned = sum(map(ends_with_heading, chunks[:-1]))
        self.tears += tears
        self.chunks += len(chunks)
        self.orphaned_headings += orphaned
        faults = tears.torn + tears.tabs_in_prose + tears.furniture_inside + tears.joined + orphaned
        if faults:
            heapq.heappush(self.worst, (faults, name))
            if len(self.worst) > _WORST:
                heapq.heappop(self.worst)

    @property
    def broken_share(self) -> float:
        """Tears, tabs and furniture inside sentences, as a share of the breaks in prose."""
        tears = self.tears
        broken = tears.torn + tears.tabs_in_prose + tears.furniture_inside
        return broken / max(1, tears.breaks)

    @property
    def orphaned_heading_share(self) -> float:
        """The share of chunks that end with a heading, the last of each document aside; 0.0 without any chunk."""
        return self.orphaned_headings / max(1, self.chunks)

    def kept(self) -> dict[str, str]:
        """Return what the file keeps, for `read_soundness`."""
        return {SOUNDNESS: json.dumps(asdict(self) | {"worst": sorted(self.worst, reverse=True)})}


def read_soundness(kept: str | None) -> Soundness | None:
    """Return what a file has kept; None if it was made before that was measured."""
    if kept is None:
        return None
    found = json.loads(kept)
    worst = [(faults, name) for faults, name in found.pop("worst")]
    return Soundness(**found | {"tears": Tears(**found["tears"]), "worst": worst})
