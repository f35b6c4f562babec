"""Receivers without a session: what a user may read, from a durable cursor on.

A cursor is a place in the commit order of all logs, so one is enough for everything a user is in,
and it outlives connections, restarts and changes of membership. Nothing is kept for a receiver
but while it waits; what it gets is read from the store each time. The bus only says when to look:
a hint that is lost costs the time until the next look, never an entry.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from types import TracebackType

import msgspec

from hongyan.config import Limits
from hongyan.engine.auth import Identity
from hongyan.engine.callers import Caller
from hongyan.engine.limits import Counts
from hongyan.engine.logs import LogCache
from hongyan.engine.sync import OVERHEAD, PAGE_BYTES, owned
from hongyan.model.errors import BadArgs, NoSuchEntry, NotAMember
from hongyan.model.ids import LogId, UserKey, tenant_of, user_key
from hongyan.ports import Appended, Bus, Clock, Evicted, FeedItem, Hint, Store

NOW = ""  # the cursor of one who starts with what comes next
_CURSOR = re.compile(r"c1-([0-9a-f]{1,15})\Z")  # the version is for a store of many nodes
MOST_KNOWN = 10_000  # large logs that are remembered as such

Asking = Callable[[Identity, str], Caller]


class Batch(msgspec.Struct, frozen=True, gc=False):
    """`items` in commit order; `cursor` is behind the last one. `more`: ask again at once."""

    items: list[FeedItem]
    cursor: str
    more: bool


def cursor_at(pos: int) -> str:
    """The cursor behind the entry at this position of the feed."""
    return f"c1-{pos:x}"


class Receiver:
    """One client that receives; use it in `with`, so that its place in the counts comes back."""

    def __init__(self, updates: Updates, identity: Identity, caller: Caller) -> None:
        """Made by `Updates.receiver`."""
        self.identity, self.caller = identity, caller
        self.ended = False  # the server closes, or the device was logged out
        self.large: set[LogId] | None = None  # the user's large logs; None = to be read
        self._updates = updates
        self._pos = 0
        self._log: LogId | None = None
        self._wake = asyncio.Event()

    def __enter__(self) -> Receiver:
        """Listen."""
        self._updates.add(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening."""
        self._updates.remove(self)

    @property
    def cursor(self) -> str:
        """Behind all that `next` has given, and behind what this user may not read."""
        return cursor_at(self._pos)

    async def start(self, cursor: str, log: str = "") -> None:
        """Begin behind a cursor, or NOW; with `log` receive from one log only.

        Raises:
            BadArgs: not a cursor. NoSuchEntry: one of a store that had more than this one.
            BadId, NoSuchLog, NotAMember: no log of this user, present or past.
        """
        store = self._updates.store
        end = await store.feed_end()
        self._pos = end if cursor == NOW else _position(cursor)
        if self._pos > end:
            raise NoSuchEntry(
                "the cursor lies beyond the newest entry: the store was restored from an older "
                "copy; start without a cursor or from the beginning"
            )
        if log:
            self._log = owned(log, self.caller.tenant)
            if await store.member(self._log, self.caller.user) is None:
                raise NotAMember

    async def next(self, limit: int) -> Batch:
        """The next entries, at most `limit` and PAGE_BYTES of them, without waiting for any.

        Raises:
            StoreDown: nothing is lost; ask again.
        """
        self._wake.clear()  # before the look: what commits from here on wakes again
        store, who = self._updates.store, self.caller
        if self.large is None:
            self.large = set(await store.large_logs(who.tenant, who.user))
        found = await store.user_feed(
            who.tenant, who.user, after=self._pos, limit=limit, log=self._log
        )
        items = fitting(found.items)
        cut = len(items) < len(found.items)
        self._pos = items[-1].pos if cut else max(found.upto, self._pos)
        return Batch(items, self.cursor, cut or len(items) == limit)

    async def wait(self, seconds: float) -> bool:
        """Wait until there may be something new, or the end; False after `seconds`."""
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return False
        return True

    @property
    def woken(self) -> asyncio.Event:
        """Set when there may be something new, or the end; `next` clears it."""
        return self._wake

    def wake(self) -> None:
        """There may be something new."""
        self._wake.set()

    def end(self) -> None:
        """Nothing comes any more."""
        self.ended = True
        self._wake.set()


class Updates:
    """All receivers of this node."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        cache: LogCache,
        clock: Clock,
        limits: Limits,
        asking: Asking,
    ) -> None:
        """Listens to the bus until `close`. `asking` lets a request in or raises its refusal;
        `limits` bound the receivers of an address and of a user, apart from sessions."""
        self.store, self.clock = store, clock
        self._cache = cache
        self._asking = asking
        self._counts = Counts(0, limits.connections_per_ip, limits.connections_per_user)
        self._waiting: dict[UserKey, set[Receiver]] = {}
        self._known_large: set[LogId] = set()
        self._unsubscribe = bus.subscribe(self._hint)
        self.woken = 0  # since the start

    def receiver(self, identity: Identity, ip: str) -> Receiver:
        """A new client.

        Raises:
            Unauthenticated, Forbidden: an API key that speaks for nobody, or may not read.
            TooFast, GoingAway.
        """
        return Receiver(self, identity, self._asking(identity, ip))

    def add(self, receiver: Receiver) -> None:
        """Count it and wake it from now on. Raises Overloaded: it is one too many."""
        who = receiver.caller
        self._counts.opened(who.address)
        try:
            self._counts.signed_in(who.key)
        except BaseException:
            self._counts.closed(who.address)
            raise
        self._waiting.setdefault(who.key, set()).add(receiver)

    def remove(self, receiver: Receiver) -> None:
        """The reverse of `add`."""
        who = receiver.caller
        self._counts.closed(who.address)
        self._counts.signed_out(who.key)
        mine = self._waiting[who.key]
        mine.remove(receiver)
        if not mine:
            del self._waiting[who.key]

    def __len__(self) -> int:
        """Receivers now."""
        return self._counts.total

    def close(self) -> None:
        """End all of them, and listen no more. Idempotent."""
        self._unsubscribe()
        for mine in self._waiting.values():
            for receiver in mine:
                receiver.end()

    # --- hints ------------------------------------------------------------------------------

    def _hint(self, hint: Hint) -> None:
        if not self._waiting:
            return
        if isinstance(hint, Appended):
            self._appended(hint)
        elif isinstance(hint, Evicted):
            for receiver in self._waiting.get(user_key(hint.tenant, hint.user), ()):
                who = receiver.identity
                if who.device == hint.device and who.epoch <= hint.epoch:
                    receiver.end()

    def _appended(self, hint: Appended) -> None:
        """Wake those who may read this, and perhaps some who may not."""
        tenant = tenant_of(hint.log)
        for change in hint.members:  # also who left with it still reads it
            for receiver in self._waiting.get(user_key(tenant, change.user), ()):
                if receiver.large is not None and hint.large:
                    receiver.large.add(hint.log)
                self._wake(receiver)
        state = self._cache.get(hint.log)  # the hub has applied this hint already
        if hint.large:
            self._appended_large(hint.log, f"{tenant}/")
        elif state is None:
            self._wake_all(f"{tenant}/")
        else:
            for key in state.keys:
                for receiver in self._waiting.get(key, ()):
                    self._wake(receiver)

    def _appended_large(self, log: LogId, prefix: str) -> None:
        if log not in self._known_large:  # its members may not know that it has grown
            if len(self._known_large) >= MOST_KNOWN:
                self._known_large.clear()
            self._known_large.add(log)
            for receiver in self._all(prefix):
                receiver.large = None
        for receiver in self._all(prefix):
            if receiver.large is None or log in receiver.large:
                self._wake(receiver)

    def _wake_all(self, prefix: str) -> None:
        for receiver in self._all(prefix):
            self._wake(receiver)

    def _all(self, prefix: str) -> list[Receiver]:
        return [r for key, mine in self._waiting.items() if key.startswith(prefix) for r in mine]

    def _wake(self, receiver: Receiver) -> None:
        self.woken += 1
        receiver.wake()


def fitting(items: list[FeedItem]) -> list[FeedItem]:
    """The first items, up to PAGE_BYTES of bodies, at least one."""
    size = 0
    for number, item in enumerate(items):
        size += OVERHEAD + len(bytes(item.entry.body))
        if size > PAGE_BYTES and number:
            return items[:number]
    return items


def _position(cursor: str) -> int:
    found = _CURSOR.match(cursor)
    if found is None:
        raise BadArgs(f"{cursor[:40]!r} is not a cursor")
    return int(found[1], 16)
