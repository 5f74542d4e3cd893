"""Postgres' programs: what others see of how they are called, and that none outlives the command that started it."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from courtlistener_assets.operations import postgres_tools
from courtlistener_assets.operations.postgres_tools import run_tool
from resources.errors import BackupError

#: A program that says what its list of processes shows, and what libpq makes of its arguments and environment.
_TELLS = f"""#!{sys.executable}
import json, os, stat, sys
from psycopg import pq
address = next(sys.argv[at + 1] for at, word in enumerate(sys.argv) if word == "--dbname")
known = pq.PGconn.connect_start(address.encode()).info
print(json.dumps({{
    "shown": open("/proc/self/cmdline").read(),
    "file": os.environ["PGSERVICEFILE"],
    "mode": stat.S_IMODE(os.stat(os.environ["PGSERVICEFILE"]).st_mode),
    **{{each.keyword.decode(): each.val.decode() for each in known if each.val}},
}}))
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let programs be scripts, by name."""

    def put(**scripts: str) -> None:
        for name, text in scripts.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
            (tmp_path / name).chmod(0o700)
        monkeypatch.setattr(postgres_tools, "_found", lambda name, server: str(tmp_path / name))

    return put


def test_no_secret_is_among_the_arguments_of_a_program(programs: Callable[..., None]) -> None:
    programs(pg_dump=_TELLS)
    secrets = {
        "password": "s3cret of the role ",
        "sslpassword": "s3cret of the key",
        "scram_client_key": "s3cret==",
        "oauth_client_secret": "s3cret#of=oauth",
    }
    said = " ".join(f"{name}='{value}'" for name, value in secrets.items())
    seen = json.loads(run_tool("pg_dump", [], f"host=127.0.0.1 port=1 user=u dbname=d {said}"))
    assert "s3cret" not in seen["shown"]
    assert seen["mode"] == 0o600
    assert {name: seen[name] for name in secrets} == secrets
    assert (seen["host"], seen["user"], seen["dbname"]) == ("127.0.0.1", "u", "d")
    assert not Path(seen["file"]).exists()


@pytest.mark.parametrize("address", ["sslpassword=' blank at its end '", r"sslpassword=s3cret service=ours"])
def test_a_secret_that_can_only_be_shown_is_refused(programs: Callable[..., None], address: str) -> None:
    programs(pg_dump=_TELLS)
    with pytest.raises(BackupError, match="sslpassword") as refused:
        run_tool("pg_dump", [], address)
    assert "s3cret" not in str(refused.value)


#: A program that writes down who it is, waits until the command reads more than a pipe holds, and interrupts it, as
#: `kill` and a closed terminal do.
_INTERRUPTS = """#!/bin/sh
echo $$ > "$0.pid"
head -c 1000000 /dev/zero
kill -{signal} $PPID
exec sleep 300
"""


def _is_gone(program: Path) -> bool:
    try:
        os.kill(int(program.with_suffix(".pid").read_text()), 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Signals interrupt, as they do for the command `courtlistener`."""
    before = {each: signal.signal(each, signal.default_int_handler) for each in (signal.SIGINT, signal.SIGTERM)}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.usefixtures("interrupted")
@pytest.mark.parametrize("sent", ["INT", "TERM"])
def test_an_interrupted_command_ends_its_program(programs: Callable[..., None], tmp_path: Path, sent: str) -> None:
    programs(pg_dump=_INTERRUPTS.format(signal=sent))
    with pytest.raises(KeyboardInterrupt):
        run_tool("pg_dump", [])
    assert _is_gone(tmp_path / "pg_dump")
