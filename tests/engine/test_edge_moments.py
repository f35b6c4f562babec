"""E: moments that break other systems: clocks, cursors, page edges, comings and goings, kicks."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from hongyan.app import build_engine
from hongyan.engine.callers import Caller
from hongyan.model.ids import DeviceId, LogId, OpId, Seq, UserId
from hongyan.ports import User
from hongyan.wire import frames as f
from tests.engine.rig import MAIN, Person, Rig
from tests.engine.test_calls import direct, group
from tests.engine.test_edge_faults import rigged, turns


def text(words: str) -> dict[str, Any]:
    return {"content": {"type": "text", "text": words}}


async def row(person: Person, log: str) -> Any:
    """The person's row, as the server has it now; fields at their default are left out."""
    found = await person.query("log", log)
    assert isinstance(found, dict), found
    return found


async def everything(person: Person, log: str, limit: int = 200) -> list[Any]:
    """All entries the person may read, page by page."""
    seen: list[Any] = []
    while True:
        after = seen[-1].seq if seen else Seq(0)
        page = await person.ask(f.Read(ref=0, log=LogId(log), after=after, limit=limit))
        seen += page.entries
        if not page.more:
            return seen


# --- clocks -------------------------------------------------------------------------------------


async def test_O3_E3_clock_one_hour_back_while_sending(rig: Rig) -> None:
    alice, bob = await rig.person("alice"), await rig.person("bob")
    log = await direct(alice, bob)
    refs = []
    for n in range(60):
        if n == 30:
            rig.clock.jump_wall(-3_600_000)
        refs.append(alice.start_call("chat.send", text(str(n)), log=log))
        refs.append(bob.start_call("chat.send", text(str(n)), log=log))
    acks = [await p.answer(r) for p, r in zip([alice, bob] * 60, refs, strict=True)]
    seqs = [ack.seq for ack in acks]
    assert sorted(seqs) == list(range(1, 121))
    for person, own in ((alice, seqs[::2]), (bob, seqs[1::2])):
        assert own == sorted(own)
        await person.got(log, Seq(120))
        assert [e.seq for e in person.delivered(log)] == list(range(1, 121))
    pages = await everything(bob, log, limit=50)
    assert [e.seq for e in pages] == list(range(1, 121))
    assert pages[0].at - pages[-1].at == 3_600_000  # `at` is told as it was, and orders nothing
    assert isinstance(await alice.call("chat.edit", {"seq": 119, **text("now")}, log=log), f.Ack)
    assert (await row(alice, log)).get("unread", 0) == 1  # bob's after her last


async def test_O3_O1_64k_sends_of_one_millisecond(rig: Rig) -> None:
    """Time stands still; the order of each sender's calls is the order in the log."""
    names = ["alice", "bob", "carol", "dave"]
    alice = await rig.person("alice")
    for name in names[1:]:
        await rig.user(name)
    log = LogId(await group(alice, *names[1:]))
    alice.lose()
    callers = [Caller(MAIN, UserId(name), DeviceId("d")) for name in names]
    answers: dict[str, list[Any]] = {name: [] for name in names}
    args = msgspec.Raw(msgspec.json.encode(text("x")))
    for n in range(1, 16 * 1024 + 1):
        for caller in callers:
            call = f.Call(ref=n, name="chat.send", op=OpId(f"{n}"), log=log, args=args)
            rig.node.gateway._p.pipeline.submit(caller, call, answers[caller.user].append)
        if n % 64 == 0:
            await asyncio.sleep(0)
    assert await rig.node.gateway._p.pipeline.idle(60)
    seqs: list[int] = []
    for acks in answers.values():
        assert [ack.ref for ack in acks] == list(range(1, 16 * 1024 + 1))
        mine = [ack.seq for ack in acks]
        assert mine == sorted(mine)
        seqs += mine
    assert sorted(seqs) == list(range(2, 64 * 1024 + 2))
    page = await rig.store.read(log, UserId("bob"), limit=200, newest=True)
    assert [e.seq for e in page.entries] == list(range(64 * 1024 - 198, 64 * 1024 + 2))
    assert len({e.at for e in page.entries}) == 1
    assert [e.ord for e in page.entries] == [e.seq - 1 for e in page.entries]


# --- cursors ------------------------------------------------------------------------------------


async def test_E13_U2_a_stale_device_moves_nothing(rig: Rig) -> None:
    alice, bob = await rig.person("alice"), await rig.person("bob")
    stale = await rig.person("bob", "old", cls="desktop")
    log = await direct(alice, bob)
    for n in range(5):
        await alice.send(log, str(n))
    await bob.ask(f.Cursor(log=LogId(log), read=Seq(5)))
    told = len([x for x in alice.link.frames if isinstance(x, f.Cursor)])
    for seq in (1, 4, 0):
        assert isinstance(await stale.ask(f.Cursor(log=LogId(log), read=Seq(seq))), f.Ack)
    await turns()
    now = await row(bob, log)
    assert (now["read"], now.get("unread", 0)) == (5, 0)
    cursors = [x.read for x in alice.link.frames if isinstance(x, f.Cursor)]
    assert cursors == sorted(cursors) and len(cursors) <= told + 1


@pytest.mark.parametrize("first", ["read", "mark"])
async def test_U7_E12_one_device_reads_while_another_marks_unread(rig: Rig, first: str) -> None:
    """The mark that came after what the reader had seen stays; both devices agree."""
    alice, phone = await rig.person("alice"), await rig.person("bob", "phone", cls="phone")
    desk = await rig.person("bob", "desk", cls="desktop")
    log = await direct(alice, phone)
    sent = await alice.send(log, "hi")
    seen = (await row(phone, log)).get("mark", 0)
    cursor = f.Cursor(log=LogId(log), read=sent.seq, mark=seen, ref=901)
    if first == "read":
        phone.say(cursor)
        ref = desk.start_call("chat.mark_unread", {}, log=log)
    else:
        ref = desk.start_call("chat.mark_unread", {}, log=log)
        phone.say(cursor)
    assert isinstance(await desk.answer(ref), f.Ack)
    assert isinstance(await phone.answer(901), f.Ack)
    await turns()
    now = await row(phone, log)
    assert (now["read"], now.get("unread", 0), now.get("marked", False)) == (1, 0, True)
    for device in (phone, desk):
        pushed = [r for x in device.link.frames if isinstance(x, f.Inbox) for r in x.page.rows]
        assert (pushed[-1].marked, pushed[-1].read, pushed[-1].mark) == (True, 1, now["mark"])
    await phone.ask(f.Cursor(log=LogId(log), mark=now["mark"]))
    assert not (await row(desk, log)).get("marked", False)


async def test_U2_E10_read_above_the_head_and_in_a_left_conversation(rig: Rig) -> None:
    alice = await rig.person("alice")
    await rig.user("bob")
    log = await group(alice, "bob")
    bob = await rig.person("bob")
    await alice.send(log, "1")
    assert isinstance(await bob.ask(f.Cursor(log=LogId(log), read=Seq(10**9))), f.Ack)
    assert (await row(bob, log))["read"] == 2
    await alice.send(log, "2")
    assert (await row(bob, log))["unread"] == 1  # a cursor above the head does not read ahead
    left = await bob.call("chat.leave", {}, log=log)
    await alice.send(log, "3")
    assert isinstance(await bob.ask(f.Cursor(log=LogId(log), read=Seq(10**9))), f.Ack)
    now = await row(bob, log)
    assert (now["read"], now["until"], now["head"]) == (left.seq, left.seq, left.seq)
    assert now.get("unread", 0) == 0
    carol = await rig.person("carol")
    refused = await carol.ask(f.Cursor(log=LogId(log), read=Seq(1)))
    assert isinstance(refused, f.Fail) and refused.code == 202


async def test_U4_E5_own_sends_leave_the_other_device_read(rig: Rig) -> None:
    alice, phone = await rig.person("alice"), await rig.person("alice", "phone", cls="phone")
    bob = await rig.person("bob")
    log = await direct(alice, bob)
    for n in range(3):
        sent = await alice.send(log, str(n), op=f"op-{n}")
        await alice.got(log, sent.seq)
        await phone.got(log, sent.seq)
    assert [e.op for e in alice.delivered(log)] == ["op-0", "op-1", "op-2"]
    for device in (alice, phone):
        assert (await row(device, log)).get("unread", 0) == 0
    assert (await row(bob, log))["unread"] == 3


# --- unread -------------------------------------------------------------------------------------


async def test_U5_U6_recall_edit_and_delete_below_and_above_the_cursor(rig: Rig) -> None:
    alice, bob = await rig.person("alice"), await rig.person("bob")
    log = await direct(alice, bob)
    for n in range(1, 11):
        assert (await alice.send(log, str(n))).seq == n
    await bob.ask(f.Cursor(log=LogId(log), read=Seq(5)))

    async def unread() -> int:
        return int((await row(bob, log)).get("unread", 0))

    async def alice_does(name: str, **args: Any) -> None:
        assert isinstance(await alice.call(name, args, log=log), f.Ack)

    async def bob_does(name: str, **args: Any) -> None:
        assert isinstance(await bob.call(name, args, log=log), f.Ack)

    assert await unread() == 5
    await alice_does("chat.recall", seq=3)  # below
    await alice_does("chat.edit", seq=4, **text("edited"))
    await bob_does("chat.delete", seqs=[2])
    assert await unread() == 5
    await alice_does("chat.edit", seq=7, **text("edited"))  # above
    assert await unread() == 5
    await alice_does("chat.recall", seq=8)
    assert await unread() == 4
    await bob_does("chat.delete", seqs=[9, 10])
    assert await unread() == 2
    await alice_does("chat.recall", seq=9)  # hidden already: counted once
    assert await unread() == 2
    await bob_does("chat.clear")
    now = await row(bob, log)
    assert (now.get("unread", 0), now.get("last")) == (0, None)
    again, now = await alice.send(log, "a new beginning"), await row(bob, log)
    assert (now["unread"], now["last"]["seq"]) == (1, again.seq)
    page = await bob.ask(f.Read(ref=0, log=LogId(log), after=Seq(0), limit=200))
    assert [e.seq for e in page.entries] == [again.seq] and page.floor == again.seq
    theirs = await everything(alice, log)
    assert [e.seq for e in theirs] == list(range(1, again.seq + 1))


# --- pages --------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [9, 10, 11, 19, 20, 21])
@pytest.mark.parametrize("way", ["after", "before"])
async def test_O5_O6_pages_meet_while_messages_arrive_and_are_recalled(
    rig: Rig, limit: int, way: str
) -> None:
    """20 messages; between two pages one arrives and the one at the boundary is recalled."""
    alice, bob = await rig.person("alice"), await rig.person("bob")
    log = await direct(alice, bob)
    for n in range(1, 21):
        await alice.send(log, str(n))
    seen: list[Any] = []
    recalled: set[int] = set()
    at = Seq(0)
    while True:
        where: Any = {way: at}
        page = await bob.ask(f.Read(ref=0, log=LogId(log), limit=limit, **where))
        seen = seen + page.entries if way == "after" else page.entries + seen
        for entry in page.entries:
            if entry.seq in recalled:
                assert bytes(entry.body) == b"{}"
        if not page.more:
            break
        edge = page.entries[-1 if way == "after" else 0]
        at = edge.seq
        if len(recalled) < 3:
            assert isinstance(await alice.send(log, "meanwhile"), f.Ack)
            beside = [e for e in (edge.seq, edge.seq + (1 if way == "after" else -1)) if e <= 20]
            for seq in beside[:1] if edge.type == "message" else []:
                assert isinstance(await alice.call("chat.recall", {"seq": seq}, log=log), f.Ack)
                recalled.add(seq)
    seqs = [e.seq for e in seen]
    assert seqs == list(range(seqs[0], seqs[-1] + 1))
    assert seqs[0] == 1 and seqs[-1] >= 20
    if way == "after":
        info = await rig.store.info(LogId(log))
        assert info is not None and seqs[-1] == info.head
    fresh = {e.seq: e for e in await everything(bob, log)}
    assert all(bytes(fresh[Seq(seq)].body) == b"{}" for seq in recalled)


# --- comings and goings -------------------------------------------------------------------------


@pytest.mark.parametrize("large_above", [512, 2])
async def test_E6_O7_join_leave_and_rejoin_while_messages_fly(large_above: int) -> None:
    async with rigged(options={"logs.large_above": large_above}) as rig:
        alice, carol = await rig.person("alice"), await rig.person("carol")
        bob = await rig.person("bob")
        log = await group(alice, "bob")
        marks: dict[int, tuple[str, str]] = {
            8: ("chat.invite", "in"),
            20: ("chat.remove", "out"),
            30: ("chat.invite", "in again"),
            40: ("chat.remove", "out again"),
            41: ("chat.invite", "back at once"),
        }
        refs: list[tuple[str, int]] = []
        for n in range(55):
            if n in marks:
                name, what = marks[n]
                refs.append((what, alice.start_call(name, {"users": ["carol"]}, log=log)))
            refs.append(("send", alice.start_call("chat.send", text(str(n)), log=log)))
            refs.append(("send", alice.start_call("chat.send", text(str(n)), log=log)))
            if n % 5 == 0:
                await asyncio.sleep(0)
        acks = [(what, await alice.answer(ref)) for what, ref in refs]
        at = {what: ack.seq for what, ack in acks if what != "send"}
        head = max(ack.seq for _, ack in acks)
        await carol.got(log, Seq(head))
        await bob.got(log, Seq(head))
        expected = [
            *range(at["in"], at["out"] + 1),
            *range(at["in again"], at["out again"] + 1),
            *range(at["back at once"], head + 1),
        ]
        assert [e.seq for e in carol.delivered(log)] == expected
        assert [e.seq for e in bob.delivered(log)] == list(range(1, head + 1))
        pages = await everything(carol, log)
        assert [e.seq for e in pages] == list(range(at["back at once"], head + 1))
        now = await row(carol, log)
        assert now["since"] == at["back at once"]
        assert now["unread"] == sum(e.count for e in pages)


async def test_E6_E8_ten_thousand_join_in_a_burst_while_others_send() -> None:
    """A group of 40 becomes one of 10,040; nobody sees what was before the own join."""
    async with rigged() as rig:
        names = [f"u{n:05}" for n in range(10_040)]
        for name in names:
            await rig.directory.put_user(User(tenant=MAIN, user=UserId(name)))
        alice, writer = await rig.person("alice"), await rig.person(names[0])
        log = await group(alice, *names[:40])
        watchers = [await rig.person(names[40 + 250 * n]) for n in range(40)]
        refs, sends = [], []
        for start in range(40, len(names), 100):
            refs.append(
                alice.start_call("chat.invite", {"users": names[start : start + 100]}, log=log)
            )
            sends += [writer.start_call("chat.send", text(str(start)), log=log) for _ in range(3)]
            await alice.answer(refs[-1])
        assert all([isinstance(await alice.answer(ref), f.Ack) for ref in refs])
        acks = [await writer.answer(ref) for ref in sends]
        assert all(isinstance(ack, f.Ack) for ack in acks)
        last = await writer.send(log, "all here?")
        info = await rig.store.info(LogId(log))
        assert info is not None and info.count == 10_041 and info.large
        for watcher in watchers:
            await watcher.got(log, last.seq)
            member = await rig.store.member(LogId(log), UserId(watcher.user))
            assert member is not None
            seqs = [e.seq for e in watcher.delivered(log)]
            assert seqs == list(range(member.since, last.seq + 1)), watcher.user
            first = await watcher.ask(f.Read(ref=0, log=LogId(log), after=Seq(0), limit=1))
            assert first.entries[0].seq == member.since == first.floor
            assert first.entries[0].type == "joined"


# --- sessions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["old first", "new first"])
async def test_E14_A13_both_devices_come_back_at_once(rig: Rig, order: str) -> None:
    """The newer login stays whichever hello arrives first; each side is told why, once."""
    old_token = await rig.token("alice")
    rig.clock.advance(1)
    new_token = await rig.token("alice")
    hellos = [("old", old_token), ("new", new_token)]
    for _ in range(5):
        people = {}
        for device, token in hellos if order == "old first" else hellos[::-1]:
            person = people[device] = Person(rig, "alice", device)
            person.say(f.Hello(token=token, device=device, cls="phone"))
        await people["new"].until(lambda x: isinstance(x, f.Welcome))
        gone = await people["old"].closed()
        assert (gone.code, gone.reconnect_after_ms) == (206, -1)
        await turns()
        assert people["new"].link.closed is None
        assert [p.session.device for p in rig.node.hub.users["main/alice"]] == ["new"]  # type: ignore[index]
        people["new"].lose()


async def test_P4_E19_after_a_restart_nobody_is_online_until_they_are_back() -> None:
    async with rigged() as before:
        alice, bob = await before.person("alice"), await before.person("bob")
        await direct(alice, bob)
        online = await alice.query("presence", users=["bob"])
        assert online["presence"][0]["state"] == "online"
        store, directory = before.store, before.directory
    after = Rig(store=store)
    after.directory = directory
    after.node = _node_on(after)
    await after.start()
    try:
        alice = await after.person("alice")
        states = await alice.query("presence", users=["bob"], watch=True)
        assert states["presence"][0]["state"] == "offline"
        await after.person("bob")
        back = await alice.until(lambda x: isinstance(x, f.Signal) and x.name == "presence")
        assert (back.user, b"online" in bytes(back.body)) == ("bob", True)
    finally:
        await after.stop()


def _node_on(rig: Rig) -> Any:
    return build_engine(
        rig.config,
        store=rig.store,
        directory=rig.directory,
        search=rig.search,
        bus=rig.bus,
        clock=rig.clock,
        secret=b"s" * 32,
    )
