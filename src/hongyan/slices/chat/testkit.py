"""A world of one log for tests: decisions are applied as the engine and the store would.

It is small on purpose: no cache, no races, no disk. What it does is what `model.kind` promises
to a rule, so it serves the tests of any slice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from hongyan.model.errors import BadArgs, Full, NoSuchLog, NotAMember, RoleTooLow, UnknownCall
from hongyan.model.ids import DeviceId, LogId, OpId, Seq, TenantId, UserId
from hongyan.model.kind import Append, Context, Decision, Kind, Needs
from hongyan.model.log import (
    EDIT,
    HIDDEN,
    MAX_BODY_BYTES,
    MAX_COMMIT_BYTES,
    MAX_WRITES,
    Entry,
    Member,
    MemberChange,
    Role,
)
from hongyan.slices.chat import commands as c
from hongyan.slices.chat.content import TextContent
from hongyan.slices.chat.kinds import DIRECT_KIND, GROUP_KIND

BLANK = msgspec.Raw(b"{}")
PEOPLE = ("alice", "bob", "carol", "dave", "eve")


class Place:
    """What a member keeps for the member alone."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.hidden: set[int] = set()
        self.cleared = 0
        self.marked = False
        self.settings: dict[str, Any] = {}


class World:
    """One log. `now` is the clock in ms; tests move it. `call` does one call."""

    def __init__(
        self,
        kind: Kind,
        log: str = "",
        *,
        people: Iterable[str] = PEOPLE,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """`log` "": the first creating call names it."""
        self.kind, self.log = kind, LogId(log)
        self.settings = {**kind.defaults, **(settings or {})}
        self.people = frozenset(UserId(user) for user in people)
        self.now = 1_700_000_000_000
        self.state: Any = None
        self.entries: list[Entry] = []
        self.mentions: list[tuple[int, tuple[str, ...], bool]] = []
        self.rows: dict[str, Member] = {}
        self.places: dict[str, Place] = {}
        self.selves: dict[UserId, Any] = {}
        self.sources: dict[tuple[LogId, Seq], Entry] = {}
        self.decision = Decision()  # of the last call
        self.calls = 0

    @property
    def head(self) -> Seq:
        """The last seq."""
        return Seq(len(self.entries))

    @property
    def count(self) -> int:
        """Members now."""
        return sum(row.role > Role.NONE for row in self.rows.values())

    def role(self, user: str) -> Role:
        """The role of a user now."""
        row = self.rows.get(user)
        return row.role if row else Role.NONE

    def view(self, user: str) -> Any:
        """What a user is shown of the state."""
        return self.kind.view(self.state, self.role(user))

    def body(self, seq: int, as_type: Any = Any) -> Any:
        """The body of an entry, decoded."""
        return msgspec.json.decode(self.entries[seq - 1].body, type=as_type)

    def call(self, user: str, command: Any, *, admin: bool = False, op: str = "") -> list[Entry]:
        """Decode, decide, apply: the new entries. Raises the refusal; then nothing changed."""
        rule = self.kind.rules.get(type(command))
        if rule is None:
            raise UnknownCall
        try:  # through JSON and back: the limits of the types are checked as on the wire
            command = msgspec.json.decode(msgspec.json.encode(command), type=type(command))
        except msgspec.DecodeError as exc:
            raise BadArgs(str(exc)) from None
        self.calls += 1
        ctx = self.context(user, admin=admin, op=op or f"op{self.calls}")
        if not self.log and rule.place is not None:
            ctx = msgspec.structs.replace(ctx, log=rule.place(command, ctx))
        if self.state is None and not rule.creates:
            raise NoSuchLog
        if ctx.role < rule.role:
            raise RoleTooLow if ctx.role else NotAMember
        if rule.needs is not None:
            ctx = self._load(rule.needs(command, ctx), ctx)
        self.decision = rule.decide(self.state, command, ctx)
        again = rule.decide(self.state, command, ctx)
        assert again == self.decision, "a rule must be pure: it may run more than once"
        return self._apply(self.decision, ctx)

    def context(self, user: str, *, admin: bool = False, op: str = "op") -> Context:
        """The world as `user` meets it, before anything is loaded."""
        return Context(
            tenant=TenantId("main"),
            log=self.log,
            user=UserId(user),
            device=DeviceId("d1"),
            op=OpId(op),
            now_ms=self.now,
            role=self.role(user),
            member=self.rows.get(user),
            head=self.head,
            count=self.count,
            token=f"secret-{self.calls}",
            admin=admin,
            settings=self.settings,
        )

    def _load(self, needs: Needs, ctx: Context) -> Context:
        entries = {seq: e for seq in needs.entries if (e := self.shown(ctx.user, seq))}
        amended = {(e.target, e.slot): e for e in self.entries if e.target in entries}
        return msgspec.structs.replace(
            ctx,
            entries=entries,
            amended=amended,
            members={u: self.rows[u] for u in needs.members if u in self.rows},
            users=frozenset(needs.users) & self.people,
            selves={u: self.selves[u] for u in needs.selves if u in self.selves},
            sources={ref: self.sources[ref] for ref in needs.sources if ref in self.sources},
        )

    def shown(self, user: str, seq: int) -> Entry | None:
        """An entry as a user reads it, or None."""
        row, place = self.rows.get(user), self.places.get(user)
        if row is None or place is None:
            return None
        top = self.head if row.role else row.until
        if not max(row.since, place.cleared + 1) <= seq <= top:
            return None
        entry = self.entries[seq - 1]
        if seq in place.hidden:
            return msgspec.structs.replace(entry, type=HIDDEN, body=BLANK)
        return entry

    def _apply(self, decision: Decision, ctx: Context) -> list[Entry]:
        bodies = [msgspec.json.encode(append.body) for append in decision.append]
        assert len(bodies) <= MAX_WRITES
        assert sum(map(len, bodies)) <= MAX_COMMIT_BYTES
        assert all(len(body) <= MAX_BODY_BYTES for body in bodies)
        joining = {change.user for change in decision.members if change.join}
        here = {user for user, row in self.rows.items() if row.role}
        if decision.max_members and joining and len(here | joining) > decision.max_members:
            raise Full
        self.log = ctx.log
        first = self.head + 1
        for append, body in zip(decision.append, bodies, strict=True):
            self._append(append, body, ctx)
        if decision.state is not None:  # at rest a state is JSON
            state = msgspec.json.encode(decision.state)
            self.state = msgspec.json.decode(state, type=self.kind.state)
        for change in decision.members:
            self._change(change, first)
        return self.entries[first - 1 :]

    def _append(self, append: Append, body: bytes, ctx: Context) -> None:
        seq = Seq(self.head + 1)
        order = (self.entries[-1].ord if self.entries else 0) + append.count
        self.entries.append(
            Entry(
                seq=seq,
                type=append.type,
                sender=ctx.user,
                at=self.now,
                ord=order,
                body=msgspec.Raw(body),
                count=append.count,
                target=append.target,
                slot=append.slot,
            )
        )
        if append.mentions or append.mention_all:
            self.mentions.append((seq, append.mentions, append.mention_all))
        if append.erases:
            for i, e in enumerate(self.entries):
                if e.seq == append.target or (e.target == append.target and e.slot == EDIT):
                    self.entries[i] = msgspec.structs.replace(e, body=BLANK)

    def _change(self, change: MemberChange, first: int) -> None:
        row = self.rows.get(change.user)
        if change.join and (row is None or not row.role):
            since = Seq(1 if change.history else first)
            row = Member(change.user, change.role or Role.MEMBER, since)
        assert row is not None, f"{change.user} never was a member"
        if change.role is not None:
            row = msgspec.structs.replace(row, role=change.role)
        if change.muted_until is not None:
            row = msgspec.structs.replace(row, muted_until=change.muted_until)
        if change.leave:
            row = msgspec.structs.replace(row, role=Role.NONE, until=self.head)
        self.rows[change.user] = row
        place = self.places.setdefault(change.user, Place())
        if change.settings is not None:
            given = msgspec.json.decode(change.settings)
            merged = place.settings | given
            place.settings = {k: v for k, v in merged.items() if v is not None}
        if change.marked is not None:
            place.marked = change.marked
        if change.clear:
            place.cleared = self.head if row.role else row.until
        place.hidden.update(change.hide)


def pair(messages: int = 0, **settings: Any) -> World:
    """alice and bob; she has said something."""
    world = World(DIRECT_KIND, settings=settings)
    world.call("alice", c.OpenDirect("bob"))
    for i in range(messages):
        world.call("alice", say(f"message {i}"))
    return world


def group(*members: str, **options: Any) -> World:
    """alice owns it; `options` are those of `chat.create`."""
    world = World(GROUP_KIND)
    world.call("alice", c.CreateGroup("Team", members, **options))
    return world


def say(text: str = "hello") -> c.Send:
    """A message of words."""
    return c.Send(TextContent(text))
