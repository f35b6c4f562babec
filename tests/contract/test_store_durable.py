"""What a store keeps: commits, repeats, fences, erasure, consumers."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from conftest import Talk

from hongyan.model.errors import Clash, Conflict, Full, NoSuchLog, NotAMember, StoreDown
from hongyan.model.log import Commit, Committed, MemberChange, Role, Write
from hongyan.ports import Store

HI = (Write("message", b'{"text":"hi"}', count=True),)


async def test_D2_a_commit_writes_entries_state_and_members_together(talk: Talk) -> None:
    done = await talk.create("ann", "bob", writes=(*HI, Write("note", b'{"n":1}')))

    assert (done.first, done.last, done.ord, done.version, done.count) == (1, 2, 1, 1, 2)
    info = await talk.store.info(talk.log)
    assert info is not None
    assert (info.head, info.ord, info.floor, info.epoch, info.version) == (2, 1, 1, 1, 1)
    assert (info.count, info.large, info.state) == (2, False, b'{"v":1}')
    assert info.created_at == done.at
    page = await talk.store.read(talk.log, "bob")
    assert [(e.type, bytes(e.body), e.sender) for e in page.entries] == [
        ("message", b'{"text":"hi"}', "ann"),
        ("note", b'{"n":1}', "ann"),
    ]


async def test_D2_an_entry_keeps_everything_it_was_written_with(talk: Talk) -> None:
    await talk.create("ann")
    write = Write("like", b'{"e":"+1"}', target=1, slot="like:ann")
    done = await talk.commit("ann", writes=(*HI, write), device="phone", op="op-9")

    entry = (await talk.store.read(talk.log, "ann")).entries[1]

    assert (entry.seq, entry.type, entry.sender, entry.at) == (2, "like", "ann", done.at)
    assert (entry.target, entry.slot, entry.op, entry.device) == (1, "like:ann", "op-9", "phone")
    assert (entry.count, entry.ord, bytes(entry.body)) == (False, 1, b'{"e":"+1"}')


async def test_D2_a_refused_commit_leaves_nothing(talk: Talk) -> None:
    await talk.create("ann")
    before = await talk.store.info(talk.log)
    with pytest.raises(Conflict):
        await talk.commit(
            "ann",
            expect=9,
            writes=HI,
            state=b'{"v":2}',
            members=(MemberChange(user="bob", join=True),),
        )

    assert await talk.store.info(talk.log) == before
    assert await talk.store.member(talk.log, "bob") is None
    assert await talk.store.feed(after=0, limit=9) == []


async def test_D3_a_repeat_gets_the_first_answer_and_writes_nothing(talk: Talk) -> None:
    await talk.create("ann", "bob")
    first = await talk.commit("ann", op="x", writes=(*HI, *HI))
    await talk.say("bob")

    again = await talk.commit("ann", op="x", writes=(*HI, *HI))

    assert again.repeat and not first.repeat
    assert (again.first, again.last, again.ord, again.at) == (1, 2, 2, first.at)
    assert again.touched == ()
    assert await talk.seqs("ann") == [1, 2, 3]


async def test_D3_a_repeat_comes_before_the_fence(talk: Talk) -> None:
    """The retry of a call that changed the state was decided on a version that is gone."""
    await talk.create("ann")
    await talk.commit("ann", op="x", expect=1, state=b'{"v":2}')

    assert (await talk.commit("ann", op="x", expect=1, state=b'{"v":2}')).repeat
    assert (await talk.create("ann", op="op1")).repeat


async def test_D3_a_repeat_without_entries_keeps_its_place(talk: Talk) -> None:
    await talk.create("ann", "bob")
    await talk.say()
    first = await talk.commit("ann", op="x", state=b'{"v":2}')
    await talk.say()

    again = await talk.commit("ann", op="x", state=b'{"v":2}')

    assert (first.first, first.last, again.first, again.last) == (2, 1, 2, 1)
    assert (again.repeat, again.version) == (True, 2)


async def test_D3_retries_at_the_same_moment_write_once(talk: Talk) -> None:
    await talk.create("ann", "bob")

    def retry() -> asyncio.Future[Committed]:
        commit = Commit(
            log=talk.log, sender="ann", op="x", hash=b"h" * 16, at=1, writes=HI, touch=None
        )
        return talk.store.commit(commit)

    answers = await asyncio.gather(*(retry() for _ in range(20)))

    assert {a.last for a in answers} == {1}
    assert [a.repeat for a in answers].count(False) == 1
    assert await talk.seqs("ann") == [1]


async def test_D4_the_same_op_with_another_payload_clashes(talk: Talk) -> None:
    await talk.create("ann")
    await talk.commit("ann", op="x", writes=HI)

    with pytest.raises(Clash):
        await talk.commit("ann", op="x", hash=b"z" * 16, writes=HI)

    assert await talk.seqs("ann") == [1]


async def test_D5_the_same_op_of_another_sender_or_log_is_another(talk: Talk) -> None:
    await talk.create("ann", "bob")
    other = Talk(talk.store, log="main/g/other", ops=talk.ops)
    await other.create("ann")

    done = [
        await talk.commit("ann", op="x", writes=HI),
        await talk.commit("bob", op="x", hash=b"z" * 16, writes=HI),
        await other.commit("ann", op="x", writes=HI),
    ]

    assert [(d.last, d.repeat) for d in done] == [(1, False), (2, False), (1, False)]


@pytest.mark.parametrize("expect", [0, 2, 99])
async def test_D6_a_commit_on_another_version_conflicts(talk: Talk, expect: int) -> None:
    await talk.create("ann")
    with pytest.raises(Conflict):
        await talk.commit("ann", expect=expect, writes=HI)
    assert await talk.seqs("ann") == []
    assert (await talk.commit("ann", expect=1, writes=HI)).last == 1
    assert (await talk.commit("ann", expect=-1, writes=HI)).last == 2


async def test_D6_of_two_creators_one_wins(talk: Talk) -> None:
    made = await asyncio.gather(talk.create("ann"), talk.create("bob"), return_exceptions=True)

    assert sorted(type(m).__name__ for m in made) == ["Committed", "Conflict"]


async def test_D6_a_version_of_a_log_that_is_not_there_conflicts(talk: Talk) -> None:
    with pytest.raises(Conflict):
        await talk.commit("ann", expect=1, writes=HI)
    assert await talk.store.info(talk.log) is None


@pytest.mark.parametrize(
    ("fields", "raised"),
    [
        ({"writes": HI}, 0),
        ({"state": b"{}"}, 1),
        ({"members": (MemberChange(user="cid", join=True),)}, 0),
        ({"members": (MemberChange(user="cid", join=True, role=Role.MEMBER),)}, 0),
        ({"members": (MemberChange(user="cid", join=True, role=Role.ADMIN),)}, 1),
        ({"members": (MemberChange(user="bob", role=Role.ADMIN),)}, 1),
        ({"members": (MemberChange(user="bob", muted_until=9),)}, 1),
        ({"members": (MemberChange(user="bob", leave=True),)}, 1),
        ({"members": (MemberChange(user="bob", settings=msgspec.Raw(b'{"a":1}')),)}, 0),
        ({"members": (MemberChange(user="bob", marked=True, clear=True, hide=(1,)),)}, 0),
        ({"state": b"{}", "members": (MemberChange(user="bob", leave=True),)}, 1),
        ({}, 0),
    ],
)
async def test_D7_what_raises_the_version(
    talk: Talk, fields: dict[str, object], raised: int
) -> None:
    await talk.create("ann", "bob")

    assert (await talk.commit("ann", **fields)).version == 1 + raised


async def test_D15_an_erased_body_is_blank_for_everybody(talk: Talk) -> None:
    await talk.create("ann", "bob")
    secret = await talk.say(text="secret")
    await talk.say(text="secret, edited", type="edit", count=False, target=secret, slot="edit")
    recall = await talk.say(type="recall", text="", count=False, target=secret, erases=True)

    page = await talk.store.read(talk.log, "bob")

    assert [bytes(e.body) for e in page.entries[:2]] == [b"{}", b"{}"]
    assert [(e.seq, e.ord, e.type) for e in page.entries] == [
        (1, 1, "message"),
        (2, 1, "edit"),
        (recall, 1, "recall"),
    ]
    feed = await talk.store.feed(after=0, limit=9)
    assert b"secret" not in msgspec.json.encode([feed, await talk.row("bob")])
    assert await talk.store.pick("main", "bob", [(talk.log, secret)]) == []


async def test_D15_an_edit_that_lost_the_race_is_stored_blank(talk: Talk) -> None:
    await talk.create("ann", "bob")
    secret = await talk.say(text="secret")
    await talk.say(type="recall", count=False, target=secret, erases=True)
    await talk.say(text="secret again", type="edit", count=False, target=secret, slot="edit")

    assert b"again" not in msgspec.json.encode(await talk.store.read(talk.log, "bob"))


async def test_D15_erasing_what_is_not_there_is_harmless(talk: Talk) -> None:
    await talk.create("ann", "bob")
    await talk.say(count=False, target=7, erases=True)
    assert await talk.say(text="not erased") == 2
    for _ in range(5):
        await talk.say()

    assert await talk.unread("bob") == 6
    assert bytes((await talk.store.read(talk.log, "bob", low=7)).entries[0].body) != b"{}"


async def test_D16_a_consumer_only_goes_forward(store: Store) -> None:
    assert await store.consumer("search") == 0
    await store.save_consumer("search", 7)
    await store.save_consumer("search", 3)
    await store.save_consumer("push", 1)

    assert (await store.consumer("search"), await store.consumer("push")) == (7, 1)


async def test_D20_a_join_beyond_the_limit_is_refused(talk: Talk) -> None:
    await talk.create("ann", "bob")
    join = MemberChange(user="cid", join=True)

    with pytest.raises(Full):
        await talk.commit("ann", members=(join,), writes=HI, max_members=2)

    assert await talk.store.member(talk.log, "cid") is None
    assert await talk.seqs("ann") == []
    swap = (MemberChange(user="bob", leave=True), join)
    assert (await talk.commit("ann", members=swap, max_members=2)).count == 2


async def test_D20_who_is_a_member_already_takes_no_place(talk: Talk) -> None:
    await talk.create("ann", "bob")
    again = MemberChange(user="bob", join=True)
    done = await talk.commit("ann", members=(again, again), max_members=2)
    assert (done.count, done.roster) == (2, 2)
    assert (await talk.commit("ann", writes=HI, max_members=1)).last == 1  # nobody joins


async def test_D21_a_closed_store_refuses(store: Store) -> None:
    talk = Talk(store)
    await talk.create("ann")
    waiting = [
        store.commit(
            Commit(log=talk.log, sender="ann", op=f"w{n}", hash=b"h" * 16, at=1, writes=HI)
        )
        for n in range(50)
    ]
    await store.close()
    await store.close()

    assert [done.last for done in await asyncio.gather(*waiting)] == list(range(1, 51))
    if type(store).__name__ == "MemoryStore":
        return  # has nothing to let go of, so stays usable
    with pytest.raises(StoreDown):
        await talk.commit("ann", writes=HI)
    with pytest.raises(StoreDown):
        await store.info(talk.log)


async def test_D23_logs_of_another_tenant_are_not_seen(talk: Talk) -> None:
    """`ann` of another tenant is somebody else, even where her name is a member here."""
    await talk.create("ann", "bob")
    await talk.say()
    far = Talk(talk.store, log="other/g/room")
    await far.create("ann")
    await far.say()

    assert await talk.store.rows("other", "ann", [talk.log]) == []
    assert [log for log, _ in await talk.store.heads("other", "ann", after=0)] == [far.log]
    rows = await talk.store.inbox("other", "ann", after=0, upto=99, limit=9)
    assert [row.log for row in rows] == [far.log]
    assert await talk.store.pick("other", "ann", [(talk.log, 1)]) == []


async def test_D2_questions_about_a_log_that_is_not_there(store: Store) -> None:
    log = "main/g/none"
    assert await store.info(log) is None
    assert await store.member(log, "ann") is None
    assert await store.members(log) == []
    assert await store.amended(log, [1]) == []
    assert await store.receipts(log) == []
    assert await store.receipt_counts(log, 1) == (0, 0)
    assert await store.rows("main", "ann", [log]) == []
    for waiting in (store.read(log, "ann"), store.move(log, "ann", read=1)):
        with pytest.raises(NoSuchLog):
            await waiting


async def test_D2_who_was_never_a_member_is_refused(talk: Talk) -> None:
    await talk.create("ann")
    for waiting in (talk.store.read(talk.log, "eve"), talk.store.move(talk.log, "eve", read=1)):
        with pytest.raises(NotAMember):
            await waiting


async def test_D2_members_are_listed_by_id_and_role(talk: Talk) -> None:
    await talk.create("cid", "ann", "bob", "Zed")
    await talk.change("bob", role=Role.ADMIN)
    await talk.change("ann", leave=True)
    store, log = talk.store, talk.log

    assert [m.user for m in await store.members(log)] == ["Zed", "bob", "cid"]
    assert [m.user for m in await store.members(log, least=0)] == ["Zed", "ann", "bob", "cid"]
    assert [m.user for m in await store.members(log, least=2)] == ["bob"]
    assert [m.user for m in await store.members(log, after="Zed", limit=1)] == ["bob"]


async def test_D2_a_member_keeps_role_mute_and_join(talk: Talk) -> None:
    done = await talk.create("ann", "bob")
    await talk.change("bob", role=Role.ADMIN, muted_until=77)

    member = await talk.store.member(talk.log, "bob")

    assert member is not None
    assert (member.role, member.muted_until, member.joined_at) == (Role.ADMIN, 77, done.at)
    assert (member.since, member.until) == (1, 0)


async def test_D2_settings_merge_key_by_key(talk: Talk) -> None:
    await talk.create("ann", "bob")
    for change in (b'{"mute":true,"draft":"a"}', b'{"draft":{"text":"b"}}', b'{"mute":null}'):
        await talk.change("bob", "bob", settings=msgspec.Raw(change))

    assert msgspec.json.decode((await talk.row("bob")).settings) == {"draft": {"text": "b"}}
    assert bytes((await talk.row("ann")).settings) == b"{}"
