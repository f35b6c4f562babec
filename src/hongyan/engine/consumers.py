"""Readers of the feed on the server's side: full text, later push and webhooks.

A consumer reads the entries of all logs in commit order, batch by batch, and hands them to a
sink. The sink keeps the position: with its data in one transaction where it can (`SearchSink`),
else in the store after the handler returned (`StoredSink`). Either way the position never runs
ahead of the work, so every entry is handled at least once, in order, whatever dies when.

    commit ─ hint ─▶ wake()          the hint may get lost: then the poll finds the entry
    position ─▶ feed ─▶ apply ─┐
        ▲──────────────────────┘     no batch before the one ahead of it has succeeded
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import structlog

from hongyan.model.errors import StoreDown
from hongyan.model.ids import LogId, Seq, kind_of
from hongyan.model.kind import Kind
from hongyan.model.log import EDIT, Entry
from hongyan.ports import Clock, FeedItem, Search, Store

logger = structlog.get_logger(__name__)

Handle = Callable[[Sequence[FeedItem]], Awaitable[None]]

TURN = 64 * 1024  # bytes of entries decoded in one go on the loop, about 1 ms
NO_WORDS = " "  # to Search: there is nothing to find now, but a later edit may bring words


class Feed(Protocol):
    """What a consumer reads; a Store is one."""

    async def feed(self, *, after: int, limit: int) -> list[FeedItem]:
        """See Store.feed."""
        ...


class Sink(Protocol):
    """Where a consumer's entries go, and where its position lives."""

    async def position(self) -> int:
        """The feed position up to which all is done; 0 = begin. May go back: the consumer
        then brings the entries since again."""
        ...

    async def apply(self, items: Sequence[FeedItem], pos: int) -> None:
        """Do the work of `items`, then move the position to `pos`; both durable on return.

        May be given an entry again. Whatever it raises is logged, and the same entries come
        again after a pause.
        """
        ...

    async def rewind(self) -> None:
        """The position lies beyond the feed's end, because the store is an older copy than
        this sink: begin again where the data can be made anew from the feed."""
        ...


class StoredSink:
    """A plain handler, with its position under `name` in the store, saved after the work."""

    def __init__(self, name: str, store: Store, handle: Handle) -> None:
        """`handle` must bear an entry twice: the save after it may fail."""
        self._name = name
        self._store = store
        self._handle = handle

    async def position(self) -> int:
        """See Sink."""
        return await self._store.consumer(self._name)

    async def apply(self, items: Sequence[FeedItem], pos: int) -> None:
        """See Sink."""
        await self._handle(items)
        await self._store.save_consumer(self._name, pos)

    async def rewind(self) -> None:
        """Nothing to do: a position in the store is as old as the store."""


class Consumer:
    """Drives one sink: `start` once, `wake` on every commit, `stop` at the end.

    A handler that fails does not lose its entries and does not spin: the pause doubles from
    `pause_s` to `most_pause_s`, with jitter, and the batch halves, so that all before a bad
    entry gets through and the log line names that entry alone. Nothing skips it but a mend.
    """

    def __init__(
        self,
        name: str,
        store: Feed,
        sink: Sink,
        clock: Clock,
        *,
        batch: int = 500,
        poll_s: float = 5.0,
        gather_s: float = 0.05,
        share: float = 0.25,
        pause_s: float = 0.2,
        most_pause_s: float = 30.0,
        jitter: Callable[[], float] = random.random,
        wait: Callable[[asyncio.Event, float], Awaitable[None]] | None = None,
    ) -> None:
        """`batch` bounds the entries of one `apply`; `poll_s` how late a lost hint is found.

        `gather_s`: how long a first entry waits for others after quiet, since batches cost less
        than single entries. `share` (0 to 1) of the time goes to the work while entries wait:
        the consumer rests after each batch, at most a second, so that a flood or a rebuild does
        not take the processor from those who send. 1 for sinks that mostly wait themselves.
        `jitter` gives 0..1: a pause lasts between half and the whole of its length. `wait`
        waits for an event at most so many seconds; tests give their own."""
        self.name = name
        self._store = store
        self._sink = sink
        self._clock = clock
        self._batch = batch
        self._poll_s = poll_s
        self._gather_s = gather_s
        self._rest = 1 / share - 1  # seconds of rest for a second of work
        self._pause_s = pause_s
        self._most_pause_s = most_pause_s
        self._jitter = jitter
        self._wait = wait or wait_for
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._waiters: list[asyncio.Future[None]] = []  # for a round that finds nothing
        self._handled = 0
        self._failed = 0
        self._failures = 0  # one after another, now
        self._pos = 0
        self._size = batch  # of the next batch
        self._next: FeedItem | None = None  # no older one is unhandled; None: none at all, it seems

    def start(self) -> None:
        """Begin to read. Call once, on the loop."""
        if self._task is not None:
            raise RuntimeError(f"consumer {self.name} was started before")
        self._task = asyncio.create_task(self._run(), name=f"consumer {self.name}")

    def wake(self) -> None:
        """Something was committed: look soon. Never waits; many calls cost one look."""
        self._woken.set()

    async def stop(self, grace_s: float = 5.0) -> None:
        """End after the batch that runs, or cancel it after `grace_s`: then it comes again at
        the next start. Idempotent."""
        self._stopping.set()
        self._woken.set()
        if self._task is None:
            return
        done, _ = await asyncio.wait({self._task}, timeout=grace_s)
        if not done:
            self._task.cancel()
            await asyncio.wait({self._task})
            logger.warning("consumer cancelled in the middle of a batch", consumer=self.name)

    async def caught_up(self) -> None:
        """Wait until a look at the feed that began after this call found nothing new.

        Waits as long as the sink fails; raises StoreDown when the consumer stops before.
        """
        if self._task is None or self._task.done():
            raise StoreDown(f"consumer {self.name} does not run")
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._woken.set()
        await waiter

    def stats(self) -> Mapping[str, float]:
        """Gauges for metrics. `lag_seconds`: no entry older than this is unhandled; 0 when the
        last look found nothing. `failures`: failed rounds since the last good one."""
        lag_ms = self._clock.now_ms() - self._next.entry.at if self._next else 0
        return {
            "position": self._pos,
            "handled": self._handled,
            "failed": self._failed,
            "failures": self._failures,
            "lag_seconds": max(lag_ms, 0) / 1000,
        }

    async def _run(self) -> None:
        checked = False
        try:
            while not self._stopping.is_set():
                self._woken.clear()
                waiters, self._waiters = self._waiters, []
                try:
                    checked = checked or await self._check()
                    began = self._clock.monotonic()
                    found = await self._round()
                except Exception as exc:  # the sink's bug or a broken disk: nothing may end us
                    self._waiters += waiters
                    await self._back_off(exc)
                    continue
                if found:
                    self._waiters += waiters
                    await self._pause(min((self._clock.monotonic() - began) * self._rest, 1.0))
                    continue
                for waiter in waiters:
                    if not waiter.done():
                        waiter.set_result(None)
                await self._wait(self._woken, self._poll_s)
                await self._pause(self._gather_s)
        finally:
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_exception(StoreDown(f"consumer {self.name} stopped"))

    async def _check(self) -> bool:
        """Before the first batch: a position beyond the feed belongs to another store's life."""
        pos = await self._sink.position()
        if pos > 0 and not await self._store.feed(after=pos - 1, limit=1):
            logger.error(
                "position lies beyond the feed: was the store restored from an older copy?",
                consumer=self.name,
                position=pos,
            )
            await self._sink.rewind()
        return True

    async def _round(self) -> bool:
        """Handle one batch; False where there was none."""
        self._pos = await self._sink.position()
        items = await self._store.feed(after=self._pos, limit=self._size)
        self._next = items[0] if items else None
        if items:
            await self._sink.apply(items, items[-1].pos)
            self._pos = items[-1].pos
            self._next = items[-1]
            self._handled += len(items)
        self._failures = 0
        self._size = min(self._size * 2, self._batch)
        return bool(items)

    async def _back_off(self, exc: Exception) -> None:
        longest = min(self._pause_s * 2.0 ** min(self._failures, 60), self._most_pause_s)
        pause = longest * (0.5 + 0.5 * self._jitter())
        self._failed += 1
        self._failures += 1
        logger.error(
            "consumer failed, the same entries come again",
            consumer=self.name,
            after=self._pos,
            log=self._next.log if self._next else None,
            seq=self._next.entry.seq if self._next else None,
            entries=self._size,
            failures=self._failures,
            pause_s=round(pause, 3),
            exc_info=exc,
        )
        self._size = max(self._size // 2, 1)
        await self._pause(pause)

    async def _pause(self, seconds: float) -> None:
        """Nothing but a stop ends it early."""
        if seconds > 0 and not self._stopping.is_set():
            await self._wait(self._stopping, seconds)


async def wait_for(event: asyncio.Event, seconds: float) -> None:
    """Until the event is set, at most `seconds`."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


class SearchSink:
    """Feeds Search with what each kind says of its entries; the position lives in the index.

    An erasing entry takes its target out for good, so an edit that was on its way at the same
    time does not bring the words back. An edit to no words can be followed by one with words.
    """

    def __init__(self, search: Search, kinds: Mapping[str, Kind]) -> None:
        """`kinds` by code."""
        self._search = search
        self._kinds = kinds
        self._told: set[str] = set()  # complaints that need not be made at length again

    async def position(self) -> int:
        """See Sink."""
        return await self._search.position()

    async def apply(self, items: Sequence[FeedItem], pos: int) -> None:
        """See Sink."""
        rows: list[tuple[int, LogId, Seq, str]] = []
        since = 0  # bytes looked at since the loop had its turn
        for item in items:
            entry = item.entry
            if (text := self._text(item.log, entry)) is not None:
                rows.append((item.pos, item.log, entry.target or entry.seq, text))
            since += 512 + len(bytes(entry.body))
            if since > TURN:
                since = 0
                await asyncio.sleep(0)
        await self._search.index(rows, pos)

    async def rewind(self) -> None:
        """See Sink."""
        await self._search.wipe()

    def _text(self, log: LogId, entry: Entry) -> str | None:
        """What to index; "" takes the target out for good, None leaves the index as it is."""
        blanked = bytes(entry.body) == b"{}"  # recalled since: its words are nobody's business
        if blanked and (not entry.target or entry.slot == EDIT):
            return None
        text = self._ask(log, entry)
        if text == "" and not entry.target:
            return None  # an entry without words: a later edit may bring some
        if text == "" and entry.slot == EDIT:
            return NO_WORDS
        return text

    def _ask(self, log: LogId, entry: Entry) -> str | None:
        kind = self._kinds.get(kind_of(log))
        if kind is None:
            if kind_of(log) not in self._told:
                self._told.add(kind_of(log))
                logger.warning("entries of an unknown kind are not searchable", log=log)
            return None
        try:
            return kind.search_text(entry.type, entry.body)
        except Exception as exc:  # a slice's bug must not stop the search of all others
            about = f"{kind_of(log)} {entry.type}"
            where = {"log": log, "seq": entry.seq, "type": entry.type, "error": repr(exc)}
            logger.error("entry not searchable", **where, exc_info=about not in self._told)
            self._told.add(about)
            return None
