"""Who may do what to whom; roles, mutes, appearance, link, end."""

from __future__ import annotations

from typing import Any

import pytest

from hongyan.model.errors import (
    BadArgs,
    BadState,
    Muted,
    NoSuchUser,
    NotAMember,
    Refusal,
    RoleTooLow,
)
from hongyan.model.ids import Seq, UserId
from hongyan.model.log import Role
from hongyan.slices.chat import bodies as b
from hongyan.slices.chat import commands as c
from hongyan.slices.chat.content import TextContent
from hongyan.slices.chat.kinds import GROUP_KIND
from hongyan.slices.chat.state import Group, view_group
from hongyan.slices.chat.testkit import World, group, say

OK, TOO_LOW, NO_MEMBER, NO_USER = "ok", RoleTooLow, NotAMember, NoSuchUser


def full_house() -> World:
    """owner alice; admins bob, adam; members carol, mia; former member frank; stranger sam."""
    people = ("alice", "bob", "adam", "carol", "mia", "frank", "sam", "root", "new")
    world = World(GROUP_KIND, people=people)
    world.call("alice", c.CreateGroup("Team", ("bob", "adam", "carol", "mia", "frank")))
    world.call("alice", c.SetRole("bob", "admin"))
    world.call("alice", c.SetRole("adam", "admin"))
    world.call("frank", c.Leave())
    world.call("mia", say("by mia"))
    return world


PRIVATE = (c.Clear, c.Delete, c.MarkUnread, c.Dissolve, c.Join)  # write no entry then
CALLERS = ("alice", "bob", "carol", "frank", "sam")
ROLES = ("owner", "admin", "member", "former", "stranger")
MIAS = Seq(5)  # the message in full_house

# command × caller: what happens
RIGHTS: list[tuple[Any, tuple[Any, Any, Any, Any, Any]]] = [
    (c.Invite(("new",)), (OK, OK, OK, NO_MEMBER, NO_MEMBER)),
    (c.Approve("mia"), (OK, OK, TOO_LOW, NO_MEMBER, NO_MEMBER)),
    (c.Reject("new"), (OK, OK, TOO_LOW, NO_MEMBER, NO_MEMBER)),
    (c.Remove(("mia",)), (OK, OK, TOO_LOW, NO_MEMBER, NO_MEMBER)),
    (c.Mute("mia", 60), (OK, OK, TOO_LOW, NO_MEMBER, NO_MEMBER)),
    (c.MuteAll(True), (OK, OK, TOO_LOW, NO_MEMBER, NO_MEMBER)),
    (c.Update(title="New"), (OK, OK, TOO_LOW, NO_MEMBER, NO_MEMBER)),
    (c.Update(history_visible=True), (OK, TOO_LOW, TOO_LOW, NO_MEMBER, NO_MEMBER)),
    (c.Update(max_members=50), (OK, TOO_LOW, TOO_LOW, NO_MEMBER, NO_MEMBER)),
    (c.SetLink(), (OK, OK, TOO_LOW, NO_MEMBER, NO_MEMBER)),
    (c.SetRole("mia", "admin"), (OK, TOO_LOW, TOO_LOW, NO_MEMBER, NO_MEMBER)),
    (c.Transfer("mia"), (OK, TOO_LOW, TOO_LOW, NO_MEMBER, NO_MEMBER)),
    (c.Dissolve(), (OK, TOO_LOW, TOO_LOW, NO_MEMBER, NO_MEMBER)),
    (c.Leave(), (BadState, OK, OK, NO_MEMBER, NO_MEMBER)),
    (c.Join(), (OK, OK, OK, NO_MEMBER, NO_MEMBER)),
    (say(), (OK, OK, OK, NO_MEMBER, NO_MEMBER)),
    (c.Send(TextContent("x"), mention_all=True), (OK, OK, TOO_LOW, NO_MEMBER, NO_MEMBER)),
    (c.Edit(MIAS, TextContent("x")), (TOO_LOW, TOO_LOW, TOO_LOW, NO_MEMBER, NO_MEMBER)),
    (c.Recall(MIAS), (OK, OK, TOO_LOW, NO_MEMBER, NO_MEMBER)),
    (c.React(MIAS, "+1"), (OK, OK, OK, NO_MEMBER, NO_MEMBER)),
    (c.PinMessage(MIAS), (OK, OK, TOO_LOW, NO_MEMBER, NO_MEMBER)),
    (c.Clear(), (OK, OK, OK, OK, NO_MEMBER)),
    (c.Delete((Seq(2),)), (OK, OK, OK, OK, NO_MEMBER)),
    (c.Settings(mute=True), (OK, OK, OK, OK, NO_MEMBER)),
    (c.Settings(nickname="Al"), (OK, OK, OK, NO_MEMBER, NO_MEMBER)),
    (c.MarkUnread(), (OK, OK, OK, OK, NO_MEMBER)),
]
CALLS = [type(command).__name__ for command, _ in RIGHTS]
# what an administrator of the tenant, who is no member, may do
STEWARD: dict[type, Any] = {
    **dict.fromkeys((c.Invite, c.Approve, c.Reject, c.Remove, c.Mute, c.MuteAll, c.Update), OK),
    **dict.fromkeys((c.SetLink, c.SetRole, c.Transfer, c.Dissolve), OK),
}
# command × target: owner alice, admin adam, member mia, former frank, stranger sam
TARGETS: list[tuple[str, type, tuple[Any, Any, Any, Any, Any]]] = [
    ("alice", c.Mute, (TOO_LOW, OK, OK, NO_USER, NO_USER)),
    ("bob", c.Mute, (TOO_LOW, TOO_LOW, OK, NO_USER, NO_USER)),
    ("alice", c.Remove, (BadArgs, OK, OK, OK, OK)),
    ("bob", c.Remove, (TOO_LOW, TOO_LOW, OK, OK, OK)),
    ("alice", c.SetRole, (TOO_LOW, OK, OK, NO_USER, NO_USER)),
    ("alice", c.Transfer, (OK, OK, OK, NO_USER, NO_USER)),
]


def attempt(world: World, user: str, command: Any, outcome: Any, *, admin: bool = False) -> None:
    if outcome == OK:
        world.call(user, command, admin=admin)
        return
    before = (world.state, list(world.entries), dict(world.rows))
    with pytest.raises(Refusal) as refused:
        world.call(user, command, admin=admin)
    assert type(refused.value) is outcome
    assert (world.state, world.entries, world.rows) == before


@pytest.mark.parametrize("caller", range(5), ids=ROLES)
@pytest.mark.parametrize(("command", "outcomes"), RIGHTS, ids=CALLS)
def test_C15_rights_of_each_role(command: Any, outcomes: tuple[Any, ...], caller: int) -> None:
    attempt(full_house(), CALLERS[caller], command, outcomes[caller])


def test_C15_every_group_call_is_in_the_table() -> None:
    listed = {type(command) for command, _ in RIGHTS}
    assert set(GROUP_KIND.rules) - listed == {c.CreateGroup, c.Forward}  # no member yet; as Send


@pytest.mark.parametrize("target", range(5), ids=ROLES)
@pytest.mark.parametrize(("caller", "call", "outcomes"), TARGETS)
def test_C15_rights_over_each_role(
    caller: str, call: type, outcomes: tuple[Any, ...], target: int
) -> None:
    name = ("alice", "adam", "mia", "frank", "sam")[target]
    commands: dict[type, Any] = {
        c.Mute: c.Mute(name, 60),
        c.Remove: c.Remove((name,)),
        c.SetRole: c.SetRole(name, "member"),
        c.Transfer: c.Transfer(name),
    }
    attempt(full_house(), caller, commands[call], outcomes[target])


@pytest.mark.parametrize(("command", "_"), RIGHTS, ids=CALLS)
def test_C23_an_administrator_of_the_tenant_governs_but_does_not_speak(
    command: Any, _: Any
) -> None:
    outcome = STEWARD.get(type(command), NO_MEMBER)
    attempt(full_house(), "root", command, outcome, admin=True)


def test_C23_an_administrator_cannot_take_the_owner_out_but_can_move_the_office() -> None:
    world = full_house()
    attempt(world, "root", c.Remove(("alice",)), TOO_LOW, admin=True)
    world.call("root", c.Transfer("mia"), admin=True)
    assert (world.role("alice"), world.role("mia"), world.state.owner) == (2, 3, "mia")
    world.call("root", c.Remove(("alice",)), admin=True)


# --- roles ------------------------------------------------------------------------------------


def test_C16_the_owner_makes_and_unmakes_admins() -> None:
    world = group("bob")
    (entry,) = world.call("alice", c.SetRole("bob", "admin"))
    assert world.body(entry.seq, b.RoleChanged) == b.RoleChanged(UserId("bob"), "admin")
    assert world.call("alice", c.SetRole("bob", "admin")) == []
    world.call("alice", c.SetRole("bob", "member"))
    assert world.role("bob") == Role.MEMBER


def test_C16_the_office_of_the_owner_moves_as_one() -> None:
    world = group("bob")
    world.call("alice", c.Mute("bob", 60))
    (entry,) = world.call("alice", c.Transfer("bob"))
    assert world.body(entry.seq, b.RoleChanged) == b.RoleChanged(UserId("bob"), "owner")
    assert (world.role("alice"), world.role("bob"), world.state.owner) == (2, 3, "bob")
    assert world.call("bob", say())  # nobody could lift an owner's mute
    assert world.call("bob", c.Transfer("bob")) == []


# --- mute -------------------------------------------------------------------------------------


def test_C17_a_mute_lasts_as_long_as_it_says() -> None:
    world = group("bob")
    (entry,) = world.call("alice", c.Mute("bob", 60))
    until = world.now + 60_000
    assert world.body(entry.seq, b.MuteChanged) == b.MuteChanged(UserId("bob"), until)
    world.now = until - 1
    with pytest.raises(Muted) as refused:
        world.call("bob", say())
    assert refused.value.retry_after_ms == 1
    world.now = until
    assert world.call("bob", say())


def test_C17_a_mute_is_lifted_once() -> None:
    world = group("bob")
    assert world.call("alice", c.Mute("bob", 0)) == []
    world.call("alice", c.Mute("bob", 60))
    assert world.call("alice", c.Mute("bob", 0))
    assert world.call("bob", say())


@pytest.mark.parametrize("seconds", [-1, c.YEAR_S + 1])
def test_C17_a_mute_has_a_sensible_length(seconds: int) -> None:
    with pytest.raises(BadArgs):
        group("bob").call("alice", c.Mute("bob", seconds))


def test_C18_while_all_are_muted_only_admins_speak() -> None:
    world = group("bob", "carol")
    world.call("alice", c.SetRole("bob", "admin"))
    (entry,) = world.call("alice", c.MuteAll(True))
    assert world.body(entry.seq, b.Changed) == b.Changed(mute_all=True)
    assert world.call("alice", c.MuteAll(True)) == []
    assert world.call("alice", say()) and world.call("bob", say())
    for command in (say(), c.Forward((c.Source("main/g/x", Seq(1)),))):
        with pytest.raises(Muted):
            world.call("carol", command)
    assert world.call("carol", c.React(Seq(4), "+1"))  # a reaction is not speech
    world.call("alice", c.MuteAll(False))
    assert world.call("carol", say())


# --- appearance, link -------------------------------------------------------------------------


def test_C19_an_update_tells_what_changed_and_nothing_else() -> None:
    world = group()
    change = c.Update(title="Team", notice="Be kind", join_mode="approve", members_invite=False)
    (entry,) = world.call("alice", change)
    assert bytes(entry.body) == (
        b'{"notice":"Be kind","join_mode":"approve","members_invite":false}'
    )
    assert (world.state.notice, world.state.join_mode) == ("Be kind", "approve")
    assert world.call("alice", change) == []
    assert world.call("alice", c.Update()) == []
    world.call("alice", c.Update(avatar="0" * 64))
    world.call("alice", c.Update(avatar="", notice=""))  # "" takes away
    assert (world.state.avatar, world.state.notice) == ("", "")


@pytest.mark.parametrize(
    "bad",
    [
        c.Update(title=""),
        c.Update(max_members=100_001),
        c.Update(avatar="x"),
        c.Update(notice="x" * 4_001),
    ],
)
def test_C19_a_bad_update_changes_nothing(bad: c.Update) -> None:
    attempt(group(), "alice", bad, BadArgs)


def test_C20_the_link_is_made_renewed_and_ended() -> None:
    world = group(join_mode="link")
    world.call("alice", c.SetLink())
    first = world.state.link
    assert first
    assert world.call("alice", c.SetLink()) == []
    (entry,) = world.call("alice", c.SetLink(renew=True))
    assert world.state.link != first
    assert bytes(entry.body) == b'{"link":true}'  # all read it: no token inside
    with pytest.raises(NotAMember):
        world.call("eve", c.Join(first))
    world.call("alice", c.SetLink(on=False))
    assert world.state.link == ""
    assert world.call("alice", c.SetLink(on=False, renew=True)) == []


def test_C22_link_and_requests_are_shown_to_admins_only() -> None:
    world = group("bob", "carol", join_mode="approve")
    world.call("alice", c.SetLink())
    world.call("eve", c.Join())
    world.call("alice", c.SetRole("bob", "admin"))
    for user in ("alice", "bob"):
        assert (world.view(user).link, list(world.view(user).pending)) == (
            world.state.link,
            ["eve"],
        )
    assert (world.view("carol").link, world.view("carol").pending) == ("", {})
    assert world.view("carol").title == "Team"


def test_C22_who_is_gone_sees_the_name_and_little_more() -> None:
    state = Group(owner=UserId("alice"), title="Team", notice="n", pins=(Seq(1),), link="l")
    assert view_group(state, Role.NONE) == Group(owner=UserId("alice"), title="Team")


# --- the end ----------------------------------------------------------------------------------


def test_C21_in_a_dissolved_group_nothing_is_written() -> None:
    world = full_house()
    world.call("alice", c.Update(join_mode="open"))
    (entry,) = world.call("alice", c.Dissolve())
    assert entry.type == "dissolved"
    for command, _ in RIGHTS:
        if isinstance(command, PRIVATE) or command == c.Settings(mute=True):
            assert world.call("alice", command) == []
        elif type(command) is not c.Leave:  # tested below
            attempt(world, "alice", command, BadState)
    attempt(world, "sam", c.Join(), BadState)


def test_C21_a_dissolved_group_stays_readable_and_may_be_left() -> None:
    world = group("bob")
    world.call("alice", say())
    world.call("alice", c.Dissolve())
    assert world.shown("bob", 2) is not None
    assert world.call("bob", c.Leave()) == []
    assert world.call("alice", c.Leave()) == []  # there is no office left to hand over
    assert world.count == 0
    assert world.shown("bob", 2) is not None
    assert world.call("bob", c.Clear()) == []
