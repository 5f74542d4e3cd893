"""Citations of a chunk, found by eyecite once for each text."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from courtlistener_assets.chunks import citations
from courtlistener_assets.chunks.citations import FINDER, CitationFinder, CitedCluster, KnownCitations
from courtlistener_assets.chunks.document import Document
from courtlistener_assets.chunks.rows import Tally, partition_rows
from courtlistener_assets.chunks.table import write_partition
from courtlistener_assets.download.streams import OPINION
from resources.errors import SettingError

HASH = "ab" * 32


def test_full_citations_are_found_across_lines_once_each_and_in_order() -> None:
    pytest.importorskip("eyecite")
    text = "See Roe v. Wade, 410 U. S.\n113 (1973); 42 U.S.C. § 1983. Id. at 3. Roe, 410 U.S., at 120. 410 U.S. 113."
    assert citations.find(text) == ["410 U.S. 113", "42 U.S.C. § 1983"]


def test_a_text_without_citations_has_none() -> None:
    pytest.importorskip("eyecite")
    assert citations.find("The judgment is affirmed.") == []


def write(path: Path, texts: list[str], finder: str = "finder 1") -> None:
    documents = [
        Document(kind=OPINION, body={"id": id, "plain_text": text}, docket_id=1, court_id="ca9")
        for id, text in enumerate(texts, 1)
    ]
    rows = partition_rows(documents, Tally(), find_citations=lambda text, content_hash: [text.upper()])
    write_partition(rows, path, rows_a_group=2, metadata={FINDER: finder})


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_file_knows_the_citations_of_its_texts(tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(7)]
    write(tmp_path / "chunks.parquet", [*texts, texts[0]])
    with KnownCitations.of_file(tmp_path / "chunks.parquet", "finder 1") as known:
        assert {text: known.of(hash_of(text)) for text in texts} == {text: [text.upper()] for text in texts}
        assert known.of(HASH) is None


def test_another_version_of_the_finder_knows_nothing(tmp_path: Path) -> None:
    write(tmp_path / "chunks.parquet", ["text"], "finder 2")
    with KnownCitations.of_file(tmp_path / "chunks.parquet", "finder 1") as known:
        assert known.of(hash_of("text")) is None


def test_without_a_file_nothing_is_known(tmp_path: Path) -> None:
    with KnownCitations.of_file(tmp_path / "absent.parquet", "finder 1") as known:
        assert known.of(HASH) is None


def test_a_damaged_file_knows_nothing_and_fails_nothing(tmp_path: Path) -> None:
    write(tmp_path / "chunks.parquet", ["One. 410 U.S. 113."])
    place = pq.read_metadata(tmp_path / "chunks.parquet").row_group(0).column(1).data_page_offset
    content = bytearray((tmp_path / "chunks.parquet").read_bytes())
    content[place : place + 20] = bytes(20)
    (tmp_path / "chunks.parquet").write_bytes(content)
    with KnownCitations.of_file(tmp_path / "chunks.parquet", "finder 1") as known:
        assert known.of(hash_of("One. 410 U.S. 113.")) is None


def test_without_eyecite_the_option_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise ImportError(name)

    monkeypatch.setattr(citations, "version", absent)
    with pytest.raises(SettingError, match="eyecite"):
        CitationFinder()


#: Which stored clusters have a citation, as the store would say.
STORED = {
    "1 U.S. 1": [CitedCluster(10, frozenset({101}))],
    "2 U.S. 2": [CitedCluster(20, frozenset({201})), CitedCluster(21, frozenset({211}))],
    "3 U.S. 3": [CitedCluster(30, frozenset())],
}


def resolved(*texts: str, asked: list[list[str]] | None = None, **body: object) -> list[list[int]]:
    documents = [
        Document(kind=OPINION, body={"id": id, "plain_text": text, **body}, docket_id=id, cluster_id=30, court_id="ca9")
        for id, text in enumerate(texts, 1)
    ]

    def find_clusters(citations: Sequence[str]) -> Mapping[str, Sequence[CitedCluster]]:
        if asked is not None:
            asked.append(list(citations))
        return STORED

    rows = partition_rows(
        documents,
        Tally(),
        find_citations=lambda text, content_hash: text.strip(".").split(", "),
        find_clusters=find_clusters,
    )
    return [row["cites_clusters"] for row in rows]


def test_citations_resolve_to_the_only_cluster_that_has_them() -> None:
    assert resolved("1 U.S. 1, 9 U.S. 9, 1 U.S. 1.") == [[10]]


def test_of_several_clusters_the_one_counts_that_the_opinion_is_said_to_cite() -> None:
    assert resolved("2 U.S. 2.") == [[]]
    assert resolved("2 U.S. 2.", opinions_cited=["https://example.test/api/rest/v4/opinions/211/"]) == [[21]]
    assert resolved("2 U.S. 2.", opinions_cited=["/opinions/201/", "/opinions/211/"]) == [[]]
    assert resolved("2 U.S. 2.", opinions_cited="/opinions/201/") == [[]]


def test_a_decision_does_not_cite_itself() -> None:
    assert resolved("3 U.S. 3, 1 U.S. 1.") == [[10]]


def test_citations_of_many_documents_are_looked_up_at_once() -> None:
    asked: list[list[str]] = []
    texts = [f"{number} U.S. 1." for number in range(700)]
    assert len(resolved(*texts, asked=asked)) == len(texts)
    assert [len(each) for each in asked] == [500, 200]
    assert resolved(asked=asked) == []
    assert len(asked) == 2


def test_citations_that_are_not_looked_up_resolve_to_nothing_known() -> None:
    document = Document(kind=OPINION, body={"id": 1, "plain_text": "1 U.S. 1."}, docket_id=1, court_id="ca9")
    (row,) = partition_rows([document], Tally(), find_citations=lambda text, content_hash: [text])
    assert (row["cites"], row["cites_clusters"]) == (["1 U.S. 1."], None)
