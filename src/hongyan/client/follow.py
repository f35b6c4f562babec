"""Opened logs: a replica each, its holes read from the server, and readers that miss nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Protocol

from hongyan.client.datafile import DataFile
from hongyan.client.errors import Closed, LogCut
from hongyan.client.events import Entries, Event, Skipped
from hongyan.client.outbox import backoff
from hongyan.client.replica import RECALL, Cut, Replica
from hongyan.model.errors import NotAMember, Refusal
from hongyan.model.ids import LogId, Seq
from hongyan.model.log import Entry, InboxRow
from hongyan.wire.frames import Page, Reset, Result

PAGE = 100  # entries asked for at once


class Server(Protocol):
    """What the parts of a client ask of its connection."""

    async def read(
        self,
        log: LogId,
        *,
        after: Seq | None = None,
        before: Seq | None = None,
        around: Seq | None = None,
        limit: int = 50,
    ) -> Page:
        """A page, over reconnects. Raises what the server refuses, Offline, Closed."""
        ...

    async def query(self, name: str, args: bytes, log: LogId) -> Result:
        """The answer to a query. Raises like `read`."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` as a task of the client; it is cancelled when the client closes."""
        ...

    def emit(self, event: Event) -> None:
        """Tell the application. Never waits."""
        ...


class Pulse:
    """Wakes all who wait, each time something changed."""

    def __init__(self) -> None:
        """Nobody waits yet."""
        self._next: asyncio.Future[None] | None = None

    def fire(self) -> None:
        """Something changed."""
        if self._next is not None and not self._next.done():
            self._next.set_result(None)
        self._next = None

    async def wait(self) -> None:
        """Until the next change. Check what you wait for first; nothing can slip in between."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._next)


def visible_floor(row: InboxRow) -> Seq:
    """The first seq the user may read."""
    return Seq(max(row.since, row.floor, row.cleared + 1, 1))


class Opened:
    """A log the application has opened."""

    __slots__ = ("error", "filling", "loaded", "not_before", "pulse", "replica", "tries")

    def __init__(self, replica: Replica) -> None:
        """Nothing is loaded yet."""
        self.replica = replica
        self.pulse = Pulse()
        self.loaded = False  # the window joins the head of the log, or the cache did
        self.filling = False  # a task reads what is missing
        self.error: Refusal | None = None  # why it cannot be read (any more)
        self.tries = 0
        self.not_before = 0.0


class Follower:
    """Replicas by log. What it applies goes to `applied(log, entries)`, in order, once."""

    def __init__(
        self,
        server: Server,
        applied: Callable[[LogId, list[Entry]], None],
        row: Callable[[LogId], InboxRow | None],
        clock: Callable[[], float],
        random_: random.Random,
        keep: int,
    ) -> None:
        """`row` gives what the list shows of a log; `keep` entries per log stay in memory."""
        self._server, self._applied, self._clock = server, applied, clock
        self._row = row
        self._random, self._keep = random_, keep
        self.file: DataFile | None = None
        self.opened: dict[LogId, Opened] = {}
        self._lacking: set[LogId] = set()  # opened logs of which something has to be read
        self.over: Exception | None = None  # Closed, or why the client stopped
        # Live logs that are watched: who is no member may read only while subscribed, so a
        # refusal may just mean that the subscription of this connection is on its way.
        self.viewed: set[LogId] = set()

    # --- for the application --------------------------------------------------------------------

    async def open(self, log: LogId) -> Replica:
        """The replica of `log`, with its newest entries. See Client.open."""
        held = self.opened.get(log)
        if held is None or held.error is not None:
            replica = Replica(log, keep=self._keep)
            cached = [] if self.file is None else await self.file.entries(log)
            if (other := self.opened.get(log)) is not held and other is not None:
                return await self.open(log)  # somebody was faster
            held = self.opened[log] = Opened(replica)
            if (row := self._row(log)) is not None:  # as it is now, after the wait for the disk
                held.replica.seed([e for e in cached if e.seq >= visible_floor(row)])
                held.loaded = replica.last > 0
                replica.reset(visible_floor(row), row.epoch, self._clock())
                replica.hint(row.head, self._clock(), urgent=True)
        self._look(log, held)
        self._work(log, held)
        while not held.loaded:
            self._check(held)
            await held.pulse.wait()
        return held.replica

    def drop(self, log: LogId) -> None:
        """Stop following."""
        self._lacking.discard(log)
        if (held := self.opened.pop(log, None)) is not None:
            held.error = Refusal("the log was closed")
            held.pulse.fire()

    async def entries(self, log: LogId, after: Seq | None) -> AsyncIterator[Entry]:
        """See Client.entries."""
        replica = await self.open(log)
        held = self.opened[log]
        at = replica.last if after is None else after
        epoch, begun = replica.epoch, after is None or after > 0
        while True:
            if epoch and replica.epoch != epoch:
                raise LogCut(log, Cut(Seq(0), Seq(replica.floor - 1), "epoch"))
            epoch = replica.epoch
            if at + 1 < replica.floor:
                if begun:
                    raise LogCut(log, Cut(Seq(at + 1), Seq(replica.floor - 1), "floor"))
                at = Seq(replica.floor - 1)
            if at + 1 < replica.first:
                batch = await self._range(log, at, held)
            else:
                batch = replica.entries(at)
            for entry in batch:
                yield entry
                at, begun = entry.seq, True
            if not batch and at >= replica.last:
                self._check(held)
                await held.pulse.wait()

    async def _range(self, log: LogId, at: Seq, held: Opened) -> list[Entry]:
        """Entries that are not in memory any more, from the log."""
        self._check(held)
        asked = held.replica.head
        try:
            page = await self._server.read(log, after=at, limit=PAGE)
        except Refusal as exc:
            if not self._may_pass(log, exc):
                raise
            held.tries += 1
            pause = max(exc.retry_after_ms / 1000, backoff(held.tries, self._random))
            await asyncio.sleep(pause)
            return []
        replica = held.replica
        if page.epoch != replica.epoch or page.floor > replica.floor:
            self._took(log, held, *replica.merge(page, self._clock(), asked))
            return []  # the caller looks at the new floor first
        first = page.entries[0].seq if page.entries else replica.first
        if first != at + 1:
            raise LogCut(log, Cut(Seq(at + 1), Seq(first - 1), "floor"))
        return page.entries

    def _check(self, held: Opened) -> None:
        if self.over is not None:
            raise self.over
        if held.error is not None:
            raise held.error

    # --- from the connection --------------------------------------------------------------------

    def deliver(self, log: LogId, entries: list[Entry]) -> bool:
        """Take entries of a log; False where it is not opened."""
        held = self.opened.get(log)
        if held is None:
            return False
        self._took(log, held, held.replica.offer(entries, self._clock()), None)
        return True

    def hint(self, log: LogId, head: Seq, *, urgent: bool = False) -> bool:
        """The log reaches `head`; False where it is not opened."""
        held = self.opened.get(log)
        if held is not None:
            held.replica.hint(head, self._clock(), urgent=urgent)
            self._look(log, held)
        return held is not None

    def reset(self, frame: Reset) -> None:
        """The server says: start again at a floor."""
        if self.file is not None:
            self.file.drop_entries(frame.log, frame.floor)
        if (held := self.opened.get(frame.log)) is not None:
            if self.file is not None and frame.epoch != held.replica.epoch:
                self.file.drop_entries(frame.log)
            cut = held.replica.reset(frame.floor, frame.epoch, self._clock())
            self._took(frame.log, held, [], cut)

    def row(self, before: InboxRow | None, row: InboxRow) -> None:
        """A row came from the server: it tells of head, floor and epoch of its log."""
        log, floor = row.log, visible_floor(row)
        if before is not None and self.file is not None:
            if before.epoch != row.epoch:
                self.file.drop_entries(log)
            elif visible_floor(before) < floor:
                self.file.drop_entries(log, floor)
        if (held := self.opened.get(log)) is not None:
            cut = held.replica.reset(floor, row.epoch, self._clock())
            applied = held.replica.offer([], self._clock())  # what waited behind the floor
            held.replica.hint(row.head, self._clock())
            self._took(log, held, applied, cut)

    def connected(self) -> None:
        """Everything may be asked again."""
        for held in self.opened.values():
            held.tries, held.not_before = 0, 0.0

    def attached(self, log: LogId, head: Seq) -> None:
        """A watched log may be read from now on, and reaches `head`."""
        if (held := self.opened.get(log)) is not None:
            held.tries, held.not_before = 0, 0.0
            self.hint(log, head, urgent=True)

    def stop(self, why: Exception) -> None:
        """Wake all readers for the last time."""
        self.over = why
        for held in self.opened.values():
            held.pulse.fire()

    # --- reading what is missing ----------------------------------------------------------------

    def due(self) -> float | None:
        """When `work` has something to do; None = nothing is missing anywhere."""
        first: float | None = None
        for log in self._lacking:
            held = self.opened[log]
            if held.filling or held.error is not None:
                continue
            due = held.replica.due() if held.loaded else 0.0
            if due is not None:
                due = max(due, held.not_before)
                first = due if first is None else min(first, due)
        return first

    def work(self) -> None:
        """Start to read what has been missing long enough. Only while connected."""
        for log in list(self._lacking):
            self._work(log, self.opened[log])

    def _look(self, log: LogId, held: Opened) -> None:
        """Keep the list of logs that lack something: asked after every message, so it is short."""
        if self.opened.get(log) is not held:
            return  # shut, and perhaps opened anew
        if not held.loaded or held.replica.due() is not None:
            self._lacking.add(log)
        else:
            self._lacking.discard(log)

    def _work(self, log: LogId, held: Opened) -> None:
        now = self._clock()
        if held.filling or held.error is not None or now < held.not_before:
            return
        if not held.loaded or held.replica.missing(now):
            held.filling = True
            self._server.spawn(self._fill(log, held))

    async def _fill(self, log: LogId, held: Opened) -> None:
        """Read until nothing is missing; a refusal for now makes a pause, for good ends it."""
        try:
            while not held.loaded or held.replica.missing(self._clock()):
                before = (held.loaded, held.replica.last, held.replica.missing(self._clock())[:1])
                await self._read_some(log, held)
                after = (held.loaded, held.replica.last, held.replica.missing(self._clock())[:1])
                if before == after:  # the server knows of it but does not show it: do not spin
                    self._pause(held, 1.0)
                    return
            held.tries = 0
        except Refusal as exc:
            if self._may_pass(log, exc):
                self._pause(held, exc.retry_after_ms / 1000)
            else:
                held.error = exc
        except Closed:
            return  # `over` tells the readers
        finally:
            held.filling = False
            self._look(log, held)
            held.pulse.fire()

    def _may_pass(self, log: LogId, why: Refusal) -> bool:
        return why.retry or (log in self.viewed and isinstance(why, NotAMember))

    def _pause(self, held: Opened, least: float) -> None:
        held.tries += 1
        held.not_before = self._clock() + max(least, backoff(held.tries, self._random))

    async def _read_some(self, log: LogId, held: Opened) -> None:
        replica = held.replica
        asked = replica.head
        if not held.loaded or replica.far:
            page = await self._server.read(log, before=Seq(0), limit=PAGE)
            done = replica.restart(page, self._clock(), asked)
        else:
            hole = replica.missing(self._clock())[0]
            limit = min(PAGE, hole.high - hole.low + 1)
            page = await self._server.read(log, after=Seq(hole.low - 1), limit=limit)
            done = replica.merge(page, self._clock(), asked)
        held.loaded = True
        self._took(log, held, *done)

    def _took(self, log: LogId, held: Opened, applied: list[Entry], cut: Cut | None) -> None:
        if cut is not None:
            self._server.emit(Skipped(log, cut))
        if applied:
            self._cache(log, held.replica, applied)
            self._applied(log, applied)
            self._server.emit(Entries(log, tuple(applied)))
        if applied or cut is not None:
            held.pulse.fire()
        self._look(log, held)

    def _cache(self, log: LogId, replica: Replica, applied: list[Entry]) -> None:
        if self.file is None:
            return
        blanked = [
            target
            for entry in applied
            if entry.slot == RECALL and (target := replica.get(entry.target)) is not None
        ]
        self.file.save_entries(log, [*applied, *blanked], replica.last)
