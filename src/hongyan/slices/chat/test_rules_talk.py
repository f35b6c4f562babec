"""Send, edit, recall."""

from __future__ import annotations

import msgspec
import pytest

from hongyan.model.errors import (
    BadArgs,
    BadState,
    Blocked,
    Muted,
    NoSuchEntry,
    RoleTooLow,
    TooLate,
)
from hongyan.model.ids import LogId, Seq, UserId
from hongyan.model.kind import NOTHING
from hongyan.slices.chat import bodies as b
from hongyan.slices.chat import commands as c
from hongyan.slices.chat import content as k
from hongyan.slices.chat.kinds import DIRECT_KIND, GROUP_KIND
from hongyan.slices.chat.rules_talk import send_needs
from hongyan.slices.chat.testkit import World, group, pair, say
from hongyan.slices.own.state import Self

ELSEWHERE = LogId("main/g/elsewhere")


def reply(seq: int, quote: str = "") -> c.Send:
    return c.Send(k.TextContent("yes"), reply_to=Seq(seq), quote=quote)


# --- send -------------------------------------------------------------------------------------


def test_C24_a_message_is_the_only_entry_that_counts_as_unread() -> None:
    world = group("bob")
    (entry,) = world.call("bob", c.Send(k.TextContent("hi"), silent=True))
    assert (entry.type, entry.count, entry.sender) == ("message", True, "bob")
    assert bytes(entry.body) == b'{"content":{"type":"text","text":"hi"},"silent":true}'
    world.call("alice", c.React(entry.seq, "+1"))
    world.call("alice", c.PinMessage(entry.seq))
    world.call("bob", c.Edit(entry.seq, k.TextContent("ho")))
    world.call("bob", c.Recall(entry.seq))
    world.call("bob", c.Settings(nickname="B"))
    world.call("alice", c.Mute("bob", 5))
    assert [e.type for e in world.entries if e.count] == ["message"]


def test_C26_a_reply_names_whom_it_answers() -> None:
    world = pair()
    world.call("alice", say("shall we go to the lake?"))
    (entry,) = world.call("bob", reply(1, "go to the lake"))
    assert world.body(entry.seq, b.Message).reply == b.Reply(
        Seq(1), UserId("alice"), "go to the lake"
    )


def test_C26_a_quote_is_what_the_message_says_now() -> None:
    world = pair()
    world.call("alice", say("yes"))
    with pytest.raises(BadArgs):
        world.call("bob", reply(1, "no"))
    world.call("alice", c.Edit(Seq(1), k.TextContent("no")))
    assert world.call("bob", reply(1, "no"))
    with pytest.raises(BadArgs):
        world.call("bob", c.Send(k.TextContent("x"), quote="no"))


def test_C26_only_a_message_one_can_see_is_answered() -> None:
    world = group("bob")
    world.call("alice", say("before carol"))
    world.call("alice", c.Invite(("carol",)))
    world.call("alice", say("after"))
    for user, seq in (("carol", 2), ("carol", 3), ("carol", 99)):
        with pytest.raises(NoSuchEntry):
            world.call(user, reply(seq))
    world.call("carol", c.Delete((Seq(4),)))
    with pytest.raises(NoSuchEntry):
        world.call("carol", reply(4))
    assert world.call("bob", reply(4))


def test_C27_mentions_of_people_who_are_not_here_are_left_out() -> None:
    world = group("bob", "carol", "dave")
    world.call("carol", c.Leave())
    names = ("bob", "eve", "carol", "bob", "alice", "dave")
    (entry,) = world.call("alice", c.Send(k.TextContent("@bob"), mentions=names))
    assert world.body(entry.seq, b.Message).mentions == ("bob", "dave")
    assert world.mentions == [(entry.seq, ("bob", "dave"), False)]


def test_C27_too_many_mentions_are_refused() -> None:
    with pytest.raises(BadArgs):
        group().call("alice", c.Send(k.TextContent("x"), mentions=("bob",) * 101))


def test_C28_admins_of_a_group_mention_all() -> None:
    world = group("bob")
    (entry,) = world.call("alice", c.Send(k.TextContent("x"), mention_all=True))
    assert world.mentions == [(entry.seq, (), True)]
    with pytest.raises(RoleTooLow):
        world.call("bob", c.Send(k.TextContent("x"), mention_all=True))
    with pytest.raises(BadArgs):
        pair().call("alice", c.Send(k.TextContent("x"), mention_all=True))


def test_C29_who_is_blocked_is_not_heard() -> None:
    world = pair()
    world.call("alice", say())
    world.call("bob", say())
    world.sources[ELSEWHERE, Seq(1)] = world.entries[0]
    world.selves[UserId("bob")] = Self(blocked={UserId("alice"): 1})
    heard = (
        say(),
        c.Forward((c.Source(ELSEWHERE, Seq(1)),)),
        c.Edit(Seq(1), k.TextContent("x")),
        c.React(Seq(2), "+1"),
        c.PinMessage(Seq(2)),
        c.Settings(nickname="x"),
    )
    for command in heard:
        with pytest.raises(Blocked) as refused:
            world.call("alice", command)
        assert "bob" not in refused.value.text
        with pytest.raises(Blocked, match="unblock"):  # nor does one talk at who cannot answer
            world.call("bob", command)
    assert world.call("alice", c.Recall(Seq(1)))
    assert world.call("alice", c.Settings(mute=True)) == []


def test_C29_a_block_does_not_reach_into_groups_nor_to_oneself() -> None:
    world = group("bob")
    world.selves[UserId("bob")] = Self(blocked={UserId("alice"): 1})
    assert world.call("alice", say())
    own = World(DIRECT_KIND)
    own.call("alice", c.OpenDirect("alice"))
    own.selves[UserId("alice")] = Self(blocked={UserId("bob"): 1})
    assert own.call("alice", say())


def test_C30_a_muted_member_shows_nothing_to_others() -> None:
    world = group("bob")
    world.call("bob", say())
    world.call("alice", c.Mute("bob", 60))
    shown = (
        say(),
        c.Forward((c.Source(ELSEWHERE, Seq(1)),)),
        c.Edit(Seq(2), k.TextContent("x")),
        c.React(Seq(2), "+1"),
        c.Settings(nickname="x"),
    )
    for command in shown:
        with pytest.raises(Muted):
            world.call("bob", command)
    assert world.call("bob", c.Recall(Seq(2)))
    assert world.call("bob", c.Settings(mute=True)) == []


@pytest.mark.parametrize("log", ["main/g/x", "main/d/alice~alice"])
def test_C24_most_messages_need_nothing_to_be_loaded(log: str) -> None:
    """The pipeline then decides without waiting."""
    world = World(GROUP_KIND, log)
    needs = send_needs(say(), world.context("alice"))
    assert needs is NOTHING


# --- edit -------------------------------------------------------------------------------------


def test_C34_an_edit_replaces_the_body_and_keeps_the_rest() -> None:
    world = group("bob")
    world.call("alice", say())
    say_to_bob = c.Send(
        k.TextContent("@bob"), reply_to=Seq(2), quote="hell", mentions=("bob",), mention_all=True
    )
    world.call("alice", say_to_bob)
    world.now += 5
    (entry,) = world.call("alice", c.Edit(Seq(3), k.TextContent("@bob!")))
    assert (entry.type, entry.count, entry.target, entry.slot) == ("edit", False, 3, "edit")
    first, edited = world.body(3, b.Message), world.body(4, b.Message)
    assert edited == msgspec.structs.replace(
        first, content=k.TextContent("@bob!"), edited_at=world.now
    )
    assert [seq for seq, _, _ in world.mentions] == [3]  # an edit calls nobody again

    world.call("alice", c.Edit(Seq(3), k.TextContent("nobody"), mentions=()))
    assert world.body(5, b.Message).mentions == ()
    world.call("alice", c.Edit(Seq(3), k.TextContent("eve"), mentions=("eve", "bob")))
    assert world.body(6, b.Message).mentions == ("bob",)


def test_C34_the_author_edits_in_time() -> None:
    world = group("bob")
    world.call("bob", say())
    with pytest.raises(RoleTooLow):
        world.call("alice", c.Edit(Seq(2), k.TextContent("x")))
    world.now += 24 * 3_600_000
    assert world.call("bob", c.Edit(Seq(2), k.TextContent("x")))
    world.now += 1
    with pytest.raises(TooLate):
        world.call("bob", c.Edit(Seq(2), k.TextContent("y")))


def test_C34_a_clock_that_went_back_locks_nobody_out() -> None:
    world = group("bob")
    world.call("bob", say())
    world.now -= 3_600_000
    assert world.call("bob", c.Edit(Seq(2), k.TextContent("x")))
    assert world.call("bob", c.Recall(Seq(2)))


def test_C34_what_is_no_message_is_not_edited() -> None:
    world = group("bob")
    for seq in (1, 7):
        with pytest.raises(NoSuchEntry):
            world.call("alice", c.Edit(Seq(seq), k.TextContent("x")))


def test_C35_an_edit_that_changes_nothing_writes_nothing() -> None:
    world = group("bob")
    custom = k.CustomContent("x", msgspec.Raw(b"[1]"), "")
    world.call("alice", c.Send(custom, mentions=("bob",)))
    assert world.call("alice", c.Edit(Seq(2), custom)) == []
    assert world.call("alice", c.Edit(Seq(2), custom, mentions=("bob",))) == []
    assert world.call("alice", c.Edit(Seq(2), custom, mentions=()))


# --- recall -----------------------------------------------------------------------------------


def test_C36_authors_recall_in_time_and_admins_at_any_time() -> None:
    world = group("bob", "carol", "dave")
    world.call("alice", c.SetRole("bob", "admin"))
    for user in ("carol", "carol", "bob", "alice", "alice", "carol"):
        world.call(user, say())
    first = Seq(3)
    with pytest.raises(RoleTooLow):
        world.call("dave", c.Recall(first))
    world.now += 120_000
    (entry,) = world.call("carol", c.Recall(first))
    assert (entry.type, entry.target, entry.slot) == ("recall", first, "recall")
    world.now += 1
    with pytest.raises(TooLate):
        world.call("carol", c.Recall(Seq(4)))
    (entry,) = world.call("bob", c.Recall(Seq(4)))
    assert world.body(entry.seq, b.Recalled) == b.Recalled(UserId("carol"))
    with pytest.raises(RoleTooLow):
        world.call("bob", c.Recall(Seq(6)))  # the owner's
    assert world.call("bob", c.Recall(Seq(5)))  # an admin's own
    assert world.call("alice", c.Recall(Seq(6)))
    world.call("carol", c.Leave())
    assert world.call("bob", c.Recall(Seq(8)))


def test_C36_in_a_direct_conversation_each_recalls_the_own() -> None:
    world = pair()
    world.call("alice", say())
    with pytest.raises(RoleTooLow):
        world.call("bob", c.Recall(Seq(1)))
    world.now += 120_001
    with pytest.raises(TooLate):
        world.call("alice", c.Recall(Seq(1)))
    with pytest.raises(NoSuchEntry):
        world.call("alice", c.Recall(Seq(2)))


def test_C37_a_recall_erases_once_and_for_all() -> None:
    world = pair()
    world.call("alice", say("secret"))
    world.call("alice", c.Edit(Seq(1), k.TextContent("secrets")))
    world.call("bob", c.PinMessage(Seq(1)))
    world.call("alice", c.Recall(Seq(1)))
    assert world.decision.append[0].erases
    assert world.state.pins == ()
    assert not any(b"secret" in bytes(e.body) for e in world.entries)
    assert world.call("alice", c.Recall(Seq(1))) == []
    for command in (
        c.Edit(Seq(1), k.TextContent("x")),
        c.React(Seq(1), "+1"),
        c.PinMessage(Seq(1)),
        reply(1),
    ):
        with pytest.raises(BadState):
            world.call("alice", command)


def test_C37_a_message_that_is_not_pinned_is_recalled_without_a_new_state() -> None:
    world = pair()
    world.call("alice", say())
    world.call("alice", c.Recall(Seq(1)))
    assert world.decision.state is None
