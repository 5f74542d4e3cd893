"""What others have written stays text in the tables that the UI shows."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from courtlistener_assets.defs.assets.failed_dockets import failures_table
from courtlistener_assets.defs.markdown import Link, table
from resources.backlog.failure_entries import OpenFailure


def cell(value: object) -> str:
    return table({"case": lambda row: row}, [value]).splitlines()[-1]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("[Roe v. Wade](https://evil.example)", "\\[Roe v. Wade\\](https://\u2060evil.example)"),
        ("![](//evil.example/a.png)", "!\\[\\](//evil.example/a.png)"),
        ("<https://evil.example>", "&lt;https://\u2060evil.example>"),
        ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)>"),
        ("In re www.evil.example", "In re www\u2060.evil.example"),
        ("In re WWW.EVIL.EXAMPLE", "In re WWW\u2060.EVIL.EXAMPLE"),
        ("clerk@evil.example", "clerk@\u2060evil.example"),
        ("a | b\\| c", "a \\| b\\\\\\| c"),
        ("*bold* _it_ `code` ~~gone~~", "\\*bold\\* \\_it\\_ \\`code\\` \\~\\~gone\\~\\~"),
        ("two\nlines", "two lines"),
        ("&#91;x&#93;", "\\&#91;x\\&#93;"),
        ("docket_entries 17: O'Brien & Co. (No. 2)", "docket_entries 17: O'Brien \\& Co. (No. 2)"),
    ],
)
def test_a_cell_shows_what_was_written_and_links_nowhere(written: str, shown: str) -> None:
    assert cell(written) == f"| {shown} |"


def test_only_our_own_links_are_links() -> None:
    link = Link("clusters [9](x)", "https://www.courtlistener.com/opinion/9/")
    assert cell(link) == "| [clusters \\[9\\](x)](https://www.courtlistener.com/opinion/9/) |"


def test_a_long_text_is_cut_before_it_is_escaped() -> None:
    assert cell("[" * 200) == "| " + "\\[" * 159 + "… |"


def test_a_failed_docket_with_a_link_in_its_name_has_none_in_the_table() -> None:
    now = datetime(2024, 1, 31, tzinfo=UTC)
    failure = OpenFailure(
        error="UnusableRecord",
        message="[Roe](//x.y) v. <b>Wade</b>",
        docket_id=17,
        id=1,
        asset="dockets",
        partition="scotus|2024-01-01",
        sweep="filed",
        tries=1,
        first_at=now,
        last_at=now,
        due_at=now,
    )
    row = failures_table([failure]).splitlines()[-1]
    assert row.startswith("| 1: dockets docket 17 | UnusableRecord: \\[Roe\\](//x.y) v. &lt;b>Wade&lt;/b> |")
