"""The command `courtlistener`: what it says when something is wrong, and how it hands on."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from courtlistener_assets.operations.running_session import is_shared


def courtlistener(
    *arguments: str, cwd: Path, environ: Mapping[str, str], **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    return subprocess.run(
        ["courtlistener", *arguments],
        cwd=cwd,
        env={**environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_every_subcommand_explains_itself(checkout: Path, stranger_environ: Mapping[str, str]) -> None:
    shown = courtlistener("--help", cwd=checkout, environ=stranger_environ).stdout
    for name in (
        "bootstrap",
        "corpus",
        "courts",
        "demo",
        "dev",
        "doctor",
        "env",
        "metrics",
        "migrate",
        "requeue",
        "run",
        "status",
    ):
        assert name in shown
        explained = courtlistener(name, "--help", cwd=checkout, environ=stranger_environ)
        assert explained.returncode == 0
        assert f"courtlistener {name}" in explained.stdout


def test_a_wrong_setting_is_named_with_what_was_expected(checkout: Path, stranger_environ: Mapping[str, str]) -> None:
    ended = courtlistener("run", "true", cwd=checkout, environ=stranger_environ, COURTLISTENER_COURTS="SCOTUS")
    assert ended.returncode == 1
    assert "COURTLISTENER_COURTS" in ended.stderr
    assert "did you mean scotus" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_env_says_what_to_do_when_nothing_runs(checkout: Path, stranger_environ: Mapping[str, str]) -> None:
    ended = courtlistener("env", cwd=checkout, environ=stranger_environ)
    assert ended.returncode == 1
    assert "courtlistener dev" in ended.stderr


def test_migrate_makes_the_tables_once(checkout: Path, stranger_environ: Mapping[str, str]) -> None:
    drop = (
        "import os, psycopg; "
        "psycopg.connect(os.environ['POSTGRES_URL'], autocommit=True).execute('DROP SCHEMA courtlistener CASCADE')"
    )
    script = f'python -c "{drop}" && courtlistener migrate && courtlistener migrate'
    ended = courtlistener("run", "sh", "-c", script, cwd=checkout, environ=stranger_environ)
    assert ended.returncode == 0, ended.stderr
    first, of_dagster, second, again = ended.stdout.splitlines()
    assert first.startswith("Applied: 0001_")
    assert second == "Applied: nothing, the tables are up to date."
    assert of_dagster == again == "Dagster's tables lie in the schema dagster."


def test_run_gives_a_command_the_servers_and_returns_its_status(
    checkout: Path, stranger_environ: Mapping[str, str]
) -> None:
    script = (
        "import os, sys, psycopg, redis; "
        "psycopg.connect(os.environ['POSTGRES_URL']).execute('SELECT * FROM courtlistener.records'); "
        "redis.Redis.from_url(os.environ['REDIS_URL']).ping(); "
        "print(os.environ['COURTLISTENER_BASE_URL'], os.environ['DAGSTER_HOME']); "
        "sys.exit(7)"
    )
    ended = courtlistener("run", "python", "-c", script, cwd=checkout, environ=stranger_environ)
    assert ended.returncode == 7, ended.stderr
    assert ended.stdout.startswith("http://127.0.0.1:")
    assert ended.stdout.rstrip().endswith(str(checkout.resolve() / ".dagster"))


def test_a_command_inside_run_finds_the_running_session(checkout: Path, stranger_environ: Mapping[str, str]) -> None:
    nested = 'courtlistener run sh -c "echo $POSTGRES_URL" && courtlistener env && echo $POSTGRES_URL'
    ended = courtlistener("run", "sh", "-c", nested, cwd=checkout, environ=stranger_environ)
    first, *exports, last = ended.stdout.splitlines()
    assert first == last
    assert f"export POSTGRES_URL={last}" in exports
    named = {line.removeprefix("export ").partition("=")[0] for line in exports}
    assert named >= {
        "REDIS_URL",
        "DAGSTER_HOME",
        "DAGSTER_POSTGRES_URL",
        "COURTLISTENER_ACCOUNT",
        "COURTLISTENER_FIRST_MONTH",
    }
    assert all(map(is_shared, named))


def test_a_command_that_does_not_exist_is_named(checkout: Path, stranger_environ: Mapping[str, str]) -> None:
    ended = courtlistener("run", "no-such-command", cwd=checkout, environ=stranger_environ)
    assert ended.returncode == 1
    assert "no-such-command" in ended.stderr


@pytest.mark.parametrize("name", ["REDIS_URL", "POSTGRES_URL"])
def test_an_address_that_is_none_is_refused_before_anything_starts(
    name: str, checkout: Path, stranger_environ: Mapping[str, str]
) -> None:
    ended = courtlistener("run", "true", cwd=checkout, environ=stranger_environ, **{name: "ftp://somewhere"})
    assert ended.returncode == 1
    assert name in ended.stderr
