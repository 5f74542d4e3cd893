"""The simulator as a process of its own, and what it says about itself.

Belongs here: starting it and reading its control endpoints. Does not belong here: how it answers
(`simulator/`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any

import requests

from courtlistener_assets.devkit.servers.processes import start_process, stop_process
from resources.errors import SimulatorFailed

#: No secret: the simulator accepts whatever token it was started with.
TOKEN = "simulator-token"
_READY = "simulator listening on "


@dataclass(frozen=True)
class SimulatorProcess:
    """A running simulator at `url`."""

    url: str

    def summary(self) -> dict[str, Any]:
        """Return what the simulator admitted and refused since it started."""
        return self._get("summary", {})

    def expected(self, courts: Sequence[str], first_month: str, last_month: str) -> dict[str, Any]:
        """Return what belongs to the partitions of these courts and months, both ends included."""
        params = {"courts": ",".join(courts), "first_month": first_month, "last_month": last_month}
        return self._get("expected", params)

    def _get(self, name: str, params: dict[str, str]) -> dict[str, Any]:
        response = requests.get(f"{self.url}/__simulator__/{name}", params=params, timeout=10)
        response.raise_for_status()
        body: dict[str, Any] = response.json()
        return body


@contextmanager
def simulator_process(rates: str, log: Path, corpus: Path | None = None) -> Iterator[SimulatorProcess]:
    """Run the simulator with the generated corpus, or with a file of opinions; its requests are logged to `log`.

    Raises SimulatorFailed with what the simulator printed, which names line and key of a file that does not fit.
    """
    options = {"--port": "0", "--rates": rates, "--token": TOKEN, "--log": str(log)}
    if corpus:
        options["--corpus"] = str(corpus.absolute())
    command = [sys.executable, "-m", "courtlistener_assets.devkit.simulator", *chain.from_iterable(options.items())]
    log.parent.mkdir(parents=True, exist_ok=True)
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as output:
        process = start_process(command, output=write_end)
        os.close(write_end)
        try:
            yield SimulatorProcess(_read_url(output))
        finally:
            stop_process(process)


def _read_url(output: IO[bytes]) -> str:
    printed = []
    for line in output:
        printed.append(line.decode(errors="replace").strip())
        if printed[-1].startswith(_READY):
            return printed[-1].removeprefix(_READY)
    raise SimulatorFailed("the simulator did not start:\n" + "\n".join(printed[-20:]))
