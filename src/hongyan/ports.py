"""The outside world on one page: what the engine asks for, with what must be guaranteed.

Every adapter of a port passes the port's contract suite in `tests/contract/`. All methods are
called from one event loop. A method that waits raises StoreDown where the outcome is unknown or
the part is broken; nothing else leaves an adapter but the refusals named here.
"""

# size: all ports stand on one page, so that what an adapter owes is read in one go

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from hongyan.model.files import File, FileTotals, Quota, Refs, Upload
from hongyan.model.ids import DeviceId, LogId, Seq, TenantId, UserId
from hongyan.model.log import (
    Commit,
    Committed,
    Entry,
    InboxRow,
    LogInfo,
    Member,
    MemberChange,
    Position,
    Receipt,
)
from hongyan.model.outlets import Dead, Hold, Hook, Progress, Pull, Webhook


class Clock(Protocol):
    """Time. `now_ms` may jump either way and orders nothing; `monotonic` never goes back."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment."""
        ...


class Moved(msgspec.Struct, frozen=True, gc=False):
    """A member's cursors after a move; `changed` is False when nothing went forward."""

    position: Position
    changed: bool


class FeedItem(msgspec.Struct, frozen=True, gc=False):
    """An entry in commit order over all logs; `pos` grows, with holes."""

    pos: int
    log: LogId
    entry: Entry


class UserFeed(msgspec.Struct, frozen=True, gc=False):
    """A part of the feed as one user may read it: `items` are all up to position `upto`."""

    items: list[FeedItem]
    upto: int


class Slice(msgspec.Struct, frozen=True, gc=False):
    """A range of a log as one user may read it.

    `entries` are in rising seq and without a hole inside [floor, head]. `amends` are the newest
    entry per (target, slot) that changes an entry of this slice and lies after it. `more`: the
    range went on past `limit`.
    """

    entries: list[Entry]
    amends: list[Entry]
    floor: Seq
    head: Seq
    epoch: int
    more: bool


class Store(Protocol):
    """Logs and their members: the one place where truth is.

    Guarantees: a returned commit is on disk (fsync) or replicated as configured; seqs of a log
    are dense from 1 and given inside the transaction; commits of one log are settled in seq
    order; the first commit of an (log, sender, op) wins, a second gives the first answer again
    with `repeat`, for at least 7 days; readers see committed data only, and everything whose
    commit returned before they asked.
    """

    def commit(self, commit: Commit) -> asyncio.Future[Committed]:
        """Append all of `commit` or nothing; queue at once, settle when durable. Never blocks.

        Usual wait 0.5 to 5 ms (one group commit). No order is promised between logs; between
        commits of one log the order of the calls is kept.

        Raises (through the future):
            Conflict: the version is not `expect`; read, decide and commit again.
            Clash: the op was used with another hash.
            Full: `max_members` would be exceeded.
            StoreDown: outcome unknown; retry with the same op.
            Overloaded: the queue is full (bounded in commits and bytes); retry later.
        """
        ...

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
        """Merge cursors by max, clamped to what the user may read; durable when settled.

        `read` takes `delivered` along. `mark` is the version of the "mark unread" flag the
        reader knew: the flag is cleared when it is still that one. A lower cursor has no effect.
        A real change of `read` or of the flag touches the user's inbox.

        Raises: NotAMember (never was one), NoSuchLog, StoreDown, Overloaded.
        """
        ...

    async def sync(self, tenant: TenantId, user: UserId) -> int:
        """Begin a sync: return the inbox head U.

        Any change of a log after this call gets a row above U (or the log is large); what
        changed before is in the rows up to U. A client that has applied them may present U as
        its token until the next sync, however many pushes it has seen or missed since.
        """
        ...

    async def inbox(
        self, tenant: TenantId, user: UserId, *, after: int, upto: int, limit: int
    ) -> list[InboxRow]:
        """Rows with after < useq <= upto in rising useq. `state` is the kind's whole state."""
        ...

    async def rows(self, tenant: TenantId, user: UserId, logs: Sequence[LogId]) -> list[InboxRow]:
        """The user's rows of these logs, in this order; those never joined are left out."""
        ...

    async def heads(self, tenant: TenantId, user: UserId, *, after: int) -> list[tuple[LogId, Seq]]:
        """(log, head this user may read) of rows with useq > after, and of all the user's large
        logs; each log once, any order."""
        ...

    async def large_logs(self, tenant: TenantId, user: UserId) -> list[LogId]:
        """The large logs the user is a member of."""
        ...

    async def info(self, log: LogId) -> LogInfo | None:
        """The log, or None."""
        ...

    async def member(self, log: LogId, user: UserId) -> Member | None:
        """The member's row (also of one who left), or None."""
        ...

    async def members(
        self, log: LogId, *, after: str = "", limit: int = 1000, least: int = 1
    ) -> list[Member]:
        """Members with role >= least, by user id, after `after`. least=0: also those who left."""
        ...

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
        """At most `limit` entries of [low, high] ∩ what the user may read; from the low end,
        or from the high end with `newest`. Erased entries come with body {}, entries deleted
        for this user as type `hidden` with body {}.

        Raises: NoSuchLog, NotAMember (never was one).
        """
        ...

    async def entries(self, log: LogId, *, low: Seq, high: Seq) -> list[Entry]:
        """The kept entries of [low, high] in rising seq, whoever may read them: for the operator.
        Erased ones come with body {}. The caller bounds the range. No such log: none."""
        ...

    async def pick(
        self, tenant: TenantId, user: UserId, refs: Sequence[tuple[LogId, Seq]]
    ) -> list[tuple[LogId, Entry]]:
        """These entries in this order, edits applied, without those that the user may not read,
        or that are erased or hidden."""
        ...

    async def amended(self, log: LogId, targets: Sequence[Seq]) -> list[Entry]:
        """The newest entry per (target, slot) that changes one of `targets`."""
        ...

    async def receipts(
        self, log: LogId, *, users: Sequence[UserId] | None = None, limit: int = 100
    ) -> list[Receipt]:
        """Cursors of members: of `users`, or of the first `limit` by user id."""
        ...

    async def receipt_counts(self, log: LogId, seq: Seq) -> tuple[int, int]:
        """How many members' (delivered, read) cursors are at `seq` or above."""
        ...

    async def feed(self, *, after: int, limit: int) -> list[FeedItem]:
        """Entries of all logs in commit order, after position `after`."""
        ...

    async def user_feed(
        self, tenant: TenantId, user: UserId, *, after: int, limit: int, log: LogId | None = None
    ) -> UserFeed:
        """The first `limit` entries after position `after` that the user may read now, in commit
        order; with `log` those of one log. Erased and hidden ones are as in `read`.

        `upto` is the position of the last item where there are `limit`, else the feed's end. The
        work grows with what is new and with the user's logs, never with the feed.
        """
        ...

    async def feed_end(self) -> int:
        """The position of the newest entry of all logs; 0 = there is none."""
        ...

    async def tail(self, log: LogId, *, after: Seq, limit: int) -> list[FeedItem]:
        """Entries of one log in rising seq, after `after`, as the feed brings them."""
        ...

    async def consumer(self, name: str) -> int:
        """The durable position of a consumer; 0 = never saved."""
        ...

    async def save_consumer(self, name: str, pos: int) -> None:
        """Save a consumer's position; durable on return. Positions only go forward."""
        ...

    async def stats(self) -> Mapping[str, float]:
        """Gauges for metrics: queued commits, groups, commits, bytes, fsync seconds …"""
        ...

    async def close(self) -> None:
        """Settle what is queued, then close. Idempotent."""
        ...


class User(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An account. `password` is an argon2id hash, "" = cannot log in by password. Tokens that
    this server issued for logins before `valid_from` (ms) are refused: the password changed.
    `made` tells whether a repeated creation is the same one. `erased` (ms): the person's data was
    taken away; the account stays so that nobody else gets the id."""

    tenant: TenantId
    user: UserId
    name: str = ""
    avatar: str = ""
    admin: bool = False
    disabled: bool = False
    password: str = ""
    created_at: int = 0
    valid_from: int = 0
    made: str = ""
    erased: int = 0


class Device(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A device of a user. `epoch` is that of the login it holds; `kicked` the highest one that
    was evicted: a token of an epoch <= kicked is refused for ever."""

    device: DeviceId
    cls: str  # phone, desktop, web, pad, thing, server
    epoch: int
    kicked: int = 0
    seen_at: int = 0


class ApiKey(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A server's key; only its SHA-256 is kept. With the scope `send` it speaks for `user`."""

    id: str
    tenant: TenantId
    digest: bytes
    scopes: tuple[str, ...]
    created_at: int = 0
    user: UserId = UserId("")


class Directory(Protocol):
    """People, devices and keys. Writes are durable on return."""

    async def user(self, tenant: TenantId, user: UserId) -> User | None:
        """The account, or None."""
        ...

    async def users(self, tenant: TenantId, ids: Sequence[UserId]) -> list[User]:
        """Those of `ids` that exist, in any order."""
        ...

    async def list_users(
        self, tenant: TenantId, *, after: str = "", limit: int = 100
    ) -> list[User]:
        """Accounts by user id, after `after`."""
        ...

    async def find_users(self, tenant: TenantId, text: str, *, limit: int = 20) -> list[User]:
        """At most `limit` accounts whose id, or any word of whose name with what follows it,
        begins with `text`, in the order of what was found. Letters match without case.
        Disabled accounts are not found, and nothing is by an empty text.
        Cheap: looked up in an index, whatever the number of accounts."""
        ...

    async def put_user(self, user: User, *, create: bool = False) -> None:
        """Insert or replace. Raises Conflict when `create` and the account exists."""
        ...

    async def admit(
        self, tenant: TenantId, user: UserId, device: Device, *, most: int, now_ms: int
    ) -> list[DeviceId]:
        """Take a login for `device` in its class, of which `most` may be active (0 = any).

        Epochs order logins: of a class the `most` highest stay. Returns the devices evicted by
        this one. The same device with the same or a higher epoch is admitted again. Decided
        inside one transaction, so that of two racing logins the higher epoch wins on any node.

        Raises Kicked: this login is the one that has to go, or was evicted before.
        """
        ...

    async def devices(self, tenant: TenantId, user: UserId) -> list[Device]:
        """All devices that ever logged in, newest epoch first."""
        ...

    async def revoke(self, tenant: TenantId, user: UserId, device: DeviceId) -> None:
        """Log a device out: its present epoch and all below are refused from now on."""
        ...

    async def forget_devices(self, tenant: TenantId, user: UserId) -> None:
        """Remove every trace of the user's devices. Only for an account that is disabled: with
        the rows goes the memory of which logins were evicted."""
        ...

    async def key(self, digest: bytes) -> ApiKey | None:
        """The API key with this SHA-256, or None."""
        ...

    async def keys(self, tenant: TenantId) -> list[ApiKey]:
        """All API keys of a tenant."""
        ...

    async def put_key(self, key: ApiKey) -> None:
        """Insert a key."""
        ...

    async def drop_key(self, tenant: TenantId, key_id: str) -> bool:
        """Remove a key; False where there was none."""
        ...


class AuditLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who did which administrative thing. `actor` is a user, `key:<id>` or `code`; `outcome` is -1
    while it is not known how it ended, 0 = done, else the code of the refusal."""

    tenant: TenantId
    at: int  # ms
    actor: str
    ip: str
    action: str  # users.disable, keys.create, logs.contents …
    target: str = ""
    outcome: int = -1
    detail: msgspec.Raw = msgspec.Raw(b"{}")  # a JSON object, nothing secret
    id: int = 0  # given by the list; grows, with holes


class AuditEnd(msgspec.Struct, frozen=True, gc=False):
    """How it ended, and what only its doing told."""

    outcome: int
    target: str
    detail: msgspec.Raw


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Which lines; "" and 0 = any. `action` is a prefix; `since <= at < until`, in ms."""

    actor: str = ""
    action: str = ""
    target: str = ""
    since: int = 0
    until: int = 0


class Audit(Protocol):
    """The list of administrative acts: added to, never changed. Writes are durable on return.

    All methods may raise StoreDown (outcome unknown) and Overloaded (nothing was done).
    """

    async def begin(self, line: AuditLine) -> int:
        """Add a line, with its outcome open; give its id. `line.id` does not count."""
        ...

    async def end(self, line_id: int, end: AuditEnd) -> bool:
        """Say how it ended, once: False where that was said before, or there is no such line."""
        ...

    async def page(
        self, tenant: TenantId, *, before: int, limit: int, only: AuditFilter
    ) -> list[AuditLine]:
        """Lines with id < before, newest first."""
        ...

    async def forget(self, before: int) -> int:
        """Drop all lines older than `before` (ms); give how many went."""
        ...


class Kept(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, rename={"sender": "from"}):
    """A live item that is kept for the replay of its log."""

    epoch: int
    off: int
    at: int  # ms
    type: str  # of the log's kind
    sender: UserId
    body: msgspec.Raw
    media_ms: int = -1  # of the recording; -1 = none

    @property
    def key(self) -> tuple[int, int]:
        """What is unique in its log."""
        return self.epoch, self.off


Mark = tuple[int, int, int]  # where a page of kept items ended: ms, epoch, offset


class Archive(Protocol):
    """Live items that are kept, by the moment of a recording or by the time they were said.

    Apart from the logs: nothing counts on it. All methods may raise StoreDown and Overloaded;
    what was asked for may then have been done, and may be asked for again.
    """

    async def add(self, items: Sequence[tuple[LogId, Kept]]) -> None:
        """Add items; durable on return. One that is there (log, epoch, off) is left as it is."""
        ...

    async def remove(self, items: Sequence[tuple[LogId, int, int]]) -> int:
        """Remove items by (log, epoch, off); how many were there."""
        ...

    async def remove_sender(self, tenant: TenantId, sender: UserId) -> int:
        """Remove all that a user of a tenant said; how many there were."""
        ...

    async def page(
        self, log: LogId, low: int, high: int, *, media: bool, after: Mark, limit: int
    ) -> list[Kept]:
        """Items with low <= ms < high, behind `after`, in order of (ms, epoch, off): of the
        recording where `media`, else of the clock."""
        ...

    async def forget(self, before: int) -> int:
        """Drop what was said before `before` (ms); how many went."""
        ...


class Outlets(Protocol):
    """Webhooks, before-send hooks and pulls of all tenants, and how far each has come.

    Writes are durable on return. A webhook's id is unique over all tenants.
    """

    async def webhooks(self, tenant: TenantId | None = None) -> list[Webhook]:
        """Those of a tenant, or all; by id."""
        ...

    async def put_webhook(self, webhook: Webhook, *, pos: int | None = None) -> None:
        """Make it at `pos` of the feed, or with None replace what was set and leave the rest."""
        ...

    async def drop_webhook(self, tenant: TenantId, webhook: str) -> bool:
        """Remove it with its holds and dead letters; False where there was none."""
        ...

    async def progress(self, webhook: str) -> tuple[int, Progress]:
        """Its position in the feed, and how it fares. (0, …) where there is none."""
        ...

    async def holds(self, webhook: str) -> list[Hold]:
        """The logs that a failed delivery holds back."""
        ...

    async def settle(
        self,
        webhook: str,
        progress: Progress,
        *,
        pos: int | None = None,
        held: Sequence[Hold] = (),
        freed: Sequence[LogId] = (),
        dead: Sequence[Dead] = (),
        sent: Sequence[int] = (),
    ) -> None:
        """Save what came of deliveries, all or nothing: the position (None = as it was), holds
        made or moved, logs let go, dead letters (a known one is replaced), and positions of dead
        letters that were delivered after all. Nothing where the webhook was dropped."""
        ...

    async def dead(
        self, webhook: str, *, after: int = 0, limit: int = 100, replay: bool = False
    ) -> list[Dead]:
        """Dead letters by rising pos, after `after`; with `replay` those asked for again."""
        ...

    async def count_dead(self, webhook: str) -> int:
        """How many there are."""
        ...

    async def ask_again(self, webhook: str, positions: Sequence[int] | None) -> int:
        """Mark these dead letters, or all, to be sent again; how many there were."""
        ...

    async def hooks(self, tenant: TenantId | None = None) -> list[Hook]:
        """Those of a tenant, or all; in the order they were made."""
        ...

    async def put_hook(self, hook: Hook) -> None:
        """Insert or replace."""
        ...

    async def drop_hook(self, tenant: TenantId, hook: str) -> bool:
        """Remove it; False where there was none."""
        ...

    async def pulls(self, tenant: TenantId) -> list[Pull]:
        """Those of a tenant, by name."""
        ...

    async def pull(self, tenant: TenantId, name: str) -> Pull | None:
        """One, or None."""
        ...

    async def put_pull(self, pull: Pull) -> None:
        """Make it. Raises Conflict where there is one of the name."""
        ...

    async def move_pull(self, tenant: TenantId, name: str, pos: int) -> int:
        """Move its position forward, never back; where it is now, -1 where there is none."""
        ...

    async def drop_pull(self, tenant: TenantId, name: str) -> bool:
        """Remove it; False where there was none."""
        ...


class Reply(msgspec.Struct, frozen=True, gc=False):
    """What came of a request to the outside. `status` 0: no answer, `error` says why."""

    status: int
    body: bytes = b""
    retry_after_ms: int = 0  # asked for by the answer; 0 = not
    error: str = ""


class Poster(Protocol):
    """Posts to addresses that tenants chose. Never raises but for cancellation."""

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, timeout_s: float, most: int
    ) -> Reply:
        """One POST, within `timeout_s` in all, reading at most `most` bytes of the answer.

        Follows no redirect and uses no proxy. TLS is verified. Connects only to addresses that
        the configuration allows, those that the name had when it was looked up for this very
        connection.
        """
        ...

    async def close(self) -> None:
        """Idempotent."""
        ...


class Hit(msgspec.Struct, frozen=True, gc=False):
    """A search hit; `pos` pages (older hits have lower ones)."""

    pos: int
    log: LogId
    seq: Seq


class Search(Protocol):
    """Full text, derived from the feed; may be wiped and rebuilt at any moment."""

    async def index(self, items: Sequence[tuple[int, LogId, Seq, str]], pos: int) -> None:
        """Put (pos, log, seq, text) in; "" removes (log, seq) for good, a later text for it is
        ignored. Save `pos` as the consumer's position in the same transaction.

        Idempotent: items at or below the saved position are in already and are skipped. A text
        replaces the one before, but its hit keeps the position of the first one.
        """
        ...

    async def position(self) -> int:
        """The saved position of the feed."""
        ...

    async def wipe(self) -> None:
        """Forget all; the position is 0 again. Called between two `index` of the one consumer."""
        ...

    async def find(
        self, tenant: TenantId, text: str, *, log: LogId | None, before: int, limit: int
    ) -> list[Hit]:
        """Entries whose text contains every word of `text`, newest first, pos < before.

        Words of one or two Chinese characters are found too; letters match without case.
        The caller filters by what the user may read. Raises BadArgs for a text without words.
        """
        ...

    async def close(self) -> None:
        """Idempotent."""
        ...


class Appended(msgspec.Struct, frozen=True, gc=False, tag_field="t", tag="appended"):
    """Entries were committed. `members` tell the hub who came and went with them, `called` and
    `all_rows` whose rows they change in a way the entries do not tell (mentions, recalls)."""

    log: LogId
    entries: tuple[Entry, ...]
    head: Seq
    ord: int
    version: int
    roster: int
    count: int
    large: bool
    members: tuple[MemberChange, ...] = ()
    state: bytes | None = None
    touched: tuple[tuple[UserId, int], ...] = ()
    called: tuple[UserId, ...] = ()
    all_rows: bool = False


class CursorMoved(msgspec.Struct, frozen=True, gc=False, tag_field="t", tag="cursor"):
    """A member's cursors went forward."""

    log: LogId
    user: UserId
    position: Position


class Signalled(msgspec.Struct, frozen=True, gc=False, tag_field="t", tag="signal"):
    """A member signals to the others of a log; `device` does not get it back."""

    log: LogId
    user: UserId
    device: DeviceId
    name: str
    body: msgspec.Raw


class RowsChanged(msgspec.Struct, frozen=True, gc=False, tag_field="t", tag="rows"):
    """A user's rows of these logs changed in a way no entry tells."""

    tenant: TenantId
    user: UserId
    logs: tuple[LogId, ...]


class Evicted(msgspec.Struct, frozen=True, gc=False, tag_field="t", tag="evicted"):
    """A device has to go: every connection of it with an epoch <= `epoch` is closed."""

    tenant: TenantId
    user: UserId
    device: DeviceId
    epoch: int
    code: int


class PresenceChanged(msgspec.Struct, frozen=True, gc=False, tag_field="t", tag="presence"):
    """A user came, went or is away, as one node sees it; forgotten after a TTL."""

    node: str
    tenant: TenantId
    user: UserId
    state: str  # online, away, offline
    at: int


Hint = Appended | CursorMoved | Signalled | RowsChanged | Evicted | PresenceChanged


class Bus(Protocol):
    """Hints between nodes. May lose, repeat and reorder; never the only way to learn of a
    change. A handler is called on the loop and must not wait; what it raises is logged and does
    not reach the publisher or the other handlers."""

    def publish(self, hint: Hint) -> None:
        """Offer `hint` to every subscriber, this node included. Never waits."""
        ...

    def subscribe(self, handler: Callable[[Hint], None]) -> Callable[[], None]:
        """Call `handler` for every hint; the returned function ends it."""
        ...

    async def close(self) -> None:
        """Idempotent."""
        ...


class BlobInfo(msgspec.Struct, frozen=True, gc=False):
    """A stored blob. `digest` is the lower-case hex SHA-256 of its bytes."""

    digest: str
    size: int
    media_type: str
    created_at: int


class Blobs(Protocol):
    """Files by content. A blob is whole or absent; the same bytes are kept once."""

    async def put(self, data: AsyncIterator[bytes], media_type: str, *, most: int) -> BlobInfo:
        """Keep the bytes; durable on return. Raises FrameTooBig beyond `most` bytes."""
        ...

    async def adopt(self, path: Path, digest: str, media_type: str) -> BlobInfo:
        """Keep the file at `path`, whose digest is known and whose bytes are on the disk; durable
        on return. The file itself is gone then. Raises NoSuchEntry where there is none."""
        ...

    async def info(self, digest: str) -> BlobInfo | None:
        """The blob, or None."""
        ...

    def open(self, digest: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Bytes [start, end) in pieces of at most 64 KiB. Raises NoSuchEntry where absent."""
        ...

    async def drop(self, digest: str) -> bool:
        """Remove a blob; False where there was none."""
        ...

    async def close(self) -> None:
        """Idempotent."""
        ...


class Uploads(Protocol):
    """Bytes of files that are on their way, in files of this node by the id of the upload."""

    def path(self, upload: str, part: str = "") -> Path:
        """Where the bytes are, or where a `part` made of them may be put."""
        ...

    async def write(self, upload: str, at: int, data: bytes) -> None:
        """Put `data` at byte `at`. Not durable yet."""
        ...

    async def sync(self, upload: str) -> None:
        """Make durable what was written; also a file of no bytes."""
        ...

    async def cut(self, upload: str, size: int) -> bool:
        """Forget what lies beyond `size`; False where fewer bytes are here."""
        ...

    async def digest(self, path: Path) -> tuple[str, int]:
        """SHA-256 and size of a file. Raises NoSuchEntry where there is none."""
        ...

    async def head(self, upload: str, size: int) -> bytes:
        """The first `size` bytes. Raises NoSuchEntry where there is no file."""
        ...

    async def drop(self, upload: str) -> None:
        """Remove the bytes and all parts; none is fine."""
        ...

    async def sweep(self, known: frozenset[str]) -> int:
        """Remove what belongs to no upload of `known`, and all parts; how many files."""
        ...

    def free(self) -> int:
        """Bytes that the disk has left."""
        ...

    async def close(self) -> None:
        """Idempotent."""
        ...


class FileRecords(Protocol):
    """What is known of uploads and files. Writes are durable on return."""

    async def begin(self, upload: Upload, quota: Quota) -> None:
        """Insert. Raises Full (too many open) and TooFast (too many bytes), judged with it."""
        ...

    async def upload(self, upload: str) -> Upload | None:
        """The upload, or None."""
        ...

    async def advance(self, upload: str, offset: int, expires_at: int) -> None:
        """The durable offset of one that is uploading; it only grows."""
        ...

    async def settle(self, upload: str, state: str, result: bytes, expires_at: int) -> None:
        """A new state. An ended upload stays ended."""
        ...

    async def uploads(self, states: Sequence[str], *, before: int, limit: int) -> list[Upload]:
        """Those in one of these states that expire before `before`, the first to expire first."""
        ...

    async def forget(self, uploads: Sequence[str]) -> None:
        """Remove rows."""
        ...

    async def hold(self, files: Sequence[File], now_ms: int) -> None:
        """The tenants hold these files, touched now; and nothing drops their bytes any more."""
        ...

    async def file(self, tenant: TenantId, digest: str) -> File | None:
        """The file as this tenant holds it, or None."""
        ...

    async def refer(self, refs: Sequence[Refs]) -> None:
        """Replace what is known, in this order. Bears repeating."""
        ...

    async def refs(self, tenant: TenantId, digest: str) -> list[tuple[LogId, Seq]]:
        """Where the file is referred to, as far as the feed was read."""
        ...

    async def loose(self, *, before: int, after: tuple[int, str, str], limit: int) -> list[Loose]:
        """Files touched before `before` (ms) that nothing seems to refer to, in rising order
        after (touched_at, tenant, digest)."""
        ...

    async def let_go(self, files: Sequence[Loose], *, consumer: str) -> list[str]:
        """End the holding of those that are still as they were, are no user's avatar, and that no
        entry refers to: neither one that `consumer` brought, nor one it has not seen yet. Gives
        the digests that no tenant holds any more; they are noted until `dropped`."""
        ...

    async def drops(self, limit: int) -> list[str]:
        """Digests that were let go and not dropped yet."""
        ...

    async def dropped(self, digests: Sequence[str]) -> None:
        """Their bytes are gone."""
        ...

    async def totals(self) -> FileTotals:
        """Counts."""
        ...


class Loose(msgspec.Struct, frozen=True, gc=False):
    """A file that may have to go."""

    touched_at: int
    tenant: TenantId
    digest: str


class Prepared(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A picture that was looked at: pixels as shown (turned as its metadata says), what stands for
    it while it loads, and whether there is a small version (WebP)."""

    media_type: str
    width: int
    height: int
    placeholder: str = ""
    preview: bool = False
    duration_ms: int = 0


class Pictures(Protocol):
    """Looks at pictures, apart from the server's process."""

    @property
    def crowded(self) -> bool:
        """Whether `prepare` would refuse now."""
        ...

    async def prepare(self, source: Path, media_type: str, clean: Path, preview: Path) -> Prepared:
        """Write the picture without its metadata to `clean` and a small one to `preview`, both
        durable.

        Raises:
            BadFile: broken, too large in pixels, or not of this type.
            Overloaded: too many wait.
        """
        ...

    async def film(self, source: Path, media_type: str) -> Prepared:
        """Overwrite the notes of an MP4 or MOV in the file itself, durably; how large and how
        long it is, 0 where unknown.

        Raises:
            BadFile: its boxes cannot be followed; it was left as it is, or partly cleaned.
            Overloaded: too many wait.
        """
        ...

    async def close(self) -> None:
        """Idempotent."""
        ...
