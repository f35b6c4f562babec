"""Live items on their way into the archive: in batches, behind a bounded queue, never in a tick.

What waits is lost with the process: half a second of what was said. What does not fit is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from hongyan.model.errors import Refusal
from hongyan.model.ids import LogId, TenantId, UserId, tenant_of
from hongyan.ports import Archive, Clock, Kept
from hongyan.telemetry import Metrics

logger = structlog.get_logger(__name__)

MOST = 20_000  # items that wait
EVERY_S = 0.5  # between two writes
AGAIN_S = 1.0  # after one that failed
PART = 200  # items of a write: 20 ms at most, for which calls wait
SWEEP_S = 3600.0  # between two looks at what is too old
DAY_MS = 86_400_000


class Archiver:
    """Takes items and deletions in their order. `keep` and `erase` never wait."""

    def __init__(self, archive: Archive, clock: Clock, keep_days: int = 0) -> None:
        """`keep_days` 0 = for ever. Nothing runs before `start`."""
        self.archive = archive
        self.written = 0
        self.dropped = 0  # items that did not fit
        self._clock, self._keep_days = clock, keep_days
        self._waiting: dict[tuple[LogId, int, int], Kept] = {}
        self._erased: dict[tuple[LogId, int, int], None] = {}
        self._some = asyncio.Event()
        self._writing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    def show(self, metrics: Metrics) -> None:
        """Put what is counted into the metrics."""
        metrics.gauge("archive_waiting", "Live items to be kept.", lambda: len(self._waiting))
        metrics.gauge("archive_written", "Live items kept.", lambda: self.written)
        metrics.gauge("archive_dropped", "Live items not kept: too many.", lambda: self.dropped)

    def keep(self, log: LogId, item: Kept) -> bool:
        """Take an item; False (and counted) where too many wait."""
        if len(self._waiting) >= MOST:
            self.dropped += 1
            return False
        self._waiting[log, item.epoch, item.off] = item
        self._some.set()
        return True

    def erase(self, log: LogId, epoch: int, off: int) -> None:
        """An item is not to be kept. Its place is bounded by what moderators can say."""
        if self._waiting.pop((log, epoch, off), None) is None:
            self._erased[log, epoch, off] = None
            self._some.set()

    async def forget_sender(self, tenant: TenantId, sender: UserId) -> int:
        """Remove all that a user said, also what waits; how many were stored. Raises like the
        archive."""
        async with self._writing:
            for key, item in list(self._waiting.items()):
                if item.sender == sender and tenant_of(key[0]) == tenant:
                    del self._waiting[key]
            return await self.archive.remove_sender(tenant, sender)

    # --- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to write; needs a running loop."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._write_for_ever())]
        if self._keep_days:
            self._tasks.append(loop.create_task(self._sweep()))

    async def stop(self, seconds: float) -> None:
        """Write what waits, for `seconds` at most."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(seconds):
                await self.flush()
        except (TimeoutError, Refusal) as why:
            logger.warning("live items not kept", items=len(self._waiting), error=str(why))

    async def flush(self) -> None:
        """Write what waits now. Raises what the archive refuses; then it waits on."""
        async with self._writing:
            while self._waiting or self._erased:
                part = list(self._waiting.items())[:PART]
                erased = list(self._erased)[:PART]
                if part:
                    await self.archive.add([(log, item) for (log, _, _), item in part])
                if erased:
                    await self.archive.remove(erased)
                for key, _ in part:
                    if self._waiting.pop(key, None) is None:  # erased while it was written
                        self._erased[key] = None
                for key in erased:
                    self._erased.pop(key, None)
                self.written += len(part)
            self._some.clear()

    async def _write_for_ever(self) -> None:
        while True:
            await self._some.wait()
            await asyncio.sleep(EVERY_S)
            await self._try(self.flush)

    async def _sweep(self) -> None:
        while True:
            await self._try(self._forget)
            await asyncio.sleep(SWEEP_S)

    async def _forget(self) -> None:
        await self.archive.forget(self._clock.now_ms() - self._keep_days * DAY_MS)

    async def _try(self, work: Callable[[], object]) -> None:
        try:
            done = work()
            assert asyncio.iscoroutine(done)
            await done
        except Refusal as why:
            logger.warning("archive not written, again later", error=why.text)
            await asyncio.sleep(AGAIN_S)
        except Exception:  # one bad write must not end all
            logger.exception("archive not written")
            await asyncio.sleep(AGAIN_S)
