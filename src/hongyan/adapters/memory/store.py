"""The Store port as a model: plain lists and dicts, no speed, nothing durable.

What a real adapter answers must equal what this one answers; `tests/properties` says so. It is
written to be obviously right: unread is a count, a range is a filter, nothing is kept twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from hongyan.adapters.memory.log import Log, Op, Row, check_room
from hongyan.model.errors import Clash, Conflict, NoSuchLog, NotAMember, Refusal
from hongyan.model.ids import DeviceId, LogId, Seq, TenantId, UserId, kind_of, tenant_of
from hongyan.model.log import Commit, Committed, Entry, InboxRow, LogInfo, Member, Receipt
from hongyan.ports import FeedItem, Moved, Slice, UserFeed

DIRECT = "d"  # the kind code whose inbox rows carry the other side's cursors


class MemoryStore:
    """See the port for every method. A commit is settled before `commit` returns."""

    def __init__(self, *, large_above: int = 512) -> None:
        """Logs with more than `large_above` members are large, for ever."""
        self._large_above = large_above
        self._logs: dict[LogId, Log] = {}
        self._inbox: dict[tuple[str, str], int] = {}  # inbox heads by (tenant, user)
        self._touched: set[tuple[LogId, str]] = set()  # since the user's last sync
        self._feed: list[tuple[LogId, int]] = []
        self._consumers: dict[str, int] = {}
        self._commits = 0

    def restart(self) -> None:
        """Forget what a process forgets: every log counts as synced, so is touched again."""
        self._touched.clear()

    def commit(self, commit: Commit) -> asyncio.Future[Committed]:
        """See the port."""
        return _settled(lambda: self._commit(commit))

    def move(
        self,
        log: LogId,
        user: UserId,
        *,
        device: DeviceId = DeviceId(""),
        read: Seq = Seq(0),
        delivered: Seq = Seq(0),
        mark: int = -1,
    ) -> asyncio.Future[Moved]:
        """See the port."""
        return _settled(lambda: self._move(log, user, read, delivered, mark))

    # --- writing ----------------------------------------------------------------------------

    def _commit(self, commit: Commit) -> Committed:
        log = self._logs.get(commit.log) or Log(commit.log, commit.at)  # kept below, if at all
        if (op := log.ops.get((commit.owner, commit.op))) is not None:
            if op.hash != commit.hash:
                raise Clash()
            return self._answer(log, op, repeat=True)
        if commit.expect >= 0 and commit.expect != log.version:
            raise Conflict(f"version is {log.version}, not {commit.expect}")
        check_room(log, commit)

        large, roster = log.large, log.roster  # as they were: they decide who is touched
        op = Op(commit.hash, log.head + 1, log.head + len(commit.writes), commit.at)
        log.append(commit)
        self._feed += [(log.log, seq) for seq in range(op.first, op.last + 1)]
        for change in commit.members:
            log.change(change, op, commit.at)
        if commit.state is not None:
            log.state = commit.state
        if log.version == 0 or commit.raises_version:
            log.version += 1
        if (row := log.members.get(commit.sender)) is not None:
            counted = [e.seq for e in log.entries[op.first - 1 :] if e.count]
            row.sent = max([row.sent, *counted])
        log.large = log.large or log.count > self._large_above
        log.ops[commit.owner, commit.op] = op
        self._logs[commit.log] = log
        self._commits += 1

        changed = {change.user for change in commit.members}
        if not large and commit.touch is not None and commit.concerns_all:
            same = commit.roster == roster
            changed |= set(commit.touch) if same else {row.user for row in log.active()}
        return replace(self._answer(log, op), touched=self._touch(log, changed))

    def _answer(self, log: Log, op: Op, *, repeat: bool = False) -> Committed:
        return Committed(
            Seq(op.first),
            Seq(op.last),
            log.ord(op.last),
            op.at,
            log.version,
            log.roster,
            log.count,
            log.large,
            repeat,
        )

    def _touch(self, log: Log, users: Iterable[UserId]) -> tuple[tuple[UserId, int], ...]:
        """Give each user's row the next useq, unless it has had one since the last sync."""
        done = []
        for user in sorted(users):
            row = log.members.get(user)
            if row is None or (log.log, user) in self._touched:
                continue
            key = (tenant_of(log.log), user)
            row.useq = self._inbox[key] = self._inbox.get(key, 0) + 1
            self._touched.add((log.log, user))
            done.append((user, row.useq))
        return tuple(done)

    def _move(self, name: LogId, user: UserId, read: int, delivered: int, mark: int) -> Moved:
        log, row = self._find(name, user)
        read, delivered = min(read, log.top(row)), min(delivered, log.top(row))
        before, told = row.position(), (row.read, row.marked)
        row.read = max(row.read, read)
        row.delivered = max(row.delivered, delivered, row.read)
        if row.marked and mark == row.mark:
            row.marked, row.mark = False, row.mark + 1
        if (row.read, row.marked) != told:
            self._touch(log, [user])
        return Moved(row.position(), row.position() != before)

    async def sync(self, tenant: TenantId, user: UserId) -> int:
        """See the port."""
        self._touched = {
            (log, who) for log, who in self._touched if (tenant_of(log), who) != (tenant, user)
        }
        return self._inbox.get((tenant, user), 0)

    # --- reading ----------------------------------------------------------------------------

    def _find(self, name: LogId, user: UserId) -> tuple[Log, Row]:
        log = self._logs.get(name)
        if log is None:
            raise NoSuchLog()
        if (row := log.members.get(user)) is None:
            raise NotAMember()
        return log, row

    def _mine(self, tenant: TenantId, user: UserId) -> list[tuple[Log, Row]]:
        logs = (log for log in self._logs.values() if tenant_of(log.log) == tenant)
        return [(log, row) for log in logs if (row := log.members.get(user)) is not None]

    def _inbox_row(self, log: Log, row: Row) -> InboxRow:
        top, bottom = log.top(row), log.bottom(row)
        seen = max(bottom - 1, row.read, row.sent)
        unseen = log.entries[seen : max(top, seen)]
        alive = {e.seq for e in unseen} - log.erased - row.hidden
        named = {s for s, who in log.mentions if who in (row.user, "*")}
        last = (log.plain(row, s) for s in range(top, bottom - 1, -1) if log.entries[s - 1].count)
        peer = Row(UserId(""))
        if kind_of(log.log) == DIRECT:
            others = (r for u, r in sorted(log.members.items()) if u != row.user)
            peer = next(others, peer)
        return InboxRow(
            log=log.log,
            useq=row.useq,
            head=Seq(top),
            ord=log.ord(top),
            unread=sum(1 for e in unseen if e.count and e.seq in alive),
            mentions=sum(1 for e in unseen if e.seq in alive & named and e.sender != row.user),
            role=row.role,
            since=Seq(row.since),
            read=Seq(row.read),
            delivered=Seq(row.delivered),
            epoch=log.epoch,
            floor=Seq(log.floor),
            until=Seq(row.until),
            cleared=Seq(row.cleared),
            marked=row.marked,
            mark=row.mark,
            count=log.count,
            large=log.large,
            settings=row.settings,
            state=msgspec.Raw(log.state),
            last=next((e for e in last if e is not None), None),
            peer_read=Seq(peer.read),
            peer_delivered=Seq(peer.delivered),
        )

    async def inbox(
        self, tenant: TenantId, user: UserId, *, after: int, upto: int, limit: int
    ) -> list[InboxRow]:
        """See the port."""
        mine = [pair for pair in self._mine(tenant, user) if after < pair[1].useq <= upto]
        mine.sort(key=lambda pair: pair[1].useq)
        return [self._inbox_row(*pair) for pair in mine[:limit]]

    async def rows(self, tenant: TenantId, user: UserId, logs: Sequence[LogId]) -> list[InboxRow]:
        """See the port."""
        mine = {log.log: (log, row) for log, row in self._mine(tenant, user)}
        return [self._inbox_row(*mine[log]) for log in logs if log in mine]

    async def heads(self, tenant: TenantId, user: UserId, *, after: int) -> list[tuple[LogId, Seq]]:
        """See the port."""
        return [
            (log.log, Seq(log.top(row)))
            for log, row in self._mine(tenant, user)
            if row.useq > after or (log.large and row.role)
        ]

    async def large_logs(self, tenant: TenantId, user: UserId) -> list[LogId]:
        """See the port."""
        return [log.log for log, row in self._mine(tenant, user) if log.large and row.role]

    async def info(self, log: LogId) -> LogInfo | None:
        """See the port."""
        if (found := self._logs.get(log)) is None:
            return None
        return LogInfo(
            log=log,
            epoch=found.epoch,
            head=Seq(found.head),
            ord=found.ord(found.head),
            floor=Seq(found.floor),
            version=found.version,
            roster=found.roster,
            count=found.count,
            large=found.large,
            created_at=found.created_at,
            state=found.state,
        )

    async def member(self, log: LogId, user: UserId) -> Member | None:
        """See the port."""
        found = self._logs.get(log)
        row = found.members.get(user) if found else None
        return row.member() if row else None

    async def members(
        self, log: LogId, *, after: str = "", limit: int = 1000, least: int = 1
    ) -> list[Member]:
        """See the port."""
        found = self._logs.get(log)
        rows = sorted(found.members.values(), key=lambda r: r.user) if found else []
        return [r.member() for r in rows if r.user > after and r.role >= least][:limit]

    async def read(
        self,
        log: LogId,
        user: UserId,
        *,
        low: Seq = Seq(1),
        high: Seq | None = None,
        limit: int = 50,
        newest: bool = False,
    ) -> Slice:
        """See the port."""
        found, row = self._find(log, user)
        top = found.top(row)
        whole = found.shown(row, low, top if high is None else high)
        part = whole[max(len(whole) - limit, 0) :] if newest else whole[:limit]
        last = part[-1].seq if part else 0
        amends = found.amending((e.seq for e in part), top)
        return Slice(
            entries=part,
            amends=[e for e in amends if e.seq > last],
            floor=Seq(found.bottom(row)),
            head=Seq(top),
            epoch=found.epoch,
            more=len(whole) > len(part),
        )

    async def entries(self, log: LogId, *, low: Seq, high: Seq) -> list[Entry]:
        """See the port."""
        found = self._logs.get(log)
        return [e for e in found.entries if low <= e.seq <= high] if found else []

    async def pick(
        self, tenant: TenantId, user: UserId, refs: Sequence[tuple[LogId, Seq]]
    ) -> list[tuple[LogId, Entry]]:
        """See the port."""
        mine = {log.log: (log, row) for log, row in self._mine(tenant, user)}
        found = ((log, mine[log][0].plain(mine[log][1], seq)) for log, seq in refs if log in mine)
        return [(log, entry) for log, entry in found if entry is not None]

    async def amended(self, log: LogId, targets: Sequence[Seq]) -> list[Entry]:
        """See the port."""
        found = self._logs.get(log)
        return found.amending(targets, found.head) if found else []

    async def receipts(
        self, log: LogId, *, users: Sequence[UserId] | None = None, limit: int = 100
    ) -> list[Receipt]:
        """See the port."""
        found = self._logs.get(log)
        rows = found.active() if found else []
        rows = rows[:limit] if users is None else [r for r in rows if r.user in set(users)]
        return [Receipt(r.user, Seq(r.delivered), Seq(r.read)) for r in rows]

    async def receipt_counts(self, log: LogId, seq: Seq) -> tuple[int, int]:
        """See the port."""
        found = self._logs.get(log)
        rows = found.active() if found else []
        return sum(r.delivered >= seq for r in rows), sum(r.read >= seq for r in rows)

    async def feed(self, *, after: int, limit: int) -> list[FeedItem]:
        """See the port."""
        part = enumerate(self._feed[after : after + limit], start=after + 1)
        return [FeedItem(pos, log, self._logs[log].entries[seq - 1]) for pos, (log, seq) in part]

    async def user_feed(
        self, tenant: TenantId, user: UserId, *, after: int, limit: int, log: LogId | None = None
    ) -> UserFeed:
        """See the port."""
        mine = {found.log: (found, row) for found, row in self._mine(tenant, user)}
        items: list[FeedItem] = []
        for pos, (name, seq) in enumerate(self._feed[after:], start=after + 1):
            if len(items) == limit:
                return UserFeed(items, items[-1].pos if items else after)
            if name in mine and log in (None, name):
                found, row = mine[name]
                items += [FeedItem(pos, name, e) for e in found.shown(row, seq, seq)]
        return UserFeed(items, len(self._feed))

    async def feed_end(self) -> int:
        """See the port."""
        return len(self._feed)

    async def tail(self, log: LogId, *, after: Seq, limit: int) -> list[FeedItem]:
        """See the port."""
        places = ((pos, seq) for pos, (name, seq) in enumerate(self._feed, 1) if name == log)
        part = [(pos, seq) for pos, seq in places if after < seq <= after + limit]
        return [FeedItem(pos, log, self._logs[log].entries[seq - 1]) for pos, seq in part]

    async def consumer(self, name: str) -> int:
        """See the port."""
        return self._consumers.get(name, 0)

    async def save_consumer(self, name: str, pos: int) -> None:
        """See the port."""
        self._consumers[name] = max(pos, self._consumers.get(name, 0))

    async def stats(self) -> Mapping[str, float]:
        """See the port."""
        return {"commits": self._commits, "logs": len(self._logs), "failed": 0.0}

    async def close(self) -> None:
        """Nothing to settle: everything is, at once."""


T = TypeVar("T")


def _settled(act: Callable[[], T]) -> asyncio.Future[T]:
    """A future that already holds the result of `act`, or its refusal."""
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    try:
        future.set_result(act())
    except Refusal as refusal:
        future.set_exception(refusal)
    return future
