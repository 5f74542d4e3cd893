"""Real documents beside the checkout, if there are any: what the benchmark reads instead of generated opinions.

Belongs here: finding and reading them, and their chunks by this or another version of the project. Does not belong
here: what is measured.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: This version of the project.
HERE = Path(__file__).resolve().parents[2]
#: One JSON object a line: id, kind, field, doc_type, text.
DOCUMENTS = HERE.parent / "shared" / "documents" / "documents.jsonl.gz"

#: Run with one version first on the path; reads and writes one JSON value a line.
_CHUNKS = """
import json, sys
from courtlistener_assets.chunks.chunking import chunk
from courtlistener_assets.text.cleaning import clean
for line in sys.stdin:
    cleaned = clean(*json.loads(line))
    more = {"footnotes": cleaned.footnote_spans} if hasattr(cleaned, "footnote_spans") else {}
    print(json.dumps([part.text for part in chunk(cleaned.text, **more)]))
"""


@dataclass(frozen=True)
class RealDocument:
    """A document as it was found: `field` is the API's field that would hold `value`, `kind` where it is from."""

    id: str
    kind: str
    field: str
    doc_type: str
    value: str

    @property
    def shape(self) -> str:
        """Documents of one shape have the same faults."""
        return f"{self.kind}, {self.field}"


def real_documents(path: Path = DOCUMENTS) -> list[RealDocument]:
    """Return all of them; none if the file is not there."""
    if not path.exists():
        return []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines]
    return [RealDocument(each["id"], each["kind"], each["field"], each["doc_type"], each["text"]) for each in found]


def chunks_by(root: Path, documents: Sequence[RealDocument]) -> list[list[str]]:
    """Return the chunks that the version of the project at `root` makes of each, in a process of its own.

    Joined, they are the clean text of the document.
    """
    given = "".join(json.dumps([document.value, document.field]) + "\n" for document in documents)
    done = subprocess.run(
        [sys.executable, "-c", _CHUNKS],
        env={**os.environ, "PYTHONPATH": str(root.resolve())},
        cwd=root,
        input=given,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]
