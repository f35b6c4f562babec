"""Send, forward, edit, recall, search."""

from __future__ import annotations

from typing import Any

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
from hongyan.model.log import MAX_BODY_BYTES, Entry
from hongyan.slices.chat import bodies as b
from hongyan.slices.chat import commands as c
from hongyan.slices.chat import content as k
from hongyan.slices.chat.kinds import DIRECT_KIND, GROUP_KIND
from hongyan.slices.chat.rules_talk import MAX_DEPTH, send_needs
from hongyan.slices.chat.test_rules_join import group, say
from hongyan.slices.chat.testkit import World
from hongyan.slices.own.state import Self

DIGEST = "0f" * 32
BLOB = k.Blob(DIGEST, 1234, "image/png", "cat.png")
ELSEWHERE = LogId("main/g/elsewhere")


def pair() -> World:
    world = World(DIRECT_KIND)
    world.call("alice", c.OpenDirect("bob"))
    return world


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


CONTENTS: list[Any] = [
    k.TextContent("words"),
    k.ImageContent(BLOB, 640, 480, DIGEST, "a cat"),
    k.FileContent(BLOB, "report"),
    k.VoiceContent(BLOB, 1500, "so he said"),
    k.VideoContent(BLOB, 90_000, 640, 480, DIGEST, "a film"),
    k.LocationContent(31.23, 121.47, "Shanghai", "The Bund"),
    k.CardContent("contact", "Carol", "carol", "my friend", "https://example.org", DIGEST),
    k.CustomContent("poll", msgspec.Raw(b'{"q":[1,2]}'), "A poll"),
]


@pytest.mark.parametrize("content", CONTENTS, ids=lambda x: type(x).__name__)
def test_C25_each_content_arrives_as_it_was_sent(content: Any) -> None:
    world = pair()
    (entry,) = world.call("alice", c.Send(content))
    assert world.body(entry.seq, b.Message).content == content


BAD_CONTENTS: list[Any] = [
    k.TextContent(""),
    k.TextContent(" \n\t"),
    k.TextContent("x" * (k.MAX_TEXT + 1)),
    k.ImageContent(k.Blob("0F" * 32, 1, "image/png")),
    k.ImageContent(k.Blob(DIGEST + "\n", 1, "image/png")),
    k.ImageContent(k.Blob(DIGEST, -1, "image/png")),
    k.ImageContent(k.Blob(DIGEST, 1, "not a type")),
    k.ImageContent(BLOB, -1),
    k.VoiceContent(BLOB, 86_400_001),
    k.LocationContent(91.0, 0.0),
    k.LocationContent(0.0, -181.0),
    k.CardContent("", "x"),
    k.CardContent("contact", ""),
    k.CustomContent("a b", msgspec.Raw(b"1")),
    k.CustomContent("big", msgspec.Raw(b'"' + b"x" * MAX_BODY_BYTES + b'"')),
]


@pytest.mark.parametrize("content", BAD_CONTENTS, ids=lambda x: repr(x)[:60])
def test_C25_a_content_outside_its_limits_is_refused(content: Any) -> None:
    with pytest.raises(BadArgs):
        pair().call("alice", c.Send(content))


def test_C25_a_custom_content_may_fill_an_entry() -> None:
    world = pair()
    frame = len(msgspec.json.encode(b.Message(k.CustomContent("x", msgspec.Raw(b'""')))))
    most = MAX_BODY_BYTES - frame
    world.call("alice", c.Send(k.CustomContent("x", msgspec.Raw(b'"%b"' % (b"x" * most)))))
    assert len(bytes(world.entries[-1].body)) == MAX_BODY_BYTES
    with pytest.raises(BadArgs):
        world.call(
            "alice", c.Send(k.CustomContent("x", msgspec.Raw(b'"%b"' % (b"x" * (most + 1)))))
        )


def test_C25_the_largest_text_message_fits_into_an_entry() -> None:
    """The types bound it, so that the rule need not measure each message."""
    worst = "\x01"  # six bytes of JSON
    user = UserId("u" * 64)
    body = b.Message(
        content=k.TextContent(worst * k.MAX_TEXT),
        reply=b.Reply(Seq(2**53), user, worst * 500),
        mentions=(user,) * c.MAX_MENTIONS,
        mention_all=True,
        forward=b.Origin(user, 2**53),
        silent=True,
        edited_at=2**53,
    )
    assert len(msgspec.json.encode(body)) <= MAX_BODY_BYTES


def test_C33_nobody_sends_a_bundle_of_words_of_others() -> None:
    forged = k.MergedContent((k.MergedItem(UserId("bob"), 1, k.TextContent("I owe you")),))
    world = pair()
    for command in (c.Send(forged), c.Edit(Seq(1), forged)):  # type: ignore[arg-type]
        with pytest.raises(BadArgs):
            world.call("alice", command)


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


# --- forward ----------------------------------------------------------------------------------


def stock(world: World, *contents: Any, log: LogId = ELSEWHERE) -> tuple[c.Source, ...]:
    """Messages of carol elsewhere, which the caller can read."""
    sources = []
    for i, content in enumerate(contents, start=1):
        body = b.Message(content, mentions=(UserId("eve"),), edited_at=5)
        world.sources[log, Seq(i)] = Entry(
            seq=Seq(i), type="message", sender=UserId("carol"), at=1000 + i, ord=i,
            body=msgspec.Raw(msgspec.json.encode(body)),
        )  # fmt: skip
        sources.append(c.Source(log, Seq(i)))
    return tuple(sources)


def test_C31_what_is_forwarded_keeps_who_said_it_and_when() -> None:
    world = pair()
    sources = stock(world, k.TextContent("one"), k.ImageContent(BLOB))
    entries = world.call("alice", c.Forward(sources, silent=True))
    assert [(e.type, e.count, e.sender) for e in entries] == [("message", True, "alice")] * 2
    assert [world.body(e.seq, b.Message) for e in entries] == [
        b.Message(k.TextContent("one"), forward=b.Origin(UserId("carol"), 1001), silent=True),
        b.Message(k.ImageContent(BLOB), forward=b.Origin(UserId("carol"), 1002), silent=True),
    ]
    assert world.mentions == []  # nobody is called again
    assert b"elsewhere" not in bytes(entries[0].body)

    # forwarded on, it is still carol's
    world.sources[ELSEWHERE, Seq(9)] = entries[0]
    (on,) = world.call("bob", c.Forward((c.Source(ELSEWHERE, Seq(9)),)))
    assert world.body(on.seq, b.Message).forward == b.Origin(UserId("carol"), 1001)


def test_C31_only_messages_one_can_read_are_forwarded() -> None:
    world = pair()
    sources = stock(world, k.TextContent("one"))
    with pytest.raises(NoSuchEntry):
        world.call("alice", c.Forward((*sources, c.Source(ELSEWHERE, Seq(2)))))
    note = msgspec.structs.replace(world.sources[ELSEWHERE, Seq(1)], type="joined")
    world.sources[ELSEWHERE, Seq(2)] = note
    with pytest.raises(NoSuchEntry):
        world.call("alice", c.Forward((c.Source(ELSEWHERE, Seq(2)),)))
    foreign = stock(world, k.TextContent("secret"), log=LogId("other/g/x"))
    with pytest.raises(NoSuchEntry):
        world.call("alice", c.Forward(foreign))
    with pytest.raises(BadArgs):
        world.call("alice", c.Forward((c.Source("no log", Seq(1)),)))
    assert world.entries == []


def test_C32_a_bundle_is_one_message() -> None:
    world = pair()
    sources = stock(world, k.TextContent("one"), k.TextContent("two"))
    (entry,) = world.call("alice", c.Forward(sources, merged=True, title="Carol said"))
    assert world.body(entry.seq, b.Message).content == k.MergedContent(
        items=(
            k.MergedItem(UserId("carol"), 1001, k.TextContent("one")),
            k.MergedItem(UserId("carol"), 1002, k.TextContent("two")),
        ),
        title="Carol said",
    )


def test_C32_bundles_are_nested_to_a_bounded_depth() -> None:
    world = pair()
    sources = stock(world, k.TextContent("one"))
    for depth in range(1, MAX_DEPTH + 1):
        (entry,) = world.call("alice", c.Forward(sources, merged=True))
        assert world.body(entry.seq, b.Message).content.depth == depth
        world.sources[ELSEWHERE, Seq(1)] = entry
    with pytest.raises(BadArgs):
        world.call("alice", c.Forward(sources, merged=True))
    assert world.call("alice", c.Forward(sources))  # as it is, it may travel on


def test_C32_a_forward_is_bounded_in_number_and_size() -> None:
    world = pair()
    many = stock(world, *[k.TextContent("x")] * 101)
    with pytest.raises(BadArgs):
        world.call("alice", c.Forward(many, merged=True))
    assert len(world.call("alice", c.Forward(many[:100], merged=True))) == 1
    with pytest.raises(BadArgs):
        world.call("alice", c.Forward(many[:65]))
    assert len(world.call("alice", c.Forward(many[:64]))) == 64
    large = stock(world, *[k.TextContent("x" * 8_000)] * 40)
    for command in (c.Forward(large), c.Forward(large, merged=True)):
        with pytest.raises(BadArgs):
            world.call("alice", command)
    full = stock(world, k.CustomContent("x", msgspec.Raw(b'"%b"' % (b"x" * 65_450))))
    with pytest.raises(BadArgs):
        world.call("alice", c.Forward(full))


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


@pytest.mark.parametrize("merged", [True, False])
def test_C35_what_was_forwarded_is_not_edited(merged: bool) -> None:
    world = pair()
    sources = stock(world, k.TextContent("one"))
    (entry,) = world.call("alice", c.Forward(sources, merged=merged))
    with pytest.raises(BadState):
        world.call("alice", c.Edit(entry.seq, k.TextContent("x")))


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


# --- search -----------------------------------------------------------------------------------


SEARCHED = [
    ("words", CONTENTS[0]),
    ("cat.png\na cat", CONTENTS[1]),
    ("cat.png\nreport", CONTENTS[2]),
    ("cat.png\nso he said", CONTENTS[3]),
    ("cat.png\na film", CONTENTS[4]),
    ("Shanghai\nThe Bund", CONTENTS[5]),
    ("Carol\nmy friend", CONTENTS[6]),
    ("A poll", CONTENTS[7]),
    ("", k.VoiceContent(k.Blob(DIGEST, 1, "audio/ogg"), 5)),
    ("T\nwords\ncat.png\nreport", k.MergedContent(
        tuple(k.MergedItem(UserId("x"), 1, content) for content in (CONTENTS[0], CONTENTS[2])), "T"
    )),
]  # fmt: skip


@pytest.mark.parametrize(("text", "content"), SEARCHED)
def test_C47_messages_and_edits_are_found_by_their_words(text: str, content: Any) -> None:
    body = msgspec.Raw(msgspec.json.encode(b.Message(content)))
    for kind in (DIRECT_KIND, GROUP_KIND):
        assert kind.search_text("message", body) == text
        assert kind.search_text("edit", body) == text


def test_C47_what_was_recalled_is_not_found() -> None:
    blank = msgspec.Raw(b"{}")
    assert GROUP_KIND.search_text("recall", msgspec.Raw(b'{"author":"x"}')) == ""
    assert GROUP_KIND.search_text("message", blank) == ""
    assert GROUP_KIND.search_text("edit", blank) == ""
    assert GROUP_KIND.search_text("joined", blank) is None
