"""Uploads from the first byte to the blob.

    create ─▶ uploading ── bytes, a fsync, then the offset ──▶ processing ─▶ ready
                  │                                                │
                  └──▶ ended (given up, expired)                   └──▶ refused (why)

The offset a client is told is what is on the disk. A finished upload is looked at once: what type
its bytes are, and a picture goes through a process of its own (`Pictures`). The tenant holds the
file before its bytes get their name, so that whatever dies when, no blob is without a holder.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import structlog

from hongyan.config import Files as Settings
from hongyan.engine import files_types as types
from hongyan.engine.identity import Identity
from hongyan.model.errors import (
    BadArgs,
    BadChecksum,
    BadFile,
    BadOffset,
    FrameTooBig,
    Gone,
    NoSuchEntry,
    Overloaded,
    Refusal,
    TimedOut,
    UploadBusy,
)
from hongyan.model.files import (
    ENDED,
    PROCESSING,
    READY,
    REFUSED,
    UPLOADING,
    File,
    Quota,
    Upload,
)
from hongyan.ports import Blobs, Clock, FileRecords, Pictures, Uploads

logger = structlog.get_logger(__name__)

DAY_MS = 86_400_000
PIECE = 256 * 1024  # bytes gathered before a thread writes them
STEP = 4 * 1024 * 1024  # bytes between two durable offsets of one request
STALL_S = 30.0  # without a byte
HURRY_S = 2.0  # a request that is silent this long gives way to the next one
CHECKSUMS = ("sha1", "sha256")
STALE = 100  # uploads removed in one go
AGAIN_S = 2.0  # between two tries of a file that found no place


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
    problem: dict[str, Any] | None = None


class _Request:
    """One request that sends bytes now."""

    def __init__(self) -> None:
        self.heard = asyncio.get_running_loop().time()
        self.over = asyncio.Event()  # its bytes are saved
        self.deadline: asyncio.Timeout | None = None


class Files:
    """Takes uploads. All methods raise the refusals of `model.errors`."""

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
        """Nothing runs before `start`."""
        self.settings, self.records, self.blobs = settings, records, blobs
        self._uploads, self._pictures, self._clock = uploads, pictures, clock
        self._requests: dict[str, _Request] = {}
        self._works: dict[str, asyncio.Task[None]] = {}
        self._locks: dict[str, tuple[asyncio.Lock, list[None]]] = {}
        self._opened = asyncio.Event()
        self.refused = 0

    # --- life -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Remove what a crash left, go on with what was complete."""
        known: set[str] = set()
        for upload in await self.records.uploads(
            (UPLOADING, PROCESSING), before=1 << 62, limit=1 << 30
        ):
            known.add(upload.id)
            if upload.state == PROCESSING or upload.offset == upload.size:
                self._work(upload)
        if removed := await self._uploads.sweep(frozenset(known)):
            logger.info("files of ended uploads removed", count=removed)
        self._opened.set()

    async def stop(self) -> None:
        """End what runs; it goes on after the next start."""
        for task in list(self._works.values()):
            task.cancel()
        await asyncio.gather(*self._works.values(), return_exceptions=True)

    # --- uploads ----------------------------------------------------------------------------

    async def create(self, who: Identity, size: int, name: str, media_type: str) -> Upload:
        """A new upload of `size` bytes.

        Raises FrameTooBig, Full, TooFast, Overloaded.
        """
        await self._opened.wait()
        most = self.settings.most_bytes
        if size > most:
            raise FrameTooBig(f"a file has at most {most} bytes")
        if self._pictures.crowded:
            raise Overloaded("too many pictures wait to be looked at", retry_after_ms=2000)
        self._check_disk(size)
        now = self._clock.now_ms()
        upload = Upload(
            id=secrets.token_hex(16),
            tenant=who.tenant,
            user=who.user,
            size=size,
            name=types.clean_name(name),
            media_type=media_type[:100],
            created_at=now,
            expires_at=now + self.settings.expire_s * 1000,
        )
        quota = Quota(
            open=self.settings.open_per_user,
            user_bytes=self.settings.user_day_bytes,
            tenant_bytes=self.settings.tenant_day_bytes,
            since=now - DAY_MS,
        )
        await self.records.begin(upload, quota)
        if not size:
            await self._uploads.sync(upload.id)
            return await self._complete(upload)
        return upload

    def _check_disk(self, size: int) -> None:
        if self._uploads.free() - size < self.settings.free_bytes:
            raise Overloaded("the server's disk is nearly full", retry_after_ms=60_000)

    async def find(self, who: Identity, upload_id: str) -> Upload:
        """The user's own upload. Raises NoSuchEntry; Gone: it ended or expired."""
        upload = await self.records.upload(upload_id)
        if upload is None or (upload.tenant, upload.user) != (who.tenant, who.user):
            raise NoSuchEntry("no such upload")
        if upload.state == ENDED or (
            upload.state == UPLOADING
            and upload.expires_at < self._clock.now_ms()
            and upload_id not in self._requests
        ):
            raise Gone("the upload ended or expired")
        return upload

    async def resume(self, who: Identity, upload_id: str) -> Upload:
        """Where to go on. A request that fell silent gives way: its bytes are saved first."""
        upload = await self.find(who, upload_id)
        running = self._requests.get(upload_id)
        loop = asyncio.get_running_loop()
        if running is not None and loop.time() - running.heard > HURRY_S:
            if running.deadline is not None:
                running.deadline.reschedule(loop.time())
            await asyncio.wait_for(running.over.wait(), STALL_S)
            upload = await self.find(who, upload_id)
        return upload

    async def receive(
        self,
        who: Identity,
        upload_id: str,
        offset: int,
        data: AsyncIterator[bytes],
        *,
        length: int | None = None,
        checksum: tuple[str, bytes] | None = None,
    ) -> Upload:
        """Take bytes from `offset` on, return when they are durable.

        Bytes that came before a failure are kept, but not with a checksum.

        Raises:
            BadOffset, BadChecksum, FrameTooBig (beyond the size), UploadBusy, TimedOut, StoreDown.
        """
        await self._opened.wait()
        upload = await self.find(who, upload_id)
        if upload_id in self._requests:
            raise UploadBusy("another request sends bytes to this upload", retry_after_ms=1000)
        request = self._requests[upload_id] = _Request()
        try:
            upload = await self.find(who, upload_id)
            if upload.offset != offset or upload.state != UPLOADING:
                raise BadOffset(f"the upload goes on at {upload.offset}")
            if offset + (length or 0) > upload.size:
                raise FrameTooBig(f"the upload has {upload.size} bytes")
            await self._take(upload, request, data, checksum)
        finally:
            request.over.set()
            del self._requests[upload_id]
        upload = await self.find(who, upload_id)
        if upload.offset == upload.size and upload.state == UPLOADING:
            return await self._complete(upload)
        return upload

    async def _take(
        self,
        upload: Upload,
        request: _Request,
        data: AsyncIterator[bytes],
        checksum: tuple[str, bytes] | None,
    ) -> None:
        if not await self._uploads.cut(upload.id, upload.offset):
            await self._end(upload)
            raise Gone("the bytes of this upload are lost: begin again")
        writer = _Writer(self, upload, keep=checksum is None)
        found = hashlib.new(checksum[0], usedforsecurity=False) if checksum else None
        loop = asyncio.get_running_loop()
        last = loop.time() + self.settings.request_s
        try:
            async with asyncio.timeout(STALL_S) as deadline:
                request.deadline = deadline
                async for piece in data:
                    request.heard = loop.time()
                    deadline.reschedule(min(request.heard + STALL_S, last))
                    if found is not None:
                        found.update(piece)
                    await writer.put(piece)
        except TimeoutError:
            raise TimedOut("the bytes came too slowly: go on with another request") from None
        finally:
            request.deadline = None
            if checksum is None:
                await writer.save()
        if checksum is not None and found is not None:
            if found.digest() != checksum[1]:
                raise BadChecksum
            await writer.save(checked=True)

    def expiry(self) -> int:
        """When an upload that is heard of now expires, in ms."""
        return self._clock.now_ms() + self.settings.expire_s * 1000

    async def end(self, who: Identity, upload_id: str) -> None:
        """Give an upload up; a file that is ready stays with those who refer to it."""
        upload = await self.find(who, upload_id)
        if upload_id in self._requests:
            raise UploadBusy("a request sends bytes to this upload", retry_after_ms=1000)
        if (task := self._works.get(upload_id)) is not None:
            await asyncio.wait({task})
        await self._end(upload)

    async def _end(self, upload: Upload) -> None:
        later = max(self.expiry(), upload.created_at + DAY_MS)
        await self.records.settle(upload.id, ENDED, b"", later)
        await self._uploads.drop(upload.id)

    # --- what becomes of it -----------------------------------------------------------------

    async def _complete(self, upload: Upload) -> Upload:
        await self.records.settle(upload.id, PROCESSING, b"", self.expiry())
        upload = msgspec.structs.replace(upload, state=PROCESSING, offset=upload.size)
        self._work(upload)
        return upload

    async def settled(self, upload: Upload, seconds: float) -> Upload:
        """The upload once it is ready or refused, or as it is after so many seconds."""
        if (task := self._works.get(upload.id)) is not None and seconds > 0:
            await asyncio.wait({task}, timeout=seconds)
        return await self.records.upload(upload.id) or upload

    def view(self, upload: Upload) -> FileView:
        """What is told of it."""
        if upload.result and upload.state in (READY, REFUSED):
            return msgspec.json.decode(upload.result, type=FileView)
        return FileView(
            state=upload.state,
            id=upload.id,
            offset=upload.offset,
            size=upload.size,
            expires_at=upload.expires_at,
        )

    def _work(self, upload: Upload) -> None:
        task = asyncio.create_task(self._process(upload), name=f"file {upload.id}")
        self._works[upload.id] = task
        task.add_done_callback(lambda _: self._works.pop(upload.id, None))

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
        digest, size = await self._uploads.digest(self._uploads.path(upload.id))
        view = FileView(READY, upload.id, blob=BlobView(digest, size, media_type, upload.name))
        await self._keep(upload, view, [("", digest, size, media_type)])
        return view

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
            later = self.expiry()
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

    # --- housekeeping -----------------------------------------------------------------------

    async def expire(self) -> int:
        """Remove uploads whose time is over; how many."""
        now, count = self._clock.now_ms(), 0
        for upload in await self.records.uploads((UPLOADING,), before=now, limit=STALE):
            if upload.id not in self._requests:
                await self._end(upload)
                count += 1
        over = await self.records.uploads((READY, REFUSED, ENDED), before=now, limit=STALE)
        old = [upload.id for upload in over if upload.created_at < now - DAY_MS]
        if old:
            await self.records.forget(old)
        for upload in await self.records.uploads((PROCESSING,), before=1 << 62, limit=STALE):
            if upload.id not in self._works:
                self._work(upload)
        return count


class _Writer:
    """Bytes of one request on their way to the disk."""

    def __init__(self, files: Files, upload: Upload, *, keep: bool) -> None:
        self._files, self._upload, self._keep = files, upload, keep
        self._at = self._saved = upload.offset
        self._waiting = bytearray()

    async def put(self, piece: bytes) -> None:
        """Raises FrameTooBig with the first byte too many; those before are kept."""
        room = self._upload.size - self._at - len(self._waiting)
        self._waiting += piece[:room]
        if len(self._waiting) >= PIECE:
            await self._flush()
            if self._at - self._saved >= STEP:
                self._files._check_disk(0)
                if self._keep:
                    await self.save()
        if len(piece) > room:
            raise FrameTooBig(f"the upload has {self._upload.size} bytes")

    async def _flush(self) -> None:
        if self._waiting:
            data = bytes(self._waiting)
            self._waiting.clear()
            await self._files._uploads.write(self._upload.id, self._at, data)
            self._at += len(data)

    async def save(self, *, checked: bool = False) -> None:
        """Make durable what came, then its offset."""
        await self._flush()
        if self._at > self._saved and (self._keep or checked):
            await self._files._uploads.sync(self._upload.id)
            await self._files.records.advance(self._upload.id, self._at, self._files.expiry())
            self._saved = self._at


def _refused(upload: Upload, why: Refusal) -> FileView:
    problem = {"title": type(why).__name__, "code": why.code, "detail": why.text}
    return FileView(REFUSED, upload.id, size=upload.size, problem=problem)


def parse_checksum(text: str) -> tuple[str, bytes]:
    """`Upload-Checksum`: an algorithm of CHECKSUMS and the digest in base 64. Raises BadArgs."""
    name, _, value = text.strip().partition(" ")
    if name not in CHECKSUMS:
        raise BadArgs(f"checksums are {', '.join(CHECKSUMS)}")
    try:
        return name, base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise BadArgs("the checksum is not base 64") from None
