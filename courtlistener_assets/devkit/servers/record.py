"""The note that a running server leaves in its directory, so that another process finds it.

Belongs here: the file `server.json`. Does not belong here: what is done with it (`server.py`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

_NAME = "server.json"


@dataclass(frozen=True)
class ServerRecord:
    """The last known server on a directory; `pid` is 0 until it has answered for the first time."""

    pid: int
    port: int
    password: str

    @classmethod
    def read(cls, directory: Path) -> ServerRecord | None:
        """The record of a directory; None when there is none that can be used."""
        try:
            found = json.loads((directory / _NAME).read_text(encoding="utf-8"))
            return cls(int(found["pid"]), int(found["port"]), str(found["password"]))
        except (OSError, ValueError, KeyError):
            return None

    def write(self, directory: Path) -> None:
        """Replace the record; only the present user may read it."""
        new = directory / f"{_NAME}.new"
        new.touch(mode=0o600)
        new.write_text(json.dumps(asdict(self)), encoding="utf-8")
        new.replace(directory / _NAME)
