"""Whatever people call in whatever order, a conversation stays sound.

A small world of five people, a tight set of limits and short seqs: so that calls meet each other
often, and so do refusals. Each decision is made twice inside the world: a rule must be pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from hongyan.model.errors import Refusal
from hongyan.model.ids import LogId, Seq, UserId
from hongyan.model.log import EDIT, Entry, Role
from hongyan.slices.chat import bodies as b
from hongyan.slices.chat import commands as c
from hongyan.slices.chat.content import TextContent
from hongyan.slices.chat.kinds import DIRECT_KIND, GROUP_KIND
from hongyan.slices.chat.testkit import PEOPLE, World
from hongyan.slices.own.state import Self

LIMITS = {
    "pins": 2,
    "pending": 2,
    "max_members": 4,  # of five people
    "reactions": 2,
    "reactions_per_user": 1,
    "recall_ms": 40_000,
    "edit_ms": 80_000,
    "members_pin": True,
}
ELSEWHERE = LogId("main/g/elsewhere")
SPEECH = frozenset({"message", "edit"})
SHOWN = SPEECH | {"reaction", "pin", "nickname"}  # what a muted member may not write


@dataclass(frozen=True)
class Step:
    """A call, some seconds after the one before."""

    user: str
    command: Any
    seconds: int
    admin: bool


class People:
    """What people might do next, by a seed: plausible more often than not, so that calls meet.

    A sequence is a prefix of that of its seed: Hypothesis shrinks a failure to the call that
    breaks something, and seed and length replay it.
    """

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.random = world, Random(seed)

    def one(self, *things: Any) -> Any:
        return self.random.choice(things)

    def flag(self) -> bool:
        return self.random.random() < 0.6

    def some(self) -> tuple[str, ...]:
        return tuple(self.random.sample(PEOPLE, self.one(1, 1, 2)))

    def seq(self) -> Seq:
        """Mostly one of the last messages."""
        said = [e.seq for e in self.world.entries if e.type == "message"]
        if said and self.random.random() < 0.9:
            return self.one(*said[-3:])  # type: ignore[no-any-return]
        return Seq(self.random.randint(1, self.world.head + 2))

    def step(self, commands: tuple[Callable[[People], Any], ...]) -> Step:
        command = self.one(*commands)(self)
        user = self.one(*PEOPLE, "alice", "bob")  # who govern at first
        return Step(user, command, self.one(0, 0, 0, 5, 20, -10), self.random.random() < 0.05)


TALK: tuple[Callable[[People], Any], ...] = (
    lambda p: c.Send(text(p), mentions=p.some(), mention_all=not p.flag()),
    lambda p: c.Send(text(p), reply_to=p.seq()),
    lambda p: c.Forward((c.Source(ELSEWHERE, Seq(1)),), merged=p.flag()),
    lambda p: c.Edit(p.seq(), text(p), p.one(None, p.some())),
    lambda p: c.Recall(p.seq()),
    lambda p: c.React(p.seq(), p.one("x", "y", "z"), p.flag()),
    lambda p: c.React(p.seq(), p.one("x", "y", "z"), True),
    lambda p: c.PinMessage(p.seq(), p.flag()),
    lambda p: c.PinMessage(p.seq()),
    lambda p: c.Delete((p.seq(),)) if p.one(0, 0, 1) else c.Clear(),
    lambda p: c.Settings(mute=p.flag(), nickname=p.one("N", None, msgspec.UNSET)),
    lambda p: c.MarkUnread(p.flag()),
)
GOVERN: tuple[Callable[[People], Any], ...] = (
    lambda p: c.Invite(p.some()),
    lambda p: c.Join(p.one("", p.world.state.link)),
    lambda p: c.Join(),
    lambda p: c.Approve(p.one(*PEOPLE)),
    lambda p: c.Reject(p.one(*PEOPLE)),
    lambda p: c.Leave(),
    lambda p: c.Remove(p.some()),
    lambda p: c.SetRole(p.one(*PEOPLE), p.one("admin", "member")),
    lambda p: c.Transfer(p.one(*PEOPLE)),
    lambda p: c.Mute(p.one(*PEOPLE), p.one(0, 30, 100)),
    lambda p: c.MuteAll(not p.flag()),
    lambda p: c.Update(join_mode=p.one("link", "approve", "approve", "open")),
    lambda p: c.Update(title=p.one("T", "U"), members_invite=p.flag(), max_members=p.one(0, 3, 4)),
    lambda p: c.SetLink(p.flag(), p.flag()),
    lambda p: c.Dissolve() if p.random.random() < 0.1 else c.Leave(),
)
ANY = TALK + TALK + GOVERN
runs = given(seed=st.integers(0, 1 << 32), length=st.integers(1, 160))


def text(people: People) -> TextContent:
    return TextContent(people.one("a", "b"))


def elsewhere(world: World) -> None:
    body = msgspec.Raw(msgspec.json.encode(b.Message(TextContent("far"))))
    world.sources[ELSEWHERE, Seq(1)] = Entry(Seq(1), "message", UserId("eve"), 1, 1, body)


def snapshot(world: World) -> Any:
    places = {u: (set(p.hidden), p.cleared, p.marked, dict(p.settings))
              for u, p in world.places.items()}  # fmt: skip
    return world.log, world.state, list(world.entries), dict(world.rows), places


def attempt(world: World, step: Step) -> list[Entry]:
    """Call; a refusal must leave everything as it was, and nothing else may come out."""
    world.now += step.seconds * 1000
    before = snapshot(world)
    try:
        return world.call(step.user, step.command, admin=step.admin)
    except Refusal:
        assert snapshot(world) == before
        return []


def check_group(world: World, made: set[str]) -> None:
    """What must hold after every call; `made` are all link tokens there ever were."""
    state = world.state
    owners = [user for user, row in world.rows.items() if row.role == Role.OWNER]
    if not state.dissolved_at:
        assert owners == [state.owner]
    assert world.count <= LIMITS["max_members"]
    check_pins(world)
    assert len(state.pending) <= LIMITS["pending"]
    assert not [user for user in state.pending if world.role(user)]
    for user in PEOPLE:
        if world.role(user) < Role.ADMIN:
            shown = msgspec.json.encode(world.view(user))
            assert b"pending" not in shown
            assert not [token for token in made if token.encode() in shown]
    for entry in world.entries:
        assert not [token for token in made if token.encode() in bytes(entry.body)]


def check_pins(world: World) -> None:
    pins = world.state.pins
    assert len(set(pins)) == len(pins) <= LIMITS["pins"]
    assert not {entry.target for entry in world.entries if entry.type == "recall"} & set(pins)


def check_entries(world: World) -> None:
    """What must hold of the log of any conversation."""
    count, slots = 0, {}
    erased = {entry.target for entry in world.entries if entry.type == "recall"}
    for entry in world.entries:
        count += entry.count
        assert entry.ord == count
        assert entry.count == (entry.type == "message")
        if entry.seq in erased or (entry.slot == EDIT and entry.target in erased):
            assert bytes(entry.body) == b"{}"
        else:
            msgspec.json.decode(entry.body, type=b.BODIES[entry.type])
        if entry.target:
            target = world.entries[entry.target - 1]
            assert entry.target < entry.seq and target.type == "message"
            assert entry.type != "edit" or target.sender == entry.sender
        if entry.type == "reaction":
            slots[entry.target, entry.slot] = entry.sender
    for place in {place for place, _ in slots}:
        mine = [sender for (seq, _), sender in slots.items() if seq == place]
        assert len(mine) <= LIMITS["reactions"]
        assert max(mine.count(user) for user in mine) <= LIMITS["reactions_per_user"]


def a_group() -> World:
    world = World(GROUP_KIND, settings=LIMITS)
    elsewhere(world)
    world.call("alice", c.CreateGroup("T", ("bob", "carol"), join_mode="approve"))
    world.call("alice", c.SetRole("bob", "admin"))
    return world


@runs
@settings(max_examples=100, deadline=None)
def test_C10_C16_C21_C22_C30_C40_C52_a_group_stays_sound(seed: int, length: int) -> None:
    world = a_group()
    people = People(world, seed)
    tokens: set[str] = set()
    for _ in range(length):
        step = people.step(ANY)
        now = world.now + step.seconds * 1000
        muted = {user for user, row in world.rows.items() if row.muted_until > now}
        silent = world.state.mute_all and world.role(step.user) < Role.ADMIN
        dead, member = world.state.dissolved_at, world.role(step.user)
        types = {entry.type for entry in attempt(world, step)}
        assert not (dead and types)
        assert not (step.user in muted and types & SHOWN)
        assert not (silent and types & SPEECH)
        if not member:
            assert step.admin or types <= {"joined"}
            assert not types & SHOWN
        tokens |= {world.state.link} - {""}
        check_group(world, tokens)
        check_entries(world)


@runs
@settings(max_examples=60, deadline=None)
def test_C29_C37_C39_C52_a_direct_conversation_stays_sound(seed: int, length: int) -> None:
    world = World(DIRECT_KIND, settings=LIMITS)
    elsewhere(world)
    world.call("alice", c.OpenDirect("bob"))
    people = People(world, seed)
    for _ in range(length):
        if people.random.random() < 0.1:
            owner, other = people.one(("alice", "bob"), ("bob", "alice"))
            blocked = {UserId(other): 1} if people.random.random() < 0.3 else {}
            world.selves[UserId(owner)] = Self(blocked=blocked)
        step = people.step(TALK)
        shut = any(mine.blocked for mine in world.selves.values())
        types = {entry.type for entry in attempt(world, step)}
        assert not (shut and types & SHOWN)
        assert not (types and step.user not in ("alice", "bob"))
        check_pins(world)
        check_entries(world)


# these ask for a state; the others ask for one more of something
ASKING = (
    c.Invite, c.Join, c.Approve, c.Reject, c.Leave, c.Remove, c.SetRole, c.Transfer, c.MuteAll,
    c.Update, c.Dissolve, c.Edit, c.Recall, c.React, c.PinMessage, c.Delete, c.Clear, c.MarkUnread,
)  # fmt: skip


@runs
@settings(max_examples=60, deadline=None)
def test_C52_asking_for_what_already_is_writes_nothing(seed: int, length: int) -> None:
    """So two devices, or two admins, that do the same at once do no harm."""
    world = a_group()
    people = People(world, seed)
    for _ in range(length):
        step = people.step(ANY)
        attempt(world, step)
        if isinstance(step.command, ASKING):
            before = (list(world.entries), world.state)
            attempt(world, replace(step, seconds=0))
            assert (world.entries, world.state) == before
