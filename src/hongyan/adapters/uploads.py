"""Bytes of uploads in a directory: `<id>` what was sent, `<id>.<part>` what was made of it.

They lie on the file system of the blobs, so that a finished upload becomes a blob by a rename.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from hongyan.adapters.localdisk import sync_directory
from hongyan.model.errors import NoSuchEntry, StoreDown

Result = TypeVar("Result")

PIECE = 1024 * 1024  # bytes hashed at once


class LocalUploads:
    """See the port. Ids are checked by who gives them out; files are opened per step, since most
    uploads wait for their client most of the time."""

    def __init__(self, root: Path, *, threads: int = 4) -> None:
        """Make the directory. Raises StoreDown where it cannot be written."""
        self._root = root
        self._closed = False
        try:
            root.mkdir(parents=True, exist_ok=True)
            sync_directory(root.parent)
        except OSError as exc:
            raise StoreDown(f"uploads in {root}: {exc}") from exc
        self._threads = ThreadPoolExecutor(threads, "uploads")

    def path(self, upload: str, part: str = "") -> Path:
        """See the port."""
        return self._root / (f"{upload}.{part}" if part else upload)

    async def write(self, upload: str, at: int, data: bytes) -> None:
        """See the port."""
        await self._run(partial(_write, self.path(upload), at, data))

    async def sync(self, upload: str) -> None:
        """See the port."""
        await self._run(partial(_sync, self.path(upload)))

    async def cut(self, upload: str, size: int) -> bool:
        """See the port."""
        return await self._run(partial(_cut, self.path(upload), size))

    async def digest(self, path: Path) -> tuple[str, int]:
        """See the port."""
        return await self._run(partial(_digest, path))

    async def head(self, upload: str, size: int) -> bytes:
        """See the port."""
        return await self._run(partial(_head, self.path(upload), size))

    async def drop(self, upload: str) -> None:
        """See the port."""
        await self._run(partial(self._drop, upload))

    async def sweep(self, known: frozenset[str]) -> int:
        """See the port."""
        return await self._run(partial(self._sweep, known))

    def free(self) -> int:
        """See the port."""
        return shutil.disk_usage(self._root).free

    async def close(self) -> None:
        """Wait for the threads; idempotent."""
        if not self._closed:
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(None, self._threads.shutdown)

    async def _run(self, call: Callable[[], Result]) -> Result:
        if self._closed:
            raise StoreDown("the uploads are closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except FileNotFoundError:
            raise NoSuchEntry("the bytes are not there") from None
        except OSError as exc:
            raise StoreDown(f"uploads: {exc.strerror or exc}") from exc

    def _drop(self, upload: str) -> None:
        for path in (self.path(upload), *self._root.glob(f"{upload}.*")):
            path.unlink(missing_ok=True)

    def _sweep(self, known: frozenset[str]) -> int:
        removed = 0
        for path in self._root.iterdir():
            if path.name not in known:
                path.unlink(missing_ok=True)
                removed += 1
        return removed


def _write(path: Path, at: int, data: bytes) -> None:
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        left = memoryview(data)
        while left:
            done = os.pwrite(number, left, at)
            left, at = left[done:], at + done
    finally:
        os.close(number)


def _sync(path: Path) -> None:
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fsync(number)
    finally:
        os.close(number)
    sync_directory(path.parent)


def _cut(path: Path, size: int) -> bool:
    try:
        present = path.stat().st_size
    except FileNotFoundError:
        return size == 0
    if present > size:
        os.truncate(path, size)
    return present >= size


def _digest(path: Path) -> tuple[str, int]:
    found, size = hashlib.sha256(), 0
    with path.open("rb", buffering=0) as file:
        while piece := file.read(PIECE):
            found.update(piece)
            size += len(piece)
    return found.hexdigest(), size


def _head(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size)
