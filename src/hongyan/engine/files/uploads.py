"""Uploads from the first byte to the blob.

    create ─▶ uploading ── bytes, a fsync, then the offset ──▶ processing ─▶ ready
                  │                                                │
                  └──▶ ended (given up, expired)                   └──▶ refused (why)

The offset a client is told is what is on the disk. What becomes of a finished upload is decided in
`keep`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import secrets
from collections.abc import AsyncIterator, Callable

import msgspec
import structlog

from hongyan.config import Files as Settings
from hongyan.engine.files.keep import DAY_MS, Keeper
from hongyan.engine.files.types import clean_name
from hongyan.engine.identity import Identity
from hongyan.model.errors import (
    BadArgs,
    BadChecksum,
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
    Quota,
    Upload,
)
from hongyan.ports import Blobs, Clock, FileRecords, Pictures, Uploads

logger = structlog.get_logger(__name__)

PIECE = 256 * 1024  # bytes gathered before a thread writes them
STEP = 4 * 1024 * 1024  # bytes between two durable offsets of one request
STALL_S = 30.0  # without a byte
OPEN_S = 5.0  # between two tries to begin
HURRY_S = 2.0  # a request that is silent this long gives way to the next one
CHECKSUMS = ("sha1", "sha256")
STALE = 100  # uploads removed in one go


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
        day_bytes: Callable[[str], int] = lambda tenant: 0,
    ) -> None:
        """`day_bytes` says what a tenant may upload in a day; 0 = as in `settings`. Nothing runs
        before `start`."""
        self.day_bytes = day_bytes
        self.settings, self.records, self.blobs = settings, records, blobs
        self.uploads, self._clock = uploads, clock
        self.keeper = Keeper(
            settings,
            records=records,
            uploads=uploads,
            blobs=blobs,
            pictures=pictures,
            clock=clock,
        )
        self._requests: dict[str, _Request] = {}
        self._opened = asyncio.Event()

    # --- life -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Remove what a crash left, go on with what was complete; uploads wait for that. While
        the store or the disk fails it is tried again."""
        while True:
            try:
                return await self._open()
            except Refusal as why:
                logger.error("files not looked at", error=why.text)
                await asyncio.sleep(OPEN_S)

    async def _open(self) -> None:
        known: set[str] = set()
        for upload in await self.records.uploads(
            (UPLOADING, PROCESSING), before=1 << 62, limit=1 << 30
        ):
            known.add(upload.id)
            if upload.state == PROCESSING or upload.offset == upload.size:
                self.keeper.work(upload)
        if removed := await self.uploads.sweep(frozenset(known)):
            logger.info("files of ended uploads removed", count=removed)
        self._opened.set()

    async def _wait(self) -> None:
        """Until uploads may be touched. Raises Overloaded."""
        try:
            await asyncio.wait_for(self._opened.wait(), OPEN_S)
        except TimeoutError:
            raise Overloaded("uploads are not taken yet", retry_after_ms=2000) from None

    async def stop(self) -> None:
        """End what runs; it goes on after the next start."""
        await self.keeper.stop()

    # --- uploads ----------------------------------------------------------------------------

    async def create(self, who: Identity, size: int, name: str, media_type: str) -> Upload:
        """A new upload of `size` bytes.

        Raises FrameTooBig, Full, TooFast, Overloaded.
        """
        await self._wait()
        most = self.settings.most_bytes
        if size > most:
            raise FrameTooBig(f"a file has at most {most} bytes")
        if self.keeper.crowded:
            raise Overloaded("too many pictures wait to be looked at", retry_after_ms=2000)
        self.check_disk(size)
        now = self._clock.now_ms()
        upload = Upload(
            id=secrets.token_hex(16),
            tenant=who.tenant,
            user=who.user,
            size=size,
            name=clean_name(name),
            media_type=media_type[:100],
            created_at=now,
            expires_at=now + self.settings.expire_s * 1000,
        )
        quota = Quota(
            open=self.settings.open_per_user,
            user_bytes=self.settings.user_day_bytes,
            tenant_bytes=self.day_bytes(who.tenant) or self.settings.tenant_day_bytes,
            count=self.settings.user_day_uploads,
            since=now - DAY_MS,
        )
        await self.records.begin(upload, quota)
        if not size:
            await self.uploads.sync(upload.id)
            return await self._complete(upload)
        return upload

    def check_disk(self, size: int) -> None:
        """Raises Overloaded where so many bytes leave too little free."""
        if self.uploads.free() - size < self.settings.free_bytes:
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
        await self._wait()
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
        if not await self.uploads.cut(upload.id, upload.offset):
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
        if (task := self.keeper.works.get(upload_id)) is not None:
            await asyncio.wait({task})
        await self._end(upload)

    async def _end(self, upload: Upload) -> None:
        later = max(self.expiry(), upload.created_at + DAY_MS)
        await self.records.settle(upload.id, ENDED, b"", later)
        await self.uploads.drop(upload.id)

    # --- what becomes of it -----------------------------------------------------------------

    async def _complete(self, upload: Upload) -> Upload:
        await self.records.settle(upload.id, PROCESSING, b"", self.expiry())
        upload = msgspec.structs.replace(upload, state=PROCESSING, offset=upload.size)
        self.keeper.work(upload)
        return upload

    async def settled(self, upload: Upload, seconds: float) -> Upload:
        """The upload once it is ready or refused, or as it is after so many seconds."""
        if (task := self.keeper.works.get(upload.id)) is not None and seconds > 0:
            await asyncio.wait({task}, timeout=seconds)
        return await self.records.upload(upload.id) or upload

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
            if upload.id not in self.keeper.works and upload.expires_at < now:
                await self._end(upload)
            elif upload.id not in self.keeper.works:
                self.keeper.work(upload)
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
                self._files.check_disk(0)
                if self._keep:
                    await self.save()
        if len(piece) > room:
            raise FrameTooBig(f"the upload has {self._upload.size} bytes")

    async def _flush(self) -> None:
        """Also when the request is being cut: what a thread has begun to write must not reach the
        file after the next request."""
        if not self._waiting:
            return
        data = bytes(self._waiting)
        self._waiting.clear()
        work = asyncio.ensure_future(self._files.uploads.write(self._upload.id, self._at, data))
        try:
            await asyncio.shield(work)
        finally:
            if not work.done():
                await asyncio.wait({work})
            if not work.cancelled() and work.exception() is None:
                self._at += len(data)

    async def save(self, *, checked: bool = False) -> None:
        """Make durable what came, then its offset."""
        await self._flush()
        if self._at > self._saved and (self._keep or checked):
            await self._files.uploads.sync(self._upload.id)
            await self._files.records.advance(self._upload.id, self._at, self._files.expiry())
            self._saved = self._at


def parse_checksum(text: str) -> tuple[str, bytes]:
    """`Upload-Checksum`: an algorithm of CHECKSUMS and the digest in base 64. Raises BadArgs."""
    name, _, value = text.strip().partition(" ")
    if name not in CHECKSUMS:
        raise BadArgs(f"checksums are {', '.join(CHECKSUMS)}")
    try:
        return name, base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise BadArgs("the checksum is not base 64") from None
