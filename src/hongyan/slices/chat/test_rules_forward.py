"""Forward."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hongyan.model.errors import BadArgs, BadState, NoSuchEntry
from hongyan.model.ids import LogId, Seq, UserId
from hongyan.model.log import Entry
from hongyan.slices.chat import bodies as b
from hongyan.slices.chat import commands as c
from hongyan.slices.chat import content as k
from hongyan.slices.chat.rules_talk import MAX_DEPTH
from hongyan.slices.chat.testkit import World, pair

BLOB = k.Blob("0f" * 32, 1234, "image/png", "cat.png")
ELSEWHERE = LogId("main/g/elsewhere")


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


@pytest.mark.parametrize("merged", [True, False])
def test_C35_what_was_forwarded_is_not_edited(merged: bool) -> None:
    world = pair()
    sources = stock(world, k.TextContent("one"))
    (entry,) = world.call("alice", c.Forward(sources, merged=merged))
    with pytest.raises(BadState):
        world.call("alice", c.Edit(entry.seq, k.TextContent("x")))
