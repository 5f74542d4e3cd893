"""The Dagster UI and daemon on the servers of a directory, until Ctrl-C.

Belongs here: `dagster dev` and other commands as children, and what the terminal shows meanwhile. Does not belong here:
the servers (`session.py`), what is seen (`operations/watch/`), Dagster's own log (`dagster_log.py`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import requests

from courtlistener_assets.devkit.servers.processes import start_process, stop_process
from courtlistener_assets.devkit.servers.server import free_port, is_free
from courtlistener_assets.devkit.session.dagster_log import last_lines, log_file, logged
from courtlistener_assets.devkit.session.session import session
from courtlistener_assets.operations.running_session import inside_session
from courtlistener_assets.operations.watch.loop import watch
from courtlistener_assets.operations.watch.reading import Reader
from courtlistener_assets.settings import Settings
from resources.connections.postgres import Database
from resources.errors import CourtListenerAssetsError, DagsterStopped, SessionRunning

_DEFAULT_PORT = 3000


def dev(
    root: Path, environ: Mapping[str, str], port: int | None, corpus: Path | None, say: Callable[[str], None]
) -> None:
    """Run the UI until KeyboardInterrupt. `port` None takes 3000, or any free port when 3000 is taken."""
    if port and not is_free(port):
        raise CourtListenerAssetsError(f"port {port} is in use; choose another one with --port")
    with session(root, environ, corpus=corpus) as added:
        say(_what(added, corpus))
        _serve(root, {**environ, **added}, port or _free_ui_port(), say)


def run(root: Path, environ: Mapping[str, str], command: Sequence[str]) -> int:
    """Run a command in the running session, or in one that lasts as long as the command; returns its exit status."""
    try:
        with session(root, environ) as added:
            return _run_child(command, {**environ, **added})
    except SessionRunning:
        return _run_child(command, inside_session(root, environ))


def _run_child(command: Sequence[str], environ: Mapping[str, str]) -> int:
    # `dagster` and `dg` are where we were installed, whether or not that environment is activated.
    path = os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", os.defpath)])
    found = shutil.which(command[0], path=path) or command[0]
    try:
        child = start_process(
            [found, *command[1:]], output=None, stdin=None, env={**environ, "PATH": path}, cwd=Path.cwd()
        )
    except FileNotFoundError:
        raise CourtListenerAssetsError(f"there is no command {command[0]!r}") from None
    try:
        return child.wait()
    finally:
        stop_process(child)


def _serve(root: Path, environ: Mapping[str, str], port: int, say: Callable[[str], None]) -> None:
    workspace = str(Path(environ["DAGSTER_HOME"]) / "workspace.yaml")
    command = [sys.executable, "-m", "dagster", "dev", "-w", workspace, "--host", "127.0.0.1", "--port", str(port)]
    file = log_file(Path(environ["DAGSTER_HOME"]))
    with logged(file, say) as output:
        child = start_process(command, output=output, env=environ, cwd=root)
        try:
            url = f"http://127.0.0.1:{port}"
            while not _answers(url):
                _wait(child, 0.5)
            say(f"Dagster UI: {url} (Ctrl-C stops everything)")
            say(f"Dagster's log: {_near(file, root)}; here you see what is downloaded, and what is broken.")
            _watch(environ, lambda seconds: _wait(child, seconds))
        except DagsterStopped:
            say("\n".join(["The end of Dagster's log:", *last_lines(file)]))
            raise
        finally:
            stop_process(child)


def _watch(environ: Mapping[str, str], wait: Callable[[float], None]) -> None:
    """Show what is under way as `courtlistener watch` does, until `wait` raises."""
    from rich.console import Console

    from courtlistener_assets.defs.watch_command import Watcher, instance_of

    settings = Settings.from_environ(environ)
    with closing(Database(settings.postgres_url, max_connections=2)) as database, instance_of(environ) as instance:
        watch(Watcher(Reader(settings, database), instance).look, Console(), wait=wait)


def _near(path: Path, root: Path) -> Path:
    """A path as it is seen from a directory."""
    return path.relative_to(root.absolute()) if path.is_relative_to(root.absolute()) else path


def _wait(child: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return
    raise DagsterStopped


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/server_info", timeout=2).ok
    except requests.RequestException:
        return False


def _free_ui_port() -> int:
    return _DEFAULT_PORT if is_free(_DEFAULT_PORT) else free_port()


def _what(added: Mapping[str, str], corpus: Path | None) -> str:
    if "COURTLISTENER_API_TOKEN" not in added:
        return "COURTLISTENER_API_TOKEN is set: requests go to CourtListener, under your account's quota."
    served = (
        f"--corpus: a simulator serves {corpus}."
        if corpus
        else ("COURTLISTENER_API_TOKEN is not set: the simulator stands in for CourtListener.")
    )
    return served if "POSTGRES_URL" in added else f"{served} Its invented records go to your POSTGRES_URL."
