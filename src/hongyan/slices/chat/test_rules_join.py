"""Invite, join, approve, leave, remove."""

from __future__ import annotations

import pytest

from hongyan.model.errors import (
    BadArgs,
    BadState,
    Blocked,
    Full,
    NoSuchUser,
    NotAMember,
    Refusal,
    RoleTooLow,
)
from hongyan.model.ids import UserId
from hongyan.model.log import Role
from hongyan.slices.chat import bodies as b
from hongyan.slices.chat import commands as c
from hongyan.slices.chat.kinds import GROUP_KIND
from hongyan.slices.chat.testkit import World, group, say
from hongyan.slices.own.state import Self

# --- invite -----------------------------------------------------------------------------------


def test_C6_invited_users_are_members_at_once() -> None:
    world = group("bob")
    (entry,) = world.call("bob", c.Invite(("carol", "alice", "dave", "carol", "bob")))
    assert entry.type == "joined"
    assert world.body(2, b.Joined) == b.Joined((UserId("carol"), UserId("dave")), "invite")
    assert (world.role("carol"), world.role("dave")) == (Role.MEMBER, Role.MEMBER)
    assert world.call("bob", c.Invite(("carol", "alice"))) == []


def test_C6_an_invitation_is_for_all_or_none() -> None:
    world = group("bob")
    with pytest.raises(NoSuchUser, match="nobody"):
        world.call("alice", c.Invite(("carol", "nobody")))
    world.selves[UserId("dave")] = Self(blocked={UserId("alice"): 1})
    with pytest.raises(Blocked, match="dave"):
        world.call("alice", c.Invite(("carol", "dave")))
    assert world.role("carol") == Role.NONE


def test_C6_a_group_does_not_begin_with_one_who_blocked_its_maker() -> None:
    world = World(GROUP_KIND)
    world.selves[UserId("bob")] = Self(blocked={UserId("alice"): 1})
    with pytest.raises(Blocked):
        world.call("alice", c.CreateGroup("x", ("bob",)))


@pytest.mark.parametrize(
    ("options", "allowed"),
    [
        ({}, True),
        ({"join_mode": "open"}, True),
        ({"join_mode": "link"}, True),
        ({"join_mode": "approve"}, False),
        ({"members_invite": False}, False),
    ],
)
def test_C7_plain_members_invite_where_the_group_lets_them(
    options: dict[str, object], allowed: bool
) -> None:
    world = group("bob", **options)
    if allowed:
        assert world.call("bob", c.Invite(("carol",)))
    else:
        with pytest.raises(RoleTooLow):
            world.call("bob", c.Invite(("carol",)))
    assert world.call("alice", c.Invite(("dave",)))  # admins always do


# --- join -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "token", "outcome"),
    [
        ("invite", "", NotAMember),
        ("invite", "right", NotAMember),
        ("link", "", NotAMember),
        ("link", "wrong", NotAMember),
        ("link", "right", "link"),
        ("approve", "", "asked"),
        ("open", "", "open"),
    ],
)
def test_C8_who_may_come_in_depends_on_the_mode(
    mode: str, token: str, outcome: str | type[Refusal]
) -> None:
    world = group(join_mode=mode)
    world.call("alice", c.SetLink())
    token = world.state.link if token == "right" else token
    if isinstance(outcome, type):
        with pytest.raises(outcome):
            world.call("eve", c.Join(token))
    elif outcome == "asked":
        assert world.call("eve", c.Join(token)) == []
        assert "eve" in world.state.pending
    else:
        (entry,) = world.call("eve", c.Join(token))
        assert world.body(entry.seq, b.Joined) == b.Joined((UserId("eve"),), outcome)
    assert world.role("eve") == (Role.MEMBER if outcome in ("link", "open") else Role.NONE)


def test_C8_without_a_link_no_token_lets_in() -> None:
    world = group(join_mode="link")
    for token in ("", "secret-1"):
        with pytest.raises(NotAMember):
            world.call("eve", c.Join(token))


def test_C8_a_member_who_joins_again_changes_nothing() -> None:
    world = group("bob")
    assert world.call("bob", c.Join()) == []


def test_C9_an_admin_lets_in_who_asked() -> None:
    world = group(join_mode="approve")
    world.call("eve", c.Join())
    assert world.call("eve", c.Join()) == []  # asking twice is asking once
    assert list(world.state.pending) == ["eve"]

    (entry,) = world.call("alice", c.Approve("eve"))
    assert world.body(entry.seq, b.Joined) == b.Joined((UserId("eve"),), "approve")
    assert (world.role("eve"), world.state.pending) == (Role.MEMBER, {})
    assert world.call("alice", c.Approve("eve")) == []  # another admin was faster


def test_C9_a_rejected_user_may_ask_again() -> None:
    world = group(join_mode="approve")
    world.call("eve", c.Join())
    assert world.call("alice", c.Reject("eve")) == []
    assert world.state.pending == {}
    world.call("alice", c.Reject("eve"))
    assert world.decision.state is None
    with pytest.raises(BadState):
        world.call("alice", c.Approve("eve"))
    world.call("eve", c.Join())
    assert list(world.state.pending) == ["eve"]


def test_C9_an_invitation_settles_the_request() -> None:
    world = group(join_mode="approve")
    world.call("eve", c.Join())
    world.call("dave", c.Join())
    world.call("alice", c.Invite(("eve",)))
    assert list(world.state.pending) == ["dave"]


def test_C9_the_waiting_list_is_bounded() -> None:
    world = World(GROUP_KIND, settings={"pending": 2})
    world.call("alice", c.CreateGroup("x", join_mode="approve"))
    world.call("bob", c.Join())
    world.call("carol", c.Join())
    with pytest.raises(Full):
        world.call("dave", c.Join())


def test_C9_who_is_gone_meanwhile_is_not_let_in() -> None:
    world = group(join_mode="approve")
    world.call("eve", c.Join())
    world.people -= {"eve"}
    with pytest.raises(NoSuchUser):
        world.call("alice", c.Approve("eve"))


@pytest.mark.parametrize(("own", "server", "limit"), [(0, 9, 9), (3, 9, 3), (9, 9, 9)])
def test_C10_the_lower_limit_of_members_holds(own: int, server: int, limit: int) -> None:
    world = World(GROUP_KIND, settings={"max_members": server})
    world.call("alice", c.CreateGroup("x", ("bob",), max_members=own))
    assert world.decision.max_members == limit
    world.call("alice", c.Invite(("carol",)))
    assert world.decision.max_members == limit


def test_C10_a_full_group_takes_nobody() -> None:
    world = group("bob", max_members=2, join_mode="open")
    for command, who in ((c.Invite(("carol",)), "alice"), (c.Join(), "carol")):
        with pytest.raises(Full):
            world.call(who, command)
    with pytest.raises(Full):
        World(GROUP_KIND).call("alice", c.CreateGroup("x", ("bob", "carol"), max_members=2))


def test_C10_a_server_that_lowers_its_limit_lowers_that_of_groups() -> None:
    world = group("bob", max_members=50)
    world.settings["max_members"] = 2
    with pytest.raises(Full):
        world.call("alice", c.Invite(("carol",)))


@pytest.mark.parametrize(("visible", "since"), [(False, 3), (True, 1)])
def test_C11_who_joins_reads_from_then_on_unless_history_is_open(visible: bool, since: int) -> None:
    world = group(history_visible=visible)
    world.call("alice", say())
    world.call("alice", c.Invite(("bob",)))
    assert world.rows["bob"].since == since


def test_C12_a_former_member_comes_back() -> None:
    world = group("bob")
    world.call("bob", c.Leave())
    world.call("alice", say())
    world.call("alice", c.Invite(("bob",)))
    assert (world.role("bob"), world.rows["bob"].since) == (Role.MEMBER, 4)
    world.call("alice", c.SetRole("bob", "admin"))
    world.call("alice", c.Remove(("bob",)))
    world.call("alice", c.Invite(("bob",)))
    assert world.role("bob") == Role.MEMBER  # an office does not come back


@pytest.mark.parametrize("way", ["invite", "open", "approve"])
def test_C12_leaving_is_no_way_out_of_a_mute(way: str) -> None:
    world = group("bob", join_mode=way)
    world.call("alice", c.Mute("bob", 60))
    until = world.rows["bob"].muted_until
    world.call("bob", c.Leave())
    if way == "invite":
        world.call("alice", c.Invite(("bob",)))
    else:
        world.call("bob", c.Join())
    if way == "approve":
        world.call("alice", c.Approve("bob"))
    assert (world.role("bob"), world.rows["bob"].muted_until) == (Role.MEMBER, until)


def test_C12_a_mute_that_is_over_is_forgotten() -> None:
    """And costs no fence: a plain join must not make others decide again."""
    world = group("bob")
    world.call("alice", c.Mute("bob", 60))
    world.call("bob", c.Leave())
    world.now += 60_000
    world.call("alice", c.Invite(("bob",)))
    assert [change.muted_until for change in world.decision.members] == [None]


# --- go ---------------------------------------------------------------------------------------


def test_C13_a_member_leaves() -> None:
    world = group("bob")
    (entry,) = world.call("bob", c.Leave())
    assert world.body(entry.seq, b.Left) == b.Left((UserId("bob"),))
    assert (world.role("bob"), world.rows["bob"].until) == (Role.NONE, entry.seq)
    with pytest.raises(NotAMember):
        world.call("bob", c.Leave())


def test_C13_the_owner_hands_over_before_leaving() -> None:
    world = group("bob")
    with pytest.raises(BadState):
        world.call("alice", c.Leave())
    world.call("alice", c.Transfer("bob"))
    world.call("alice", c.Leave())
    assert world.role("alice") == Role.NONE


def test_C13_with_the_last_member_the_group_ends() -> None:
    world = group("bob")
    world.call("bob", c.Leave())
    (entry,) = world.call("alice", c.Leave())
    assert (entry.type, world.count, world.state.dissolved_at) == ("dissolved", 0, world.now)


def test_C14_removed_members_are_gone_and_told() -> None:
    world = group("bob", "carol")
    (entry,) = world.call("alice", c.Remove(("bob", "carol", "bob", "dave")))
    assert world.body(entry.seq, b.Left) == b.Left((UserId("bob"), UserId("carol")), removed=True)
    assert world.shown("bob", entry.seq) is not None  # the last entry they read
    assert world.call("alice", c.Remove(("bob", "dave"))) == []


def test_C14_nobody_is_removed_when_one_may_not_be() -> None:
    world = group("bob", "carol", "dave")
    world.call("alice", c.SetRole("bob", "admin"))
    world.call("alice", c.SetRole("carol", "admin"))
    with pytest.raises(RoleTooLow, match="carol"):
        world.call("bob", c.Remove(("dave", "carol")))
    with pytest.raises(BadArgs):
        world.call("bob", c.Remove(("dave", "bob")))
    assert world.role("dave") == Role.MEMBER
