"""React, pin; delete for me, clear, settings, mark unread; signals and bodies."""

from __future__ import annotations

import msgspec
import pytest

from hongyan.model.errors import BadArgs, Full, NoSuchEntry, NotAMember, RoleTooLow
from hongyan.model.ids import Seq
from hongyan.model.kind import SignalRule
from hongyan.slices.chat import bodies as b
from hongyan.slices.chat import commands as c
from hongyan.slices.chat.content import TextContent
from hongyan.slices.chat.kinds import DIRECT_KIND, GROUP_KIND
from hongyan.slices.chat.testkit import group, pair, say

ONE = Seq(1)


# --- react ------------------------------------------------------------------------------------


def test_C38_a_reaction_is_on_or_off_per_user_and_emoji() -> None:
    world = pair(1)
    (entry,) = world.call("bob", c.React(ONE, "👍"))
    assert (entry.type, entry.target, entry.slot) == ("reaction", 1, "react:bob:👍")
    assert world.body(entry.seq, b.Reaction) == b.Reaction("👍", on=True)
    assert world.call("bob", c.React(ONE, "👍")) == []
    assert world.call("bob", c.React(ONE, "🎉"))
    assert world.call("alice", c.React(ONE, "👍"))
    assert world.call("bob", c.React(ONE, "👍", on=False))
    assert world.call("bob", c.React(ONE, "👍", on=False)) == []
    assert world.call("bob", c.React(ONE, "🚀", on=False)) == []  # never was on
    assert world.call("bob", c.React(ONE, "👍"))


@pytest.mark.parametrize("emoji", ["", " ", "a b", "a:b", "x" * 33, "x\n"])
def test_C38_an_emoji_is_short_and_without_spaces(emoji: str) -> None:
    with pytest.raises(BadArgs):
        pair(1).call("bob", c.React(ONE, emoji))


def test_C38_only_messages_take_reactions() -> None:
    world = pair(1)
    world.call("bob", c.React(ONE, "+1"))
    for seq in (2, 9):
        with pytest.raises(NoSuchEntry):
            world.call("bob", c.React(Seq(seq), "+1"))


def test_C39_reactions_of_a_message_are_bounded() -> None:
    world = pair(1, reactions=3, reactions_per_user=2)
    world.call("bob", c.React(ONE, "a"))
    world.call("bob", c.React(ONE, "b"))
    with pytest.raises(Full):
        world.call("bob", c.React(ONE, "c"))
    world.call("bob", c.React(ONE, "b", on=False))
    with pytest.raises(Full):
        world.call("bob", c.React(ONE, "c"))  # a slot stays
    assert world.call("bob", c.React(ONE, "b"))
    world.call("alice", c.PinMessage(ONE))  # no reaction, so not counted
    assert world.call("alice", c.React(ONE, "a"))
    with pytest.raises(Full):
        world.call("alice", c.React(ONE, "b"))


# --- pin --------------------------------------------------------------------------------------


def test_C40_pins_are_kept_in_order_and_told() -> None:
    world = pair(3)
    for seq in (2, 1):
        (entry,) = world.call("bob", c.PinMessage(Seq(seq)))
        assert (entry.type, entry.target, entry.slot) == ("pin", seq, "pin")
        assert world.body(entry.seq, b.Pin) == b.Pin(on=True)
    assert world.state.pins == (2, 1)
    assert world.call("alice", c.PinMessage(ONE)) == []
    (entry,) = world.call("alice", c.PinMessage(Seq(2), on=False))
    assert world.body(entry.seq, b.Pin) == b.Pin(on=False)
    assert world.state.pins == (1,)
    assert world.call("alice", c.PinMessage(Seq(3), on=False)) == []
    with pytest.raises(NoSuchEntry):
        world.call("alice", c.PinMessage(Seq(9)))


def test_C40_fifty_messages_are_pinned_at_most() -> None:
    world = pair(51)
    for seq in range(1, 51):
        world.call("alice", c.PinMessage(Seq(seq)))
    with pytest.raises(Full):
        world.call("alice", c.PinMessage(Seq(51)))
    assert world.call("alice", c.PinMessage(ONE)) == []
    world.call("alice", c.PinMessage(ONE, on=False))
    assert world.call("alice", c.PinMessage(Seq(51)))
    assert len(world.state.pins) == 50


def test_C40_members_of_a_group_pin_where_the_setting_lets_them() -> None:
    world = group("bob")
    world.call("bob", say())
    with pytest.raises(RoleTooLow):
        world.call("bob", c.PinMessage(Seq(2)))
    world.settings["members_pin"] = True
    assert world.call("bob", c.PinMessage(Seq(2)))


# --- for the caller alone ---------------------------------------------------------------------


def test_C41_delete_for_me_hides_from_the_caller_alone() -> None:
    world = pair(2)
    assert world.call("alice", c.Delete((ONE, ONE))) == []
    hidden, seen = world.shown("alice", 1), world.shown("bob", 1)
    assert hidden is not None and hidden.type == "hidden"
    assert seen is not None and seen.type == "message"


def test_C41_only_what_one_may_read_is_deleted() -> None:
    world = group("bob")  # 1
    world.call("alice", say())  # 2
    world.call("alice", c.Invite(("carol",)))  # 3
    world.call("carol", c.Leave())  # 4
    world.call("alice", say())  # 5
    for user, seq in (("carol", 2), ("carol", 5), ("bob", 6)):
        with pytest.raises(NoSuchEntry):
            world.call(user, c.Delete((Seq(seq),)))
    world.call("carol", c.Delete((Seq(3), Seq(4))))
    for bad in ((), (Seq(0),), (ONE,) * 101):
        with pytest.raises(BadArgs):
            world.call("bob", c.Delete(bad))


def test_C42_clear_deletes_what_is_there_and_not_what_comes() -> None:
    world = pair(2)
    world.call("alice", c.MarkUnread())
    assert world.call("alice", c.Clear()) == []
    assert not world.places["alice"].marked
    world.call("bob", say())
    assert [world.shown("alice", seq) is not None for seq in (1, 2, 3)] == [False, False, True]
    assert world.shown("bob", 1) is not None


def test_C43_settings_are_merged_and_null_takes_one_away() -> None:
    world = pair(1)
    change = c.Settings(mute=True, pinned=True, archived=False, draft="I think", remark="Bobby")
    assert world.call("alice", change) == []
    world.call("alice", c.Settings(draft=None, pinned=False))
    assert world.places["alice"].settings == {
        "mute": True, "pinned": False, "archived": False, "remark": "Bobby",
    }  # fmt: skip
    world.call("alice", c.Settings())
    assert world.decision.members == ()
    with pytest.raises(BadArgs):
        world.call("alice", c.Settings(draft="x" * 8_001))


def test_C43_a_nickname_is_told_to_all() -> None:
    world = group("bob")
    (entry,) = world.call("bob", c.Settings(nickname="Bobby", mute=True))
    assert (entry.type, world.body(entry.seq, b.Nickname)) == ("nickname", b.Nickname("Bobby"))
    assert world.places["bob"].settings == {"nickname": "Bobby", "mute": True}
    (entry,) = world.call("bob", c.Settings(nickname=None))
    assert world.body(entry.seq, b.Nickname) == b.Nickname("")


def test_C44_the_unread_mark_is_a_flag_of_its_own() -> None:
    world = pair(1)
    assert world.call("bob", c.MarkUnread()) == []
    assert world.places["bob"].marked
    world.call("bob", c.MarkUnread(on=False))
    assert not world.places["bob"].marked


def test_C45_who_is_gone_keeps_the_conversation_in_order_for_oneself() -> None:
    world = group("bob")
    world.call("bob", c.Leave())
    world.call("bob", c.MarkUnread())
    world.call("bob", c.Settings(archived=True))
    world.call("bob", c.Delete((ONE,)))
    world.call("bob", c.Clear())
    assert world.places["bob"].cleared == 2
    for command in (c.Settings(nickname="x"), say(), c.React(ONE, "+1"), c.Leave()):
        with pytest.raises(NotAMember):
            world.call("bob", command)


# --- signals, bodies --------------------------------------------------------------------------


def test_C46_typing_is_signalled_in_conversations_of_moderate_size() -> None:
    for kind in (DIRECT_KIND, GROUP_KIND):
        assert kind.signals == {"typing": SignalRule(c.Typing, max_members=200)}


def test_C51_every_entry_has_a_documented_body() -> None:
    """And a reader of today's bodies skips the fields of tomorrow."""
    world = group("bob", "carol")
    world.call("bob", say())
    world.call("bob", c.Edit(Seq(2), TextContent("x")))
    world.call("bob", c.React(Seq(2), "+1"))
    world.call("alice", c.PinMessage(Seq(2)))
    world.call("bob", c.Recall(Seq(2)))
    world.call("alice", c.Invite(("dave",)))
    world.call("dave", c.Leave())
    world.call("alice", c.SetRole("bob", "admin"))
    world.call("alice", c.Mute("carol", 1))
    world.call("alice", c.Settings(nickname="A"))
    world.call("alice", c.MuteAll(True))
    world.call("alice", c.Dissolve())
    assert {entry.type for entry in world.entries} == set(b.BODIES)
    for entry in world.entries:
        raw = bytes(entry.body)
        if raw == b"{}" and entry.type in ("message", "edit"):
            continue  # recalled
        body = msgspec.json.decode(raw, type=b.BODIES[entry.type])
        assert msgspec.json.encode(body) == raw
        later = raw[:-1] + (b'"new":1}' if raw == b"{}" else b',"new":1}')
        assert msgspec.json.decode(later, type=b.BODIES[entry.type]) == body
