"""Every error that this project raises on purpose, as one tree.

Belongs here: the classes, what each means, and whether trying again can help. The first line of a docstring is the
default message. Does not belong here: what Dagster does about an error (`courtlistener_assets/defs/step_errors.py`).
"""

from __future__ import annotations


class CourtListenerAssetsError(Exception):
    """Something in CourtListener assets went wrong."""

    #: Whether the same call can succeed later without anybody changing anything.
    retryable = False

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])


class SettingError(CourtListenerAssetsError):
    """A setting has a value that cannot be used."""


class InvalidPartitionKey(CourtListenerAssetsError):
    """A partition key is not of the form court|YYYY-MM-01."""


# --- quota -----------------------------------------------------------------------------------------------------------


class QuotaError(CourtListenerAssetsError):
    """The account's quota does not allow the request."""


class QuotaDeferred(QuotaError):
    """The quota has no room within the longest wait that a run may take."""

    retryable = True

    def __init__(self, message: str | None = None, *, wait_seconds: float) -> None:
        super().__init__(message)
        #: Seconds from now until the quota is expected to have room.
        self.wait_seconds = wait_seconds


class AccountBlocked(QuotaError):
    """CourtListener has blocked this account from making API requests; ask its staff to lift the block."""


class LedgerUnavailable(QuotaError):
    """Neither Redis nor Postgres can grant permits, so no request may be sent."""

    retryable = True


class RedisUnavailable(LedgerUnavailable):
    """Redis does not answer."""


class LedgerFenced(QuotaError):
    """This ledger is not the one in charge."""

    retryable = True


# --- CourtListener's answers -----------------------------------------------------------------------------------------


class ApiError(CourtListenerAssetsError):
    """CourtListener gave an answer that cannot be used."""

    #: Requests that were sent until this was the last word.
    requests = 1


class TransientApiError(ApiError):
    """CourtListener did not answer properly: a timeout, a reset, a 408 or 5xx, a body cut short, not JSON."""

    retryable = True


class Throttled(ApiError):
    """CourtListener refused a request because of the account's rate limits (429)."""

    retryable = True

    def __init__(self, message: str | None = None, *, retry_after_seconds: float | None) -> None:
        super().__init__(message)
        #: What the server asked for; None when it named no time.
        self.retry_after_seconds = retry_after_seconds


class AuthenticationFailed(ApiError):
    """CourtListener does not accept the API token (401); set COURTLISTENER_API_TOKEN to a valid one."""


class PermissionDenied(ApiError):
    """The account may not use this endpoint (403); ask CourtListener for access."""


class BadRequest(ApiError):
    """CourtListener rejected a parameter (400); this is a defect of CourtListener assets, please report it."""


class NotFound(ApiError):
    """CourtListener has no such object (404)."""


class Gone(ApiError):
    """The object was removed (410) or merged into another one (301)."""

    def __init__(self, message: str | None = None, *, location: str | None = None) -> None:
        super().__init__(message)
        #: The address of the object that replaces it, if there is one.
        self.location = location


class ForeignHost(ApiError):
    """The answer points to a host other than COURTLISTENER_BASE_URL; the token is sent to the configured host only."""


class UntrustedServer(ApiError):
    """The certificate of the server was refused, so the token was not sent."""


class ResponseTooLarge(ApiError):
    """The answer is larger than the limit for one page."""


# --- records ---------------------------------------------------------------------------------------------------------


class UnusableRecord(CourtListenerAssetsError):
    """An object of a page does not fit: no id, or a key of the wrong type."""


class StoreUnavailable(CourtListenerAssetsError):
    """Postgres does not answer; nothing was stored."""

    retryable = True


class PageRejected(CourtListenerAssetsError):
    """Postgres refused a page of records."""
