"""Blobs on a directory, named by the SHA-256 of their bytes.

    blobs/ab/cd/abcd…       the bytes: there or not there, never half
    blobs/ab/cd/abcd….json  media type and time, written before the bytes appear
    blobs/tmp/…             uploads that run; what a crash left here is swept at the start

One process owns the directory (the store's lock on the data directory sees to that).
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import FileIO
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from hongyan.model.errors import FrameTooBig, NoSuchEntry, StoreDown
from hongyan.ports import BlobInfo, Clock

PIECE = 64 * 1024  # bytes read at once
BUFFER = 256 * 1024  # bytes gathered before a thread writes them
UNKNOWN = "application/octet-stream"
DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)

Result = TypeVar("Result")
logger = structlog.get_logger(__name__)


class _Note(msgspec.Struct, frozen=True):
    """The file beside a blob. New fields last, with a default."""

    media_type: str = UNKNOWN
    created_at: int = 0


class LocalDiskBlobs:
    """The Blobs port on `root`. Files are read and written in threads of its own."""

    def __init__(self, root: Path, clock: Clock, *, threads: int = 4) -> None:
        """Make the directory where it is missing and sweep what a crash left in `tmp`.

        Raises StoreDown where the directory cannot be written.
        """
        self._root = root
        self._tmp = root / "tmp"
        self._clock = clock
        self._closed = False
        try:
            self._tmp.mkdir(parents=True, exist_ok=True)
            remains = list(self._tmp.iterdir())
            for path in remains:
                path.unlink()
            if remains:
                logger.info("unfinished uploads removed", count=len(remains), path=str(self._tmp))
            sync_directory(root)
        except OSError as exc:
            raise StoreDown(f"blobs in {root}: {exc}") from exc
        self._threads = ThreadPoolExecutor(threads, "blobs")
        self._naming = [threading.Lock() for _ in range(64)]  # by digest

    async def put(self, data: AsyncIterator[bytes], media_type: str, *, most: int) -> BlobInfo:
        """See the port. The first media type of the same bytes stays.

        What `data` raises goes through; whatever ends the upload early leaves nothing behind.
        """
        upload = _Upload(self._tmp / os.urandom(12).hex())
        size, waiting = 0, bytearray()
        try:
            async for piece in data:
                size += len(piece)
                if size > most:
                    raise FrameTooBig(f"a blob has at most {most} bytes")
                waiting += piece
                if len(waiting) >= BUFFER:
                    await self._run(partial(upload.write, bytes(waiting)))
                    waiting.clear()
            keep = partial(self._keep, upload, bytes(waiting), size, media_type)
            return await self._run(keep)
        finally:
            await self._end(upload.discard)

    async def adopt(self, path: Path, digest: str, media_type: str) -> BlobInfo:
        """See the port. A file of the same file system is renamed, any other is copied."""
        if not DIGEST.fullmatch(digest):
            raise NoSuchEntry("no digest")
        return await self._run(partial(self._adopt, path, digest, media_type))

    async def info(self, digest: str) -> BlobInfo | None:
        """See the port."""
        if not DIGEST.fullmatch(digest):
            return None
        return await self._run(partial(self._info, digest))

    async def open(
        self, digest: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """See the port; NoSuchEntry comes with the first piece. Bounds beyond the blob are cut
        to it. A blob that is dropped meanwhile is read to its end."""
        if not DIGEST.fullmatch(digest):
            raise NoSuchEntry("no such blob")
        reader = _Reader(self._path(digest), max(start, 0), end)
        try:
            while piece := await self._run(reader.read):
                yield piece
        finally:
            await self._end(reader.close)

    async def drop(self, digest: str) -> bool:
        """See the port."""
        if not DIGEST.fullmatch(digest):
            return False
        return await self._run(partial(self._drop, digest))

    async def close(self) -> None:
        """Wait for the threads; idempotent."""
        if not self._closed:
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(None, self._threads.shutdown)

    # -- in threads ------------------------------------------------------------------------------

    async def _run(self, call: Callable[[], Result]) -> Result:
        if self._closed:
            raise StoreDown("the blobs are closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except OSError as exc:
            raise StoreDown(f"blobs: {exc.strerror or exc}") from exc

    async def _end(self, call: Callable[[], None]) -> None:
        """Give files back, also when we are being cancelled; hides no error of the caller."""
        try:
            await asyncio.shield(asyncio.wrap_future(self._threads.submit(call)))
        except (OSError, RuntimeError) as exc:  # RuntimeError: closed meanwhile
            logger.warning("blob file not given back; the next start sweeps", error=str(exc))

    def _path(self, digest: str) -> Path:
        return self._root / digest[:2] / digest[2:4] / digest

    def _lock(self, digest: str) -> threading.Lock:
        return self._naming[int(digest[:2], 16) % len(self._naming)]

    def _keep(self, upload: _Upload, rest: bytes, size: int, media_type: str) -> BlobInfo:
        """Give the upload its name; durable on return.

        The bytes are put there even where they are already: that heals a damaged file.
        """
        with upload.lock:  # a cancelled put removes the temporary file only after us
            digest = upload.finish(rest)
            path = self._path(digest)
            with self._lock(digest):
                _make_directories(self._root, path.parent)
                note = _read_note(path) if path.exists() else None
                if note is None:
                    note = _Note(media_type, self._clock.now_ms())
                    _write_note(path, note, upload.path.with_suffix(".json"))
                upload.path.replace(path)
                sync_directory(path.parent)
        return BlobInfo(digest, size, note.media_type, note.created_at)

    def _adopt(self, source: Path, digest: str, media_type: str) -> BlobInfo:
        try:
            size = source.stat().st_size
        except FileNotFoundError:
            raise NoSuchEntry("no such file") from None
        path = self._path(digest)
        temporary = self._tmp / os.urandom(12).hex()
        with self._lock(digest):
            _make_directories(self._root, path.parent)
            note = _read_note(path) if path.exists() else None
            if note is None:
                note = _Note(media_type, self._clock.now_ms())
                _write_note(path, note, temporary.with_suffix(".json"))
            try:
                source.replace(path)
            except OSError as exc:
                if exc.errno != errno.EXDEV:
                    raise
                _copy(source, temporary)
                temporary.replace(path)
                source.unlink(missing_ok=True)
            sync_directory(path.parent)
        return BlobInfo(digest, size, note.media_type, note.created_at)

    def _info(self, digest: str) -> BlobInfo | None:
        path = self._path(digest)
        try:
            stat = path.stat()
        except FileNotFoundError:
            return None
        note = _read_note(path) or _Note(created_at=stat.st_mtime_ns // 1_000_000)
        return BlobInfo(digest, stat.st_size, note.media_type, note.created_at)

    def _drop(self, digest: str) -> bool:
        path = self._path(digest)
        with self._lock(digest):
            try:
                path.unlink()
                found = True
            except FileNotFoundError:
                found = False  # the note may have outlived the bytes
            if found or _note_path(path).exists():
                _note_path(path).unlink(missing_ok=True)
                sync_directory(path.parent)
        return found


class _Upload:
    """One temporary file, made with its first bytes.

    A put may be cancelled while a thread still writes for it; `lock` makes `discard` wait for
    that thread, and a thread that comes after `discard` finds nothing to do.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.RLock()
        self._file: FileIO | None = None
        self._hash = hashlib.sha256()
        self._over = False

    def write(self, data: bytes) -> None:
        with self.lock:
            if self._over:
                raise OSError(errno.ECANCELED, "the upload was given up")
            if self._file is None:
                self._file = FileIO(self.path, "xb")
            self._hash.update(data)
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) :]

    def finish(self, rest: bytes) -> str:
        """Write the last bytes, force all to disk and give the digest."""
        with self.lock:
            self.write(rest)
            assert self._file is not None  # made by write
            os.fsync(self._file.fileno())
            return self._hash.hexdigest()

    def discard(self) -> None:
        with self.lock:
            self._over = True
            if self._file is not None:
                self._file.close()
                self.path.unlink(missing_ok=True)


class _Reader:
    """Bytes [start, end) of a file, opened with the first piece. The lock: see _Upload."""

    def __init__(self, path: Path, start: int, end: int | None) -> None:
        self._path = path
        self._at = start
        self._end = end
        self._lock = threading.Lock()
        self._file: FileIO | None = None
        self._over = False

    def read(self) -> bytes:
        """The next piece, b"" at the end."""
        with self._lock:
            if self._over:
                return b""
            if self._file is None:
                try:
                    self._file = FileIO(self._path)
                except FileNotFoundError:
                    raise NoSuchEntry("no such blob") from None
            size = PIECE if self._end is None else min(PIECE, max(self._end - self._at, 0))
            piece = os.pread(self._file.fileno(), size, self._at)
            self._at += len(piece)
            return piece

    def close(self) -> None:
        with self._lock:
            self._over = True
            if self._file is not None:
                self._file.close()


def _copy(source: Path, target: Path) -> None:
    """The bytes of another file system; durable on return."""
    with FileIO(source) as given, FileIO(target, "xb") as taken:
        while piece := given.read(BUFFER):
            left = memoryview(piece)
            while left:
                left = left[taken.write(left) :]
        os.fsync(taken.fileno())


def _note_path(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _read_note(path: Path) -> _Note | None:
    """What stands beside a blob; None where it is missing or unreadable."""
    try:
        return msgspec.json.decode(_note_path(path).read_bytes(), type=_Note)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as exc:
        logger.warning("unreadable note of a blob", path=str(path), error=str(exc))
        return None


def _write_note(path: Path, note: _Note, temporary: Path) -> None:
    try:
        with FileIO(temporary, "xb") as file:
            file.write(msgspec.json.encode(note))
            os.fsync(file.fileno())
        temporary.replace(_note_path(path))
    finally:
        temporary.unlink(missing_ok=True)


def _make_directories(root: Path, folder: Path) -> None:
    """Make root/ab/cd, each one durable before the next."""
    for path in (folder.parent, folder):
        if not path.is_dir():
            path.mkdir(exist_ok=True)
            sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make names in a directory durable."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
