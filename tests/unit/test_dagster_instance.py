"""A dagster.yaml that is wrong is told in words, by all commands that open the instance."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from courtlistener_assets.cli import main
from courtlistener_assets.defs.bootstrap_command import fill
from courtlistener_assets.settings import Settings
from resources.errors import SettingError

WRONG = {
    "no YAML": ("telemetry: [oops", "expected ',' or ']'"),
    "an unknown entry": ("nonsense: {a: 1}", 'unexpected config entry "nonsense"'),
    "a variable that is not set": (
        "storage: {postgres: {postgres_url: {env: DAGSTER_POSTGRES_URL}}}",
        "names the variable DAGSTER_POSTGRES_URL, which is not set",
    ),
}


@pytest.fixture(params=WRONG.values(), ids=list(WRONG))
def wrong(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is said of an instance that cannot be opened."""
    text, said = request.param
    (tmp_path / "dagster.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAGSTER_POSTGRES_URL", raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("POSTGRES_URL", "postgresql://127.0.0.1:1/nowhere")
    return str(said)


def test_watch_says_what_is_wrong_with_the_instance(wrong: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["watch", "--once"])
    assert done.exit_code == 1
    assert done.output.startswith(f"Error: The instance of Dagster in {tmp_path} cannot be opened: ")
    assert wrong in done.output


def test_a_bootstrap_does_so_before_it_reads_anything(wrong: str, tmp_path: Path) -> None:
    plan: Any = SimpleNamespace(bytes_a_second=1.0)
    with pytest.raises(SettingError, match="cannot be opened") as refused:
        fill(plan, Settings.from_environ({}), {"DAGSTER_HOME": str(tmp_path)}, print)
    assert wrong in str(refused.value)
