"""The derived cache of log states: what a decision needs without asking the store.

It may be wiped at any moment and never gives out a seq. It follows commits through the hints of
the bus; a hint that does not fit exactly drops the log, and the next use loads it again. A
decision made on an old state is caught by the store's fence (Conflict), so a stale cache costs
a retry, never a wrong answer.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import msgspec

from hongyan.model.errors import NoSuchLog
from hongyan.model.ids import LogId, Seq, UserId, UserKey, kind_of, tenant_of, user_key
from hongyan.model.kind import Kind
from hongyan.model.log import Member, MemberChange, Role
from hongyan.ports import Appended, Store

MAX_KEPT_MEMBERS = 4096  # rows kept of a large log; beyond, they are asked for one by one
PAGE = 1000


class LogState:
    """One log as last seen. `version` 0: it does not exist.

    `members` holds every current member of a small log, and those met so far of a large one
    (former members too, as far as met). `keys` are the users to fan out to, small logs only.
    """

    __slots__ = (
        "count",
        "epoch",
        "head",
        "keys",
        "kind",
        "large",
        "log",
        "members",
        "ord",
        "roster",
        "state",
        "users",
        "version",
    )

    def __init__(self, log: LogId, kind: Kind) -> None:
        """A log that does not exist, until it is read."""
        self.log = log
        self.kind = kind
        self.state: Any = None
        self.version = 0
        self.roster = 0
        self.head = Seq(0)
        self.ord = 0
        self.epoch = 1
        self.count = 0
        self.large = False
        self.members: dict[UserId, Member] = {}
        self.users: tuple[UserId, ...] = ()
        self.keys: tuple[UserKey, ...] = ()

    def list_users(self) -> None:
        """Make the fan-out list anew; call after `members` of a small log changed."""
        if self.large:
            self.users = self.keys = ()
            return
        tenant = tenant_of(self.log)
        self.users = tuple(u for u, m in self.members.items() if m.role)
        self.keys = tuple(user_key(tenant, u) for u in self.users)

    def role_of(self, user: UserId) -> Role | None:
        """The role of a member that is in the cache; None = not in the cache."""
        member = self.members.get(user)
        if member is not None:
            return member.role
        return None if self.large else Role.NONE

    def apply(self, hint: Appended) -> bool:
        """Follow one commit; False when it does not come right after what is known.

        A commit that was read from the store before its hint came is known already.
        """
        if hint.head <= self.head and hint.version <= self.version and hint.roster <= self.roster:
            return True
        first = hint.head - len(hint.entries)
        if first != self.head or hint.version - self.version not in (0, 1):
            return False
        if hint.state is not None:
            self.state = msgspec.json.decode(hint.state, type=self.kind.state)
        elif hint.version != self.version and not hint.members:
            return False
        self.version = hint.version
        self.head, self.ord, self.count = hint.head, hint.ord, hint.count
        grown = hint.large and not self.large
        self.large = hint.large
        for change in hint.members:
            self._change(change, Seq(first + 1))
        if hint.roster != self.roster or grown:
            self.roster = hint.roster
            self.list_users()
        return True

    def _change(self, change: MemberChange, first: Seq) -> None:
        old = self.members.get(change.user)
        if change.join and (old is None or not old.role):
            if self.large and len(self.members) >= MAX_KEPT_MEMBERS:
                self.members.clear()
            since = Seq(1) if change.history else first
            role = change.role or Role.MEMBER
            muted = old.muted_until if old is not None else 0  # leaving does not end a mute
            old = Member(user=change.user, role=role, since=since, muted_until=muted)
        elif old is None:
            return  # not met here; asked for when needed
        if change.role is not None and not change.leave:
            old = msgspec.structs.replace(old, role=change.role)
        if change.muted_until is not None:
            old = msgspec.structs.replace(old, muted_until=change.muted_until)
        if change.leave:
            old = msgspec.structs.replace(old, role=Role.NONE, until=self.head)
        self.members[change.user] = old


class LogCache:
    """The most recently used logs, at most `most` of them."""

    def __init__(self, store: Store, kinds: Mapping[str, Kind], *, most: int = 10_000) -> None:
        """`kinds` by code; an id of another kind is no log."""
        self._store = store
        self._kinds = kinds  # by code
        self._most = most
        self._logs: OrderedDict[LogId, LogState] = OrderedDict()
        self._loading: dict[LogId, asyncio.Future[LogState]] = {}
        self._dirty: set[LogId] = set()  # changed while loading: load again
        self._expected: dict[LogId, int] = {}  # rosters committed here whose hints are on the way

    def __len__(self) -> int:
        """How many logs are kept."""
        return len(self._logs)

    def get(self, log: LogId) -> LogState | None:
        """The log when it is in the cache."""
        found = self._logs.get(log)
        if found is not None:
            self._logs.move_to_end(log)
        return found

    def wipe(self) -> None:
        """Forget everything; nothing is lost."""
        self._logs.clear()
        self._expected.clear()
        self._dirty.update(self._loading)

    def drop(self, log: LogId) -> None:
        """Forget one log."""
        self._logs.pop(log, None)
        self._expected.pop(log, None)
        if log in self._loading:
            self._dirty.add(log)

    def expect(self, log: LogId, roster: int) -> None:
        """A commit settled with this roster; until its hint is here the members are old."""
        state = self._logs.get(log)
        if state is not None and state.roster < roster:
            self._expected[log] = roster

    def behind(self, state: LogState) -> bool:
        """Whether the members in `state` are known to be old. No fence tells: a join raises no
        version."""
        return bool(self._expected) and state.roster < self._expected.get(state.log, 0)

    def apply(self, hint: Appended) -> LogState | None:
        """Follow a commit; the log's state after it, or None when it is not in the cache."""
        state = self._logs.get(hint.log)
        if hint.log in self._loading:
            self._dirty.add(hint.log)
        if state is None:
            return None
        if not state.apply(hint):
            self._logs.pop(hint.log, None)
            self._expected.pop(hint.log, None)
            return None
        if self._expected and state.roster >= self._expected.get(hint.log, 0):
            self._expected.pop(hint.log, None)
        return state

    async def load(self, log: LogId) -> LogState:
        """The log's state, read from the store where needed. Version 0: there is none.

        Raises:
            NoSuchLog: the id names a kind this server does not have.
            StoreDown: retry later.
        """
        found = self._logs.get(log)
        if found is not None:
            self._logs.move_to_end(log)
            return found
        running = self._loading.get(log)
        if running is None:
            running = asyncio.ensure_future(self._load(log))
            self._loading[log] = running
            running.add_done_callback(lambda _: self._loading.pop(log, None))
        return await asyncio.shield(running)

    async def _load(self, log: LogId) -> LogState:
        kind = self._kinds.get(kind_of(log))
        if kind is None:
            raise NoSuchLog(f"no kind {kind_of(log)!r} here")
        while True:
            self._dirty.discard(log)
            state = await self._read(log, kind)
            if log not in self._dirty:
                break
        self._dirty.discard(log)
        self._logs[log] = state
        while len(self._logs) > self._most:
            self._expected.pop(self._logs.popitem(last=False)[0], None)
        return state

    async def _read(self, log: LogId, kind: Kind) -> LogState:
        state = LogState(log, kind)
        info = await self._store.info(log)
        if info is None:
            return state
        state.state = msgspec.json.decode(info.state, type=kind.state)
        state.version, state.roster, state.epoch = info.version, info.roster, info.epoch
        state.head, state.ord, state.count = info.head, info.ord, info.count
        state.large = info.large
        if not info.large:
            after = ""
            while True:
                page = await self._store.members(log, after=after, limit=PAGE)
                state.members.update((m.user, m) for m in page)
                if len(page) < PAGE:
                    break
                after = page[-1].user
            again = await self._store.info(log)
            seen = (info.roster, info.version, info.head)
            if again is None or (again.roster, again.version, again.head) != seen:
                self._dirty.add(log)
        state.list_users()
        return state

    async def page(self, log: LogId, after: str) -> list[Member]:
        """Up to PAGE present members by user id, after `after`; not kept. Raises StoreDown."""
        return await self._store.members(log, after=after, limit=PAGE)

    async def member(self, state: LogState, user: UserId) -> Member | None:
        """One member's row, also of one who left; None = never was one. Raises StoreDown."""
        found = state.members.get(user)
        if found is not None:
            return found
        version = state.version
        row = await self._store.member(state.log, user)
        if row is not None and state.version == version and (state.large or not row.role):
            if len(state.members) >= MAX_KEPT_MEMBERS and state.large:
                state.members.clear()
            state.members.setdefault(user, row)
        return row
