"""Finding out whether it is the server that fails, or a page, with as few requests as that takes.

Belongs here: what one client's workers see of it, and the probes. Does not belong here: what all workers of the account
know, and when the next probe is (`server_state.py`), sending (`client.py`).
"""

from __future__ import annotations

import logging
import math
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from resources.courtlistener.server_state import ServerState, Turn
from resources.errors import (
    ApiChanged,
    ApiError,
    BadRequest,
    ForeignHost,
    Gone,
    NotFound,
    PermissionDenied,
    QuotaError,
    ResponseTooLarge,
    ServerDown,
    TransientApiError,
    UntrustedServer,
)

_log = logging.getLogger("dagster.builtin.courtlistener")
#: An endpoint that every account may use, and of which a page costs the server next to nothing.
NEUTRAL = "courts"
#: What the API may say of one page while it answers.
_SAID_OF_A_PAGE = (PermissionDenied, NotFound, Gone, BadRequest, ResponseTooLarge, ApiChanged)
#: How often the other workers are told that the server answers.
_NOTE_SECONDS = 30.0
#: When so many workers in a row get no answer, it may not be their pages that are to blame.
_MOST_FAILURES = 3
#: Every so many probes one more request is spent, should api-usage alone be out of order.
_FREE_PROBES = 4


class _Failing(threading.local):
    """The endpoint of the last page that failed in a thread, and when it was asked for."""

    page = ("", -math.inf)


class Watch:
    """What a client does about a server that may be down.

    `ask_usage` asks api-usage, which costs no quota, without waiting for a permit; `ask_neutrally` asks for a page of
    NEUTRAL. Both raise as the client does.
    """

    def __init__(
        self,
        server: ServerState,
        *,
        ask_usage: Callable[[], None],
        ask_neutrally: Callable[[], None],
        sleep: Callable[[float], None],
        clock: Callable[[], float],
    ) -> None:
        self._server = server
        self._ask_usage = ask_usage
        self._ask_neutrally = ask_neutrally
        self._sleep = sleep
        self._clock = clock
        #: The names of this client's workers begin so; the thread's follows.
        self._name = f"{secrets.token_hex(6)}:"
        self._answered_at = self._noted_at = self._usage_answered_at = -math.inf
        self._failing = _Failing()

    @property
    def _worker(self) -> str:
        return f"{self._name}{threading.get_ident()}"

    def wait_for_turn(self, endpoint: str) -> bool:
        """Return when this worker may ask, and whether others wait for it.

        Raises ServerDown while the server or the endpoint is down, PermissionDenied while it is refused.
        """
        while (turn := self._server.turn(self._worker, endpoint)) is not Turn.FREE:
            if turn is Turn.ALONE:
                return True
            if turn is Turn.PROBE:
                self._probe()
            else:
                self._sleep(turn)
        return False

    @contextmanager
    def heard(self, endpoint: str, *, alone: bool) -> Iterator[None]:
        """Note for all workers whether the API answers in the block; raises ServerDown if something else does.

        After a TransientApiError nobody knows, and the others wait until somebody does.
        """
        try:
            yield
        except ServerDown as error:
            raise self._server.down(self._worker, str(error), named_seconds=error.wait_seconds) from error
        except TransientApiError:
            raise
        except PermissionDenied as error:
            self._note_answer(alone)
            if error.said_by_api:
                raise self._server.without(endpoint, str(error), refused=True) from error
            raise
        except (UntrustedServer, ForeignHost):
            self._server.release(self._worker)
            raise
        except ApiError:
            self._note_answer(alone, endpoint)
            raise
        except BaseException:  # No permit, most likely: somebody else may have one.
            self._server.release(self._worker)
            raise
        self._note_answer(alone, endpoint)

    def doubt(self, error: TransientApiError, endpoint: str, sent_at: float, *, again: bool) -> None:
        """Find out whether it is the page or the server, before more is spent; raises ServerDown if it is the server.

        The page was asked for at `sent_at`, and will be `again`. Before that, and when several workers get no answer,
        api-usage is asked, which costs no quota: several runs may each be at a page that breaks.
        """
        self._failing.page = (endpoint, sent_at)
        if self._answered_at > sent_at:
            return  # Others got answers meanwhile: it is this page.
        failures = self._server.failed(self._worker, str(error), endpoint)
        if (failures >= _MOST_FAILURES or (failures == 1 and again)) and self._fault_of_usage():
            down = self._found_down(error)
            down.requests = error.requests
            raise down from error

    def outage(self, error: Exception) -> ApiError:
        """The error to raise once an empty page of the endpoint that failed last in this thread has failed, too."""
        endpoint, sent_at = self._failing.page
        try:
            if self._server.shared and endpoint and not self._answered_at > sent_at:
                self._try_neutral()
        except ServerDown as down:
            return down
        except (TransientApiError, QuotaError):
            return self._server.down(self._worker, str(error))
        except ApiError:
            pass
        return self._server.without(endpoint, str(error))

    def refused(self) -> set[str]:
        """The endpoints that the account may not use, as far as that is known."""
        return self._server.refused()

    def close(self) -> None:
        """Let nobody wait for this client's workers any more."""
        self._server.release(self._name)

    # --- probes -----------------------------------------------------------------------------------------------------

    def _probe(self) -> None:
        """Find out whether a server that was down answers again; raises ServerDown if not.

        Only if api-usage answers, or has failed often, a page is asked for.
        """
        failed = self._fault_of_usage()
        if failed and self._server.probes() % _FREE_PROBES != _FREE_PROBES - 1:
            raise self._found_down(failed) from failed
        try:
            self._try_neutral()
        except TransientApiError as error:
            raise self._found_down(error, paid=True) from error
        except _SAID_OF_A_PAGE as error:  # It has answered, and this is not what was asked for.
            _log.info("a probe was answered: %s", error)

    def _try_neutral(self) -> None:
        with self.heard(NEUTRAL, alone=True):
            self._ask_neutrally()

    def _fault_of_usage(self) -> ApiError | None:
        """Ask api-usage unless it has answered just now; the error that shows that it is down, or None."""
        if self._clock() - self._usage_answered_at < _NOTE_SECONDS:
            return None
        try:
            self._ask_usage()
        except (TransientApiError, ServerDown) as error:
            return error
        except (ApiError, QuotaError) as error:
            _log.info("api-usage tells nothing: %s", error)
            return None
        self._usage_answered_at = self._clock()
        return None

    def _found_down(self, error: ApiError, *, paid: bool = False) -> ServerDown:
        named = error.wait_seconds if isinstance(error, ServerDown) else 0.0
        return self._server.down(self._worker, str(error), named_seconds=named, paid=paid)

    def _note_answer(self, alone: bool, endpoint: str = "") -> None:
        """The API has answered. Others are told if they wait for it, and now and then."""
        self._answered_at = self._clock()
        if alone or self._answered_at - self._noted_at > _NOTE_SECONDS:
            self._noted_at = self._answered_at
            self._server.answered(self._worker, endpoint)
