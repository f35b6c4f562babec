"""The model of the FileRecords port."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from hongyan.adapters.memory.directory import MemoryDirectory
from hongyan.adapters.memory.store import MemoryStore
from hongyan.model.errors import Full, TooFast
from hongyan.model.files import ENDED, PROCESSING, UPLOADING, File, FileTotals, Quota, Refs, Upload
from hongyan.model.ids import LogId, Seq, TenantId, tenant_of
from hongyan.ports import Loose


class MemoryFileRecords:
    """See the port for every method; gone with the process."""

    def __init__(self, store: MemoryStore, directory: MemoryDirectory) -> None:
        """Looks at entries and avatars where they are."""
        self._store, self._directory = store, directory
        self._uploads: dict[str, Upload] = {}
        self._files: dict[tuple[str, str], tuple[File, int]] = {}
        self._refs: dict[tuple[LogId, Seq], Refs] = {}
        self._drops: dict[str, None] = {}

    async def begin(self, upload: Upload, quota: Quota) -> None:
        """See the port."""
        mine = [
            u for u in self._uploads.values() if (u.tenant, u.user) == (upload.tenant, upload.user)
        ]
        if sum(u.state in (UPLOADING, PROCESSING) for u in mine) >= quota.open:
            raise Full(f"a user has at most {quota.open} uploads that are not finished")
        if sum(u.created_at > quota.since for u in mine) >= quota.count:
            raise TooFast("too many uploads within 24 hours", retry_after_ms=3_600_000)
        theirs = [u for u in self._uploads.values() if u.tenant == upload.tenant]
        for used, most in ((mine, quota.user_bytes), (theirs, quota.tenant_bytes)):
            total = sum(
                u.offset if u.state == ENDED else u.size for u in used if u.created_at > quota.since
            )
            if most and total + upload.size > most:
                raise TooFast("too many bytes within 24 hours", retry_after_ms=3_600_000)
        self._uploads[upload.id] = upload

    async def upload(self, upload: str) -> Upload | None:
        """See the port."""
        return self._uploads.get(upload)

    async def advance(self, upload: str, offset: int, expires_at: int) -> None:
        """See the port."""
        old = self._uploads.get(upload)
        if old is not None and old.state == UPLOADING:
            self._uploads[upload] = replace(
                old,
                offset=max(old.offset, offset),
                expires_at=max(old.expires_at, expires_at),
            )

    async def settle(self, upload: str, state: str, result: bytes, expires_at: int) -> None:
        """See the port."""
        old = self._uploads.get(upload)
        if old is not None and old.state != ENDED:
            self._uploads[upload] = replace(old, state=state, result=result, expires_at=expires_at)

    async def uploads(self, states: Sequence[str], *, before: int, limit: int) -> list[Upload]:
        """See the port."""
        found = [u for u in self._uploads.values() if u.state in states and u.expires_at < before]
        return sorted(found, key=lambda u: (u.expires_at, u.id))[:limit]

    async def forget(self, uploads: Sequence[str]) -> None:
        """See the port."""
        for upload in uploads:
            self._uploads.pop(upload, None)

    async def hold(self, files: Sequence[File], now_ms: int) -> None:
        """See the port."""
        for file in files:
            _, before = self._files.get((file.tenant, file.digest), (file, 0))
            self._files[file.tenant, file.digest] = (file, max(before, now_ms))
            self._drops.pop(file.digest, None)

    async def file(self, tenant: TenantId, digest: str) -> File | None:
        """See the port."""
        found = self._files.get((tenant, digest))
        return found[0] if found else None

    async def refer(self, refs: Sequence[Refs]) -> None:
        """See the port."""
        for ref in refs:
            self._refs.pop((ref.log, ref.seq), None)
            if ref.erases:
                for key, old in list(self._refs.items()):
                    if old.log == ref.log and ref.target in (old.seq, old.target):
                        del self._refs[key]
            if ref.digests:
                self._refs[ref.log, ref.seq] = ref

    async def refs(self, tenant: TenantId, digest: str) -> list[tuple[LogId, Seq]]:
        """See the port."""
        return sorted(
            (ref.log, ref.seq)
            for ref in self._refs.values()
            if tenant_of(ref.log) == tenant and digest in ref.digests
        )

    async def loose(self, *, before: int, after: tuple[int, str, str], limit: int) -> list[Loose]:
        """See the port."""
        found = [
            Loose(at, file.tenant, file.digest)
            for file, at in self._files.values()
            if at < before
            and (at, file.tenant, file.digest) > after
            and await self._unused(file.tenant, file.digest)
        ]
        return sorted(found, key=lambda f: (f.touched_at, f.tenant, f.digest))[:limit]

    async def _unused(self, tenant: TenantId, digest: str) -> bool:
        users = await self._directory.list_users(tenant, limit=1 << 30)
        return not await self.refs(tenant, digest) and all(u.avatar != digest for u in users)

    async def let_go(self, files: Sequence[Loose], *, consumer: str) -> list[str]:
        """See the port."""
        seen = await self._store.consumer(consumer)
        tail = [
            bytes(item.entry.body) for item in await self._store.feed(after=seen, limit=1 << 30)
        ]
        gone = []
        for loose in files:
            key = (loose.tenant, loose.digest)
            found = self._files.get(key)
            if found is None or found[1] != loose.touched_at:
                continue
            named = any(loose.digest.encode() in body for body in tail)
            if named or not await self._unused(loose.tenant, loose.digest):
                continue
            del self._files[key]
            if not any(digest == loose.digest for _, digest in self._files):
                self._drops[loose.digest] = None
                gone.append(loose.digest)
        return gone

    async def drops(self, limit: int) -> list[str]:
        """See the port."""
        return list(self._drops)[:limit]

    async def dropped(self, digests: Sequence[str]) -> None:
        """See the port."""
        for digest in digests:
            self._drops.pop(digest, None)

    async def totals(self) -> FileTotals:
        """See the port."""
        sizes = {file.digest: file.size for file, _ in self._files.values()}
        open_now = [u for u in self._uploads.values() if u.state in (UPLOADING, PROCESSING)]
        refs = {(r.log, r.seq, d) for r in self._refs.values() for d in r.digests}
        return FileTotals(
            files=len(sizes),
            bytes=sum(sizes.values()),
            refs=len(refs),
            uploads=len(open_now),
            uploads_bytes=sum(u.offset for u in open_now),
            drops=len(self._drops),
        )
