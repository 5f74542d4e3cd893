"""The Dagster UI and daemon on the servers of this checkout, until Ctrl-C.

Belongs here: `dagster dev` and other commands as children. Does not belong here: the servers (`start.py`).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import requests

from courtlistener_assets.devkit.servers.processes import start_process, stop_process
from courtlistener_assets.devkit.servers.server import free_port, is_free
from courtlistener_assets.devkit.session.session import Session, SessionRunning, running_session
from courtlistener_assets.devkit.session.start import session
from resources.errors import CourtListenerAssetsError

_DEFAULT_PORT = 3000


class DagsterStopped(CourtListenerAssetsError):
    """`dagster dev` ended by itself; its output above says why."""


def dev(root: Path, environ: Mapping[str, str], port: int | None, say: Callable[[str], None]) -> None:
    """Run the UI until KeyboardInterrupt. `port` None takes 3000, or any free port when 3000 is taken."""
    if port and not is_free(port):
        raise CourtListenerAssetsError(f"port {port} is in use; choose another one with --port")
    workspace = root / "workspace.yaml"
    if not workspace.exists():
        raise CourtListenerAssetsError(f"there is no workspace.yaml in {root}; start this in the checkout")
    try:
        with session(root, environ) as current:
            say(_what(current))
            _serve(workspace, {**environ, **current.added}, port or _free_ui_port(), say)
    except SessionRunning:
        raise SessionRunning("another `courtlistener dev` or `run` is using this checkout; stop it first") from None


def run(root: Path, environ: Mapping[str, str], command: Sequence[str]) -> int:
    """Run a command in the running session, or in one that lasts as long as the command; returns its exit status."""
    try:
        with session(root, environ) as current:
            return _run_child(command, {**environ, **current.added})
    except SessionRunning:
        return _run_child(command, {**environ, **running_session(root).added})


def _run_child(command: Sequence[str], environ: Mapping[str, str]) -> int:
    try:
        child = start_process(command, output=None, env=environ, cwd=Path.cwd())
    except FileNotFoundError:
        raise CourtListenerAssetsError(f"there is no command {command[0]!r}") from None
    try:
        return child.wait()
    finally:
        stop_process(child)


def _serve(workspace: Path, environ: Mapping[str, str], port: int, say: Callable[[str], None]) -> None:
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(workspace), "--host", "127.0.0.1", "--port", str(port)]
    child = start_process(command, output=None, env=environ, cwd=workspace.parent)
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


def _what(current: Session) -> str:
    if current.simulated:
        said = "COURTLISTENER_API_TOKEN is not set: the simulator stands in for CourtListener."
        return said if current.embedded_postgres else f"{said} Its invented records go to your POSTGRES_URL."
    return "COURTLISTENER_API_TOKEN is set: requests go to CourtListener, under your account's quota."
