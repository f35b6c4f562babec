"""In which order a store is read: seqs, pages, who sees what, the feed."""

from __future__ import annotations

import asyncio

import pytest
from conftest import Talk

from hongyan.model.errors import Conflict
from hongyan.model.log import Commit, Committed, MemberChange, Write

HI = (Write("message", b'{"text":"hi"}', count=True),)


def append(talk: Talk, op: str, sender: str = "ann", at: int = 5) -> asyncio.Future[Committed]:
    commit = Commit(
        log=talk.log, sender=sender, op=op, hash=b"h" * 16, at=at, writes=HI, touch=None
    )
    return talk.store.commit(commit)


async def test_O1_seqs_are_dense_over_many_waiting_commits(talk: Talk) -> None:
    await talk.create("ann", "bob")

    done = await asyncio.gather(*(append(talk, f"x{n}") for n in range(1200)))

    assert [d.last for d in done] == list(range(1, 1201))
    assert [d.ord for d in done] == list(range(1, 1201))


async def test_O1_a_refused_commit_uses_no_seq(talk: Talk) -> None:
    await talk.create("ann", "bob")
    refused = Commit(
        log=talk.log, sender="ann", op="no", hash=b"h" * 16, at=1, writes=HI, expect=9, touch=None
    )
    waiting = [append(talk, "a"), talk.store.commit(refused), append(talk, "b")]

    first, no, second = await asyncio.gather(*waiting, return_exceptions=True)

    assert isinstance(no, Conflict)
    assert isinstance(first, Committed) and isinstance(second, Committed)
    assert (first.last, second.first) == (1, 2)


async def test_O2_commits_of_a_log_settle_in_the_order_of_the_calls(talk: Talk) -> None:
    """Plain ones and odd ones mixed, as they share a group."""
    await talk.create("ann", "bob")
    settled: list[str] = []
    waiting = []
    for n in range(60):
        commit = Commit(
            log=talk.log,
            sender="ann",
            op=f"x{n}",
            hash=b"h" * 16,
            at=1,
            writes=HI,
            touch=None,
            state=b"{}" if n % 7 == 3 else None,
        )
        future = talk.store.commit(commit)
        future.add_done_callback(lambda f, n=n: settled.append(f"x{n}"))
        waiting.append(future)

    done = await asyncio.gather(*waiting)

    assert [d.last for d in done] == list(range(1, 61))
    assert settled == [f"x{n}" for n in range(60)]
    page = await talk.store.read(talk.log, "ann", limit=60)
    assert [e.op for e in page.entries] == settled


async def test_O3_the_clock_orders_nothing(talk: Talk) -> None:
    await talk.create("ann")
    hour = 3_600_000
    for n, at in enumerate((hour * 9, hour * 8, 0, hour * 9)):
        await append(talk, f"x{n}", at=at)

    page = await talk.store.read(talk.log, "ann")

    assert [(e.seq, e.at // hour) for e in page.entries] == [(1, 9), (2, 8), (3, 0), (4, 9)]


@pytest.mark.parametrize("size", [1, 2, 6, 7, 8, 12, 13])
@pytest.mark.parametrize("newest", [False, True])
async def test_O5_pages_of_any_size_meet(talk: Talk, size: int, newest: bool) -> None:
    """12 entries: pages of exactly that, one less, one more, and of half."""
    await talk.create("ann", "bob")
    for _ in range(12):
        await talk.say()
    seen: list[int] = []
    low, high = 1, 12
    while True:
        page = await talk.store.read(talk.log, "bob", low=low, high=high, limit=size, newest=newest)
        part = [e.seq for e in page.entries]
        assert part == list(range(part[0], part[0] + len(part)))
        seen = [*part, *seen] if newest else [*seen, *part]
        if newest:
            high = part[0] - 1
        else:
            low = part[-1] + 1
        assert page.more == (len(seen) < 12)
        if not page.more:
            break
    assert seen == list(range(1, 13))


async def test_O5_entries_that_arrive_while_paging_are_met_once(talk: Talk) -> None:
    await talk.create("ann", "bob")
    for _ in range(5):
        await talk.say()
    seen: list[int] = []
    low, rounds = 1, 0
    while True:
        page = await talk.store.read(talk.log, "bob", low=low, limit=3)
        seen += [e.seq for e in page.entries]
        low = seen[-1] + 1
        rounds += 1
        if rounds <= 3:
            await talk.say()
        if not page.more and page.head == seen[-1] and rounds > 3:
            break
    assert seen == list(range(1, 9))


async def test_O5_an_erased_entry_at_the_edge_of_a_page_keeps_its_place(talk: Talk) -> None:
    await talk.create("ann", "bob")
    for _ in range(6):
        await talk.say()
    for edge in (3, 4):
        await talk.say(type="recall", count=False, target=edge, erases=True)

    pages = [await talk.seqs("bob", low=low, limit=3) for low in (1, 4, 7)]

    assert pages == [[1, 2, 3], [4, 5, 6], [7, 8]]


async def test_O5_ranges_outside_are_empty_not_wrong(talk: Talk) -> None:
    await talk.create("ann")
    await talk.say()
    for low, high in ((2, None), (5, 9), (1, 0), (-3, 0)):
        page = await talk.store.read(talk.log, "ann", low=low, high=high)
        assert (page.entries, page.more, page.floor, page.head) == ([], False, 1, 1)
    assert await talk.seqs("ann", low=-5, high=99) == [1]


async def test_O6_a_page_brings_what_changes_it_from_beyond(talk: Talk) -> None:
    await talk.create("ann", "bob")
    for _ in range(4):
        await talk.say()
    await talk.say(text="old", type="edit", count=False, target=2, slot="edit")
    await talk.say(text="like", type="like", count=False, target=2, slot="like:bob")
    await talk.say(text="new", type="edit", count=False, target=2, slot="edit")
    await talk.say(text="x", type="edit", count=False, target=4, slot="edit")

    first = await talk.store.read(talk.log, "bob", low=1, high=3)
    whole = await talk.store.read(talk.log, "bob")
    part = await talk.store.read(talk.log, "bob", low=2, high=6)

    assert [(e.seq, e.slot) for e in first.amends] == [(6, "like:bob"), (7, "edit")]
    assert whole.amends == []
    assert [e.seq for e in part.amends] == [7, 8]
    amended = await talk.store.amended(talk.log, [2, 4])
    assert [(e.seq, e.target) for e in amended] == [(6, 2), (7, 2), (8, 4)]
    assert await talk.store.amended(talk.log, []) == []


async def test_O6_who_left_gets_no_change_from_after(talk: Talk) -> None:
    await talk.create("ann", "bob")
    await talk.say(text="first")
    await talk.say(text="while here", type="edit", count=False, target=1, slot="edit")
    await talk.change("bob", leave=True)
    await talk.say(text="after", type="edit", count=False, target=1, slot="edit")

    page = await talk.store.read(talk.log, "bob", high=1)
    [(_, picked)] = await talk.store.pick("main", "bob", [(talk.log, 1)])
    last = (await talk.row("bob")).last

    assert [e.seq for e in page.amends] == [2]
    assert bytes(picked.body) == b'{"text":"while here"}'
    assert last is not None and last.body == picked.body


async def test_O7_a_joiner_sees_from_the_commit_that_joined(talk: Talk) -> None:
    await talk.create("ann")
    await talk.say()
    join = MemberChange(user="bob", join=True)
    await talk.commit("ann", writes=(Write("joined", b"{}"), *HI), members=(join,))
    await talk.say()

    page = await talk.store.read(talk.log, "bob")

    assert ([e.seq for e in page.entries], page.floor, page.head) == ([2, 3, 4], 2, 4)
    assert await talk.unread("bob") == 2


async def test_O7_with_history_a_joiner_sees_all(talk: Talk) -> None:
    await talk.create("ann")
    await talk.say()
    await talk.change("bob", join=True, history=True)

    assert await talk.seqs("bob") == [1]
    assert await talk.unread("bob") == 1


async def test_O7_a_silent_joiner_sees_what_comes(talk: Talk) -> None:
    await talk.create("ann")
    await talk.say()
    await talk.change("bob", join=True)

    page = await talk.store.read(talk.log, "bob")
    assert (page.entries, page.floor, page.head) == ([], 2, 1)
    assert await talk.unread("bob") == 0
    await talk.say()
    assert await talk.seqs("bob") == [2]


async def test_O7_who_left_reads_up_to_the_leave_and_no_further(talk: Talk) -> None:
    await talk.create("ann", "bob")
    await talk.say()
    leave = MemberChange(user="bob", leave=True)
    await talk.commit("bob", writes=(Write("left", b"{}"),), members=(leave,))
    await talk.say()

    page = await talk.store.read(talk.log, "bob")
    member = await talk.store.member(talk.log, "bob")
    row = await talk.row("bob")

    assert ([e.seq for e in page.entries], page.head) == ([1, 2], 2)
    assert member is not None and (member.role, member.until) == (0, 2)
    assert (row.head, row.ord, row.unread, row.until, row.role) == (2, 1, 1, 2, 0)
    assert await talk.store.pick("main", "bob", [(talk.log, 3), (talk.log, 1)]) != []
    assert [log for log, _ in await talk.store.pick("main", "bob", [(talk.log, 3)])] == []


async def test_O7_who_joins_again_reads_from_there(talk: Talk) -> None:
    await talk.create("ann", "bob")
    await talk.say()
    await talk.change("bob", leave=True)
    await talk.say(text="between")
    join = MemberChange(user="bob", join=True)
    done = await talk.commit("ann", writes=(Write("joined", b"{}"),), members=(join,))
    await talk.say()

    assert (done.count, done.roster) == (2, 4)
    assert await talk.seqs("bob") == [3, 4]
    assert await talk.unread("bob") == 1
    member = await talk.store.member(talk.log, "bob")
    assert member is not None and (member.since, member.until, member.role) == (3, 0, 1)


async def test_O7_leaving_an_empty_log_shows_nothing_later(talk: Talk) -> None:
    await talk.create("ann", "bob")
    await talk.change("bob", leave=True)
    await talk.say()

    assert await talk.seqs("bob") == []
    assert (await talk.row("bob")).head == 0


async def test_O7_members_come_and_go_while_entries_arrive(talk: Talk) -> None:
    await talk.create("ann")
    waiting = []
    for n in range(40):
        waiting.append(append(talk, f"a{n}"))
        change = MemberChange(user="bob", join=n % 10 == 0, leave=n % 10 == 5)
        writes = (Write("who", b"{}"),)
        commit = Commit(
            log=talk.log,
            sender="ann",
            op=f"m{n}",
            hash=b"h" * 16,
            at=1,
            writes=writes if n % 5 == 0 else (),
            members=(change,) if n % 5 == 0 else (),
        )
        waiting.append(talk.store.commit(commit))
    done = await asyncio.gather(*waiting)
    joined, left = done[2 * 30 + 1].first, done[2 * 35 + 1].last

    assert await talk.seqs("bob", limit=99) == list(range(joined, left + 1))


async def test_O8_the_feed_is_every_entry_in_commit_order(talk: Talk) -> None:
    other = Talk(talk.store, log="main/g/other")
    await talk.create("ann")
    await other.create("ann")
    for one in (talk, other, talk, talk, other):
        await one.say()

    items = await talk.store.feed(after=0, limit=3)
    items += await talk.store.feed(after=items[-1].pos, limit=9)

    assert [(i.log, i.entry.seq) for i in items] == [
        (talk.log, 1),
        (other.log, 1),
        (talk.log, 2),
        (talk.log, 3),
        (other.log, 2),
    ]
    assert [i.pos for i in items] == sorted({i.pos for i in items})
    assert await talk.store.feed(after=items[-1].pos, limit=9) == []


async def test_O9_what_was_answered_is_read(talk: Talk) -> None:
    await talk.create("ann", "bob")
    for n in range(1, 40):
        await talk.say()
        page = await talk.store.read(talk.log, "bob", newest=True, limit=1)
        assert [e.seq for e in page.entries] == [n]
        assert (await talk.row("bob")).head == n


async def test_O10_deleted_for_me_is_hidden_to_me_alone(talk: Talk) -> None:
    await talk.create("ann", "bob")
    for _ in range(3):
        await talk.say()
    await talk.change("bob", "bob", hide=(2, 9, 0))

    mine = (await talk.store.read(talk.log, "bob")).entries
    hers = (await talk.store.read(talk.log, "ann")).entries

    assert [(e.type, bytes(e.body)) for e in mine][1] == ("hidden", b"{}")
    assert [e.type for e in hers] == ["message"] * 3
    assert [e.seq for e in mine] == [1, 2, 3]
    assert await talk.store.pick("main", "bob", [(talk.log, 2)]) == []
    await talk.say()
    assert [e.type for e in (await talk.store.read(talk.log, "bob", low=4)).entries] == ["message"]


async def test_O10_picked_entries_carry_their_edits_in_the_order_asked(talk: Talk) -> None:
    await talk.create("ann", "bob")
    for _ in range(3):
        await talk.say()
    await talk.say(text="edited", type="edit", count=False, target=1, slot="edit")

    picked = await talk.store.pick(
        "main", "bob", [(talk.log, 3), (talk.log, 1), ("main/g/none", 1), (talk.log, 9)]
    )

    assert [(e.seq, bytes(e.body)) for _, e in picked] == [
        (3, b'{"text":"hi"}'),
        (1, b'{"text":"edited"}'),
    ]
