"""Made-up filings: docket entries and their RECAP documents.

Belongs here: what is filed. Does not belong here: dockets (`generator.py`) and decisions (`decisions.py`).
"""

from __future__ import annotations

import hashlib
from datetime import date, datetime, timedelta

from courtlistener_assets.devkit.simulator import prose, shapes
from courtlistener_assets.devkit.simulator.corpus import Corpus
from courtlistener_assets.devkit.simulator.draws import Draws
from courtlistener_assets.devkit.simulator.markup import plain_text
from courtlistener_assets.devkit.simulator.pacific import pacific_text
from courtlistener_assets.devkit.simulator.shapes import Record


def add_entries(corpus: Corpus, draws: Draws, docket: Record, count: int) -> None:
    """Entries of a docket, numbered from 1, about three a day; most with one document, some with none or several."""
    filed = date.fromisoformat(docket["date_filed"])
    for number in range(1, count + 1):
        day = filed + timedelta(days=(number - 1) // 3)
        entry_id, moment = draws.next_id("docket-entries"), draws.moment(day)
        documents = draws.chance.choices((0, 1, 2, 4), (20, 60, 15, 5))[0]
        entry = shapes.docket_entry(
            entry_id, docket["id"], moment, date_filed=day.isoformat(), entry_number=number,
            recap_sequence_number=f"{day.isoformat()}.{number:03d}", description=prose.sentence(draws.chance),
            recap_documents=[_document(draws, docket, number, part, moment) for part in range(documents)],
        )  # fmt: skip
        corpus.add("docket-entries", entry)


def _document(draws: Draws, docket: Record, number: int, part: int, moment: datetime) -> Record:
    """The main document (part 0) or an attachment; four in ten are available with their text."""
    chance, document_id = draws.chance, draws.next_id("recap-documents")
    document = shapes.recap_document(
        document_id, moment, document_number=str(number), attachment_number=part or None,
        document_type=2 if part else 1, pacer_doc_id=f"127{docket['id']:07d}{document_id:05d}",
        absolute_url=f"/docket/{docket['id']}/{number}/{docket['slug']}/", description=prose.sentence(chance),
    )  # fmt: skip
    if chance.random() < 0.4:
        text = plain_text(prose.paragraphs(chance, chance.randrange(600, 3_000)))
        document.update(
            is_available=True, plain_text=text, ocr_status=chance.choice((1, 3)), page_count=1 + len(text) // 3000,
            sha1=hashlib.sha1(text.encode()).hexdigest(), date_upload=pacific_text(moment),
        )  # fmt: skip
    return document
