"""Serving the metrics until somebody stops it.

Belongs here: the life of the exporter's connections. Does not belong here: what is read (`collector.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

from courtlistener_assets.operations.exporter.collector import registry_of
from courtlistener_assets.operations.exporter.dagster_part import DagsterPart
from courtlistener_assets.operations.exporter.http_server import MetricsServer
from courtlistener_assets.settings import Settings
from resources.connections.postgres import Database
from resources.connections.redis_address import connect

#: Parts that are read at the same time.
_MOST_CONNECTIONS = 5


def serve(
    settings: Settings,
    environ: Mapping[str, str],
    host: str,
    port: int,
    say: Callable[[str], None],
    stop: threading.Event | None = None,
) -> None:
    """Serve `/metrics` until KeyboardInterrupt, or until `stop` is set; `port` 0 takes a free one.

    With a dagster.yaml in the DAGSTER_HOME of `environ` Dagster's daemon is watched, too.
    Raises SettingError if the port is taken.
    """
    with ExitStack() as opened:
        database = opened.enter_context(
            closing(
                Database(
                    settings.postgres_url, max_connections=_MOST_CONNECTIONS, timeout_seconds=5.0, answer_seconds=60.0
                )
            )
        )
        client = opened.enter_context(connect(settings.redis_url, prefix=settings.redis_prefix))
        home = Path(environ.get("DAGSTER_HOME", "").strip() or "nowhere")
        # Without it the instance would be one of its own, whose daemon nobody has started.
        dagster = opened.enter_context(closing(DagsterPart(environ))) if (home / "dagster.yaml").exists() else None
        server = opened.enter_context(MetricsServer(host, port, registry_of(settings, database, client, dagster)))
        thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
        thread.start()
        say(f"Metrics: http://{host}:{server.server_port}/metrics (since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC)")
        try:
            (stop or threading.Event()).wait()
        finally:
            server.shutdown()
            thread.join()
