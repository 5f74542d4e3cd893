"""The address of the server, which is the only one that the token is sent to.

Belongs here: which addresses are allowed. Does not belong here: requests (`client.py`).
"""

from __future__ import annotations

from urllib.parse import urlsplit

from resources.connections.tls import is_this_machine
from resources.errors import SettingError

DEFAULT_BASE_URL = "https://www.courtlistener.com"


def checked_base_url(value: str) -> str:
    """The server without a path; raises SettingError unless it is https, or http on this machine.

    The error quotes nothing of the address, since a password may stand there.
    """
    try:
        url = urlsplit(value)
        usable = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:
        usable = False
    if not usable or "@" in url.netloc or url.query or url.fragment or url.path.rstrip("/") not in ("", "/api/rest/v4"):
        raise SettingError(f"the address of the API must be like {DEFAULT_BASE_URL}, without path or user")
    if url.scheme == "http" and not is_this_machine(url.hostname or ""):
        raise SettingError("plain http to the API would show the token; use https")
    return f"{url.scheme}://{url.netloc}"
