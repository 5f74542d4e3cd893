"""A user's own opinions become dockets, clusters and opinions, or a message that says which line is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from courtlistener_assets.devkit.simulator import opinions_file
from courtlistener_assets.devkit.simulator.expected import expected
from resources.errors import SettingError
from tests.unit.wire_facts import OBJECT_TYPES

LINE = {
    "case_name": "Doe v. Roe",
    "court_id": "wash",
    "date_filed": "2018-03-15",
    "docket_number": "93381-2",
    "citation": "190 Wn. 2d 249",
    "type": "020lead",
    "field": "html_with_citations",
    "text": "<p>We affirm.</p>",
}


def write(path: Path, *lines: dict[str, Any] | str) -> Path:
    file = path / "opinions.jsonl"
    file.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return file


def test_lines_of_one_decision_share_a_cluster(tmp_path: Path) -> None:
    dissent = LINE | {"type": "040dissent", "field": "plain_text", "text": "I dissent.\n"}
    other = LINE | {"date_filed": "2019-01-02", "citation": "", "docket_number": ""}
    corpus = opinions_file.load(write(tmp_path, LINE, dissent, other, ""))
    assert (len(corpus.dockets), len(corpus.clusters), len(corpus.opinions)) == (2, 2, 3)
    first, second, third = corpus.opinions
    assert first["cluster_id"] == second["cluster_id"] != third["cluster_id"]
    assert (first["html_with_citations"], second["plain_text"]) == ("<p>We affirm.</p>", "I dissent.\n")
    cited = corpus.clusters[0]["citations"][0]
    assert (cited["volume"], cited["reporter"], cited["page"]) == ("190", "Wn. 2d", "249")
    assert corpus.clusters[1]["citations"] == []
    assert corpus.dockets[0]["docket_number"] == "93381-2"
    assert corpus.dockets[0]["date_filed"] is None


def test_the_objects_have_the_usual_shape_and_belong_to_their_month(tmp_path: Path) -> None:
    corpus = opinions_file.load(write(tmp_path, LINE))
    for endpoint in ("dockets", "clusters", "opinions"):
        assert corpus.table(endpoint)[0].keys() == OBJECT_TYPES[endpoint].keys()
    assert corpus.get("courts", "wash") is not None
    assert expected(corpus, ["wash"], "2018-03", "2018-03")["counts"] == {
        "dockets": 1,
        "clusters": 1,
        "opinions": 1,
        "docket_entries": 0,
        "recap_documents": 0,
    }


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("{not json", ["line 2", "not JSON"]),
        ("[1]", ["line 2", "expected an object"]),
        ({key: value for key, value in LINE.items() if key != "text"}, ["line 2", "text", "expected a string"]),
        (LINE | {"text": " "}, ["line 2", "text is empty"]),
        (LINE | {"court_id": 7}, ["line 2", "court_id is 7", "expected a string"]),
        (LINE | {"date_filed": "15 March 2018"}, ["line 2", "date_filed", "expected a date like 2024-05-16"]),
        (LINE | {"type": "lead"}, ["line 2", "type is 'lead'", "020lead"]),
        (LINE | {"field": "text"}, ["line 2", "field is 'text'", "plain_text"]),
    ],
)
def test_a_line_that_does_not_fit_is_named_with_its_key(
    tmp_path: Path, bad: dict[str, Any] | str, words: list[str]
) -> None:
    file = write(tmp_path, LINE, bad)
    with pytest.raises(SettingError) as caught:
        opinions_file.load(file)
    assert all(word in str(caught.value) for word in [*words, "opinions.jsonl"])


def test_a_missing_or_empty_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"nowhere\.jsonl cannot be read"):
        opinions_file.load(tmp_path / "nowhere.jsonl")
    with pytest.raises(SettingError, match="holds no opinions"):
        opinions_file.load(write(tmp_path, ""))
