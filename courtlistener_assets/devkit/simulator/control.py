"""Addresses under `/__simulator__/` for the demo and for screenshots, without authentication or throttle.

Belongs here: that small interface. Does not belong here: anything a client of the API may rely on.

    GET  summary                                            counts: admitted, refused, by endpoint, by account
    GET  expected?courts=a,b&first_month=&last_month=       what belongs to those partitions
    POST faults {"kind": "500", "times": 3}
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

from courtlistener_assets.devkit.simulator.corpus import Corpus
from courtlistener_assets.devkit.simulator.expected import expected
from courtlistener_assets.devkit.simulator.faults import Fault, FaultPlan
from courtlistener_assets.devkit.simulator.responses import READ_METHODS, Request, Response, html, json_response
from courtlistener_assets.devkit.simulator.truth import TruthLog
from resources.errors import SettingError

CONTROL_ROOT = "/__simulator__/"


def control_response(request: Request, corpus: Corpus, faults: FaultPlan, truth: TruthLog) -> Response:
    """Return 200 with JSON; 400 with an `error` for a request that does not fit; 404 for an unknown address."""
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
            case _:
                return html(404, "No such control address")
    except (KeyError, TypeError, ValueError, SettingError) as error:
        return json_response(400, {"error": f"{type(error).__name__}: {error}"}, READ_METHODS)
    return json_response(200, body, READ_METHODS)
