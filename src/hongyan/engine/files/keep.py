"""What becomes of a finished upload: its type is told by its bytes, a picture is cleaned, and the
bytes become a blob that the tenant holds.

The tenant holds the file before its bytes get their name, and nobody removes bytes that are just
being kept (`locked`), so whatever dies when, no blob is without a holder and none is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import structlog

from hongyan.config import Files as Settings
from hongyan.engine.files import types
from hongyan.model.errors import BadFile, Gone, NoSuchEntry, Overloaded, Refusal
from hongyan.model.files import PROCESSING, READY, REFUSED, File, Upload
from hongyan.ports import Blobs, Clock, FileRecords, Pictures, Prepared, Uploads

logger = structlog.get_logger(__name__)

DAY_MS = 86_400_000
AGAIN_S = 2.0  # between two tries of a picture that found no place


class BlobView(msgspec.Struct, frozen=True):
    """The file as it goes into a message."""

    digest: str
    size: int
    media_type: str
    name: str


class FileView(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is told of an upload. `problem` is what a refusal would say."""

    state: str
    id: str = ""
    offset: int = 0
    size: int = 0
    expires_at: int = 0
    blob: BlobView | None = None
    width: int = 0
    height: int = 0
    preview: str = ""
    placeholder: str = ""
    duration_ms: int = 0
    problem: dict[str, Any] | None = None


def view_of(upload: Upload) -> FileView:
    """What is told of an upload."""
    if upload.result and upload.state in (READY, REFUSED):
        return msgspec.json.decode(upload.result, type=FileView)
    return FileView(
        state=upload.state,
        id=upload.id,
        offset=upload.offset,
        size=upload.size,
        expires_at=upload.expires_at,
    )


class Keeper:
    """Works on finished uploads, each in a task of its own."""

    def __init__(
        self,
        settings: Settings,
        *,
        records: FileRecords,
        uploads: Uploads,
        blobs: Blobs,
        pictures: Pictures,
        clock: Clock,
    ) -> None:
        """See the ports."""
        self.settings, self.records, self.blobs = settings, records, blobs
        self._uploads, self._pictures, self._clock = uploads, pictures, clock
        self.works: dict[str, asyncio.Task[None]] = {}
        self._locks: dict[str, tuple[asyncio.Lock, list[None]]] = {}
        self.refused = 0

    @property
    def crowded(self) -> bool:
        """Whether too many pictures wait to be looked at."""
        return self._pictures.crowded

    async def stop(self) -> None:
        """End what runs; it goes on after the next start."""
        for task in list(self.works.values()):
            task.cancel()
        await asyncio.gather(*self.works.values(), return_exceptions=True)

    def work(self, upload: Upload) -> None:
        """Begin. Whatever ends it, it is begun again until there is an answer."""
        if upload.id in self.works:
            return
        task = asyncio.create_task(self._process(upload), name=f"file {upload.id}")
        self.works[upload.id] = task
        task.add_done_callback(lambda _: self.works.pop(upload.id, None))

    async def _process(self, upload: Upload) -> None:
        while True:
            try:
                view = await self._look(upload)
                break
            except Overloaded:
                await asyncio.sleep(AGAIN_S)
            except BadFile as why:
                self.refused += 1
                view = _refused(upload, why)
                break
            except NoSuchEntry:
                view = _refused(upload, Gone("the bytes of this upload are lost: begin again"))
                break
            except Refusal as why:  # the disk, the store: nobody knows, the next start tries again
                logger.error("file not kept", upload=upload.id, error=why.text)
                return
            except Exception:
                logger.exception("file not kept", upload=upload.id)
                return
        grace = self._clock.now_ms() + self.settings.grace_s * 1000
        later = max(grace, upload.created_at + DAY_MS)
        try:
            await self.records.settle(upload.id, view.state, msgspec.json.encode(view), later)
            await self._uploads.drop(upload.id)
        except Refusal as why:
            logger.error("upload not settled", upload=upload.id, error=why.text)

    async def _look(self, upload: Upload) -> FileView:
        """Judge, clean and keep a file whose bytes are all here. May be done again."""
        try:
            head = await self._uploads.head(upload.id, types.HEAD)
        except NoSuchEntry:
            return await self._kept(upload)
        media_type = types.detect(head, upload.media_type)
        if types.is_refused(media_type, self.settings.refused_types):
            raise BadFile(f"files of type {media_type} are not taken")
        if media_type in types.CLEANED:
            return await self._picture(upload, media_type)
        path = self._uploads.path(upload.id)
        film = await self._film(path, media_type)
        digest, size = await self._uploads.digest(path)
        view = FileView(
            READY,
            upload.id,
            blob=BlobView(digest, size, media_type, upload.name),
            width=film.width,
            height=film.height,
            duration_ms=film.duration_ms,
        )
        await self._keep(upload, view, [("", digest, size, media_type)])
        return view

    async def _film(self, path: Path, media_type: str) -> Prepared:
        """What a film says of itself, without its notes. One that cannot be followed is kept as
        it is: it may still play."""
        nothing = Prepared(media_type=media_type, width=0, height=0)
        if media_type not in types.FILMS:
            return nothing
        try:
            return await self._pictures.film(path, media_type)
        except BadFile as why:
            logger.info("a film keeps its notes", why=why.text)
            return nothing

    async def _kept(self, upload: Upload) -> FileView:
        """The answer of an upload whose bytes became the blob before the process died."""
        known = await self.records.upload(upload.id)
        if known is not None and known.result:
            view = msgspec.json.decode(known.result, type=FileView)
            if view.blob is not None and await self.blobs.info(view.blob.digest) is not None:
                return view
        raise NoSuchEntry("the bytes are not there")

    async def _picture(self, upload: Upload, media_type: str) -> FileView:
        most = self.settings.picture_bytes
        if upload.size > most:
            raise BadFile(f"a picture has at most {most} bytes")
        path = self._uploads.path
        clean, small = path(upload.id, "clean"), path(upload.id, "preview")
        made = await self._pictures.prepare(path(upload.id), media_type, clean, small)
        digest, size = await self._uploads.digest(clean)
        parts = [("clean", digest, size, media_type)]
        preview = ""
        if made.preview:
            preview, small_size = await self._uploads.digest(small)
            parts.append(("preview", preview, small_size, made.media_type))
        view = FileView(
            READY,
            upload.id,
            blob=BlobView(digest, size, media_type, upload.name),
            width=made.width,
            height=made.height,
            preview=preview,
            placeholder=made.placeholder,
        )
        await self._keep(upload, view, parts)
        return view

    async def _keep(
        self, upload: Upload, view: FileView, parts: Sequence[tuple[str, str, int, str]]
    ) -> None:
        """Hold first, then give the bytes their names: a blob never stands without a holder."""
        files = [File(upload.tenant, digest, size, kind) for _, digest, size, kind in parts]
        async with self.locked(*(file.digest for file in files)):
            await self.records.hold(files, self._clock.now_ms())
            # The upload's own bytes may become the blob: from here on the answer is known.
            later = self._clock.now_ms() + self.settings.expire_s * 1000
            await self.records.settle(upload.id, PROCESSING, msgspec.json.encode(view), later)
            for part, digest, _, kind in parts:
                await self.blobs.adopt(self._uploads.path(upload.id, part), digest, kind)

    @asynccontextmanager
    async def locked(self, *digests: str) -> AsyncIterator[None]:
        """Nobody else keeps or removes the bytes of these digests."""
        wanted = sorted(set(digests))
        held: list[tuple[str, asyncio.Lock]] = []
        try:
            for digest in wanted:
                lock, users = self._locks.setdefault(digest, (asyncio.Lock(), []))
                users.append(None)
                try:
                    await lock.acquire()
                except BaseException:
                    self._unlock(digest, None)
                    raise
                held.append((digest, lock))
            yield
        finally:
            for digest, lock in held:
                self._unlock(digest, lock)

    def _unlock(self, digest: str, lock: asyncio.Lock | None) -> None:
        if lock is not None:
            lock.release()
        users = self._locks[digest][1]
        users.pop()
        if not users:
            del self._locks[digest]


def _refused(upload: Upload, why: Refusal) -> FileView:
    problem = {"title": type(why).__name__, "code": why.code, "detail": why.text}
    return FileView(REFUSED, upload.id, size=upload.size, problem=problem)
