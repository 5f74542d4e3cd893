"""What Redis says about itself."""

from __future__ import annotations

from typing import Any

import redis
from prometheus_client.core import Metric

from courtlistener_assets.operations.exporter.gauges import counter, gauges


def read_redis(client: redis.Redis) -> list[Metric]:
    """Return memory, connections and evictions; raises RedisError or OSError."""
    info: dict[str, Any] = client.info()
    limit = info.get("maxmemory") or info.get("total_system_memory", 0)
    return [
        *gauges(
            [
                ("courtlistener_redis_memory_used_bytes", (), float(info.get("used_memory", 0))),
                ("courtlistener_redis_memory_limit_bytes", (), float(limit)),
                ("courtlistener_redis_connected_clients", (), float(info.get("connected_clients", 0))),
            ]
        ),
        counter("courtlistener_redis_evicted_keys_total", float(info.get("evicted_keys", 0))),
    ]
