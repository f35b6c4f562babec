"""What a conversation of the terminal client shows: threads, blocks, the list."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hongyan.cli.tui.blocks import DELIVERED_MARK, READ_MARK, Mark, Painter, plain_lines
from hongyan.cli.tui.roll import People, items
from hongyan.cli.tui.thread import FAILED, STORED, Draft, Thread, pinned, reactions
from hongyan.cli.tui.widths import cell_len
from hongyan.cli.tui.words import Words
from hongyan.client import Replica
from hongyan.model.ids import DeviceId, LogId, OpId, Seq, UserId
from hongyan.model.log import Entry, InboxRow, Role
from hongyan.wire.frames import Page

LOG, ME, BOB = LogId("main/d/alice~bob"), UserId("alice"), UserId("bob")
AT = 1_700_000_000_000


def entry(seq: int, kind: str = "message", sender: str = "bob", **fields: Any) -> Entry:
    body = fields.pop("body", {"content": {"type": "text", "text": f"text {seq}"}})
    return Entry(
        seq=Seq(seq),
        type=kind,
        sender=UserId(sender),
        at=AT + seq,
        ord=seq,
        body=msgspec.Raw(msgspec.json.encode(body)),
        count=kind == "message",
        **fields,
    )


def amend(seq: int, kind: str, target: int, slot: str, body: Any, sender: str = "bob") -> Entry:
    return entry(seq, kind, sender, body=body, target=Seq(target), slot=slot)


def page(low: int, high: int, *amends: Entry, floor: int = 1) -> Page:
    entries = [entry(seq) for seq in range(low, high + 1)]
    return Page(1, LOG, entries, list(amends), Seq(floor), Seq(high), 1, low > floor)


def thread(low: int = 1, high: int = 0) -> Thread:
    replica = Replica(LOG)
    replica.restart(page(low, high) if high else page(1, 0), 0.0, Seq(high))
    found = Thread(LOG, ME)
    found.load(replica)
    return found


def shown(found: Thread, width: int = 60, mark: Mark = DELIVERED_MARK) -> list[str]:
    painter = Painter(Words("en"), ME, lambda user: user, lambda entry: mark)
    blocks = painter.paint(found, width)
    return [line for block in blocks for line in plain_lines(block)]


@given(cuts=st.sets(st.integers(2, 40)))
def test_N3_older_pages_join_without_a_hole_or_a_double(cuts: set[int]) -> None:
    found = thread(40, 45)
    for low in sorted(cuts, reverse=True):
        if low < found.first:
            found.older(page(low, found.first - 1))
    if found.more:
        found.older(page(1, found.first - 1))
    assert [m.entry.seq for m in found] == list(range(1, 46))
    assert not found.more


def test_N3_very_long_threads_forget_their_oldest_and_can_load_them_again() -> None:
    found = thread(1, 90)
    found.apply(entry(seq) for seq in range(91, 3_100))
    found.trim()
    assert (len(found), found.first, found.more) == (500, 2_600, True)
    found.older(page(2_500, 2_599))
    assert [m.entry.seq for m in found][:2] == [2_500, 2_501]


def test_N4_the_divider_is_the_first_unread_of_others() -> None:
    found = thread(1, 3)
    found.apply([entry(4, sender="alice"), entry(5)])
    found.mark_unread(Seq(3))
    assert found.divider == 5
    found.mark_unread(Seq(5))
    assert found.divider == 0


def test_N4_no_divider_where_the_unread_part_is_not_loaded_whole() -> None:
    found = thread(50, 60)
    found.mark_unread(Seq(10))
    assert found.divider == 0


def test_N5_a_draft_becomes_its_entry_once() -> None:
    found = thread(1, 1)
    found.draft(Draft(OpId("op1"), "mine", AT))
    assert any("mine sending" in line and line.endswith("◌") for line in shown(found))
    found.stored(OpId("op1"), Seq(2))
    assert found.drafts[OpId("op1")].state == STORED
    assert any("mine" in line and line.endswith("✓") for line in shown(found))
    own = {"content": {"type": "text", "text": "mine"}}
    found.apply([entry(2, sender="alice", body=own, op=OpId("op1"), device=DeviceId("d"))])
    assert not found.drafts
    assert next(line for line in shown(found) if "mine" in line).endswith("✓✓")
    assert sum("mine" in line for line in shown(found, mark=READ_MARK)) == 1


def test_N5_an_entry_that_comes_before_its_ack_ends_the_draft() -> None:
    found = thread(1, 1)
    found.draft(Draft(OpId("op1"), "mine", AT))
    found.apply([entry(2, sender="alice", op=OpId("op1"))])
    found.stored(OpId("op1"), Seq(2))
    assert not found.drafts


def test_N5_a_refused_draft_says_why_until_it_is_dismissed() -> None:
    found = thread(1, 1)
    found.draft(Draft(OpId("op1"), "mine", AT))
    found.failed(OpId("op1"), "you are blocked")
    assert found.drafts[OpId("op1")].state == FAILED
    assert any("not sent: you are blocked" in line for line in shown(found))
    assert found.dismiss() == 1
    assert not any("mine" in line for line in shown(found))


def test_N6_edits_reactions_and_pins_stand_as_the_newest_says() -> None:
    found = thread(1, 2)
    new = {"content": {"type": "text", "text": "better"}, "edited_at": AT}
    found.apply(
        [
            amend(3, "edit", 1, "edit", new),
            amend(4, "reaction", 2, "react:bob:👍", {"emoji": "👍", "on": True}),
            amend(5, "reaction", 2, "react:alice:👍", {"emoji": "👍", "on": True}, "alice"),
            amend(6, "reaction", 2, "react:bob:👍", {"emoji": "👍", "on": False}),
            amend(7, "pin", 2, "pin", {"on": True}),
        ]
    )
    first, second = list(found)
    assert reactions(second) == {"👍": ["alice"]}
    assert pinned(second) and not pinned(first)
    lines = shown(found)
    assert any("better (edited)" in line for line in lines)
    assert any("★ pinned" in line for line in lines)
    assert any("👍 1" in line for line in lines)
    assert not any("text 1" in line for line in lines)


def test_N6_a_recalled_message_is_gone_also_where_it_is_quoted() -> None:
    found = thread(1, 1)
    reply = {"content": {"type": "text", "text": "yes"}, "reply": {"seq": 1, "author": "bob"}}
    found.apply([entry(2, sender="alice", body=reply)])
    assert any("▎ bob: text 1" in line for line in shown(found))
    found.apply([amend(3, "recall", 1, "recall", {"author": "bob"})])
    lines = shown(found)
    assert any("bob recalled a message" in line for line in lines)
    assert any("▎ bob: message recalled" in line for line in lines)
    assert not any("text 1" in line for line in lines)


def test_N6_an_older_page_brings_what_changed_it_since() -> None:
    found = thread(10, 12)
    found.older(page(1, 9, amend(12, "recall", 5, "recall", {"author": "bob"})))
    message = found.get(Seq(5))
    assert message is not None and message.erased


@given(
    text=st.text(max_size=200).filter(str.strip),
    width=st.integers(18, 100),
    group=st.booleans(),
)
def test_N7_no_line_is_wider_than_the_pane(text: str, width: int, group: bool) -> None:
    found = thread(1, 1)
    body = {"content": {"type": "text", "text": text}, "reply": {"seq": 1, "author": "b" * 40}}
    found.apply([entry(2, body=body), entry(3, "created", body={"title": text[:100]})])
    found.draft(Draft(OpId("op1"), text, AT))
    painter = Painter(Words("zh"), ME, lambda user: user, lambda entry: READ_MARK)
    painter.group = group
    lines = [line for block in painter.paint(found, width, "顶") for line in plain_lines(block)]
    assert max(cell_len(line) for line in lines) <= width
    assert not any(ord(char) < 32 for line in lines for char in line)


def test_N13_read_counts_stand_beside_own_messages() -> None:
    found = thread(1, 1)
    found.apply([entry(2, sender="alice")])
    painter = Painter(Words("en"), ME, lambda u: u, lambda e: READ_MARK._replace(readers="2/2"))
    painter.group = True
    lines = [line for block in painter.paint(found, 60) for line in plain_lines(block)]
    assert [line.split()[-2:] for line in lines if "text 2" in line] == [["✓✓", "2/2"]]


# --- the list -------------------------------------------------------------------------------------


def row(name: str, at: int, **fields: Any) -> InboxRow:
    last = msgspec.structs.replace(entry(at), at=AT + at) if at else None
    given = {"unread": 0, "mentions": 0, "role": Role.MEMBER, "read": Seq(0), **fields}
    return InboxRow(
        log=LogId(f"main/{name}"),
        useq=1,
        head=Seq(at),
        ord=at,
        since=Seq(1),
        delivered=Seq(0),
        last=last,
        **given,
    )


def titles(*rows: InboxRow, **more: Any) -> list[str]:
    return [item.title for item in items(rows, ME, People(), Words("en"), **more)]


def test_N12_pinned_first_then_the_newest() -> None:
    pin = {"settings": msgspec.Raw(b'{"pinned":true}')}
    rows = [row("d/alice~bob", 5), row("d/alice~carol", 9), row("d/alice~dan", 1, **pin)]
    assert titles(*rows) == ["dan", "carol", "bob"]
    touched = {LogId("main/d/alice~bob"): AT + 20}
    assert titles(*rows, touched=touched) == ["dan", "bob", "carol"]


def test_N12_logs_that_are_no_conversations_are_not_listed() -> None:
    gone = row("g/abc", 0, role=Role.NONE)
    archived = row("d/alice~eve", 3, settings=msgspec.Raw(b'{"archived":true}'))
    assert titles(row("u/alice", 4), gone, archived, row("d/alice~alice", 2)) == ["Notes to myself"]


def test_N12_a_mention_shows_until_it_is_read() -> None:
    log = LogId("main/g/team")
    state = {"state": msgspec.Raw(b'{"title":"Team"}')}

    def called(**fields: Any) -> bool:
        found = items(
            [row("g/team", 9, **state, **fields)], ME, People(), Words("en"), called={log: Seq(8)}
        )
        return found[0].called

    assert called(unread=2, read=Seq(7))
    assert not called(unread=1, read=Seq(8))
    assert called(unread=1, read=Seq(8), mentions=1)  # the server knows of another one
    assert not called(unread=0, read=Seq(9))


def test_N12_names_are_asked_once_and_again_after_a_failure() -> None:
    people = People()
    assert people.ask(["bob", "bob", "", "carol"]) == ["bob", "carol"]
    assert people.ask(["bob"]) == []
    people.ask_again(["bob"])
    assert people.ask(["bob"]) == ["bob"]
    assert people.learn({"bob": "Robert"}) and not people.learn({"bob": "Robert"})
    assert people.name("bob") == "Robert" and people.name("zed") == "zed"


def test_N12_a_sign_of_typing_ends_by_itself() -> None:
    people = People()
    people.types(LOG, "bob", True, 10.0)
    assert people.typing(LOG, 12.0) == ["bob"]
    assert people.next_stop(12.0) == 16.0
    assert people.typing(LOG, 16.0) == [] and people.next_stop(16.0) is None
