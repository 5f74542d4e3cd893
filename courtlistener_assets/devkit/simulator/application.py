"""The simulated API: a request in, a response out, in the order in which the server decides.

Belongs here: addresses, content negotiation, authentication, permissions, the throttle, the truth log. Does not belong
here: sockets and delays (`server.py`), what a list shows (`views.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import parse_qs

from courtlistener_assets.devkit.simulator import damage, responses
from courtlistener_assets.devkit.simulator.accounts import Account, Accounts, Rejected, usage_body
from courtlistener_assets.devkit.simulator.corpus import Corpus
from courtlistener_assets.devkit.simulator.endpoints import ENDPOINTS, ROOT_NAMES
from courtlistener_assets.devkit.simulator.faults import Fault, FaultPlan
from courtlistener_assets.devkit.simulator.responses import Request, Response
from courtlistener_assets.devkit.simulator.shapes import API_ROOT
from courtlistener_assets.devkit.simulator.throttle import MICROSECONDS
from courtlistener_assets.devkit.simulator.truth import Entry, TruthLog
from courtlistener_assets.devkit.simulator.views import Views, options_body

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_WITHOUT_TOKEN = ("", "courts")
#: A list that ordinary accounts may not use.
_FORBIDDEN = "recap"


@dataclass(frozen=True)
class _Route:
    """Where an address leads: `name` is an endpoint, `api-usage`, `recap` or "" for the root; `key` the object's id."""

    name: str
    key: str | None = None

    @property
    def allow(self) -> str:
        if self.name in ("", "api-usage"):
            return responses.READ_METHODS
        return responses.LIST_METHODS if self.key is None else responses.DETAIL_METHODS


@dataclass(frozen=True)
class _Outcome:
    response: Response
    account: str = ""
    admitted: bool = False
    refused: bool = False
    #: The fault that struck, if it was not drawn but is one of the objects that were to be shown.
    spoiled_by: Fault | None = None


class Application:
    """The API over a corpus. `clock` gives seconds since 1970; times of the throttle and the log are its."""

    def __init__(
        self,
        corpus: Corpus,
        accounts: Accounts,
        faults: FaultPlan,
        truth: TruthLog,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.corpus, self.accounts, self.faults, self.truth, self.clock = corpus, accounts, faults, truth, clock
        self._views = Views(corpus, clock)

    def respond(self, request: Request, fault: Fault | None = None) -> Response:
        """Answer a request, struck by `fault` or not, and record what happened."""
        now_us = round(self.clock() * MICROSECONDS)
        route = _route(request.path)
        outcome = self._decide(request, route, fault, now_us)
        response = responses.rendered(outcome.response, _form(request))
        struck = fault or outcome.spoiled_by
        name = struck.kind if struck else None
        status = 0 if fault and fault.kind.startswith("reset") else response.status
        endpoint = (route.name or "root") if route else ""
        path = request.path + (f"?{request.query}" if request.query else "")
        self.truth.record(
            Entry(now_us / MICROSECONDS, outcome.account, request.method, path, endpoint, status,
                  outcome.admitted, outcome.refused, name)
        )  # fmt: skip
        if request.method in ("HEAD", "OPTIONS") and "Vary" in response.headers:
            response = Response(
                response.status, response.headers | {"Vary": "Accept, origin"}, response.body, response.close
            )
        return response

    def _decide(self, request: Request, route: _Route | None, fault: Fault | None, now_us: int) -> _Outcome:
        if front := damage.in_front(request, fault):
            return _Outcome(front)
        if route is None:
            return _Outcome(self._outside(request))
        account = self.accounts.authenticate(request.headers.get("Authorization"))
        refusal = _before_throttle(request, route, account)
        name = account.name if isinstance(account, Account) else ""
        if refusal or not isinstance(account, Account):
            return _Outcome(refusal or responses.internal_error(), name)
        if fault and fault.kind == "forbidden":
            return _Outcome(responses.forbidden(route.allow), name)
        if fault and fault.kind == "429":
            return _Outcome(responses.injected_429(fault, route.allow), name)
        full = account.admit(now_us, api_usage=route.name == "api-usage")
        if full:
            return _Outcome(responses.throttled(full, route.allow), name, refused=True)
        response, spoiled_by = damage.struck(fault), None
        if response is None:
            response, spoiled_by = self._answer(request, route, account, now_us)
            response = damage.misreported(damage.crowded(response, fault), fault)
        if response.status < 400 and route.name != "api-usage":
            account.record_success(now_us)
        return _Outcome(response, name, admitted=True, spoiled_by=spoiled_by)

    def _outside(self, request: Request) -> Response:
        """Respond to an address that is not the API's: a slash is missing, or nothing exists there."""
        if not request.path.endswith("/") and _route(f"{request.path}/"):
            query = f"?{request.query}" if request.query else ""
            headers = {"Content-Type": "text/html; charset=utf-8", "Vary": "origin, Cookie"}
            return responses.moved(f"{request.path}/{query}", headers)
        return responses.site_page(404, "Page not found")

    def _answer(self, request: Request, route: _Route, account: Account, now_us: int) -> tuple[Response, Fault | None]:
        """Return the response, and the fault that strikes it for what it would have shown."""
        if request.method not in _SAFE_METHODS:
            return responses.detail(405, f'Method "{request.method}" not allowed.', route.allow), None
        if route.name == "":
            names = {name: f"{request.base_url}{API_ROOT}{name}/" for name in ROOT_NAMES}
            return responses.json_response(200, names, route.allow), None
        if route.name == "api-usage":
            return responses.json_response(200, usage_body(account, now_us), route.allow), None
        endpoint = ENDPOINTS[route.name]
        if request.method == "OPTIONS":
            body = options_body(endpoint, self.corpus, detail=route.key is not None)
            return responses.json_response(200, body, route.allow), None
        if route.key is None:
            response, shown = self._views.listing(endpoint, request)
        else:
            response, shown = self._views.single(endpoint, route.key, request)
        asked = parse_qs(request.query) if response.status == 200 and route.key is None else {}
        if "count" in asked:
            asked = {}  # A count does not look for a page.
        fault = self.faults.spoiling(endpoint.name, asked, shown, lambda: self._last_id(endpoint.name))
        return (damage.spoiled(fault) if fault else response), fault

    def _last_id(self, endpoint: str) -> int:
        return max((int(record["id"]) for record in self.corpus.served.table(endpoint)), default=0)


def _route(path: str) -> _Route | None:
    if not path.startswith(API_ROOT) or not path.endswith("/"):
        return None
    parts = path.removeprefix(API_ROOT).strip("/").split("/")
    if len(parts) == 1 and parts[0] in ("", "api-usage", _FORBIDDEN, *ENDPOINTS):
        return _Route(parts[0])
    if len(parts) == 2 and parts[0] in ENDPOINTS and parts[1]:
        return _Route(parts[0], parts[1])
    return None


def _before_throttle(request: Request, route: _Route, account: Account | Rejected) -> Response | None:
    """Refuse for reasons that cost nothing: negotiation, then credentials, then permissions."""
    asked = _asked_form(request)
    if asked and asked not in _FORMS:
        return responses.detail(404, "Not found.", route.allow)
    if _form(request) is None:
        return responses.detail(406, "Could not satisfy the request Accept header.", route.allow)
    challenge = 'Bearer realm="api"'
    if isinstance(account, Rejected):
        return responses.detail(401, account.detail, route.allow, www_authenticate=challenge + account.challenge)
    if not account.token and route.name not in _WITHOUT_TOKEN:
        text = "Authentication credentials were not provided."
        return responses.detail(401, text, route.allow, www_authenticate=challenge)
    forbidden = request.method not in _SAFE_METHODS and route.name in ENDPOINTS
    if forbidden or route.name == _FORBIDDEN:
        return responses.forbidden(route.allow)
    return None


#: The forms of a response by the name that `?format=` takes, in the order in which the server prefers them.
_FORMS = {"json": "application/json", "api": "text/html", "xml": "application/xml"}


def _asked_form(request: Request) -> str:
    return parse_qs(request.query).get("format", [""])[-1]


def _form(request: Request) -> str | None:
    """Return the form that a client accepts, by the most special media types that it names; None: it accepts none."""
    asked = _asked_form(request)
    offered = {name: kind for name, kind in _FORMS.items() if asked in ("", name)}
    accepted = [one.partition(";")[0].strip() for one in request.headers.get("Accept", "*/*").split(",")]
    for stars in range(3):
        for name, kind in offered.items():
            if any(one.count("*") == stars and fnmatchcase(kind, one) for one in accepted):
                return name
    return None
