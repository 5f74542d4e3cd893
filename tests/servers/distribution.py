"""The servers of a Linux distribution, started on free ports in temporary directories, beside its own services.

Belongs here: starting Redis, Sentinels, a cluster, Postgres and PgBouncer from installed packages, and their failovers.
Does not belong here: what is tested with them.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import redis
from redis.crc import key_slot

from courtlistener_assets.devkit.servers import unprivileged
from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.servers.server import EmbeddedServer, free_port

SERVICE = "main"
#: What Debian puts where only root looks by itself.
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
_SLOTS = 16384


def binary(name: str) -> str | None:
    """Where a server's program is, if its package is installed."""
    if name != "postgres":
        return shutil.which(name, path=_PATH)
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return str(found[-1]) if found else None


#: Packages of Debian and Ubuntu by the program that shows that they are there.
PACKAGES = {
    "redis-server": "redis-server",
    "redis-sentinel": "redis-sentinel",
    "postgres": "postgresql",
    "pgbouncer": "pgbouncer",
}


def missing() -> list[str]:
    """The packages that are not installed."""
    return [package for program, package in PACKAGES.items() if not binary(program)]


def wait_for(what: Callable[[], Any], seconds: float = 20.0) -> Any:
    """What becomes true, or TimeoutError; a server that does not answer yet is asked again."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := what():
                return found
        except (redis.RedisError, OSError):
            pass
        time.sleep(0.05)
    raise TimeoutError


class DistributionRedis(RedisServer):
    """The distribution's redis-server; `settings` are lines of its configuration."""

    name = "redis"

    def __init__(self, *settings: str) -> None:
        super().__init__()
        self._settings = settings

    def _prepare(self) -> None:
        super()._prepare()
        with self._configuration.open("a") as configuration:
            configuration.write("".join(f"{line}\n" for line in self._settings))

    def _command(self) -> list[str]:
        return [str(binary("redis-server")), str(self._configuration)]

    def _mark(self) -> str:
        return f"redis-server {self.host}:{self.port}"

    def client(self) -> redis.Redis:
        """A client that has the server's answers as text."""
        return redis.Redis(self.host, self.port, decode_responses=True, socket_timeout=2.0)

    @property
    def role(self) -> str:
        """`master` or `slave`."""
        with self.client() as client:
            return str(client.info("replication")["role"])


class SentinelServer(DistributionRedis):
    """One of the Sentinels who watch the server on a port."""

    name = "sentinel"

    def __init__(self, watched: int) -> None:
        super().__init__()
        self._watched = watched

    def _prepare(self) -> None:
        self._data.mkdir(exist_ok=True)
        lines = [
            f"bind {self.host}",
            f"port {self.port}",
            f'dir "{self._data}"',
            f"sentinel monitor {SERVICE} {self.host} {self._watched} 2",
            f"sentinel down-after-milliseconds {SERVICE} 500",
            f"sentinel failover-timeout {SERVICE} 1000",
        ]
        self._configuration.write_text("\n".join(lines) + "\n")

    def _command(self) -> list[str]:
        return [str(binary("redis-sentinel")), str(self._configuration)]


class SentinelTrio:
    """A primary with two replicas, watched by three Sentinels."""

    def __init__(self) -> None:
        self.servers: list[DistributionRedis] = []
        self.sentinels: list[SentinelServer] = []

    def __enter__(self) -> SentinelTrio:
        try:
            primary = DistributionRedis().start()
            self.servers = [primary]
            for _ in range(2):
                self.servers.append(DistributionRedis(f"replicaof {primary.host} {primary.port}", _FAST).start())
            self.sentinels = [SentinelServer(primary.port).start() for _ in range(3)]
            wait_for(lambda: all(map(self._sees_all, self.sentinels)))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for server in (*self.sentinels, *self.servers):
            server.stop()

    @property
    def url(self) -> str:
        """The address of the trio."""
        return f"redis+sentinel://{_places(self.sentinels)}/{SERVICE}"

    def primary(self) -> DistributionRedis:
        """The server that the Sentinels name."""
        with self.sentinels[0].client() as client:
            port = client.sentinel_master(SERVICE)["port"]
        [server] = [server for server in self.servers if server.port == port]
        return server

    def order(self) -> None:
        """Have another server promoted, while the primary is well."""
        with self.sentinels[0].client() as client:
            client.sentinel_failover(SERVICE)

    def wait_until_promotable(self) -> None:
        """Wait until a replica follows the primary."""
        wait_for(lambda: any(replica["master-link-status"] == "ok" for replica in self._replicas(self.sentinels[0])))

    def _sees_all(self, sentinel: SentinelServer) -> bool:
        with sentinel.client() as client:
            state: Any = client.sentinel_master(SERVICE)
        links = [replica["master-link-status"] for replica in self._replicas(sentinel)]
        return state["num-other-sentinels"] == 2 and links == ["ok", "ok"]

    @staticmethod
    def _replicas(sentinel: SentinelServer) -> list[dict[str, Any]]:
        with sentinel.client() as client:
            return list(client.sentinel_slaves(SERVICE))


_FAST = "repl-diskless-sync-delay 0"


class Cluster:
    """Three nodes that share the slots, and a replica of the one that has the slot of `key`."""

    def __init__(self, key: str) -> None:
        self._key, self._slot = key, key_slot(key.encode())
        self.servers: list[DistributionRedis] = []

    def __enter__(self) -> Cluster:
        try:
            for _ in range(4):
                settings = ("cluster-enabled yes", f"cluster-port {free_port()}", "cluster-node-timeout 1000", _FAST)
                self.servers.append(DistributionRedis(*settings).start())
            self._form()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.stop()

    @property
    def url(self) -> str:
        """The address of the cluster: all nodes but the first, whose place a client has to learn."""
        return f"redis+cluster://{_places(self.servers[1:])}"

    def primary(self) -> DistributionRedis:
        """The node that has the slot, as most nodes see it."""
        ports = []
        for server in self.servers:
            try:
                with server.client() as client:
                    ranges: Any = client.execute_command("CLUSTER SLOTS")
            except redis.ConnectionError:
                continue
            ports += [owners[2][1] for owners in ranges if owners[0] <= self._slot <= owners[1]]
        [server] = [server for server in self.servers if server.port == max(ports, key=ports.count)]
        return server

    def order(self) -> None:
        """Have the replica promoted, while the primary is well."""
        replica = next(server for server in self.servers if server.role == "slave")
        with replica.client() as client:
            client.execute_command("CLUSTER FAILOVER")

    def _form(self) -> None:
        share = _SLOTS // 3 + 1
        clients = [server.client() for server in self.servers]
        for number, client in enumerate(clients):
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
            if number < 3:
                first = number * share
                client.execute_command("CLUSTER ADDSLOTSRANGE", first, min(first + share, _SLOTS) - 1)
            for other in self.servers[:number]:
                port = other.client().config_get("cluster-port")["cluster-port"]
                client.execute_command("CLUSTER MEET", other.host, other.port, port)
        owner = clients[self._slot // share].execute_command("CLUSTER MYID")
        wait_for(lambda: owner in [node["node_id"] for node in _nodes(clients[3])])
        clients[3].execute_command("CLUSTER REPLICATE", owner)
        wait_for(lambda: all(client.execute_command("CLUSTER INFO")["cluster_state"] == "ok" for client in clients))
        self.wait_until_promotable()

    def wait_until_promotable(self) -> None:
        """Wait until all nodes know each other, and the replica follows its primary."""
        # A replica that has replicated nothing is not shown.
        with self.primary().client() as client:
            client.set(self._key, "", px=1)
        wait_for(lambda: all(map(self._is_complete, self.servers)))

    def _is_complete(self, server: DistributionRedis) -> bool:
        with server.client() as client:
            state = client.execute_command("CLUSTER INFO")["cluster_state"]
            flags = [node["flags"] for node in _nodes(client) if node["connected"]]
            ranges: Any = client.execute_command("CLUSTER SLOTS")
            follows = client.info("replication").get("master_link_status", "up") == "up"
        [owners] = [owners for first, last, *owners in ranges if first <= self._slot <= last]
        return state == "ok" and follows and len(flags) == 4 and len(owners) == 2


def _nodes(client: redis.Redis) -> list[dict[str, Any]]:
    """The nodes as one of them sees them."""
    return list(client.execute_command("CLUSTER NODES").values())


def _places(servers: Sequence[DistributionRedis]) -> str:
    return ",".join(f"{server.host}:{server.port}" for server in servers)


class DistributionPostgres(PostgresServer):
    """The distribution's Postgres."""

    def _binary(self, name: str) -> str:
        return str(Path(str(binary("postgres"))).with_name(name))


class PgBouncer(EmbeddedServer):
    """A pooler before a Postgres, in a mode: `session` or `transaction`."""

    name = "pgbouncer"

    def __init__(self, postgres: PostgresServer, mode: str, *, pool_size: int = 8) -> None:
        super().__init__()
        self._postgres = postgres
        self._mode = mode
        self._pool_size = pool_size

    @property
    def url(self) -> str:
        return f"postgresql://courtlistener@{self.host}:{self.port}/courtlistener"

    def _user(self) -> str | None:
        return unprivileged.USER if os.geteuid() == 0 else None

    def _prepare(self) -> None:
        users = self.directory / "users.txt"
        users.write_text("".join(f'"{name}" ""\n' for name in ("courtlistener", "first_install")))
        lines = [
            "[databases]",
            f"* = host={self._postgres.host} port={self._postgres.port}",
            "[pgbouncer]",
            f"listen_addr = {self.host}",
            f"listen_port = {self.port}",
            "unix_socket_dir =",
            "auth_type = trust",
            f"auth_file = {users}",
            f"pool_mode = {self._mode}",
            "max_client_conn = 500",
            f"default_pool_size = {self._pool_size}",
        ]
        self._configuration.write_text("\n".join(lines) + "\n")

    def _command(self) -> list[str]:
        return [str(binary("pgbouncer")), str(self._configuration)]

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _mark(self) -> str:
        return str(self._configuration)

    @property
    def _configuration(self) -> Path:
        return self.directory / "pgbouncer.ini"


@contextmanager
def doors(postgres: PostgresServer) -> Iterator[dict[str, int]]:
    """The ports of a Postgres itself and of poolers before it, by what is there."""
    with PgBouncer(postgres, "session") as session, PgBouncer(postgres, "transaction") as transaction:
        yield {"direct": postgres.port, "session": session.port, "transaction": transaction.port}
