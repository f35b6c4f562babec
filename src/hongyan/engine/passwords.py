"""Password hashing (argon2id) in worker threads, so that a login never stalls the loop."""

from __future__ import annotations

import asyncio
import secrets
import unicodedata
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from hongyan.model.errors import BadArgs, Overloaded

MIN_LENGTH, MAX_LENGTH = 8, 256  # characters
WORKERS = 2  # at once: each takes `hash_memory_kib` and one core
MAX_WAITING = 64  # then Overloaded; about a second of work

T = TypeVar("T")


class Passwords:
    """Hash and verify; at most `WORKERS` at once and `MAX_WAITING` behind them."""

    def __init__(self, memory_kib: int, rounds: int) -> None:
        """Starts no thread before the first use."""
        self._hasher = PasswordHasher(time_cost=rounds, memory_cost=memory_kib, parallelism=1)
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="argon2")
        self._waiting = 0
        # A hash that no password has, with the same price: who asks for an unknown user waits
        # as long as for a known one.
        salt, tag = (b64encode(secrets.token_bytes(n)).decode().rstrip("=") for n in (16, 32))
        self.nobody = f"$argon2id$v=19$m={memory_kib},t={rounds},p=1${salt}${tag}"

    async def hash(self, password: str) -> str:
        """The hash to keep. Raises Overloaded: too many wait, retry later."""
        return await self._run(lambda: self._hasher.hash(_normal(password)))

    async def verify(self, stored: str, password: str) -> bool:
        """Is it the password of this hash? A password that is too long is not hashed at all.

        Raises:
            Overloaded: too many wait; retry after `retry_after_ms`.
        """
        if len(password) > MAX_LENGTH:
            return False
        return await self._run(lambda: self._verify(stored, password))

    def outdated(self, stored: str) -> bool:
        """Was this hash made with other settings than today's?"""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """End the threads once they are idle. Idempotent."""
        self._threads.shutdown(wait=False)

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, _normal(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, job: Callable[[], T]) -> T:
        if self._waiting >= WORKERS + MAX_WAITING:
            raise Overloaded("too many logins at once", retry_after_ms=1000)
        self._waiting += 1
        future = asyncio.get_running_loop().run_in_executor(self._threads, job)
        # Counted until the thread is done, also when whoever asked has gone meanwhile.
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    def _done(self, future: asyncio.Future[Any]) -> None:
        self._waiting -= 1
        if not future.cancelled():
            future.exception()  # seen, even if nobody waits any more


def check_policy(password: str, user: str) -> None:
    """Refuse a password that must not be set.

    Raises:
        BadArgs: too short, too long, or the user's name; the text says so.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise BadArgs(f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters")
    if password.casefold() == user.casefold():
        raise BadArgs("the password must not be the user's name")


def _normal(password: str) -> bytes:
    """The same bytes for the same letters, however a keyboard composes them."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
