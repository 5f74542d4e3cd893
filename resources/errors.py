"""Every error that this project raises on purpose, as one tree.

    CourtListenerAssetsError
    |-- SettingError                 a setting has a value that cannot be used
    |   `-- SchemaMismatch           the database is of another version
    |-- InvalidPartitionKey
    |-- QuotaError                   the quota does not allow the request
    |   |-- QuotaDeferred *          no room within the longest wait
    |   |-- AccountBlocked
    |   `-- LedgerUnavailable *      neither Redis nor Postgres grants
    |       `-- RedisUnavailable *
    |-- ApiError                     a response that cannot be used
    |   |-- TransientApiError *
    |   |   |-- NotSent *
    |   |   `-- Unanswered *
    |   |-- ServerDown *             nothing can be had from the server, whatever is asked for
    |   |-- Throttled *              429
    |   |-- AuthenticationFailed     401
    |   |-- PermissionDenied         403
    |   |-- BadRequest               400, and any other status
    |   |-- NoSuchReference          400: a filter names an object that does not exist
    |   |-- NotFound                 404
    |   |-- Gone                     410, 301
    |   |-- ForeignHost
    |   |-- UntrustedServer
    |   |-- ResponseTooLarge
    |   `-- ApiChanged               no object fits any more
    |-- UnusableRecord               an object that does not fit
    |-- StoreUnavailable *           Postgres does not answer
    |-- PageRejected                 Postgres refuses a page
    |-- BackupError                  a backup cannot be made or restored
    |-- TooLate                      what the change log said then is no longer there
    |-- Overtaken *                  another run has made the same file
    |-- BuilderDied                  a process that made a file was ended
    |-- DumpError                    a bulk file cannot be used
    |   |-- DumpMissing              there is none, or a table of it is missing
    |   |-- DumpUnavailable *        the place does not answer
    |   |-- DumpDamaged              damaged, or cut
    |   |-- DumpChanged              other columns, or another dialect
    |   `-- DiskFull                 no room for the rows that are wanted
    |-- Stopped                      the run was told to stop
    |-- NothingYet                   nothing to report
    `-- LocalError                   on this machine, for `demo` and `dev`
        |-- EmbeddedServerFailed
        |-- SimulatorFailed
        |-- SessionRunning
        |-- NoSession
        |-- UntrustedSession
        |-- DagsterStopped
        `-- RunFailed

    * the same call can succeed later without any change

Belongs here: the classes; the first line of a docstring is the default message. Does not belong here: what Dagster does
about an error (`courtlistener_assets/defs/steps.py`).
"""

from __future__ import annotations


class CourtListenerAssetsError(Exception):
    """Something in CourtListener assets went wrong."""

    #: Whether the same call can succeed later without any change.
    retryable = False

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])


class SettingError(CourtListenerAssetsError):
    """A setting has a value that cannot be used."""


class SchemaMismatch(SettingError):
    """The schema in Postgres is of another version than this one."""


class InvalidPartitionKey(CourtListenerAssetsError):
    """A partition key is not of the form court|YYYY-MM-01."""


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


class ApiError(CourtListenerAssetsError):
    """CourtListener gave a response that cannot be used."""

    #: Requests that were sent before this error was final.
    requests = 1
    #: Whether the server counts the request against the quota, or may have: the permit is then used up.
    counted = True
    #: Whether an answer came. Without one the request may still be under way, and be counted when it arrives.
    answered = True


class TransientApiError(ApiError):
    """CourtListener did not answer properly: a timeout, a reset, a 408 or 5xx, a body cut short, not JSON."""

    retryable = True


class NotSent(TransientApiError):
    """No connection to CourtListener was made, so no request was sent."""

    counted = False


class Unanswered(TransientApiError):
    """A request was sent and CourtListener gave no answer: a timeout, a reset, or a proxy that gave up (502, 504)."""

    answered = False


class ServerDown(ApiError):
    """CourtListener is not available, whatever is asked for; one probe at a time finds out when it is again."""

    retryable = True
    requests = 0
    counted = False

    def __init__(self, message: str | None = None, *, wait_seconds: float) -> None:
        super().__init__(message)
        #: Seconds from now until the next probe.
        self.wait_seconds = wait_seconds


class Throttled(ApiError):
    """CourtListener refused a request because of the account's rate limits (429)."""

    retryable = True
    counted = False

    def __init__(
        self, message: str | None = None, *, retry_after_seconds: float | None, blocked: str | None = None
    ) -> None:
        super().__init__(message)
        #: What the server requested; None when it named no time.
        self.retry_after_seconds = retry_after_seconds
        #: What it said if it has blocked the account.
        self.blocked = blocked


class AuthenticationFailed(ApiError):
    """CourtListener does not accept the API token (401); set COURTLISTENER_API_TOKEN to a valid one."""


class PermissionDenied(ApiError):
    """The account may not use this endpoint (403); ask CourtListener for access."""

    #: Whether it was the API that said so, as JSON, and not something in front of it.
    said_by_api = False


class BadRequest(ApiError):
    """CourtListener rejected a parameter (400); this is a defect of CourtListener assets, please report it."""


class NoSuchReference(ApiError):
    """A filter names an object that CourtListener does not have (400, "Select a valid choice")."""


class NotFound(ApiError):
    """CourtListener has no such object (404)."""

    #: Whether it was the API that said so, as JSON, and not something in front of it.
    said_by_api = False


class Gone(ApiError):
    """The object was removed (410) or merged into another one (301)."""

    #: Whether it was the API that said so, as JSON, and not something in front of it.
    said_by_api = False

    def __init__(self, message: str | None = None, *, location: str | None = None) -> None:
        super().__init__(message)
        #: The address of the object that replaces it, if there is one.
        self.location = location


class ForeignHost(ApiError):
    """The response points to a host other than COURTLISTENER_BASE_URL; the token is sent to that host only."""


class UntrustedServer(ApiError):
    """The certificate of the server was refused, so the token was not sent."""

    counted = False


class ResponseTooLarge(ApiError):
    """The response is larger than the limit for one page."""


class ApiChanged(ApiError):
    """The API has changed: nothing that it gives can be used; a newer version of CourtListener assets may know how."""


class UnusableRecord(CourtListenerAssetsError):
    """An object of a page does not fit: no id, or a key of the wrong type."""


class StoreUnavailable(CourtListenerAssetsError):
    """Postgres does not answer; nothing was stored."""

    retryable = True


class PageRejected(CourtListenerAssetsError):
    """Postgres refused a page of records."""


class BackupError(CourtListenerAssetsError):
    """A backup cannot be made or restored."""


class TooLate(CourtListenerAssetsError):
    """The change log no longer has what came after this number: begin again with its compacted state."""


class Overtaken(CourtListenerAssetsError):
    """Another run has replaced the file of this partition since its documents were read."""

    retryable = True


class BuilderDied(CourtListenerAssetsError):
    """A process that made a partition's file was ended: mostly there was too little memory for so many at once."""


class DumpError(CourtListenerAssetsError):
    """A file of CourtListener's bulk data cannot be used."""


class DumpMissing(DumpError):
    """There is no bulk data at its place, or not every table of it."""


class DumpUnavailable(DumpError):
    """The place of the bulk data does not answer; what was read until now is kept."""

    retryable = True


class DumpDamaged(DumpError):
    """A bulk file is damaged, or was cut; what was read until then is kept."""


class DumpChanged(DumpError):
    """A bulk file has not the columns, or not the dialect, that are known; a newer version may know how to read it."""


class DiskFull(DumpError):
    """There is no room for the wanted rows of bulk files; what was read until then is kept."""


class Stopped(CourtListenerAssetsError):
    """The run was told to stop; what is stored stays, and nothing is requested any more."""

    #: Raised before a request, so the permit for it is given back.
    counted = False
    answered = False


class NothingYet(CourtListenerAssetsError):
    """The database has no tables yet: the first run or `courtlistener dev` makes them."""


class LocalError(CourtListenerAssetsError):
    """Something that `courtlistener demo` or `courtlistener dev` started on this machine went wrong."""


class EmbeddedServerFailed(LocalError):
    """An embedded server did not start."""


class SimulatorFailed(LocalError):
    """The simulator did not start."""


class SessionRunning(LocalError):
    """Another `courtlistener dev`, `run` or `demo` is using this directory; stop it first."""


class NoSession(LocalError):
    """No servers run for this folder: start `courtlistener dev` in another terminal, or use `courtlistener run`."""


class UntrustedSession(LocalError):
    """Another user could have written the record of the session."""


class DagsterStopped(LocalError):
    """Dagster ended unexpectedly; the end of its log above says why."""


class RunFailed(LocalError):
    """A Dagster process of the demo failed."""
