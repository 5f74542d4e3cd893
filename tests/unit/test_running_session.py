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
    NAMES,
    RECORD,
    running_session,
    take,
    write_session,
)
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
    assert set(ADDED) <= NAMES
    assert running_session(record.parents[1]) == ADDED
    shown = CliRunner().invoke(main, ["env"])
    assert shown.output.splitlines() == [
        "export POSTGRES_URL='postgresql://127.0.0.1:5/a?b='\"'\"'c'\"'\"''",
        "export REDIS_URL=redis://127.0.0.1:6/0",
    ]


def test_a_name_that_no_session_adds_is_not_printed(record: Path) -> None:
    write_session(record, {**ADDED, "LD_PRELOAD": "/tmp/evil.so", "X; touch /tmp/pwned; Y": "1", "PATH": "/tmp"})
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


def test_a_record_that_is_being_written_counts_as_starting(record: Path) -> None:
    record.write_text('{"POSTG')
    with pytest.raises(NoSession, match="starting"):
        running_session(record.parents[1])
