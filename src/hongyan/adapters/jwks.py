"""Public keys of trusted issuers: a PEM file, or a JWKS from a file or over https.

A JWKS is fetched in a thread. A failure keeps the keys that are known and tries again later and
later; a token with an unknown key id may cause one fetch, then none for a while.
"""

from __future__ import annotations

import asyncio
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any

import jwt
import msgspec
import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from hongyan.config import ConfigError, Issuer, Tokens
from hongyan.engine.tokens import FixedKey, KeySource, TrustedIssuer

logger = structlog.get_logger(__name__)

MAX_BYTES = 256 * 1024
MAX_KEYS = 64
FETCH_S = 5.0  # for one fetch, all in all
FILE_EVERY_S = 2.0
URL_EVERY_S = 600.0
UNKNOWN_EVERY_S = 10.0  # least time between fetches that unknown key ids may cause
FIRST_RETRY_S, LAST_RETRY_S = 2.0, 300.0


def issuers(settings: Tokens) -> list[TrustedIssuer]:
    """The issuers of the configuration with their keys. Files are read now, URLs when needed.

    Raises:
        ConfigError: one line: a key file cannot be read or has no key of this kind.
    """
    return [
        TrustedIssuer(
            iss=issuer.iss,
            alg=issuer.alg,
            keys=_keys(issuer),
            tenant=issuer.tenant,
            audience=issuer.audience,
            admin=issuer.admin,
        )
        for issuer in settings.issuers
    ]


def _keys(issuer: Issuer) -> KeySource:
    where = f"tokens.issuers {issuer.iss}"
    try:
        if issuer.secret:
            return FixedKey(issuer.secret.encode())
        if issuer.public_key_file:
            key = load_pem_public_key(Path(issuer.public_key_file).read_bytes())
            if not _fits(key, issuer.alg):
                raise ValueError(f"{issuer.public_key_file}: not a key for {issuer.alg}")
            return FixedKey(key)
        if issuer.jwks_url:
            url = issuer.jwks_url
            return Jwks(lambda: _download(url), issuer.alg, every_s=URL_EVERY_S, name=issuer.iss)
        reader = FileReader(Path(issuer.jwks_file))
        jwks = Jwks(
            reader, issuer.alg, every_s=FILE_EVERY_S, unknown_every_s=FILE_EVERY_S, name=issuer.iss
        )
        jwks.take(reader())
        return jwks
    except OSError as exc:
        raise ConfigError(f"{where}: {exc.filename}: {exc.strerror}") from None
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise ConfigError(f"{where}: {exc}") from None


class Jwks:
    """A set of keys that may change; keys of other algorithms in it are not seen."""

    def __init__(
        self,
        fetch: Callable[[], bytes | None],
        alg: str,
        *,
        every_s: float,
        unknown_every_s: float = UNKNOWN_EVERY_S,
        name: str = "",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`fetch` runs in a thread and gives the document, or None when it did not change; it
        may raise OSError, ValueError or HTTPException, and must end within `FETCH_S` or so."""
        self.generation = 0
        self.failures = 0  # in a row
        self._fetch, self._alg, self._name = fetch, alg, name
        self._every_s, self._unknown_every_s = every_s, unknown_every_s
        self._monotonic = monotonic
        self._keys: dict[str, Any] = {}
        self._document: bytes | None = None
        self._next = monotonic()  # when to fetch again by itself
        self._unknown_next = monotonic()
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid: str) -> Sequence[Any]:
        """The key named `kid`, or all for "".

        Known keys are given at once, while a refresh that is due goes on beside. An unknown one,
        and a set that was never fetched, wait for a fetch, at most `FETCH_S`.
        """
        now = self._monotonic()
        if now >= self._next:
            self._begin(now)
        found = self._pick(kid)
        if not found and now >= self._unknown_next:
            self._begin(now)
        if not found and self._fetching is not None:
            await asyncio.wait([self._fetching], timeout=FETCH_S)
            found = self._pick(kid)
        return found

    def take(self, document: bytes | None) -> None:
        """Use a document from now on. Raises ValueError: it is not a JWKS; nothing changed."""
        if document is None or document == self._document:
            return
        self._keys = _parse(document, self._alg)
        self._document = document
        self.generation += 1
        if not self._keys:
            logger.warning("no usable key in the set", issuer=self._name, alg=self._alg)

    async def close(self) -> None:
        """Wait for a fetch that is under way. Idempotent."""
        if self._fetching is not None:
            await asyncio.wait([self._fetching])

    def _pick(self, kid: str) -> Sequence[Any]:
        if not kid:
            return list(self._keys.values())
        key = self._keys.get(kid)
        return () if key is None else (key,)

    def _begin(self, now: float) -> None:
        """Start a fetch, if none runs."""
        if self._fetching is None or self._fetching.done():
            self._unknown_next = now + self._unknown_every_s
            self._next = now + self._every_s
            self._fetching = asyncio.get_running_loop().create_task(self._refresh())

    async def _refresh(self) -> None:
        try:
            self.take(await asyncio.to_thread(self._fetch))
        except (OSError, ValueError, HTTPException) as exc:
            self.failures += 1
            pause = min(LAST_RETRY_S, FIRST_RETRY_S * 2 ** min(self.failures - 1, 16))
            pause *= random.uniform(0.75, 1.25)  # nodes that failed together come apart
            self._next = self._monotonic() + max(pause, self._unknown_every_s)
            self._unknown_next = max(self._unknown_next, self._next)
            logger.warning("keys not refreshed", issuer=self._name, error=str(exc))
        else:
            self.failures = 0


class FileReader:
    """Reads a file when it changed."""

    def __init__(self, path: Path) -> None:
        """Nothing is read yet."""
        self._path = path
        self._seen: tuple[int, int, int] | None = None

    def __call__(self) -> bytes | None:
        """The content, or None: it is as it was. Raises OSError, and ValueError when too big."""
        with self._path.open("rb") as file:
            info = self._path.stat()
            now = (info.st_mtime_ns, info.st_size, info.st_ino)
            if now == self._seen:
                return None
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"{self._path}: more than {MAX_BYTES} bytes")
        self._seen = now
        return content


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect could lead from https to anywhere: it is an error."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """None: urllib raises HTTPError."""
        return


_opener = urllib.request.build_opener(_NoRedirect)


def _download(url: str) -> bytes:
    """The body behind `url`. Raises OSError (also for a status that is not 200), ValueError."""
    deadline = time.monotonic() + FETCH_S
    request = urllib.request.Request(url, headers={"Accept": "application/json"})
    parts: list[bytes] = []
    size = 0
    with _opener.open(request, timeout=FETCH_S) as answer:
        while part := answer.read1(65536):
            size += len(part)
            parts.append(part)
            if size > MAX_BYTES:
                raise ValueError(f"more than {MAX_BYTES} bytes")
            if time.monotonic() > deadline:
                raise TimeoutError("too slow")
    return b"".join(parts)


class _Document(msgspec.Struct):
    keys: list[dict[str, Any]]


def _parse(document: bytes, alg: str) -> dict[str, Any]:
    """Usable public keys by key id; those without one are only tried for tokens that name none."""
    keys: dict[str, Any] = {}
    for number, entry in enumerate(msgspec.json.decode(document, type=_Document).keys[:MAX_KEYS]):
        if entry.get("use", "sig") != "sig" or entry.get("alg", alg) != alg:
            continue
        try:
            key = jwt.PyJWK(entry, algorithm=alg).key
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
            continue  # a kind of key we cannot read is no reason to refuse the others
        if _fits(key, alg):  # leaves out secrets and private keys, too
            keys[str(entry.get("kid") or f"\0{number}")] = key
    return keys


def _fits(key: object, alg: str) -> bool:
    """Is it a public key for this algorithm, and strong enough?"""
    match alg:
        case "EdDSA":
            return isinstance(key, Ed25519PublicKey)
        case "ES256":
            return isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
        case "RS256":
            return isinstance(key, RSAPublicKey) and key.key_size >= 2048
        case _:
            return False
