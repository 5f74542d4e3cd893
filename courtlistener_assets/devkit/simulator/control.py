"""Addresses under `/__simulator__/` for the demo and for tests in other processes, without authentication or throttle.

Belongs here: that small interface. Does not belong here: anything a client of the API may rely on.

    GET  summary                                            counts: admitted, refused, by endpoint, by account
    GET  expected?courts=a,b&first_month=&last_month=       what belongs to those partitions
    POST faults {"kind": "500", "times": 3}
    DELETE faults                                           everything is well again

Only for this machine, by its own names: a web page whose host name was made to point here, so that a browser takes us
for its server (DNS rebinding), gets 403.
"""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from courtlistener_assets.devkit.simulator.corpus import Corpus
from courtlistener_assets.devkit.simulator.expected import expected
from courtlistener_assets.devkit.simulator.faults import Fault, FaultPlan
from courtlistener_assets.devkit.simulator.responses import READ_METHODS, Request, Response, html, json_response
from courtlistener_assets.devkit.simulator.truth import TruthLog
from resources.errors import SettingError

CONTROL_ROOT = "/__simulator__/"


def control_response(request: Request, corpus: Corpus, faults: FaultPlan, truth: TruthLog) -> Response:
    """Return 200 with JSON; 400 with an `error` for a request that does not fit; 404 for an unknown address.

    403 for a Host that is not this machine.
    """
    if not _is_ours(request.host):
        return json_response(403, {"error": "Host: not the name of this machine"}, READ_METHODS)
    body: Any = None
    try:
        match request.method, request.path.removeprefix(CONTROL_ROOT).strip("/"):
            case "GET", "summary":
                body = truth.summary()
            case "GET", "expected":
                asked = dict(parse_qsl(request.query))
                body = expected(corpus, asked["courts"].split(","), asked["first_month"], asked["last_month"])
            case "POST", "faults":
                faults.add(Fault(**json.loads(request.body)))
            case "DELETE", "faults":
                faults.clear()
            case _:
                return html(404, "No such control address")
    except (KeyError, TypeError, ValueError, SettingError) as error:
        return json_response(400, {"error": f"{type(error).__name__}: {error}"}, READ_METHODS)
    return json_response(200, body, READ_METHODS)


def _is_ours(host: str) -> bool:
    """Whether a Host header names this machine as it cannot be made to by somebody else's name server."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
