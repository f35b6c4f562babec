"""The server's own signing secret: a file that only its user may read."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from hongyan.config import ConfigError

LENGTH = 32


def load_or_create_secret(path: Path) -> bytes:
    """The 32 bytes in `path`; made at random, durable and with mode 0600, where absent.

    Two processes that start at once get the same bytes. Replacing the file voids all tokens.

    Raises:
        ConfigError: one line: not readable, not 32 bytes, or readable by other users.
    """
    try:
        if not path.exists():
            _create(path)
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            secret = file.read(LENGTH + 1)
    except OSError as exc:
        raise ConfigError(f"{path}: {exc.strerror}") from None
    if os.name == "posix" and mode & 0o077:
        raise ConfigError(f"{path}: other users may read it (mode {mode:04o}); chmod 600 it")
    if len(secret) != LENGTH:
        raise ConfigError(f"{path}: not {LENGTH} bytes; remove it to get a new secret")
    return secret


def _create(path: Path) -> None:
    """Write beside, then link: the name appears with all bytes in place, and never twice."""
    beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(LENGTH))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(beside, path)
        except FileExistsError:
            return  # another process was faster: its secret is the one
    finally:
        beside.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
