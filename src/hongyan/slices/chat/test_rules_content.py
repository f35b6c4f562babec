"""What a message may contain, and what is found of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hongyan.model.errors import BadArgs
from hongyan.model.ids import Seq, UserId
from hongyan.model.log import MAX_BODY_BYTES
from hongyan.slices.chat import bodies as b
from hongyan.slices.chat import commands as c
from hongyan.slices.chat import content as k
from hongyan.slices.chat.kinds import DIRECT_KIND, GROUP_KIND
from hongyan.slices.chat.testkit import pair

DIGEST = "0f" * 32
BLOB = k.Blob(DIGEST, 1234, "image/png", "cat.png")
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
