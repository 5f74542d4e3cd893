"""Whose record of a running session is believed, and what of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from courtlistener_assets.cli import main
from courtlistener_assets.operations.running_session import (
    HOME,
    LOCK,
    RECORD,
    inside_session,
    is_shared,
    running_session,
    take,
    with_session,
    write_session,
)
from resources.courtlistener.token import account_of
from resources.errors import NoSession, UntrustedSession

ADDED = {"POSTGRES_URL": "postgresql://127.0.0.1:5/a?b='c'", "REDIS_URL": "redis://127.0.0.1:6/0"}


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The record of a session that somebody holds in the current directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / HOME).mkdir()
    with (tmp_path / HOME / LOCK).open("ab") as lock:
        assert take(lock)
        write_session(tmp_path / HOME / RECORD, ADDED)
        yield tmp_path / HOME / RECORD


def test_the_variables_of_a_running_session_are_found(record: Path) -> None:
    assert all(map(is_shared, ADDED))
    assert running_session(record.parents[1]) == ADDED
    shown = CliRunner().invoke(main, ["env"])
    assert shown.output.splitlines() == [
        "export POSTGRES_URL='postgresql://127.0.0.1:5/a?b='\"'\"'c'\"'\"''",
        "export REDIS_URL=redis://127.0.0.1:6/0",
    ]


def test_a_name_that_no_session_adds_is_not_printed(record: Path) -> None:
    write_session(
        record,
        {**ADDED, "LD_PRELOAD": "/tmp/evil.so", "X; touch /tmp/pwned; Y": "1", "PATH": "/tmp", "REDIS_X; id": "1"},
    )
    assert running_session(record.parents[1]) == ADDED
    assert "evil" not in CliRunner().invoke(main, ["env"]).output


def test_a_record_that_others_may_write_is_refused(record: Path) -> None:
    for mode in (0o620, 0o602):
        record.chmod(mode)
        refused = CliRunner().invoke(main, ["env"])
        assert refused.exit_code == 1
        assert "must belong to you" in refused.output
        assert "POSTGRES_URL" not in refused.output
    record.chmod(0o600)
    assert running_session(record.parents[1]) == ADDED


def test_a_record_of_another_user_is_refused(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: record.stat().st_uid + 1)
    with pytest.raises(UntrustedSession, match="must belong to you"):
        running_session(record.parents[1])


def test_nothing_is_found_where_nobody_holds_the_session(record: Path, tmp_path: Path) -> None:
    with pytest.raises(NoSession):
        running_session(tmp_path / "elsewhere")
    left = tmp_path / "left" / HOME
    left.mkdir(parents=True)
    (left / LOCK).touch()
    (left / RECORD).write_text(json.dumps(ADDED))
    with pytest.raises(NoSession):
        running_session(left.parent)


TOKEN, FILE, ACCOUNT, URL = (f"COURTLISTENER_{name}" for name in ("API_TOKEN", "API_TOKEN_FILE", "ACCOUNT", "BASE_URL"))
FIRM = {ACCOUNT: "firm", "account_of_token": account_of("firm's")}


@pytest.mark.parametrize(
    ("told", "own", "expected"),
    [
        pytest.param(FIRM, {}, {ACCOUNT: "firm"}, id="no token, so what is looked at is the session's account"),
        pytest.param(FIRM, {TOKEN: "firm's"}, {TOKEN: "firm's", ACCOUNT: "firm"}, id="the same token"),
        pytest.param(FIRM, {TOKEN: "mine"}, {TOKEN: "mine"}, id="another token is of another account"),
        pytest.param(FIRM, {FILE: "/mine"}, {FILE: "/mine"}, id="another file"),
        pytest.param({**FIRM, FILE: "/firm"}, {FILE: "/firm"}, {FILE: "/firm", ACCOUNT: "firm"}, id="the same file"),
        pytest.param({**FIRM, FILE: "/firm"}, {TOKEN: "mine"}, {TOKEN: "mine"}, id="a token in place of a file"),
        pytest.param(FIRM, {TOKEN: "mine", ACCOUNT: "me"}, {TOKEN: "mine", ACCOUNT: "me"}, id="with its account"),
    ],
)
def test_a_token_is_never_counted_for_the_account_of_another_one(
    record: Path, told: dict[str, str], own: dict[str, str], expected: dict[str, str]
) -> None:
    write_session(record, told)
    assert with_session(own) == inside_session(record.parents[1], own) == expected


def test_a_token_for_courtlistener_does_not_go_to_the_simulator_of_a_session(record: Path) -> None:
    simulated = {URL: "http://127.0.0.1:9", TOKEN: "simulated", FILE: "", ACCOUNT: "simulator"}
    write_session(record, simulated)
    for own in ({TOKEN: "real"}, {FILE: "/real", ACCOUNT: "me"}):
        assert with_session(own) == inside_session(record.parents[1], own) == simulated
    there = {TOKEN: "real", URL: "https://www.courtlistener.com"}
    assert with_session(there) == there
    assert inside_session(record.parents[1], there) == simulated


def test_only_this_user_may_read_the_record(record: Path) -> None:
    record.chmod(0o644)
    write_session(record, ADDED)
    assert record.stat().st_mode & 0o777 == 0o600


def test_a_record_that_is_being_written_counts_as_starting(record: Path) -> None:
    record.write_text('{"POSTG')
    with pytest.raises(NoSession, match="starting"):
        running_session(record.parents[1])
