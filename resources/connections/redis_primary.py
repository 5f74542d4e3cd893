"""Which of several servers is in charge: Sentinels know it, or the nodes of a cluster.

All our keys are in one slot, so that a cluster is to us what Sentinels' servers are: one server that takes all commands
(`INFO`, `TIME` and `SCAN` too), and that is another one after a failover. What it has not heard of is its
replication id, by which the ledger knows that it is another server.

Belongs here: asking, and connections that follow. Does not belong here: addresses (`redis_address.py`).
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import redis
from redis.cluster import parse_cluster_slots
from redis.connection import SSLConnection
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, TryAgainError
from redis.sentinel import SentinelManagedConnection

#: How often somebody asks who is in charge while all is well, and when nobody has answered.
_LOOK_AGAIN_SECONDS, _UNANSWERED_SECONDS = 2.0, 30.0
#: A host and a port.
Place = tuple[str, int]


class Finder(ABC):
    """Knows some servers that know which one is in charge. `options` are those of redis-py's pools, without a place."""

    def __init__(self, places: Sequence[Place], options: Mapping[str, Any]) -> None:
        self._places = tuple(places)
        self._options = {**options, "max_connections": 1}

    def find(self) -> Place:
        """Where the server in charge is, says the first that knows; raises redis.ConnectionError."""
        problems, last = [], None
        for place in self._places:
            try:
                with self.client_at(place) as client:
                    found, others = self._ask(client, place[0])
            except (redis.RedisError, OSError) as error:
                problems.append(f"{place[0]}:{place[1]}: {error}")
                last = error
            else:
                # Next time, who answers is asked first.
                self._places = tuple(dict.fromkeys([place, *self._places, *others]))
                return found
        raise redis.ConnectionError(f"nobody says which server is in charge: {'; '.join(problems)}") from last

    def client_at(self, place: Place) -> redis.Redis:
        """A client of one of those who are asked."""
        host, port = place
        pool: Any = redis.BlockingConnectionPool
        return redis.Redis.from_pool(pool(**{**self._options, "host": host, "port": port}))

    @abstractmethod
    def _ask(self, client: redis.Redis, host: str) -> tuple[Place, Sequence[Place]]:
        """The server in charge, and others who may be asked; raises redis.RedisError."""


class Sentinels(Finder):
    """Sentinels, who watch the servers of a service."""

    def __init__(self, places: Sequence[Place], options: Mapping[str, Any], service: str) -> None:
        super().__init__(places, options)
        self._service = service

    def _ask(self, client: redis.Redis, host: str) -> tuple[Place, Sequence[Place]]:
        state: Any = client.sentinel_master(self._service)
        if not state["is_master"] or state["is_sdown"] or state["is_odown"]:
            raise redis.ConnectionError(f"the primary of {self._service} is down")
        return (state["ip"], state["port"]), ()


class SlotOwner(Finder):
    """Nodes of a cluster, in which the keys with a prefix, which has a hash tag, are in one slot."""

    def __init__(self, places: Sequence[Place], options: Mapping[str, Any], prefix: str) -> None:
        super().__init__(places, options)
        self._slot = key_slot(prefix.encode())

    def _ask(self, client: redis.Redis, host: str) -> tuple[Place, Sequence[Place]]:
        slots = parse_cluster_slots(client.execute_command("CLUSTER SLOTS"), current_host=host)  # type: ignore[no-untyped-call]
        others = {place for owners in slots.values() for place in (owners["primary"], *owners["replicas"])}
        for (first, last), owners in slots.items():
            if first <= self._slot <= last and owners["primary"][0] != "?":
                return owners["primary"], [place for place in sorted(others) if place[0] != "?"]
        raise redis.ConnectionError(f"no node has slot {self._slot}")


class PrimaryPool(redis.BlockingConnectionPool):
    """Connections to the server in charge: each is made where it is now, and left when another one has been found."""

    def __init__(self, finder: Finder, **options: Any) -> None:
        encrypted = issubclass(options.pop("connection_class", redis.Connection), SSLConnection)
        super().__init__(  # type: ignore[no-untyped-call]
            connection_class=_EncryptedConnection if encrypted else _Connection,
            connection_pool=_Whereabouts(finder),
            **options,
        )


class _Whereabouts:
    """What redis-py's connections to a Sentinel's server ask their pool.

    A connection that works is no proof that its server is still in charge: one that was replaced learns it as late as
    ten seconds after.
    """

    is_master = True
    check_connection = False

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._place: Place | None = None
        self._look_again_at = -math.inf

    def get_master_address(self) -> Place:
        """Where a new connection goes; raises redis.ConnectionError."""
        self._place = self._finder.find()
        self._look_again_at = time.monotonic() + _LOOK_AGAIN_SECONDS
        return self._place

    def still_at(self, place: Place) -> bool:
        """Whether an open connection leads to the server in charge, as far as one knows."""
        if time.monotonic() >= self._look_again_at:
            # First, so that one thread asks; and what is open goes on when nobody answers.
            self._look_again_at = time.monotonic() + _UNANSWERED_SECONDS
            with suppress(redis.RedisError):
                self.get_master_address()
        return place == self._place


class _Connection(SentinelManagedConnection):
    def connect(self) -> None:
        """Connect to the server in charge, unless this is a connection to it."""
        if self.is_connected and not self.connection_pool.still_at((self.host, self.port)):
            self.disconnect()  # type: ignore[no-untyped-call]
        super().connect()  # type: ignore[no-untyped-call]

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        """An answer; raises redis.ConnectionError if this server is not in charge, and asks anew who is."""
        try:
            return super().read_response(*args, **kwargs)
        except (AskError, ClusterDownError, TryAgainError) as error:  # MOVED is one of the first.
            self.disconnect()  # type: ignore[no-untyped-call]
            raise redis.ConnectionError(f"this node does not have our keys now: {error}") from error


class _EncryptedConnection(_Connection, SSLConnection):
    pass
