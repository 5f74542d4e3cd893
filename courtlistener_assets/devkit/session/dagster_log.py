"""What Dagster's processes print: into a file, and to the terminal what is wrong.

Belongs here: the file, and which lines a person must see. Does not belong here: the processes (`dev.py`).
"""

from __future__ import annotations

import math
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from logging import INFO, LogRecord
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

#: Of the files that are kept, this one and two before it.
_MOST_BYTES, _KEPT = 10_000_000, 2
#: A server, the daemon or the code location speaks of itself; what runs and steps say is in the UI, and in `watch`.
_ERROR = re.compile(
    r" - dagster\.(?!builtin)[\w.]+ - (ERROR|CRITICAL) - |LOCATION_ERROR event|Error loading repository location"
)
#: What is broken is broken for a while: the same line is said again after so many seconds.
_AGAIN_SECONDS = 60.0
_MOMENT = re.compile(r"^\S+ \S+ \+\d{4} - ")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def log_file(home: Path) -> Path:
    """Return where a session's Dagster processes write; what is in `logs` Dagster may send away as telemetry."""
    return home / "dagster-dev.log"


@contextmanager
def logged(path: Path, say: Callable[[str], None]) -> Iterator[int]:
    """Yield the end of a pipe whose lines go to a file; `say` gets those that tell of something that is broken."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(path, maxBytes=_MOST_BYTES, backupCount=_KEPT, encoding="utf-8")
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as lines:
        copying = threading.Thread(target=_copy, args=(lines, handler, say), name="dagster-log", daemon=True)
        copying.start()
        try:
            yield write_end
        finally:
            with suppress(OSError):
                os.close(write_end)
            # A process that outlives its parent for a moment holds the other end.
            copying.join(5.0)
            handler.close()


def _copy(
    lines: IO[bytes],
    handler: RotatingFileHandler,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    said: dict[str, float] = {}
    with suppress(ValueError, OSError):  # Closed under our hands.
        for line in lines:
            text = line.decode(errors="replace").rstrip()
            handler.emit(LogRecord("dagster", INFO, "", 0, text, None, None))
            plain = _COLOURS.sub("", text)
            what = _MOMENT.sub("", plain)
            if is_broken(text) and clock() - said.get(what, -math.inf) >= _AGAIN_SECONDS:
                said[what] = clock()
                say(plain)


def last_lines(path: Path, count: int = 20) -> list[str]:
    """The end of the file; nothing if there is none."""
    try:
        return [_COLOURS.sub("", line) for line in path.read_text(errors="replace").splitlines()[-count:]]
    except FileNotFoundError:
        return []


def is_broken(line: str) -> bool:
    """Whether a line tells of a server, daemon or code location that does not work."""
    return bool(_ERROR.search(_COLOURS.sub("", line)))
