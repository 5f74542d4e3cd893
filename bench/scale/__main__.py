"""What grows with what: `python -m bench.scale` (`make bench-scale`).

Belongs here: which sizes are measured, and the servers. Does not belong here: what is in a store (`fill.py`), what is
timed (`store.py`, `dagster_load.py`, `redis_memory.py`), writing (`bench/report.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import redis

from bench import report
from bench.scale import redis_memory as scale_redis
from bench.scale.fill import TOKEN, Size, fill
from bench.scale.store import FullStore, measure, table_sizes
from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.simulator.server import Simulator
from courtlistener_assets.settings import Settings
from resources.connections import pools
from resources.connections.postgres import Database
from resources.courtlistener.token import account_of
from resources.dagster_resources import BacklogResource, PostgresResource, RedisResource

WINDOWS = "5000/hour"
FIGURES_OF_DAGSTER = "figures.json"
#: Each ten times the one before. The journal of the last one is ten days long, those of the others a day.
SIZES = (
    Size(courts=5, months=40, permits=12_000, permits_an_hour=500, failures=500, deferrals=100),
    Size(courts=40, months=50, permits=120_000, permits_an_hour=5000, failures=5000, deferrals=1000),
    Size(courts=100, months=200, permits=1_200_000, permits_an_hour=5000, failures=50_000, deferrals=10_000),
)


def main() -> None:
    """Measure every size and write it down."""
    options = _options()
    began = time.monotonic()
    figures: dict[str, Any] = {
        "measured": report.measured_now(),
        "load": round(os.getloadavg()[0], 1),
        "sizes": [_measured(size) for size in SIZES[: options.sizes]],
    }
    figures["tables"] = [size.pop("tables") for size in figures["sizes"]][-1]
    figures["redis"] = scale_redis.measure()
    figures["seconds"] = round(time.monotonic() - began)
    print(json.dumps({**figures, **headline(figures)}, indent=2))
    if not options.dry_run:
        report.write("scale", figures, headline)


def headline(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Pick the few flat figures that say whether all is well."""
    last = figures["sizes"][-1]
    took = last["milliseconds"]
    return {
        "dockets": last["dockets"],
        "partitions": last["partitions"],
        "partition_run_ms": took["partition run: all pages of all streams stored"],
        "slowest_sensor_tick_ms": max(value for name, value in took.items() if name.startswith("tick of ")),
        "asset_graph_ms": took["UI: graph of all assets"],
        "redis_day_mb": report.redis_day_mb(figures["redis"]),
        "postgres_mb": round(sum(row["table_mb"] + row["index_mb"] for row in figures["tables"])),
    }


def _measured(size: Size) -> dict[str, Any]:
    with (
        PostgresServer() as postgres,
        RedisServer() as redis_server,
        Simulator() as simulator,
        tempfile.TemporaryDirectory() as directory,
    ):
        _make_roomy(postgres.url)
        environ = _environ(size, postgres.url, redis_server.url, simulator.url, Path(directory))
        database, client = Database(postgres.url), redis.Redis.from_url(redis_server.url, decode_responses=True)
        database.migrate()
        began = time.perf_counter()
        fill(database, size, account=account_of(TOKEN), windows=WINDOWS, threads=os.cpu_count() or 1)
        print(f"{size.dockets:,} dockets in {time.perf_counter() - began:.0f} s", flush=True)
        tables = table_sizes(database)
        servers = {"postgres": PostgresResource(url=postgres.url), "redis": RedisResource(url=redis_server.url)}
        backlog = BacklogResource(**servers).open()
        full = FullStore(database, client, backlog, size, Settings.from_environ(environ), environ)
        milliseconds = measure(full)
        milliseconds |= _dagster(environ, postgres.url, Path(directory))
        client.close()
        database.close()
        pools.close_all()
    print(json.dumps(milliseconds, indent=1), flush=True)
    return {"dockets": size.dockets, "partitions": size.partitions, "permits": size.permits,
            "failures": size.failures, "deferrals": size.deferrals, "tables": tables,
            "milliseconds": milliseconds}  # fmt: skip


def _make_roomy(url: str) -> None:
    """Fewer checkpoints while the rows go in; no measured query depends on it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET max_wal_size = '8GB'")
        connection.execute("SELECT pg_reload_conf()")


def _environ(size: Size, postgres_url: str, redis_url: str, base_url: str, directory: Path) -> dict[str, str]:
    return {
        "COURTLISTENER_API_TOKEN": TOKEN,
        "COURTLISTENER_BASE_URL": base_url,
        "COURTLISTENER_COURTS": ",".join(size.court_ids),
        "COURTLISTENER_FIRST_MONTH": f"{size.first_month(datetime.now(UTC).date()):%Y-%m}",
        "COURTLISTENER_RATE_LIMITS": WINDOWS,
        "COURTLISTENER_DATA_DIR": str(directory / "chunks"),
        "POSTGRES_URL": postgres_url,
        "REDIS_URL": redis_url,
    }


def _dagster(environ: dict[str, str], postgres_url: str, directory: Path) -> dict[str, float]:
    """In a process of its own, whose start is part of what is measured; its tables are in a database of their own."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE dagster")
    url = postgres_url.rsplit("/", 1)[0] + "/dagster"
    home = directory / "dagster_home"
    subprocess.run(
        [sys.executable, "-m", "bench.scale.dagster_load", str(home)],
        env={**os.environ, **environ, "DAGSTER_POSTGRES_URL": url, "DAGSTER_HOME": str(home)},
        check=True,
    )
    figures: dict[str, float] = json.loads((home / FIGURES_OF_DAGSTER).read_text())
    return figures


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure what grows with the number of dockets and partitions.")
    parser.add_argument("--sizes", type=int, choices=(1, 2, 3), default=3, help="how many sizes, the smallest first")
    parser.add_argument("--dry-run", action="store_true", help="say the figures, and write none down")
    return parser.parse_args()


if __name__ == "__main__":
    main()
