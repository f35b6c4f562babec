"""What a client reads: inbox rows, ranges, digests; and how far it has come: cursors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import msgspec
import structlog

from hongyan.model.errors import BadArgs, NoSuchLog, Overloaded, Refusal
from hongyan.model.ids import (
    LOG,
    DeviceId,
    LogId,
    Seq,
    TenantId,
    UserId,
    UserKey,
    check,
    kind_of,
    tenant_of,
    user_key,
)
from hongyan.model.kind import Kind
from hongyan.model.log import InboxRow
from hongyan.ports import Moved, Slice, Store
from hongyan.wire.frames import Cursor, InboxPage, Page, Read
from hongyan.wire.session import heads_digest

logger = structlog.get_logger(__name__)

MAX_ROWS = 500
PAGE_BYTES = 1 << 20  # of one answer, roughly: a window of them must fit into memory
OVERHEAD = 200  # bytes of a row or an entry beside its bodies
SHARE = 256  # cursor moves of one user that are handed to the store at once

Waiting = tuple[UserId, DeviceId, Cursor]


def owned(log: str, tenant: str) -> LogId:
    """`log` when it is an id of this tenant.

    Raises:
        BadId: not a log id.
        NoSuchLog: of another tenant; its existence is not told.
    """
    check(LOG, log, "log")
    if tenant_of(log) != tenant:
        raise NoSuchLog(f"no log {log}")
    return LogId(log)


class Reader:
    """Reads for one user at a time; every answer is limited to what that user may see."""

    def __init__(self, store: Store, kinds: Mapping[str, Kind], *, most: int) -> None:
        """`kinds` by code; `most` entries in a page."""
        self._store, self._kinds, self._most = store, kinds, most

    async def page(self, tenant: TenantId, user: UserId, read: Read) -> Page:
        """A range of a log. Raises BadArgs, NoSuchLog, NotAMember, StoreDown."""
        log = owned(read.log, tenant)
        limit = read.limit
        given = [at for at in (read.after, read.before, read.around) if at is not None]
        if len(given) != 1 or given[0] < 0:
            raise BadArgs("give exactly one of after, before and around, from 0")
        if not 1 <= limit <= self._most:
            raise BadArgs(f"limit must be 1 to {self._most}")
        at = given[0]
        newest = read.before is not None
        if read.after is not None:
            found = await self._store.read(log, user, low=Seq(at + 1), limit=limit)
        elif newest:
            high = Seq(at - 1) if at else None
            found = await self._store.read(log, user, high=high, limit=limit, newest=True)
        else:
            low = max(1, at - limit // 2)
            found = await self._store.read(
                log, user, low=Seq(low), high=Seq(low + limit - 1), limit=limit
            )
        return _page(read, log, bounded(found, newest=newest))

    async def inbox(
        self,
        tenant: TenantId,
        user: UserId,
        *,
        after: int,
        upto: int = 0,
        limit: int = 100,
        large: int | None = None,
        follows: bool = True,
    ) -> InboxPage:
        """Rows after a useq; with `upto` 0 a new sync begins. `large` is the client's digest of
        its large logs: where it differs from ours, all heads of them come along. `follows` False:
        it is known that the user has no large logs, so they are not looked for."""
        if after < 0 or upto < 0 or not 0 <= limit <= MAX_ROWS:
            raise BadArgs(f"after and upto from 0, limit 0 to {MAX_ROWS}")
        heads: list[tuple[LogId, Seq]] = []
        first = not upto
        if first:
            upto = await self._store.sync(tenant, user)
        rows: list[InboxRow] = []
        if after < upto and limit:
            rows = await self._store.inbox(tenant, user, after=after, upto=upto, limit=limit + 1)
        rows, more = _fitting(rows, limit)
        more = more or (not limit and after < upto)
        if first and follows and large is not None:
            heads = await self._store.heads(tenant, user, after=upto)
            if heads_digest(heads) == large:
                heads = []
        shown = [self.view(row) for row in rows]
        return InboxPage(rows=shown, upto=upto, more=more, large=heads)

    async def rows(self, tenant: TenantId, user: UserId, logs: Sequence[LogId]) -> list[InboxRow]:
        """The user's rows of these logs, as a client may see them."""
        return [self.view(row) for row in await self._store.rows(tenant, user, logs)]

    async def digest(self, tenant: TenantId, user: UserId, after: int) -> int:
        """Digest of the heads of what changed since a token, and of all large logs."""
        return heads_digest(await self._store.heads(tenant, user, after=after))

    def view(self, row: InboxRow) -> InboxRow:
        """The row with that part of the log's state which its reader's role may see."""
        kind = self._kinds.get(kind_of(row.log))
        if kind is None:
            return msgspec.structs.replace(row, state=msgspec.Raw(b"{}"))
        shown = self.state_view(kind, row.state, row.role)
        count = row.count if row.role else 0  # who left does not see others come and go
        return msgspec.structs.replace(row, state=shown, count=count)

    @staticmethod
    def state_view(kind: Kind, state: bytes | msgspec.Raw, role: Any) -> msgspec.Raw:
        """What a role may see of a kind's state, as JSON."""
        decoded: Any = msgspec.json.decode(bytes(state) or b"{}", type=kind.state)
        return msgspec.Raw(msgspec.json.encode(kind.view(decoded, role)))


def bounded(found: Slice, *, newest: bool) -> Slice:
    """The slice cut to PAGE_BYTES of bodies, from the end that a reader asks for last; at least
    one entry stays, and amendments of what was cut go with it."""
    size, kept = 0, 0
    for entry in reversed(found.entries) if newest else found.entries:
        size += len(bytes(entry.body)) + OVERHEAD
        if size > PAGE_BYTES and kept:
            break
        kept += 1
    if kept == len(found.entries):
        return found
    entries = found.entries[-kept:] if newest else found.entries[:kept]
    seqs = {entry.seq for entry in entries}
    amends = [entry for entry in found.amends if entry.target in seqs]
    return msgspec.structs.replace(found, entries=entries, amends=amends, more=True)


def _fitting(rows: list[InboxRow], limit: int) -> tuple[list[InboxRow], bool]:
    """At most `limit` rows and PAGE_BYTES of them, at least one; whether some are left."""
    size = 0
    for number, row in enumerate(rows[:limit]):
        size += OVERHEAD + len(bytes(row.state)) + len(bytes(row.settings))
        size += len(bytes(row.last.body)) if row.last is not None else 0
        if size > PAGE_BYTES and number:
            return rows[:number], True
    return rows[:limit], len(rows) > limit


def _page(read: Read, log: LogId, found: Slice) -> Page:
    return Page(
        ref=read.ref,
        log=log,
        entries=found.entries,
        amends=found.amends,
        floor=found.floor,
        head=found.head,
        epoch=found.epoch,
        more=found.more,
    )


class Cursors:
    """Cursor moves without `ref`: merged by max for a moment, then written together.

    A move is a promise of the client to itself: it sends a lost one again after a reconnect, so
    what waits here may die with the node. At most `most` (log, user) pairs wait; every `delay`
    each user's oldest SHARE of them go to the store, so that nobody fills its queue alone.
    """

    def __init__(
        self,
        store: Store,
        moved: Callable[[TenantId, UserId, LogId, Moved, bool], None],
        *,
        delay: float = 0.1,
        most: int = 100_000,
    ) -> None:
        """`moved(tenant, user, log, result, read)` is called for each move that was stored."""
        self._store, self._moved = store, moved
        self._delay, self._most = delay, most
        self._waiting: dict[UserKey, dict[LogId, Waiting]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.waiting = 0  # pairs

    def later(self, user: UserId, device: DeviceId, cursor: Cursor) -> None:
        """Store this move soon. Never waits; when too many wait, those of a new log are lost."""
        key = user_key(tenant_of(cursor.log), user)
        mine = self._waiting.setdefault(key, {})
        if (old := mine.get(cursor.log)) is not None:
            cursor = Cursor(
                log=cursor.log,
                delivered=max(cursor.delivered, old[2].delivered),
                read=max(cursor.read, old[2].read),
                mark=max(cursor.mark, old[2].mark),
            )
        elif self.waiting < self._most:
            self.waiting += 1
        else:
            return
        mine[cursor.log] = (user, device, cursor)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._delay, self.flush)

    def flush(self, *, everything: bool = False) -> None:
        """Hand over each user's share of what waits, or all of it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for key, mine in list(self._waiting.items()):
            for log in list(mine) if everything else list(islice(mine, SHARE)):
                user, device, cursor = mine.pop(log)
                self.waiting -= 1
                future = self.now(log, user, device, cursor)
                future.add_done_callback(partial(self._settled, user, device, cursor))
            if not mine:
                del self._waiting[key]
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_later(self._delay, self.flush)

    def _settled(
        self, user: UserId, device: DeviceId, cursor: Cursor, future: asyncio.Future[Moved]
    ) -> None:
        if future.cancelled() or (error := future.exception()) is None:
            return
        if isinstance(error, Overloaded):
            self.later(user, device, cursor)
        elif not isinstance(error, Refusal):
            logger.error("cursor move failed", exc_info=error)

    def now(
        self, log: LogId, user: UserId, device: DeviceId, cursor: Cursor
    ) -> asyncio.Future[Moved]:
        """Store this move; settles when it is durable. Raises as Store.move does."""
        future = self._store.move(
            log,
            user,
            device=device,
            read=cursor.read,
            delivered=cursor.delivered,
            mark=cursor.mark,
        )

        def tell(done: asyncio.Future[Moved]) -> None:
            if not done.cancelled() and done.exception() is None:
                reading = cursor.read > 0 or cursor.mark >= 0
                self._moved(tenant_of(log), user, log, done.result(), reading)

        future.add_done_callback(tell)
        return future
