"""One request and its whole response, within a time and a size that nothing the server does can exceed.

Belongs here: connections, deadlines, limits. Does not belong here: permits and attempts (`client.py`), what a response
means (`responses.py`).
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests
import urllib3

from resources.courtlistener.answer import Response, asked_for
from resources.courtlistener.responses import MASK, error_of_no_response
from resources.errors import ResponseTooLarge, TransientApiError, Unanswered

# urllib3 warns of headers that it cannot read, and quotes them: the token, if the server echoes it there.
logging.getLogger("urllib3.connection").addFilter(lambda line: "Failed to parse headers" not in str(line.msg))

_POOL_SIZE = 16
_LARGEST_BODY_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Timeouts:
    """How long to wait for a connection, for the next byte, and for a whole response since it was asked for, seconds.

    CourtListener itself gives up after 60 s; whoever gives up earlier pays for an answer that was still to come.
    """

    connect: float = 5.0
    read: float = 65.0
    response: float = 90.0

    @property
    def permit_ttl(self) -> float:
        """So long that no permit ages while its request is in flight: it may be a sixth of this old when it is used."""
        return 1.2 * (self.connect + self.response) + 10.0


class _Deadline:
    """Ends a request at a moment, whatever it waits for: every byte may come in time and the answer never."""

    def __init__(self, seconds: float, timer: Callable[..., Any]) -> None:
        self.passed = False
        #: Whether status and headers of the response have come.
        self.answer_begun = False
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._timer = timer(seconds, self.cut)

    def __enter__(self) -> _Deadline:
        self._timer.daemon = True
        self._timer.start()
        _under_way.deadline = self
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        _under_way.deadline = None
        with self._lock:  # The connection goes back to its pool, and another request may use it.
            self._socket = None

    def watch(self, connected: socket.socket | None) -> None:
        """The socket that is read from now on."""
        with self._lock:
            self._socket = connected
        if self.passed:
            self.cut()

    def cut(self) -> None:
        """End what is being read; the timer calls this in a thread of its own."""
        self.passed = True
        with self._lock, suppress(OSError):
            if self._socket is not None:
                # The way of TLS would wait for the other side.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class _UnderWay(threading.local):
    """The deadline of the request that a thread has under way."""

    deadline: _Deadline | None = None


_under_way = _UnderWay()


class _Watched:
    """A connection that shows its socket to the deadline before it reads the first line of a response."""

    sock: socket.socket | None

    def getresponse(self) -> Any:
        if _under_way.deadline:
            _under_way.deadline.watch(self.sock)
        return super().getresponse()  # type: ignore[misc]


class _Connection(_Watched, urllib3.connection.HTTPConnection):
    """Without TLS."""


class _TlsConnection(_Watched, urllib3.connection.HTTPSConnection):
    """With TLS."""


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Adapter(requests.adapters.HTTPAdapter):
    """Makes watched connections, also through a proxy."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
        return manager


class _Session(requests.Session):
    """A session without redirects. Those not followed are looked at too: their bodies are read without any limit."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """No redirect has a target."""


def _auth(token: str) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """As `auth`, not as a default header, since requests lets a .netrc file override the header."""

    def add(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Token {token}"
        return request

    return add


class Transport:
    """Sends requests to the server at `base_url`; may be shared by threads. `timer` is a `threading.Timer`."""

    def __init__(
        self,
        base_url: str,
        *,
        timeouts: Timeouts = Timeouts(),
        max_body_bytes: int = _LARGEST_BODY_BYTES,
        timer: Callable[..., Any] = threading.Timer,
    ) -> None:
        self._timeouts = timeouts
        self._max_body_bytes = max_body_bytes
        self._timer = timer
        self._session = _Session()
        # Without TLS a proxy that the environment names would read the token.
        self._session.trust_env = urlsplit(base_url).scheme == "https"
        self._session.headers.update({"Accept": "application/json", "User-Agent": "courtlistener-assets"})
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, _Adapter(pool_maxsize=_POOL_SIZE))

    def get(self, url: str, params: Mapping[str, str], token: str) -> Response:
        """One request and its whole response; raises the ApiError that fits if none comes."""
        asked = f"{url}?{urlencode(params)}".rstrip("?")
        with _Deadline(self._timeouts.response, self._timer) as deadline:
            try:
                response: Response | None = self._received(url, params, token, deadline)
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                failure = error_of_no_response(asked, error, masked=token, begun=deadline.answer_begun)
                response = None
        if deadline.passed:
            kind = TransientApiError if deadline.answer_begun else Unanswered
            raise kind(f"No whole response within {self._timeouts.response:.0f} s: {asked_for(asked)}")
        if response is None:
            # Without the library's errors behind it: they quote what the server wrote, and the token if it echoes that.
            raise failure
        return response

    def _received(self, url: str, params: Mapping[str, str], token: str, deadline: _Deadline) -> Response:
        """Within the size limit; what echoes the token is masked."""
        with self._session.get(
            url,
            params=dict(params),
            auth=_auth(token),
            timeout=(self._timeouts.connect, self._timeouts.read),
            allow_redirects=False,  # It would be a request without a permit, and could leave the host.
            stream=True,
        ) as response:
            deadline.answer_begun = True
            body = bytearray()
            # read1 gives what has arrived; iter_content would wait for a full part, however slowly it drips.
            while part := response.raw.read1(64 * 1024, decode_content=True):
                body += part
                if len(body) > self._max_body_bytes:
                    raise ResponseTooLarge(
                        f"The response has more than {self._max_body_bytes} bytes: {asked_for(response.url)}"
                    )
            headers = {name: value.replace(token, MASK) for name, value in response.headers.items()}
            return Response(
                response.url,
                response.status_code,
                requests.structures.CaseInsensitiveDict(headers),
                bytes(body).replace(token.encode(), MASK.encode()),
            )

    def close(self) -> None:
        """Close all connections."""
        self._session.close()
