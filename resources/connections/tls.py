"""Which servers need TLS, why a certificate was refused, and what to do about it.

Belongs here: reading Python's TLS errors, whichever library wraps them. Does not belong here: how each client is told
what to trust (`redis_address.py`, `postgres_address.py`); requests trusts certifi's bundle or REQUESTS_CA_BUNDLE.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

# Of OpenSSL's x509_vfy.h.
_NOT_YET_VALID, _EXPIRED, _SELF_SIGNED, _SELF_SIGNED_CHAIN, _NO_ISSUER, _UNVERIFIABLE = 9, 10, 18, 19, 20, 21
_HOST, _ADDRESS = 62, 64


def is_this_machine(host: str) -> bool:
    """Whether a host, which then needs no TLS, is localhost, a loopback address, a Unix socket or not named."""
    if host in ("", "localhost") or host.startswith(("/", "@")):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Refusal:
    """Why a server was not trusted, and the remedy, as sentences."""

    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.reason} {self.remedy}"


def refusal_of(error: BaseException, authority_setting: str) -> Refusal | None:
    """Why the certificate was refused; None if that is not what went wrong.

    `authority_setting` is where the user names a certificate authority of his own.
    """
    for each in _causes(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            return _of_code(each.verify_code, each.verify_message, authority_setting)
    return None


def _of_code(code: int, message: str, authority_setting: str) -> Refusal:
    if code in (_EXPIRED, _NOT_YET_VALID):
        when = "has expired" if code == _EXPIRED else "is not valid yet"
        return Refusal(
            f"The server's certificate {when}.", "Have the certificate renewed, or set the clock of this machine right."
        )
    if code in (_HOST, _ADDRESS):
        return Refusal(
            f"The server's certificate is for another host: {message.rstrip('.')}.",
            "Use the host name that the certificate names. If the name is right, another server responds under it.",
        )
    if code in (_SELF_SIGNED, _SELF_SIGNED_CHAIN, _NO_ISSUER, _UNVERIFIABLE):
        return Refusal(
            f"The server's certificate comes from an authority that is not known here ({message}).",
            f"If you trust that authority, name the file with its certificate in {authority_setting}.",
        )
    return Refusal(f"The server's certificate was refused: {message}.", "Have the certificate replaced.")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what caused it: each library keeps the cause in another place."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if isinstance(each, BaseException) and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
