"""The Dagster UI and daemon on the servers of a directory, until Ctrl-C.

Belongs here: `dagster dev` and other commands as children. Does not belong here: the servers (`session.py`).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import requests

from courtlistener_assets.devkit.servers.processes import start_process, stop_process
from courtlistener_assets.devkit.servers.server import free_port, is_free
from courtlistener_assets.devkit.session.session import session
from courtlistener_assets.operations.running_session import running_session
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
        return _run_child(command, {**environ, **running_session(root)})


def _run_child(command: Sequence[str], environ: Mapping[str, str]) -> int:
    try:
        child = start_process(command, output=None, env=environ, cwd=Path.cwd())
    except FileNotFoundError:
        raise CourtListenerAssetsError(f"there is no command {command[0]!r}") from None
    try:
        return child.wait()
    finally:
        stop_process(child)


def _serve(root: Path, environ: Mapping[str, str], port: int, say: Callable[[str], None]) -> None:
    workspace = str(Path(environ["DAGSTER_HOME"]) / "workspace.yaml")
    command = [sys.executable, "-m", "dagster", "dev", "-w", workspace, "--host", "127.0.0.1", "--port", str(port)]
    child = start_process(command, output=None, env=environ, cwd=root)
    try:
        url = f"http://127.0.0.1:{port}"
        while not _answers(url):
            _wait(child, 0.5)
        say(f"Dagster UI: {url} (Ctrl-C stops everything)")
        while True:
            _wait(child, 3600)
    finally:
        stop_process(child)


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
