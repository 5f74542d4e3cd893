"""The bulk files of the simulated server, as an ordinary web server would give them: a page of links, and ranges.

Belongs here: addresses under `/bulk/`. Does not belong here: what is in the files (`devkit/bulk/of_corpus.py`).

    GET /bulk/                             links to the files of one dump, of the objects when it was first asked for
    GET /bulk/dockets-2026-11-26.csv.bz2   the file, or a range of its bytes

It knows no accounts: as the real bucket does, it refuses whoever shows credentials.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from courtlistener_assets.devkit.bulk.of_corpus import write_corpus
from courtlistener_assets.devkit.simulator.objects import Objects
from courtlistener_assets.devkit.simulator.pacific import parse_moment
from courtlistener_assets.devkit.simulator.responses import Request, Response, html

BULK_ROOT = "/bulk/"
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_HEADERS = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}


class BulkFiles:
    """One dump, which is made when it is first asked for, as of two days after the last change, or of today."""

    def __init__(self, objects: Objects, clock: Callable[[], float]) -> None:
        self._objects, self._clock = objects, clock
        self._files: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def response(self, request: Request) -> Response:
        """Return a page of links, a file or a part of it; 400 for credentials, 404 for what there is not."""
        if "Authorization" in request.headers:
            return html(400, "Unsupported Authorization Type")
        files, name = self._dump(), request.path.removeprefix(BULK_ROOT)
        if not name:
            return html(200, "Bulk data", "".join(f'<a href="{BULK_ROOT}{each}">{each}</a>\n' for each in files))
        if name not in files:
            return html(404, "Not Found")
        return _ranged(files[name], request.headers.get("Range", ""))

    def _dump(self) -> dict[str, bytes]:
        with self._lock:
            if not self._files:
                with TemporaryDirectory() as folder:
                    write_corpus(self._objects, Path(folder), self._day())
                    self._files = {each.name: each.read_bytes() for each in sorted(Path(folder).iterdir())}
            return self._files

    def _day(self) -> date:
        """A day by which all changes are in the dump: that of the last one, and two more, if they are over."""
        today = datetime.fromtimestamp(self._clock(), UTC).date()
        tables = (self._objects.table(name) for name in ("dockets", "clusters", "opinions"))
        changes = [parse_moment(record["date_modified"]) for table in tables for record in table]
        last = max(changes, default=None)
        return min(today, last.astimezone(UTC).date() + timedelta(days=2)) if last else today


def _ranged(data: bytes, asked: str) -> Response:
    match = _RANGE.fullmatch(asked)
    if not match:
        return Response(200, dict(_HEADERS), data)
    begin, end = int(match[1]), min(int(match[2] or len(data) - 1), len(data) - 1)
    if begin > end:
        return Response(416, {**_HEADERS, "Content-Range": f"bytes */{len(data)}"})
    return Response(206, {**_HEADERS, "Content-Range": f"bytes {begin}-{end}/{len(data)}"}, data[begin : end + 1])
