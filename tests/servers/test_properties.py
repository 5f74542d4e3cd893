"""Random histories: of failures, and against the exact model of the rule. With a distribution's Redis, and PgBouncer in
transaction mode before Postgres."""

from __future__ import annotations

from tests.integration import test_ledger_failover_model, test_ledger_model
from tests.servers.suites import suite_of

globals().update(suite_of(test_ledger_failover_model, test_ledger_model))
