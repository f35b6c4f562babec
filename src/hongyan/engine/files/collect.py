"""Which files are still referred to, and the removal of the others.

A consumer of the feed notes which entry names which digest; a recall takes the note away. A file
that nothing refers to goes when its last upload is old enough. The store decides that beside all
commits, and entries the consumer has not seen yet are looked at there, so a message that names an
old file at the last moment keeps it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import structlog

from hongyan.engine.files.uploads import Files
from hongyan.model.files import FileTotals, Refs, digests_in
from hongyan.model.ids import LogId, Seq
from hongyan.model.log import EDIT
from hongyan.ports import Clock, FeedItem, Store

logger = structlog.get_logger(__name__)

CONSUMER = "files"
BATCH = 100  # files looked at in one go
TICK_S = 60.0  # between two looks for uploads that expired


class References:
    """The handler of the consumer. Bears an entry twice."""

    def __init__(self, files: Files, store: Store) -> None:
        """Notes go to the records of `files`."""
        self._records, self._store = files.records, store

    async def handle(self, items: Sequence[FeedItem]) -> None:
        """Note what these entries refer to."""
        refs: list[Refs] = []
        states: dict[LogId, None] = {}
        for item in items:
            entry, log = item.entry, item.log
            if entry.target and entry.slot != EDIT:
                if await self._erased(log, entry.target):
                    refs.append(Refs(log, entry.seq, (), entry.target, erases=True))
                continue
            if not entry.count and not entry.target:
                states[log] = None  # it may tell of a change of the state, an avatar say
            if digests := digests_in(bytes(entry.body)):
                target = entry.target if entry.slot == EDIT else Seq(0)
                refs.append(Refs(log, entry.seq, digests, target))
        for log in states:
            info = await self._store.info(log)
            if info is not None:
                refs.append(Refs(log, Seq(0), digests_in(info.state)))
        if refs:
            await self._records.refer(refs)

    async def _erased(self, log: LogId, seq: Seq) -> bool:
        found = await self._store.entries(log, low=seq, high=seq)
        return bool(found) and bytes(found[0].body) == b"{}"


class Collector:
    """Removes what nothing refers to, and uploads that expired. `start` once, `stop` once."""

    def __init__(self, files: Files, clock: Clock) -> None:
        """Works on the records and blobs of `files`."""
        self._files, self._clock = files, clock
        self._task: asyncio.Task[None] | None = None
        self.totals = FileTotals()
        self.collected = 0
        self.expired = 0

    def start(self) -> None:
        """Begin; needs a running loop."""
        self._task = asyncio.create_task(self._run(), name="collector of files")

    async def stop(self) -> None:
        """End; what was begun goes on after the next start."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        every = float(self._files.settings.collect_s)
        next_at = 0.0
        while True:
            try:
                self.expired += await self._files.expire()
                if self._clock.monotonic() >= next_at:
                    await self.collect()
                    next_at = self._clock.monotonic() + every
            except Exception:  # a broken disk must not end us
                logger.exception("files not collected")
            await asyncio.sleep(min(TICK_S, every))

    async def collect(self) -> int:
        """One round over all files; how many blobs went."""
        count = await self._finish_drops()
        before = self._clock.now_ms() - self._files.settings.grace_s * 1000
        after = (0, "", "")
        records = self._files.records
        while True:
            loose = await records.loose(before=before, after=after, limit=BATCH)
            if not loose:
                break
            last = loose[-1]
            after = (last.touched_at, last.tenant, last.digest)
            async with self._files.keeper.locked(*(file.digest for file in loose)):
                gone = await records.let_go(loose, consumer=CONSUMER)
                await self._drop(gone)
            count += len(gone)
        self.collected += count
        self.totals = await records.totals()
        if count:
            logger.info("files removed that nothing refers to", count=count)
        return count

    async def _finish_drops(self) -> int:
        """What was let go before a crash."""
        count = 0
        while digests := await self._files.records.drops(BATCH):
            for digest in digests:
                async with self._files.keeper.locked(digest):
                    if digest in await self._files.records.drops(BATCH):
                        await self._drop([digest])
                        count += 1
        return count

    async def _drop(self, digests: Sequence[str]) -> None:
        for digest in digests:
            await self._files.blobs.drop(digest)
        if digests:
            await self._files.records.dropped(digests)
