"""Addresses under `/__simulator__/` for tests and demos: read the truth, order faults, change accounts and objects.

Belongs here: that small interface, without authentication or throttle (the server listens on loopback only). Does not
belong here: anything a client of the API may rely on.

    GET  log?start=N                                        entries of the truth log from the N-th on
    GET  summary                                            counts: admitted, refused, by endpoint, by account
    GET  expected?courts=a,b&first_month=&last_month=       what belongs to those partitions
    GET  faults; POST faults {"kind": "500", "times": 3}; POST faults {"clear": true}
    POST accounts {"name": "bench", "rates": "60/min"}      creates the account (token `<name>-token`) or changes it
    POST touch {"endpoint": "opinions", "id": 7, "changes": {"plain_text": "..."}}
    POST merge {"deleted": 7, "into": 8}; POST seal {"id": 7}
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from courtlistener_assets.devkit.simulator.accounts import Account
from courtlistener_assets.devkit.simulator.expected import expected
from courtlistener_assets.devkit.simulator.faults import Fault
from courtlistener_assets.devkit.simulator.responses import READ_METHODS, Request, Response, html, json_answer
from resources.errors import SettingError

if TYPE_CHECKING:
    from courtlistener_assets.devkit.simulator.application import Application

CONTROL_ROOT = "/__simulator__/"


class Control:
    """Answers control requests."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._handlers: dict[tuple[str, str], Callable[[dict[str, Any]], Any]] = {
            ("GET", "log"): lambda asked: application.truth.as_dicts(int(asked.get("start", 0))),
            ("GET", "summary"): lambda _asked: application.truth.summary(),
            ("GET", "expected"): self._expected,
            ("GET", "faults"): lambda _asked: application.faults.current(),
            ("POST", "faults"): self._change_faults,
            ("POST", "accounts"): self._change_account,
            ("POST", "touch"): self._touch,
            ("POST", "merge"): self._merge,
            ("POST", "seal"): self._seal,
        }

    def respond(self, request: Request) -> Response:
        """200 with JSON; 400 with an `error` for a request that does not fit; 404 for an unknown address."""
        handler = self._handlers.get((request.method, request.path.removeprefix(CONTROL_ROOT).strip("/")))
        if handler is None:
            return html(404, "No such control address")
        try:
            asked = json.loads(request.body) if request.method == "POST" else dict(parse_qsl(request.query))
            return json_answer(200, handler(asked), READ_METHODS)
        except (KeyError, TypeError, ValueError, SettingError) as error:
            return json_answer(400, {"error": f"{type(error).__name__}: {error}"}, READ_METHODS)

    def _expected(self, asked: dict[str, Any]) -> Any:
        courts = [court for court in asked["courts"].split(",") if court]
        return expected(self._application.corpus, courts, asked["first_month"], asked["last_month"])

    def _change_faults(self, asked: dict[str, Any]) -> Any:
        if asked.pop("clear", False):
            self._application.faults.clear()
        if asked:
            self._application.faults.add(Fault(**asked))
        return self._application.faults.current()

    def _change_account(self, asked: dict[str, Any]) -> Any:
        accounts, name = self._application.accounts, asked["name"]
        account = accounts.by_name.get(name)
        if account is None:
            account = Account(name, asked.get("token", f"{name}-token"), asked["rates"])
            accounts.add(account)
        if "rates" in asked:
            account.set_rates(asked["rates"])
        account.active = asked.get("active", account.active)
        account.membership = asked.get("membership", account.membership)
        return {"name": name, "rates": account.rates, "active": account.active, "membership": account.membership}

    def _touch(self, asked: dict[str, Any]) -> Any:
        record = self._application.corpus.touch(asked["endpoint"], asked["id"], **asked.get("changes", {}))
        return {"id": record["id"], "date_modified": record["date_modified"]}

    def _merge(self, asked: dict[str, Any]) -> Any:
        self._application.corpus.merge_cluster(asked["deleted"], asked["into"])
        return {"redirections": self._application.corpus.redirections}

    def _seal(self, asked: dict[str, Any]) -> Any:
        self._application.corpus.seal_cluster(asked["id"])
        return {"sealed": self._application.corpus.sealed}
