"""TLS whose certificate can be replaced while connections stay.

The listening context never changes; for each handshake it hands over to the newest good one. A
pair of files that does not load leaves the old certificate in use.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)


class BadCertificate(Exception):
    """Certificate or key cannot be used; the text names the files and why."""


class Tls:
    """A certificate and its key, from PEM files. TLS 1.2 or newer, HTTP/1.1 by ALPN."""

    def __init__(self, cert: Path, key: Path) -> None:
        """Load both now.

        Raises:
            BadCertificate: the operator mends the files.
        """
        self._cert, self._key = cert, key
        self._stamp = self._look()
        self._newest = self._load()
        self.loads = 1
        self.context = self._load()
        self.context.sni_callback = self._choose  # called for clients without SNI too

    def reload(self) -> None:
        """Use the files as they are now for handshakes from here on.

        Raises:
            BadCertificate: the certificate in use stays in use.
        """
        self._stamp = self._look()
        self._newest = self._load()
        self.loads += 1
        log.info("certificate loaded", path=str(self._cert))

    async def watch(self, every_s: float) -> None:
        """Reload when a file changes; looks every `every_s` seconds, until cancelled."""
        while True:
            await asyncio.sleep(every_s)
            if await asyncio.to_thread(self._look) != self._stamp:
                self.reload_or_log()

    def reload_or_log(self) -> None:
        """As `reload`; a failure is logged once, until a file changes again."""
        try:
            self.reload()
        except BadCertificate as why:
            log.error("the old certificate stays in use", error=str(why))

    def _choose(self, conn: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        conn.context = self._newest

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self._cert, self._key, password=_no_password)
        except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
            raise BadCertificate(f"cannot use {self._cert} with {self._key}: {exc}") from None
        return context

    def _look(self) -> tuple[int, ...]:
        """Changes when a file is replaced, written or made readable; () where one is absent."""
        try:
            stats = [path.stat() for path in (self._cert, self._key)]
        except OSError:
            return ()
        return tuple(n for s in stats for n in (s.st_ino, s.st_ctime_ns, s.st_size))


def _no_password() -> str:
    """OpenSSL would ask on the terminal, and the server would hang."""
    raise ValueError("the key is encrypted; give a key without a password")
