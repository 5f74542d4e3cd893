"""The truth log: every request that reached the server, and what the throttle made of it.

Belongs here: recording and summing up. Does not belong here: deciding.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any


@dataclass(frozen=True, slots=True)
class Entry:
    """One request. `time` is the moment of the throttle's decision, in seconds of the server's clock.

    `admitted`: logged by the throttle, so it costs quota. `refused`: the throttle answered 429. Neither: a response
    that costs nothing, or a fault before the throttle. `status` 0: the connection was reset. `endpoint` is `dockets`,
    `api-usage`, ... `fault` names the fault that struck.
    """

    time: float
    account: str
    method: str
    path: str
    endpoint: str
    status: int
    admitted: bool
    refused: bool
    fault: str | None = None


class TruthLog:
    """All entries, in memory and, with a path, as JSON lines, each written out at once."""

    def __init__(self, path: Path | None = None) -> None:
        self.entries: list[Entry] = []
        self._file: IO[str] | None = path.open("a", encoding="utf-8") if path else None
        self._lock = threading.Lock()

    def record(self, entry: Entry) -> None:
        with self._lock:
            self.entries.append(entry)
            if self._file:
                self._file.write(json.dumps(asdict(entry)) + "\n")
                self._file.flush()

    def summary(self) -> dict[str, Any]:
        """Return counts of requests by what became of them; api-usage is not among the admitted and refused ones."""
        with self._lock:
            entries = list(self.entries)
        charged = [entry for entry in entries if entry.endpoint != "api-usage"]
        admitted = [entry for entry in charged if entry.admitted]
        return {
            "requests": len(entries),
            "admitted": len(admitted),
            "refused": sum(entry.refused for entry in charged),
            "api_usage": len(entries) - len(charged),
            "by_endpoint": dict(Counter(entry.endpoint for entry in admitted)),
            "by_account": dict(Counter(entry.account for entry in admitted)),
            "by_status": dict(Counter(str(entry.status) for entry in charged)),
            "faults": dict(Counter(entry.fault for entry in entries if entry.fault)),
        }

    def close(self) -> None:
        if self._file:
            self._file.close()
