"""Rows about documents, from the store or from bulk files -> documents to chunk.

Belongs here: what a document takes from its decision and its docket. Does not belong here: where rows come from
(`resources/records/store.py`, `download/bulk/corpus/documents.py`), kinds of documents (`streams.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from courtlistener_assets.chunks.document import Document, DocumentKind


def documents_of(
    rows: Iterable[Mapping[str, Any]], kinds: Mapping[str, DocumentKind], court: str, court_name: str
) -> Iterator[Document]:
    """The documents of a court; a row is as `RecordStore.documents` gives it."""
    for row in rows:
        cluster, docket, body = row["cluster"] or {}, row["docket"] or {}, row["body"]
        kind = kinds[row["kind"]]
        yield Document(
            kind=kind,
            body=body,
            docket_id=row["docket_id"],
            cluster_id=row["cluster_id"],
            court_id=court,
            court_name=court_name,
            case_name=cluster.get("case_name") or docket.get("case_name") or body.get("case_name") or "",
            docket_number=docket.get("docket_number") or "",
            date_filed=kind.date(row),
            precedential_status=cluster.get("precedential_status") or "",
            citations=tuple(
                f"{each.get('volume')} {each.get('reporter')} {each.get('page')}"
                for each in cluster.get("citations") or []
            ),
            author=body.get("author_str") or "",
        )
