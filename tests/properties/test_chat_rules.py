"""Whatever people call in whatever order, a conversation stays sound.

A small world of five people, a tight set of limits and short seqs: so that calls meet each other
often, and so do refusals. Each decision is made twice inside the world: a rule must be pure.
"""

from __future__ import annotations

from dataclasses import dataclass
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
from hongyan.slices.chat.state import JoinMode
from hongyan.slices.chat.testkit import PEOPLE, World
from hongyan.slices.own.state import Self

LIMITS = {
    "pins": 2,
    "pending": 2,
    "max_members": 4,  # of five people
    "reactions": 3,
    "reactions_per_user": 2,
    "recall_ms": 40_000,
    "edit_ms": 80_000,
    "members_pin": True,
}
ELSEWHERE = LogId("main/g/elsewhere")
MODES: tuple[JoinMode, ...] = ("invite", "link", "approve", "open")
SPEECH = frozenset({"message", "edit"})
SHOWN = SPEECH | {"reaction", "pin", "nickname"}  # what a muted member may not write

users = st.sampled_from(PEOPLE)
callers = st.sampled_from((*PEOPLE, "alice", "bob"))  # who govern at first
seqs = st.integers(1, 12).map(Seq)
flags = st.booleans()
pairs = st.sampled_from([("alice", "bob"), ("bob", "alice")])
texts = st.sampled_from(["a", "b"]).map(TextContent)
some = st.lists(users, min_size=1, max_size=2).map(tuple)

talk = st.one_of(
    st.builds(c.Send, texts, reply_to=st.none() | seqs, mentions=some, mention_all=flags),
    st.builds(c.Forward, st.just((c.Source(ELSEWHERE, Seq(1)),)), merged=flags),
    st.builds(c.Edit, seqs, texts, st.none() | some),
    st.builds(c.Recall, seqs),
    st.builds(c.React, seqs, st.sampled_from(["x", "y"]), flags),
    st.builds(c.PinMessage, seqs, flags),
    st.builds(c.Delete, st.lists(seqs, min_size=1, max_size=3).map(tuple)),
    st.just(c.Clear()),
    st.builds(c.Settings, mute=flags, nickname=st.sampled_from(["N", None, msgspec.UNSET])),
    st.builds(c.MarkUnread, flags),
)
govern = st.one_of(
    st.builds(c.Invite, some),
    st.builds(c.Join, st.sampled_from(["", "LINK"])),
    st.builds(c.Approve, users),
    st.builds(c.Reject, users),
    st.just(c.Leave()),
    st.builds(c.Remove, some),
    st.builds(c.SetRole, users, st.sampled_from(["admin", "member"])),
    st.builds(c.Transfer, users),
    st.builds(c.Mute, users, st.sampled_from([0, 30, 100])),
    st.builds(c.MuteAll, flags),
    st.builds(c.Update, join_mode=st.sampled_from(MODES), members_invite=flags),
    st.builds(c.Update, title=st.sampled_from(["T", "U"]), max_members=st.integers(0, 4)),
    st.builds(c.SetLink, flags, flags),
)
# the end of a group comes rarely, or little would be seen of its life
group_calls = st.one_of(talk, govern, govern, st.just(c.Dissolve()) | govern)


@dataclass(frozen=True)
class Step:
    """A call, some seconds after the one before."""

    user: str
    command: Any
    seconds: int
    admin: bool


def steps(commands: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Step]]:
    step = st.builds(
        Step,
        callers,
        commands,
        st.sampled_from([0, 0, 20, -10]),
        st.sampled_from([False] * 9 + [True]),
    )
    return st.lists(step, min_size=20, max_size=40)


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
    command = step.command
    said = [entry.seq for entry in world.entries if entry.type == "message"]
    if hasattr(command, "seq") and said and not step.admin:  # aim at messages; else mostly misses
        command = msgspec.structs.replace(command, seq=said[command.seq % len(said)])
    if isinstance(command, c.Join) and command.token:
        command = c.Join(world.state.link)
    before = snapshot(world)
    try:
        return world.call(step.user, command, admin=step.admin)
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
    assert len(state.pins) <= LIMITS["pins"]
    assert len(set(state.pins)) == len(state.pins)
    recalled = {entry.target for entry in world.entries if entry.type == "recall"}
    assert not recalled & set(state.pins)
    assert len(state.pending) <= LIMITS["pending"]
    assert not [user for user in state.pending if world.role(user)]
    for user in PEOPLE:
        if world.role(user) < Role.ADMIN:
            shown = msgspec.json.encode(world.view(user))
            assert b"pending" not in shown
            assert not [token for token in made if token.encode() in shown]
    for entry in world.entries:
        assert not [token for token in made if token.encode() in bytes(entry.body)]


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


@given(steps(group_calls), st.sampled_from(MODES))
@settings(max_examples=120, deadline=None)
def test_C10_C16_C21_C22_C30_C40_C52_a_group_stays_sound(calls: list[Step], mode: JoinMode) -> None:
    world = World(GROUP_KIND, settings=LIMITS)
    elsewhere(world)
    world.call("alice", c.CreateGroup("T", ("bob", "carol"), join_mode=mode))
    world.call("alice", c.SetRole("bob", "admin"))
    world.call("carol", c.Send(TextContent("hello")))
    tokens: set[str] = set()
    for step in calls:
        muted = {user for user, row in world.rows.items()
                 if row.muted_until > world.now + step.seconds * 1000}  # fmt: skip
        plain = world.role(step.user) < Role.ADMIN
        silent, dead = world.state.mute_all and plain, world.state.dissolved_at
        members = {user for user in PEOPLE if world.role(user)}
        written = attempt(world, step)
        types = {entry.type for entry in written}
        if dead:
            assert not written
        if step.user in muted:
            assert not types & SHOWN
        if silent:
            assert not types & SPEECH
        if step.user not in members:
            assert step.admin or types <= {"joined"}
            assert not types & SHOWN
        tokens |= {world.state.link} - {""}
        check_group(world, tokens)
        check_entries(world)


@given(steps(talk), st.lists(st.tuples(st.integers(0, 40), pairs, flags), max_size=4))
@settings(max_examples=60, deadline=None)
def test_C29_C37_C39_C52_a_direct_conversation_stays_sound(
    calls: list[Step], blocks: list[tuple[int, tuple[str, str], bool]]
) -> None:
    world = World(DIRECT_KIND, settings=LIMITS)
    elsewhere(world)
    world.call("alice", c.OpenDirect("bob"))
    for number, step in enumerate(calls):
        for when, (owner, other), on in blocks:
            if when == number:
                blocked = {UserId(other): 1} if on else {}
                world.selves[UserId(owner)] = Self(blocked=blocked)
        shut = any(
            other in world.selves[UserId(owner)].blocked
            for owner, other in (("alice", "bob"), ("bob", "alice"))
            if UserId(owner) in world.selves
        )
        types = {entry.type for entry in attempt(world, step)}
        assert not (shut and types & SHOWN)
        assert not (types and step.user not in ("alice", "bob"))
        assert len(world.state.pins) <= LIMITS["pins"]
        check_entries(world)


AGAIN = (
    c.Invite, c.Join, c.Approve, c.Reject, c.Leave, c.Remove, c.SetRole, c.Transfer, c.MuteAll,
    c.Update, c.Dissolve, c.Edit, c.Recall, c.React, c.PinMessage, c.Delete, c.Clear, c.MarkUnread,
)  # fmt: skip


@given(steps(group_calls))
@settings(max_examples=80, deadline=None)
def test_C52_asking_for_what_already_is_writes_nothing(calls: list[Step]) -> None:
    """So two devices, or two admins, that do the same at once do no harm."""
    world = World(GROUP_KIND, settings=LIMITS)
    world.call("alice", c.CreateGroup("T", ("bob", "carol"), join_mode="approve"))
    for step in calls:
        attempt(world, step)
        if isinstance(step.command, AGAIN):
            before = (list(world.entries), world.state)
            attempt(world, Step(step.user, step.command, 0, step.admin))
            assert (world.entries, world.state) == before
