"""Open a direct conversation, make a group."""

from __future__ import annotations

import pytest

from hongyan.model.errors import (
    BadArgs,
    Blocked,
    NoSuchLog,
    NoSuchUser,
    UnknownCall,
)
from hongyan.model.ids import UserId
from hongyan.model.log import Role
from hongyan.slices.chat import bodies as b
from hongyan.slices.chat import commands as c
from hongyan.slices.chat.kinds import DIRECT_KIND, GROUP_KIND
from hongyan.slices.chat.testkit import World, say
from hongyan.slices.own.state import Self

# --- direct -----------------------------------------------------------------------------------


def test_C1_a_pair_has_one_conversation_from_both_sides() -> None:
    world = World(DIRECT_KIND)
    assert world.call("bob", c.OpenDirect("alice")) == []
    assert world.log == "main/d/alice~bob"
    assert (world.role("alice"), world.role("bob")) == (Role.MEMBER, Role.MEMBER)
    world.call("alice", say())

    world.call("alice", c.OpenDirect("bob"))  # a second opening changes nothing
    assert not (world.decision.append or world.decision.state or world.decision.members)

    other = World(DIRECT_KIND)
    other.call("alice", c.OpenDirect("bob"))
    assert other.log == world.log


def test_C1_a_conversation_stays_open_to_those_who_have_it() -> None:
    """Opening again is harmless, so it is not refused for a block that came later."""
    world = World(DIRECT_KIND)
    world.call("alice", c.OpenDirect("bob"))
    world.selves[UserId("bob")] = Self(blocked={UserId("alice"): 1})
    assert world.call("alice", c.OpenDirect("bob")) == []


def test_C2_a_conversation_with_oneself_has_one_member() -> None:
    world = World(DIRECT_KIND)
    world.call("alice", c.OpenDirect("alice"))
    assert (world.log, world.count) == ("main/d/alice~alice", 1)
    assert world.call("alice", say("note"))[0].count


@pytest.mark.parametrize(
    ("kind", "log", "command"),
    [
        (DIRECT_KIND, "main/d/alice~bob", c.OpenDirect("carol")),
        (DIRECT_KIND, "main/d/bob~carol", c.OpenDirect("bob")),
        (GROUP_KIND, "main/g/whatever", c.CreateGroup("Mine")),
    ],
)
def test_C3_a_creating_call_makes_no_other_log_than_its_own(
    kind: object, log: str, command: object
) -> None:
    world = World(kind, log)  # type: ignore[arg-type]
    with pytest.raises(BadArgs):
        world.call("alice", command)
    assert world.state is None


def test_C3_other_calls_find_no_log_where_there_is_none() -> None:
    with pytest.raises(NoSuchLog):
        World(GROUP_KIND, "main/g/none").call("alice", c.Join())


def test_C4_a_conversation_with_nobody_is_not_opened() -> None:
    with pytest.raises(NoSuchUser):
        World(DIRECT_KIND).call("alice", c.OpenDirect("nobody"))


@pytest.mark.parametrize(("owner", "other"), [("alice", "bob"), ("bob", "alice")])
def test_C4_a_block_of_either_side_keeps_a_new_conversation_shut(owner: str, other: str) -> None:
    world = World(DIRECT_KIND)
    world.selves[UserId(owner)] = Self(blocked={UserId(other): 1})
    with pytest.raises(Blocked):
        world.call("alice", c.OpenDirect("bob"))


# --- create -----------------------------------------------------------------------------------


def test_C5_a_group_begins_with_its_owner_and_first_members() -> None:
    world = World(GROUP_KIND)
    (entry,) = world.call("alice", c.CreateGroup("Team", ("bob", "alice", "bob", "carol")), op="o1")
    assert (entry.type, entry.count) == ("created", False)
    assert world.body(1, b.Created) == b.Created("Team", (UserId("bob"), UserId("carol")))
    assert [world.role(u) for u in ("alice", "bob", "carol", "dave")] == [3, 1, 1, 0]
    assert world.state.owner == "alice"

    again = World(GROUP_KIND)
    again.call("alice", c.CreateGroup("Team"), op="o1")
    assert again.log == world.log  # a retry meets the same log
    other = World(GROUP_KIND)
    other.call("bob", c.CreateGroup("Team"), op="o1")
    assert other.log != world.log


def test_C5_creating_again_on_the_made_group_changes_nothing() -> None:
    world = World(GROUP_KIND)
    world.call("alice", c.CreateGroup("Team", ("bob",)), op="o1")
    assert world.call("alice", c.CreateGroup("Other", ("carol",)), op="o1") == []
    assert (world.state.title, world.role("carol")) == ("Team", Role.NONE)


@pytest.mark.parametrize(
    "bad",
    [
        c.CreateGroup(""),
        c.CreateGroup("  "),
        c.CreateGroup("x" * 101),
        c.CreateGroup("x", avatar="no digest"),
        c.CreateGroup("x", max_members=100_001),
        c.CreateGroup("x", max_members=-1),
        c.CreateGroup("x", join_mode="any"),  # type: ignore[arg-type]
        c.CreateGroup("x", tuple(f"u{i}" for i in range(101))),
    ],
)
def test_C5_a_group_of_bad_arguments_is_refused(bad: c.CreateGroup) -> None:
    with pytest.raises(BadArgs):
        World(GROUP_KIND).call("alice", bad)


def test_C5_a_direct_conversation_has_no_group_calls() -> None:
    world = World(DIRECT_KIND)
    world.call("alice", c.OpenDirect("bob"))
    for command in (c.Invite(("carol",)), c.Leave(), c.MuteAll(True), c.Dissolve()):
        with pytest.raises(UnknownCall):
            world.call("alice", command)
