"""Who is in charge, step by step, with a distribution's Redis, and PgBouncer in transaction mode before Postgres."""

from __future__ import annotations

from tests.integration import test_ledger_failover
from tests.integration.test_ledger_failover import clock, worker
from tests.servers.suites import suite_of

__all__ = ["clock", "worker"]

globals().update(suite_of(test_ledger_failover))
