"""What it means that no answer came: which request was never sent, and why there is none.

Belongs here: reading the errors of the libraries below the client. Does not belong here: answers (`responses.py`), or
sending (`client.py`).
"""

from __future__ import annotations

from http.client import HTTPException
from urllib.parse import urlsplit

import urllib3

from resources.courtlistener.responses import asked_for
from resources.errors import TransientApiError

# No SSLError: TLS may also break after the request.
_NOT_SENT = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)


def unanswered(url: str, error: BaseException) -> TransientApiError:
    """Names the error of the network below those of the libraries, whose texts repeat the whole address."""
    below = error.__cause__ or error.__context__
    while isinstance(below, (OSError, HTTPException, urllib3.exceptions.HTTPError)):
        error, below = below, below.__cause__ or below.__context__
    return TransientApiError(f"{urlsplit(url).netloc} did not answer, {error!r:.200}: {asked_for(url)}")


def never_sent(error: BaseException | None) -> bool:
    """Whether an error says that no connection was made, so that the server cannot have counted the request."""
    while error is not None:
        if isinstance(error, _NOT_SENT):
            return True
        reason = getattr(error, "reason", None) or (error.args[0] if error.args else None)
        error = reason if isinstance(reason, BaseException) else None
    return False
