"""Random programs for a store: what is asked of two stores, and what they answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
from hypothesis import strategies as st

from hongyan.model.errors import Refusal
from hongyan.model.log import EDIT, Commit, MemberChange, Role, Write
from hongyan.ports import Store

T = "main"
LOGS = ("main/g/room", "main/d/ann~bob", "main/g/hall")
USERS = ("ann", "bob", "cid", "dan")
LARGE_ABOVE = 3

writes = st.builds(
    Write,
    type=st.sampled_from(["message", "note"]),
    body=st.sampled_from([b'{"text":"a"}', b'{"text":"b"}']),
    count=st.booleans(),
    target=st.integers(0, 6),
    slot=st.sampled_from(["", EDIT, "like"]),
    mentions=st.sampled_from([(), ("ann",), ("bob", "cid")]),
    mention_all=st.sampled_from([False, False, True]),
    erases=st.sampled_from([False, False, False, True]),
)
says = st.builds(
    Write, type=st.just("message"), body=st.just(b'{"text":"plain"}'), count=st.just(True)
)
changes = st.builds(
    MemberChange,
    user=st.sampled_from(USERS),
    join=st.sampled_from([False, False, True]),
    history=st.booleans(),
    leave=st.sampled_from([False, False, False, True]),
    role=st.sampled_from([None, None, None, Role.NONE, Role.MEMBER, Role.ADMIN]),
    muted_until=st.sampled_from([None, None, 5]),
    settings=st.sampled_from(
        [None, msgspec.Raw(b'{"mute":true}'), msgspec.Raw(b'{"mute":null,"pin":{"a":1}}')]
    ),
    marked=st.sampled_from([None, None, True, False]),
    clear=st.sampled_from([False, False, False, True]),
    hide=st.lists(st.integers(0, 8), max_size=2).map(tuple),
)
joins = st.builds(
    MemberChange, user=st.sampled_from(USERS), join=st.just(True), history=st.booleans()
)


@dataclass
class Ask:
    """A commit before the state of its log is known."""

    log: str
    sender: str
    op: int
    hash: bytes
    writes: tuple[Write, ...]
    members: tuple[MemberChange, ...]
    state: bytes | None
    fence: str
    max_members: int
    roster: bool


asks = st.builds(
    Ask,
    log=st.sampled_from(LOGS),
    sender=st.sampled_from(USERS),
    op=st.integers(0, 12),
    hash=st.sampled_from([b"h" * 16] * 5 + [b"x" * 16]),
    writes=st.one_of(st.lists(says, min_size=1, max_size=2), st.lists(writes, max_size=3)).map(
        tuple
    ),
    members=st.one_of(
        st.just(()),
        st.lists(joins, max_size=2).map(tuple),
        st.lists(changes, max_size=3).map(tuple),
    ),
    state=st.sampled_from([None, None, None, b'{"v":2}']),
    fence=st.sampled_from(["none", "none", "right", "right", "new", "wrong"]),
    max_members=st.sampled_from([0, 0, 2]),
    roster=st.booleans(),
)


@dataclass
class Step:
    """Move, sync or restart."""

    what: str
    log: str = LOGS[0]
    user: str = USERS[0]
    read: int = 0
    delivered: int = 0
    mark: int = -1


moves = st.builds(
    Step,
    what=st.just("move"),
    log=st.sampled_from(LOGS),
    user=st.sampled_from(USERS),
    read=st.integers(0, 12),
    delivered=st.integers(0, 12),
    mark=st.integers(-1, 4),
)
syncs = st.builds(Step, what=st.just("sync"), user=st.sampled_from(USERS))
restarts = st.builds(Step, what=st.just("restart"))
programs = st.lists(st.one_of(asks, asks, asks, moves, syncs, restarts), max_size=40)


async def commit_of(ask: Ask, model: Store, at: int) -> Commit:
    """What the engine would commit, knowing the log as `model` has it."""
    info = await model.info(ask.log)
    version = info.version if info else 0
    active = await model.members(ask.log)
    touch: tuple[str, ...] | None = tuple(m.user for m in active) if ask.roster else ()
    if info and info.large:
        touch = None
    return Commit(
        log=ask.log,
        sender=ask.sender,
        op=f"op{ask.op}",
        hash=ask.hash,
        at=at,
        device="phone",
        writes=ask.writes,
        expect={"none": -1, "right": version, "new": 0, "wrong": version + 1}[ask.fence],
        state=ask.state,
        members=ask.members,
        max_members=ask.max_members,
        touch=touch,
        roster=info.roster if info and ask.roster else -1,
    )


def plain(answer: Any) -> Any:
    """An answer in a form that compares by value."""
    if isinstance(answer, Refusal):
        return type(answer).__name__
    return msgspec.json.decode(msgspec.json.encode(answer))


async def answer(awaitable: Any) -> Any:
    """The value or the refusal."""
    try:
        return plain(await awaitable)
    except Refusal as refusal:
        return plain(refusal)


@dataclass
class Views:
    """Everything that can be asked of a store."""

    found: dict[str, Any] = field(default_factory=dict)

    async def look(self, store: Store, *, useqs: bool = True) -> dict[str, Any]:
        """Ask it all. Without `useqs`, leave out what depends on the order of touches."""
        for user in USERS:
            rows = plain(await store.rows(T, user, [*LOGS, "main/g/none", "other/g/room"]))
            if not useqs:
                rows = [{**row, "useq": 0} for row in rows]
            self.found[f"rows {user}"] = rows
            if useqs:
                top = await store.sync(T, user)
                pages = await store.inbox(T, user, after=0, upto=top, limit=2)
                self.found[f"inbox {user}"] = plain([top, pages])
                for after in range(top + 1):
                    heads = await store.heads(T, user, after=after)
                    self.found[f"heads {user} {after}"] = sorted(plain(heads))
            self.found[f"large {user}"] = sorted(await store.large_logs(T, user))
            refs = [(log, seq) for log in LOGS for seq in range(0, 14)]
            self.found[f"pick {user}"] = plain(await store.pick(T, user, refs))
        for log in LOGS:
            await self._log(store, log)
        feed = await store.feed(after=0, limit=1000)
        if not useqs:  # one transaction: logs may take turns in any way
            feed.sort(key=lambda item: (item.log, item.pos))
        self.found["feed"] = plain([(item.log, item.entry) for item in feed])
        return self.found

    async def _log(self, store: Store, log: str) -> None:
        self.found[f"info {log}"] = plain(await store.info(log))
        for least in (0, 1, 2):
            self.found[f"members {log} {least}"] = plain(await store.members(log, least=least))
        self.found[f"amended {log}"] = plain(await store.amended(log, list(range(14))))
        self.found[f"receipts {log}"] = plain(
            [
                await store.receipts(log),
                await store.receipts(log, users=["cid", "ann"]),
                [await store.receipt_counts(log, seq) for seq in (1, 3)],
            ]
        )
        for user in USERS:
            self.found[f"member {log} {user}"] = plain(await store.member(log, user))
            for low, high, limit, newest in (
                (1, None, 50, False),
                (1, None, 2, True),
                (2, 5, 2, False),
                (3, 3, 1, True),
            ):
                self.found[f"read {log} {user} {low} {high} {newest}"] = await answer(
                    store.read(log, user, low=low, high=high, limit=limit, newest=newest)
                )
