"""Made-up decisions: clusters and their opinions, the hard ones included.

Belongs here: what is decided. Does not belong here: dockets (`generator.py`) and filings (`filings.py`).
"""

from __future__ import annotations

import hashlib
from datetime import date, datetime, timedelta

from courtlistener_assets.devkit.simulator import prose, shapes
from courtlistener_assets.devkit.simulator.corpus import Corpus
from courtlistener_assets.devkit.simulator.draws import Draws
from courtlistener_assets.devkit.simulator.markup import TEXT_FIELDS, html_pre, plain_text
from courtlistener_assets.devkit.simulator.shapes import Record

#: Of prose; the markup makes it about 120,000.
_LONG_CHARACTERS = 112_000
_USUAL_CHARACTERS = (1_500, 9_000)
_FIELD_WEIGHTS = {"html_with_citations": 40, "xml_harvard": 12, "html_columbia": 8, "html_lawbox": 8,
                  "html_anon_2020": 6, "html": 8, "plain_text": 18}  # fmt: skip
_BLANKS = (" \n\t\n ", "\f", "\u00a0 \n")
_TEXTLESS, _VERSIONS = 3, 5
_MERGED, _SEALED = (900_001, 900_003, 900_005), (900_002, 900_004)


def add_cluster(corpus: Corpus, draws: Draws, docket: Record, day: date) -> None:
    """A decision of a day with one to three opinions."""
    chance, moment, cluster_id = draws.chance, draws.moment(day), draws.next_id("clusters")
    cited = shapes.citation(str(chance.randrange(90, 120)), "F.4th", str(chance.randrange(1, 1400)), moment)
    cluster = shapes.cluster(
        cluster_id, docket["id"], docket["case_name"], moment,
        date_filed=day.isoformat(), judges=f"{prose.surname(chance)}, {prose.surname(chance)}",
        case_name_short=docket["case_name_short"], citations=[cited] if chance.random() < 0.7 else [],
        citation_count=chance.randrange(0, 40),
        precedential_status="Published" if chance.random() < 0.8 else "Unpublished",
    )  # fmt: skip
    corpus.add("clusters", cluster)
    luck = chance.random()
    types = ["010combined"] if luck < 0.72 else ["020lead", "040dissent"]
    for opinion_type in types + (["030concurrence"] if luck > 0.9 else []):
        _add_opinion(corpus, draws, cluster, moment, type=opinion_type)


def _add_opinion(corpus: Corpus, draws: Draws, cluster: Record, moment: datetime, **changes: object) -> None:
    chance, opinion_id = draws.chance, draws.next_id("opinions")
    field = chance.choices(list(_FIELD_WEIGHTS), list(_FIELD_WEIGHTS.values()))[0]
    write = html_pre if field == "html_with_citations" and chance.random() < 0.3 else TEXT_FIELDS[field]
    text = write(prose.paragraphs(chance, chance.randrange(*_USUAL_CHARACTERS)))
    opinion = shapes.opinion(
        opinion_id, cluster["id"], moment, absolute_url=cluster["absolute_url"],
        author_str=prose.surname(chance), page_count=1 + len(text) // 3000,
        local_path=f"pdf/{moment:%Y/%m/%d}/op_{opinion_id}.pdf",
        download_url=f"https://courts.example/opinions/{opinion_id}.pdf",
    )  # fmt: skip
    _set_text(opinion, **{field: text})
    corpus.add("opinions", opinion | changes)


def _set_text(opinion: Record, **texts: str) -> None:
    """Leave the opinion with these texts only."""
    opinion.update(dict.fromkeys(TEXT_FIELDS, "") | texts)
    opinion["sha1"] = hashlib.sha1("".join(texts.values()).encode()).hexdigest()


def harden(corpus: Corpus, draws: Draws) -> None:
    """Change some opinions into hard ones, among them one of about 120,000 characters for each text field."""
    opinions = corpus.opinions
    hard = iter(opinions[3 :: max(1, len(opinions) // 20)])
    for field, write in TEXT_FIELDS.items():
        long = prose.paragraphs(draws.chance, _LONG_CHARACTERS)
        _set_text(next(hard, opinions[0]), **{field: write(long)})
    for blank in _BLANKS:
        text = plain_text(prose.paragraphs(draws.chance, 3_000))
        _set_text(next(hard, opinions[0]), html_with_citations=blank, plain_text=text)
    for _ in range(_TEXTLESS):
        _set_text(next(hard, opinions[0]))
    for _ in range(_VERSIONS):
        _add_version(corpus, draws, next(hard, opinions[0]))


def _add_version(corpus: Corpus, draws: Draws, latest: Record) -> None:
    """An earlier version of an opinion, which points to the latest one."""
    cluster = corpus.get("clusters", latest["cluster_id"])
    if cluster is not None:
        moment = draws.moment(date.fromisoformat(cluster["date_filed"]))
        _add_opinion(corpus, draws, cluster, moment, main_version=latest["resource_uri"], type=latest["type"])


def add_gone_clusters(corpus: Corpus, draws: Draws) -> None:
    """Addresses of clusters that were merged into others, and of sealed ones."""
    clusters = corpus.clusters
    for deleted_id in _MERGED:
        into = draws.chance.choice(clusters)
        moment = draws.moment(date.fromisoformat(into["date_filed"])) + timedelta(days=30)
        corpus.add_redirection(deleted_id, into["id"], modified=moment)
    corpus.sealed.extend(_SEALED)
