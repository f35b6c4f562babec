"""What a reader has not read yet, and how the inbox tells."""

# size: the cases of one subject share their fixtures; parted, each part would repeat them

from __future__ import annotations

import asyncio

import msgspec
import pytest
from conftest import LARGE_ABOVE, Talk

from hongyan.model.ids import LogId
from hongyan.model.log import InboxRow, MemberChange, Role, Write
from hongyan.ports import Store


async def three(talk: Talk) -> None:
    """Ann said three things to bob, with a note between."""
    await talk.create("ann", "bob")
    await talk.say()
    await talk.say(type="note", count=False)
    await talk.say()
    await talk.say()


async def inbox(store: Store, user: str, after: int = 0) -> list[InboxRow]:
    upto = await store.sync("main", user)
    return await store.inbox("main", user, after=after, upto=upto, limit=99)


async def test_U1_unread_counts_countable_entries_above_the_cursor(talk: Talk) -> None:
    await three(talk)

    for read, unread in ((0, 3), (1, 2), (2, 2), (3, 1), (4, 0)):
        await talk.store.move(talk.log, "bob", read=read)
        assert await talk.unread("bob") == unread, read


async def test_U1_each_member_has_an_own_count(talk: Talk) -> None:
    await three(talk)
    await talk.change("cid", join=True)
    await talk.store.move(talk.log, "bob", read=4)
    await talk.say()

    assert [await talk.unread(u) for u in ("ann", "bob", "cid")] == [0, 1, 1]


async def test_U2_a_lower_cursor_changes_nothing(talk: Talk) -> None:
    await three(talk)
    await talk.store.move(talk.log, "bob", read=3)

    moved = await talk.store.move(talk.log, "bob", read=1, delivered=2, device="old")

    assert not moved.changed
    assert (moved.position.read, moved.position.delivered) == (3, 3)
    assert await talk.unread("bob") == 1


async def test_U2_a_cursor_above_the_head_stops_there(talk: Talk) -> None:
    await three(talk)

    moved = await talk.store.move(talk.log, "bob", read=99)

    assert (moved.changed, moved.position.read) == (True, 4)
    await talk.say()
    assert await talk.unread("bob") == 1


async def test_U2_a_cursor_in_a_left_conversation_stops_at_the_leave(talk: Talk) -> None:
    await three(talk)
    await talk.change("bob", leave=True)
    await talk.say()

    moved = await talk.store.move(talk.log, "bob", read=99)

    assert moved.position.read == 4
    assert await talk.unread("bob") == 0


async def test_U2_moves_at_the_same_moment_merge(talk: Talk) -> None:
    await three(talk)
    reads = [2, 4, 1, 3]

    moved = await asyncio.gather(
        *(talk.store.move(talk.log, "bob", read=read, device=f"d{read}") for read in reads)
    )

    assert [m.changed for m in moved] == [True, True, False, False]
    assert [m.position.read for m in moved] == [2, 4, 4, 4]


@pytest.mark.parametrize("read", [-1, -(2**80), 0])
async def test_U2_nonsense_moves_nothing(talk: Talk, read: int) -> None:
    await three(talk)
    moved = await talk.store.move(talk.log, "bob", read=read, delivered=read)
    assert not moved.changed
    assert moved.position.read == 0


async def test_U3_read_takes_delivered_along(talk: Talk) -> None:
    await three(talk)
    first = await talk.store.move(talk.log, "bob", delivered=4)
    assert (first.changed, first.position.read, first.position.delivered) == (True, 0, 4)
    second = await talk.store.move(talk.log, "ann", read=3, delivered=1)
    assert (second.position.read, second.position.delivered) == (3, 3)


async def test_U4_own_messages_are_not_unread_and_read_what_is_before(talk: Talk) -> None:
    await three(talk)
    sent = await talk.say("bob")

    row = await talk.row("bob")
    assert (row.unread, row.read) == (0, 0)
    assert await talk.unread("ann") == 1
    await talk.say("ann")
    assert await talk.unread("bob") == 1
    moved = await talk.store.move(talk.log, "bob", read=1)
    assert moved.position.sent == sent


async def test_U4_a_reaction_of_mine_reads_nothing(talk: Talk) -> None:
    await three(talk)
    await talk.say("bob", type="like", count=False, target=1, slot="like")
    assert await talk.unread("bob") == 3


@pytest.mark.parametrize(("read", "target", "unread"), [(0, 1, 2), (1, 1, 2), (3, 4, 0), (0, 2, 3)])
async def test_U5_erasing_counts_above_the_cursor_only(
    talk: Talk, read: int, target: int, unread: int
) -> None:
    await three(talk)
    await talk.store.move(talk.log, "bob", read=read)
    await talk.say(type="recall", count=False, target=target, erases=True)
    assert await talk.unread("bob") == unread


@pytest.mark.parametrize(("read", "target", "unread"), [(0, 1, 2), (1, 1, 2), (3, 4, 0), (0, 2, 3)])
async def test_U5_hiding_counts_above_the_cursor_only(
    talk: Talk, read: int, target: int, unread: int
) -> None:
    await three(talk)
    await talk.store.move(talk.log, "bob", read=read)
    await talk.change("bob", "bob", hide=(target,))
    assert await talk.unread("bob") == unread


async def test_U5_erased_and_hidden_is_subtracted_once(talk: Talk) -> None:
    await three(talk)
    await talk.change("bob", "bob", hide=(1,))
    for _ in range(2):
        await talk.say(type="recall", count=False, target=1, erases=True)
    assert await talk.unread("bob") == 2


async def test_U5_an_edit_leaves_unread_alone(talk: Talk) -> None:
    await three(talk)
    await talk.say(type="edit", count=False, target=1, slot="edit")
    assert await talk.unread("bob") == 3


async def test_U6_a_deleted_conversation_is_empty_until_the_next_message(talk: Talk) -> None:
    await three(talk)
    await talk.change("bob", "bob", clear=True)

    row = await talk.row("bob")
    assert (row.unread, row.last, row.cleared) == (0, None, 4)
    page = await talk.store.read(talk.log, "bob")
    assert (page.entries, page.floor, page.head) == ([], 5, 4)

    await talk.say(text="new")
    row = await talk.row("bob")
    assert row.unread == 1 and row.last is not None and row.last.seq == 5
    assert await talk.seqs("bob") == [5]
    assert await talk.seqs("ann") == [1, 2, 3, 4, 5]


async def test_U6_erasing_below_the_deletion_floor_changes_nothing(talk: Talk) -> None:
    await three(talk)
    await talk.change("bob", "bob", clear=True)
    await talk.say()
    await talk.say(type="recall", count=False, target=1, erases=True)
    assert await talk.unread("bob") == 1


async def test_U6_deleting_a_left_conversation_empties_it(talk: Talk) -> None:
    await three(talk)
    await talk.change("bob", leave=True)
    await talk.say()
    await talk.change("bob", "bob", clear=True)
    row = await talk.row("bob")
    assert (row.unread, row.last, row.cleared) == (0, None, 4)


async def test_U7_reading_clears_the_mark_it_knew(talk: Talk) -> None:
    await three(talk)
    await talk.change("bob", "bob", marked=True)
    mark = (await talk.row("bob")).mark

    moved = await talk.store.move(talk.log, "bob", read=1, mark=mark)

    assert moved.changed and not moved.position.marked
    assert (await talk.row("bob")).marked is False


async def test_U7_a_mark_set_meanwhile_on_another_device_stays(talk: Talk) -> None:
    await three(talk)
    await talk.change("bob", "bob", marked=True)
    known = (await talk.row("bob")).mark
    await talk.change("bob", "bob", marked=True)

    await talk.store.move(talk.log, "bob", read=4, mark=known)

    assert (await talk.row("bob")).marked is True
    assert (await talk.row("bob")).unread == 0
    await talk.store.move(talk.log, "bob", read=4)
    assert (await talk.row("bob")).marked is True  # a move that knows no mark


async def test_U7_a_mark_cleared_by_hand_is_cleared(talk: Talk) -> None:
    await three(talk)
    await talk.change("bob", "bob", marked=True)
    await talk.change("bob", "bob", marked=False)
    row = await talk.row("bob")
    assert (row.marked, row.mark) == (False, 2)


async def test_U8_mentions_count_my_name_and_everybody(talk: Talk) -> None:
    await talk.create("ann", "bob", "cid")
    await talk.say(mentions=("bob",))
    await talk.say(mention_all=True, mentions=("bob",))
    await talk.say(mentions=("cid", "ann"))

    assert [(await talk.row(u)).mentions for u in ("ann", "bob", "cid")] == [0, 2, 2]
    await talk.store.move(talk.log, "bob", read=1)
    assert (await talk.row("bob")).mentions == 1


async def test_U8_my_own_call_to_everybody_does_not_call_me(talk: Talk) -> None:
    """Not counted as unread, so not below my own last message either."""
    await talk.create("ann", "bob")
    await talk.say(type="notice", count=False, mention_all=True, mentions=("ann",))

    assert [(await talk.row(u)).mentions for u in ("ann", "bob")] == [0, 1]


async def test_U8_an_erased_or_hidden_mention_does_not_count(talk: Talk) -> None:
    await talk.create("ann", "bob")
    for _ in range(3):
        await talk.say(mentions=("bob",))
    await talk.say(type="recall", count=False, target=1, erases=True)
    await talk.change("bob", "bob", hide=(2,))

    assert (await talk.row("bob")).mentions == 1


async def test_U9_a_row_is_written_once_until_the_next_sync(talk: Talk) -> None:
    await talk.create("ann", "bob")
    upto = await talk.store.sync("main", "bob")

    first = await talk.commit("ann", writes=())
    assert first.touched == ()
    await talk.say()
    row = await talk.row("bob")
    assert row.useq == upto + 1
    await talk.say()
    await talk.store.move(talk.log, "bob", read=1)
    assert (await talk.row("bob")).useq == upto + 1

    assert await talk.store.sync("main", "bob") == upto + 1
    await talk.say()
    assert (await talk.row("bob")).useq == upto + 2


async def test_U9_the_answer_names_the_rows_it_wrote(talk: Talk) -> None:
    done = await talk.create("ann", "bob")
    assert done.touched == (("ann", 1), ("bob", 1))
    for user in ("ann", "bob"):
        await talk.store.sync("main", user)
    write = talk.commit("ann", touch=("bob",), roster=2, writes=(hello(),))
    assert (await write).touched == (("bob", 2),)
    again = await talk.commit("ann", touch=("ann", "bob"), roster=2, writes=(hello(),))
    assert again.touched == (("ann", 2),)


def hello() -> Write:
    return Write("message", b"{}", count=True)


async def test_U9_an_outdated_roster_is_replaced_by_the_true_one(talk: Talk) -> None:
    await talk.create("ann", "bob")
    await talk.change("cid", join=True)
    for user in ("ann", "bob", "cid"):
        await talk.store.sync("main", user)

    done = await talk.commit("ann", touch=("ann", "bob"), roster=2, writes=(hello(),))

    assert {user for user, _ in done.touched} == {"ann", "bob", "cid"}


async def test_U9_whoever_left_is_not_touched_any_more(talk: Talk) -> None:
    await talk.create("ann", "bob")
    await talk.store.sync("main", "bob")
    left = await talk.change("bob", leave=True)
    await talk.store.sync("main", "bob")
    await talk.say()

    assert "bob" in dict(left.touched)
    assert await inbox(talk.store, "bob", after=dict(left.touched)["bob"]) == []


async def test_U9_reading_tells_my_other_devices_delivery_does_not(talk: Talk) -> None:
    await three(talk)
    token = await talk.store.sync("main", "bob")

    await talk.store.move(talk.log, "bob", delivered=4)
    assert await inbox(talk.store, "bob", after=token) == []
    await talk.store.move(talk.log, "bob", read=2)
    assert [row.read for row in await inbox(talk.store, "bob", after=token)] == [2]


async def test_U10_rows_come_in_rising_useq_page_by_page(store: Store) -> None:
    talks = [Talk(store, log=LogId(f"main/g/g{n}")) for n in range(7)]
    for talk in talks:
        await talk.create("ann", "bob")
    await store.sync("main", "bob")
    await talks[2].say()
    upto = await store.sync("main", "bob")

    seen: list[InboxRow] = []
    while rows := await store.inbox(
        "main", "bob", after=seen[-1].useq if seen else 0, upto=upto, limit=3
    ):
        assert len(rows) <= 3
        seen += rows

    assert [row.log[-1] for row in seen] == list("0134562")
    assert [row.useq for row in seen] == sorted({row.useq for row in seen})


async def test_U10_what_moves_up_while_paging_comes_with_the_next_sync(store: Store) -> None:
    talks = [Talk(store, log=LogId(f"main/g/g{n}")) for n in range(3)]
    for talk in talks:
        await talk.create("bob", "ann")
    upto = await store.sync("main", "bob")
    first = await store.inbox("main", "bob", after=0, upto=upto, limit=1)
    await talks[1].say()
    rest = await store.inbox("main", "bob", after=first[-1].useq, upto=upto, limit=9)
    later = await inbox(store, "bob", after=upto)

    assert [r.log[-1] for r in (*first, *rest)] == ["0", "2"]
    assert [r.log[-1] for r in later] == ["1"]
    heads = await store.heads("main", "bob", after=upto)
    assert heads == [(talks[1].log, 1)]


async def test_U10_rows_of_named_logs_keep_the_order_asked(store: Store) -> None:
    talks = [Talk(store, log=LogId(f"main/g/g{n}")) for n in range(3)]
    for talk in talks[:2]:
        await talk.create("bob")
    await talks[2].create("ann")
    logs = [talks[n].log for n in (1, 2, 0)]

    assert [r.log for r in await store.rows("main", "bob", logs)] == [talks[1].log, talks[0].log]
    assert await store.rows("main", "bob", []) == []


async def grow(talk: Talk, count: int) -> list[str]:
    users = [f"u{n}" for n in range(count)]
    await talk.create(*users)
    return users


async def test_U11_a_large_log_touches_nobody_and_lists_its_head(talk: Talk) -> None:
    users = await grow(talk, LARGE_ABOVE)
    assert await talk.store.large_logs("main", "u0") == []
    done = await talk.change("ann", join=True)
    assert done.large
    token = await talk.store.sync("main", "u0")

    said = await talk.commit("ann", writes=(hello(),), touch=tuple(users))

    assert said.touched == ()
    assert await talk.store.sync("main", "u0") == token
    assert await talk.store.heads("main", "u0", after=token) == [(talk.log, said.last)]
    assert await talk.store.large_logs("main", "u0") == [talk.log]
    row = await talk.row("u0")
    assert (row.large, row.unread, row.head) == (True, 1, 1)


async def test_U11_crossing_the_line_tells_every_member_once(talk: Talk) -> None:
    users = await grow(talk, LARGE_ABOVE)
    tokens = {user: await talk.store.sync("main", user) for user in users}
    await talk.change("ann", join=True)
    for user in users:
        assert [r.large for r in await inbox(talk.store, user, tokens[user])] == [True], user


async def test_U11_large_is_for_ever_and_for_who_joins_later(talk: Talk) -> None:
    users = await grow(talk, LARGE_ABOVE + 1)
    for user in users[1:]:
        await talk.change(user, leave=True)
    await talk.change("ann", join=True)

    info = await talk.store.info(talk.log)
    assert info is not None and (info.large, info.count) == (True, 2)
    assert await talk.store.large_logs("main", "ann") == [talk.log]
    assert await talk.store.large_logs("main", users[1]) == []
    assert len(await talk.store.heads("main", "ann", after=0)) == 1


async def test_U12_the_last_entry_is_the_newest_that_can_be_shown(talk: Talk) -> None:
    await three(talk)
    await talk.say(type="edit", text="edited", count=False, target=3, slot="edit")

    async def last() -> tuple[int, bytes] | None:
        entry = (await talk.row("bob")).last
        return (entry.seq, bytes(entry.body)) if entry else None

    assert await last() == (4, b'{"text":"hi"}')
    await talk.say(type="recall", count=False, target=4, erases=True)
    assert await last() == (3, b'{"text":"edited"}')
    await talk.change("bob", "bob", hide=(3,))
    assert await last() == (1, b'{"text":"hi"}')
    await talk.change("bob", "bob", hide=(1,))
    assert await last() is None
    assert (await talk.row("bob")).unread == 0


async def test_U13_a_direct_row_carries_the_other_sides_cursors(store: Store) -> None:
    direct = Talk(store, log=LogId("main/d/ann~bob"))
    group = Talk(store, log=LogId("main/g/pair"))
    for talk in (direct, group):
        await talk.create("ann", "bob")
        await talk.say()
        await talk.say()
        await store.move(talk.log, "bob", read=1, delivered=2)

    row = await direct.row("ann")
    assert (row.peer_read, row.peer_delivered) == (1, 2)
    assert ((await direct.row("bob")).peer_read, (await group.row("ann")).peer_read) == (0, 0)


async def test_U14_receipts_by_user_and_counted(talk: Talk) -> None:
    await talk.create("ann", "bob", "cid", "dan")
    for _ in range(3):
        await talk.say()
    await talk.store.move(talk.log, "bob", read=2)
    await talk.store.move(talk.log, "cid", delivered=3)
    await talk.store.move(talk.log, "dan", read=3)
    await talk.change("dan", leave=True)
    store, log = talk.store, talk.log

    listed = [(r.user, r.delivered, r.read) for r in await store.receipts(log)]
    assert listed == [("ann", 0, 0), ("bob", 2, 2), ("cid", 3, 0)]
    assert [r.user for r in await store.receipts(log, limit=2)] == ["ann", "bob"]
    some = await store.receipts(log, users=["cid", "ann", "eve"])
    assert [r.user for r in some] == ["ann", "cid"]
    assert await store.receipts(log, users=[]) == []
    assert [await store.receipt_counts(log, n) for n in (1, 2, 3, 4)] == [
        (2, 1),
        (2, 1),
        (1, 0),
        (0, 0),
    ]


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        {"role": Role.ADMIN},
        {"settings": msgspec.Raw(b'{"mute":true}')},
        {"marked": True},
        {"clear": True},
        {"hide": (1,)},
        {"leave": True},
    ],
)
async def test_U15_what_concerns_one_member_reaches_his_inbox(
    talk: Talk, change: dict[str, object], large: bool
) -> None:
    await talk.create("ann", "bob", *(f"u{n}" for n in range(LARGE_ABOVE * large)))
    await talk.say()
    tokens = {user: await talk.store.sync("main", user) for user in ("ann", "bob")}

    await talk.change("bob", **change)

    [row] = await inbox(talk.store, "bob", tokens["bob"])
    assert row == await talk.row("bob")
    told = await inbox(talk.store, "ann", tokens["ann"])
    assert len(told) == ("leave" in change and not large)  # the count of members


async def test_U15_a_change_of_somebody_who_never_joined_is_nothing(talk: Talk) -> None:
    await talk.create("ann")
    done = await talk.commit("ann", members=(MemberChange(user="eve", marked=True, leave=True),))
    assert (done.count, done.roster, done.touched) == (1, 1, ())
    assert await talk.store.member(talk.log, "eve") is None
