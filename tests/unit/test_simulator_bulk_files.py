"""The simulated server's bulk files: links, ranges, and no account."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from courtlistener_assets.devkit.simulator.bulk_files import BulkFiles
from courtlistener_assets.devkit.simulator.corpus import Corpus
from courtlistener_assets.devkit.simulator.responses import Request
from courtlistener_assets.download.bulk.bootstrap import TABLES

NAME = "dockets-2026-11-26.csv.bz2"


@pytest.fixture(scope="module")
def files() -> BulkFiles:
    return BulkFiles(Corpus(), lambda: datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp())


def ask(files: BulkFiles, name: str = "", **headers: str) -> tuple[int, bytes]:
    response = files.response(Request("GET", f"/bulk/{name}", headers=headers))
    return response.status, response.body


def test_its_page_links_to_all_tables_of_today(files: BulkFiles) -> None:
    status, page = ask(files)
    assert status == 200
    links = set(re.findall(r'href="/bulk/([a-z_-]+)-2026-11-26[.]csv[.]bz2"', page.decode()))
    assert links >= set(TABLES)


def test_a_range_is_a_part_of_the_file(files: BulkFiles) -> None:
    _, whole = ask(files, NAME)
    assert whole.startswith(b"BZh")
    assert ask(files, NAME, Range="bytes=3-9") == (206, whole[3:10])
    assert ask(files, NAME, Range="bytes=10-") == (206, whole[10:])
    assert ask(files, NAME, Range=f"bytes=0-{len(whole) + 9}") == (206, whole)
    assert ask(files, NAME, Range=f"bytes={len(whole)}-")[0] == 416
    assert ask(files, "people.csv.bz2")[0] == 404


def test_whoever_shows_credentials_is_refused_as_by_the_real_bucket(files: BulkFiles) -> None:
    assert ask(files, NAME, Authorization="Token of-somebody")[0] == 400
