"""TLS handshakes of the doctor's own, to say why a connection that a driver could not make was refused.

Belongs here: what only a handshake can tell. Does not belong here: findings.
"""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

from psycopg.conninfo import conninfo_to_dict

from resources.connections.postgres_address import conninfo_of
from resources.connections.tls import Refusal, refusal_of

_TIMEOUT_SECONDS = 3.0
_POSTGRES_SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")


def wants_tls(url: str) -> bool:
    """Whether the server at `redis://host:port` answers a TLS handshake."""
    parts = urlsplit(url)
    context = ssl.create_default_context()
    # Nothing is sent but the handshake, so it does not matter who answers.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    place = (parts.hostname or "localhost", parts.port or 6379)
    try:
        with socket.create_connection(place, _TIMEOUT_SECONDS) as plain, context.wrap_socket(plain):
            return True
    except OSError:
        return False


def refusal_at(postgres_address: str) -> Refusal | None:
    """Why the certificate of a Postgres server is refused: libpq itself does not say; None if it is not."""
    said = {name: str(value) for name, value in conninfo_to_dict(conninfo_of(postgres_address)).items()}
    host = said.get("host") or said.get("hostaddr") or "localhost"
    place = (said.get("hostaddr") or host, int(said.get("port") or 5432))
    try:
        context = ssl.create_default_context(cafile=said.get("sslrootcert"))
        with socket.create_connection(place, _TIMEOUT_SECONDS) as plain:
            plain.sendall(_POSTGRES_SSL_REQUEST)
            if plain.recv(1) == b"S":
                context.wrap_socket(plain, server_hostname=host).close()
    except OSError as problem:
        return refusal_of(problem, "sslrootcert= in POSTGRES_URL")
    return None
