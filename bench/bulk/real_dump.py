"""A dump of a real server, if there is one beside the checkout: loaded, and compared with what its API served.

Belongs here: loading it into Postgres before the eyes of a listener. Does not belong here: how fast that is.
"""

from __future__ import annotations

import http.server
import json
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.download.bulk.bootstrap import TABLES, Bootstrap
from courtlistener_assets.download.bulk.source import BulkSource
from courtlistener_assets.download.bulk.work import Workshop
from courtlistener_assets.download.choice import chosen, known_tables
from resources.connections.postgres import Database
from resources.records.store import RecordStore
from tests.bulk_files import EVERYTHING, WithUndated, different_fields, served, shared_dump


@dataclass
class Listener:
    """A stand-in for the API that only counts what comes."""

    url: str
    paths: list[str] = field(default_factory=list)


def measure() -> dict[str, Any]:
    """Fields that are different in what Postgres has, and requests; nothing without such a dump."""
    dump = shared_dump()
    if dump is None:
        return {}
    with _listening() as listener, PostgresServer() as server, closing(Database(server.url)) as database:
        _load(dump, database, listener.url)
        requests = len(listener.paths)
        # What was heard proves something only if anything would have been.
        urllib.request.urlopen(f"{listener.url}/heard").close()
        assert listener.paths[requests:] == ["/heard"]
        stored: dict[str, dict[int, Any]] = {}
        for stream, id, body in database.rows("SELECT stream, id, body::text FROM courtlistener.records"):
            stored.setdefault(stream, {})[id] = json.loads(body.replace(listener.url, "SERVER"))
    objects = sum(len(served(dump, stream)) for stream in stored)
    return {"objects": objects, "fields_different": len(different_fields(dump, stored)), "requests": requests}


def _load(dump: Path, database: Database, url: str) -> None:
    database.migrate()
    store, streams = RecordStore(database, known_tables()), chosen()
    store.prepare([table.name for table in known_tables()])
    source = BulkSource(str(dump))
    wanted = WithUndated(EVERYTHING.courts, date(2026, 1, 1), date(2026, 12, 1))
    with tempfile.TemporaryDirectory() as folder, closing(Workshop(Path(folder), {})) as work:
        base = f"{url}/api/rest/v4"
        Bootstrap(source, source.newest(TABLES), wanted, work, store, streams, base, "bench").run()


@contextmanager
def _listening() -> Iterator[Listener]:
    found = Listener("")

    class Heard(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.paths.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Heard) as server:
        found.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found
        server.shutdown()
