"""E: sessions, fan-out, slow readers, sync, signals, presence, search, closing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hongyan.adapters.memory.bus import MemoryBus
from hongyan.model.ids import LogId, UserId
from hongyan.ports import Appended, Hint
from hongyan.wire import frames as f
from hongyan.wire.codec import CODECS
from hongyan.wire.session import heads_digest
from tests.engine.rig import MAIN, Person, Rig
from tests.engine.test_calls import direct, group

MSGPACK = CODECS["hongyan.v1.msgpack"]


async def settle(*people: Person) -> None:
    """Until what was published before has been fanned out and flushed."""
    for person in people:
        await person.query("devices")


async def test_E5_every_device_gets_each_entry_once(rig: Rig) -> None:
    alice, phone = await rig.person("alice"), await rig.person("alice", "phone", cls="phone")
    bob = await rig.person("bob", codec=MSGPACK)
    log = await direct(alice, bob)
    before = rig.node.hub.encodes
    acks = [await alice.send(log, str(n)) for n in range(5)]
    for person in (alice, phone, bob):
        await person.got(log, acks[-1].seq)
        seqs = [e.seq for e in person.delivered(log)]
        assert seqs == list(range(1, acks[-1].seq + 1)), person.device
    assert rig.node.hub.encodes - before == 5 * 2  # two codecs, three devices
    assert bob.delivered(log)[-1] == alice.delivered(log)[-1]
    assert alice.delivered(log)[-1].op == "alice-1-6"


@pytest.mark.parametrize("large_above", [512, 2])
async def test_E6_join_and_leave_while_messages_fly(large_above: int) -> None:
    rig = Rig(options={"logs.large_above": large_above})
    await rig.start()
    try:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        for name in ("carol", "dave"):
            await rig.user(name)
        carol = await rig.person("carol")
        log = await group(alice, "bob", "dave")
        refs: list[tuple[str, int]] = []
        for n in range(40):
            if n == 10:
                refs.append(
                    ("join", alice.start_call("chat.invite", {"users": ["carol"]}, log=log))
                )
            if n == 25:
                refs.append(
                    ("left", alice.start_call("chat.remove", {"users": ["carol"]}, log=log))
                )
            args = {"content": {"type": "text", "text": str(n)}}
            refs.append(("send", alice.start_call("chat.send", args, log=log)))
        acks = [(what, await alice.answer(ref)) for what, ref in refs]
        joined = next(a.seq for what, a in acks if what == "join")
        left = next(a.seq for what, a in acks if what == "left")
        await bob.got(log, acks[-1][1].seq)
        await settle(alice, bob, carol)
        assert [e.seq for e in carol.delivered(log)] == list(range(joined, left + 1))
        page = await carol.ask(f.Read(ref=0, log=log, after=0, limit=200))
        assert [e.seq for e in page.entries] == list(range(joined, left + 1))
        assert [e.seq for e in bob.delivered(log)] == list(range(1, acks[-1][1].seq + 1))
    finally:
        await rig.stop()


async def test_E8_becoming_large_changes_nothing_for_members(rig: Rig) -> None:
    small = Rig(options={"logs.large_above": 4})
    await small.start()
    try:
        alice, bob = await small.person("alice"), await small.person("bob")
        for n in range(6):
            await small.user(f"m{n}")
        log = await group(alice, "bob")
        for n in range(6):
            await alice.call("chat.invite", {"users": [f"m{n}"]}, log=log)
            ack = await bob.send(log, f"after {n}")
            assert isinstance(ack, f.Ack), ack
        await alice.got(log, ack.seq)
        for person in (alice, bob):
            assert [e.seq for e in person.delivered(log)] == list(range(1, ack.seq + 1))
        state = small.node.cache.get(LogId(log))
        assert state is not None and state.large
        late = await small.person("m5")
        assert isinstance(await late.send(log, "from a late one"), f.Ack)
        await alice.got(log, ack.seq + 1)
    finally:
        await small.stop()


async def test_E11_nothing_falls_between_sync_and_push(rig: Rig) -> None:
    """Sessions open while messages are committed: rows and pushes together are complete."""
    alice, bob = await rig.person("alice"), await rig.person("bob")
    log = await direct(alice, bob)
    for n in range(12):
        token = await rig.token("bob")
        ref = alice.start_call("chat.send", {"content": {"type": "text", "text": "x"}}, log=log)
        late = Person(rig, "bob", "web-late", bob.codec)
        late.say(f.Hello(token=token, device="web-late", cls="web"))
        ref2 = alice.start_call("chat.send", {"content": {"type": "text", "text": "y"}}, log=log)
        welcome = await late.until(lambda x: isinstance(x, f.Welcome))
        last = (await alice.answer(ref2)).seq
        await alice.answer(ref)
        head = next(row.head for row in welcome.inbox.rows if row.log == log)
        if head < last:
            await late.got(log, last)
        pushed = {e.seq for e in late.delivered(log)}
        assert pushed >= set(range(head + 1, last + 1)), (n, head, pushed)
        late.lose()


async def test_E12_read_on_one_device_shows_on_the_other(rig: Rig) -> None:
    alice, bob = await rig.person("alice"), await rig.person("bob")
    desk = await rig.person("bob", "desk", cls="desktop")
    log = await direct(alice, bob)
    ack = await alice.send(log, "hi")
    await bob.got(log, ack.seq)
    assert isinstance(await bob.ask(f.Cursor(log=log, read=ack.seq)), f.Ack)
    frame = await desk.until(
        lambda x: isinstance(x, f.Inbox) and any(r.read == ack.seq for r in x.page.rows)
    )
    assert frame.page.rows[0].unread == 0


async def test_E13_receipts_live_and_never_backwards(rig: Rig) -> None:
    alice, bob = await rig.person("alice"), await rig.person("bob")
    log = await direct(alice, bob)
    first, last = await alice.send(log, "1"), await alice.send(log, "2")
    bob.say(f.Cursor(log=log, delivered=last.seq))
    moved = await alice.until(lambda x: isinstance(x, f.Cursor) and x.delivered == last.seq)
    assert (moved.user, moved.read) == ("bob", 0)
    await bob.ask(f.Cursor(log=log, read=last.seq))
    await bob.ask(f.Cursor(log=log, read=first.seq))
    receipts = await alice.query("receipts", log, seq=last.seq)
    assert receipts["mode"] == "names" and receipts["read_by"] == ["bob"]


async def test_E14_newer_connection_and_kick(rig: Rig) -> None:
    token = await rig.token("alice")
    old = await rig.person("alice", "phone-a", cls="phone", token=token)
    new = await rig.person("alice", "phone-a", cls="phone", token=token)
    assert (await old.closed()).code == 308
    rig.clock.advance(1)
    other = await rig.person("alice", "phone-b", cls="phone")
    gone = await new.closed()
    assert (gone.code, gone.reconnect_after_ms) == (206, -1)
    late = Person(rig, "alice", "phone-a")
    late.say(f.Hello(token=token, device="phone-a", cls="phone"))
    assert (await late.closed()).code == 206
    assert other.link.closed is None


async def test_E16_slow_reader_is_bounded_and_recovers(rig: Rig) -> None:
    small = Rig(options={"limits.send_queue_bytes": 65536, "limits.send_queue_frames": 64})
    await small.start()
    try:
        alice, bob = await small.person("alice"), await small.person("bob")
        log = await direct(alice, bob)
        bob.peer.writable(False)
        for n in range(500):
            ack = await alice.send(log, "x" * 100)
            assert isinstance(ack, f.Ack), ack
            assert bob.peer.session.pending < 65536 + 4096, n
        bob.peer.writable(True)
        behind = await bob.until(lambda x: isinstance(x, f.Behind))
        assert (behind.log, behind.head) == (log, ack.seq)
        seen = {e.seq for e in bob.delivered(log)}
        after = 0
        while True:
            page = await bob.ask(f.Read(ref=0, log=log, after=after, limit=200))
            seen |= {e.seq for e in page.entries}
            if not page.more:
                break
            after = page.entries[-1].seq
        assert seen == set(range(1, ack.seq + 1))
    finally:
        await small.stop()


class LossyBus(MemoryBus):
    """Loses what it is told to lose."""

    lose = False

    def publish(self, hint: Hint) -> None:
        if not (self.lose and isinstance(hint, Appended)):
            super().publish(hint)


async def test_E17_lost_tail_is_found_by_the_digest(rig: Rig) -> None:
    bus = LossyBus()
    lossy = Rig(bus=bus)
    await lossy.start()
    try:
        alice, bob = await lossy.person("alice"), await lossy.person("bob")
        log = await direct(alice, bob)
        ack = await alice.send(log, "seen")
        await bob.got(log, ack.seq)
        token = bob.welcome.inbox.upto  # type: ignore[attr-defined]
        mine = heads_digest([(log, ack.seq)])
        bob.say(f.Ping(inbox=token))
        pong = await bob.until(lambda x: isinstance(x, f.Pong))
        assert pong.digest == mine
        bus.lose = True
        lost = await alice.send(log, "lost")
        bus.lose = False
        bob.link.frames.clear()
        bob.say(f.Ping(inbox=token))
        pong = await bob.until(lambda x: isinstance(x, f.Pong))
        assert pong.digest != mine
        inbox = await bob.ask(f.Sync(ref=0, after=token))
        assert [(r.log, r.head) for r in inbox.page.rows] == [(log, lost.seq)]
        again = await bob.ask(f.Sync(ref=0, after=inbox.page.upto))
        assert again.page.rows == []
    finally:
        await lossy.stop()


async def test_E18_typing_goes_to_the_others_only(rig: Rig) -> None:
    alice, phone = await rig.person("alice"), await rig.person("alice", "phone", cls="phone")
    bob, carol = await rig.person("bob"), await rig.person("carol")
    log = await direct(alice, bob)
    alice.say(f.Signal(log=log, name="typing", user="carol", device="fake"))
    for person in (bob, phone):
        got = await person.until(lambda x: isinstance(x, f.Signal))
        assert (got.user, got.device, got.name) == ("alice", "alice-1", "typing")
    alice.say(f.Signal(log=log, name="no.such"))
    await settle(alice, bob, carol)
    for person, count in ((alice, 0), (carol, 0), (bob, 1)):
        assert sum(isinstance(x, f.Signal) for x in person.link.frames) == count
    assert (await rig.store.info(LogId(log))).head == (await bob.query("log", log))["head"]  # type: ignore[union-attr]


async def test_E19_presence_for_those_who_share_a_conversation(rig: Rig) -> None:
    alice, bob, carol = [await rig.person(name) for name in ("alice", "bob", "carol")]
    await direct(alice, bob)
    states = await alice.query("presence", users=["bob", "carol"], watch=True)
    assert [(s["user"], s["state"]) for s in states["presence"]] == [("bob", "online")]
    bob.lose()
    rig.clock.advance(10)
    gone = await alice.until(lambda x: isinstance(x, f.Signal) and x.name == "presence")
    assert gone.user == "bob" and b"offline" in bytes(gone.body)
    assert not [x for x in carol.link.frames if isinstance(x, f.Signal)]


async def test_E20_search_finds_only_what_may_be_read(rig: Rig) -> None:
    alice, bob, carol = [await rig.person(name) for name in ("alice", "bob", "carol")]
    log = await direct(alice, bob)
    kept = await alice.send(log, "明天发票 invoice")
    recalled = await alice.send(log, "发票 recalled")
    hidden = await alice.send(log, "发票 hidden")
    assert isinstance(await alice.call("chat.recall", {"seq": recalled.seq}, log=log), f.Ack)
    assert isinstance(await bob.call("chat.delete", {"seqs": [hidden.seq]}, log=log), f.Ack)
    await rig.node.consumers[0].caught_up()
    found = await bob.query("search", text="发票")
    assert [hit["entry"]["seq"] for hit in found["hits"]] == [kept.seq]
    mine = await alice.query("search", log, text="发票")
    assert [hit["entry"]["seq"] for hit in mine["hits"]] == [hidden.seq, kept.seq]
    assert (await carol.query("search", text="发票"))["hits"] == []
    assert isinstance(await carol.query("search", log, text="发票"), f.Fail)


async def test_E24_receipts_names_counts_off(rig: Rig) -> None:
    few = Rig(options={"kinds": {"group": {"receipt_names": 3, "receipt_counts": 4}}})
    await few.start()
    try:
        alice = await few.person("alice")
        for n in range(5):
            await few.user(f"m{n}")
        log = await group(alice, "m0", "m1")
        seq = (await alice.send(log, "x")).seq
        assert (await alice.query("receipts", log, seq=seq))["mode"] == "names"
        await alice.call("chat.invite", {"users": ["m2"]}, log=log)
        counts = await alice.query("receipts", log, seq=seq)
        assert counts["mode"] == "counts" and "read_by" not in counts
        await alice.call("chat.invite", {"users": ["m3"]}, log=log)
        assert (await alice.query("receipts", log, seq=seq))["mode"] == "off"
    finally:
        await few.stop()


async def test_E15_silent_connections_are_closed() -> None:
    quick = Rig(
        options={"limits.handshake_ms": 40, "limits.heartbeat_ms": 1000, "presence.ttl_ms": 4000}
    )
    await quick.start()
    try:
        mute = Person(quick, "nobody", "x")
        alice = await quick.person("alice")
        quick.clock.advance(1.5)
        assert (await mute.closed()).code == 309
        assert alice.link.closed is None
        quick.clock.advance(2.5)
        assert (await alice.closed()).code == 309
    finally:
        await quick.stop()


async def test_E22_closing_answers_what_was_accepted(rig: Rig) -> None:
    alice, bob = await rig.person("alice"), await rig.person("bob")
    log = await direct(alice, bob)
    ref = alice.start_call("chat.send", {"content": {"type": "text", "text": "x"}}, log=log)
    stopping = asyncio.create_task(rig.node.stop(1.0))
    answer = await alice.answer(ref)
    assert isinstance(answer, f.Ack)
    assert (await alice.closed()).code == 306
    await stopping
    times: Any = {x.reconnect_after_ms for x in alice.link.frames if isinstance(x, f.Goodbye)}
    assert all(at > 0 for at in times)


async def test_E10_unsubscribed_connection_gets_no_pushes_until_it_subscribes(rig: Rig) -> None:
    alice, bob = await rig.person("alice"), await rig.person("bob")
    log = await direct(alice, bob)
    assert isinstance(await bob.ask(f.Unsubscribe(ref=0, log=log)), f.Ack)
    await alice.send(log, "unseen")
    ack = await bob.ask(f.Subscribe(ref=0, log=log))
    assert ack.seq == 1
    last = await alice.send(log, "seen")
    await bob.got(log, last.seq)
    assert [e.seq for e in bob.delivered(log)] == [2]


async def test_E12_who_asks_to_join_shows_on_the_admins_screen(rig: Rig) -> None:
    """A change of state without an entry is pushed as a row to those who may see it."""
    alice, carol = await rig.person("alice"), await rig.person("carol")
    log = await group(alice, join_mode="approve")
    assert isinstance(await carol.call("chat.join", {}, log=log), f.Ack)
    frame = await alice.until(
        lambda x: isinstance(x, f.Inbox) and any(b"carol" in bytes(r.state) for r in x.page.rows)
    )
    assert frame.page.rows[0].log == log


async def test_E26_pages_and_rows_are_bounded_in_bytes(rig: Rig) -> None:
    """Answers stop at about 1 MiB and say so; paging on gives everything once."""
    alice, bob = await rig.person("alice"), await rig.person("bob")
    log = await direct(alice, bob)
    big = {"content": {"type": "custom", "of": "big", "data": {"x": "y" * 60_000}}}
    for _ in range(40):
        assert isinstance(await alice.call("chat.send", big, log=log), f.Ack)
    seen: list[int] = []
    while True:
        page = await bob.ask(f.Read(ref=0, log=log, after=seen[-1] if seen else 0, limit=200))
        assert sum(len(bytes(e.body)) for e in page.entries) <= 1 << 20
        seen += [e.seq for e in page.entries]
        if not page.more:
            break
    assert seen == list(range(1, 41))
    back = await bob.ask(f.Read(ref=0, log=log, before=0, limit=200))
    assert back.more and back.entries[-1].seq == 40 and len(back.entries) < 20


async def test_E27_session_ends_with_its_token() -> None:
    rig = Rig(options={"limits.handshake_ms": 40})
    await rig.start()
    try:
        await rig.user("alice")
        token = await rig.node.authenticator.grant(MAIN, UserId("alice"), ttl_s=60)
        alice = await rig.person("alice", token=token)
        rig.clock.jump_wall(61_000)
        gone = await alice.closed()
        assert (gone.code, gone.reconnect_after_ms) == (201, 0)
    finally:
        await rig.stop()


async def test_E12_newcomers_see_the_nicknames_that_were_set_before(rig: Rig) -> None:
    alice, bob, carol = [await rig.person(name) for name in ("alice", "bob", "carol")]
    log = await group(alice, "bob")
    set_up = await bob.call("chat.settings", {"nickname": "鲍勃", "mute": True}, log=log)
    assert isinstance(set_up, f.Ack), set_up
    assert isinstance(await alice.call("chat.invite", {"users": ["carol"]}, log=log), f.Ack)
    members = (await carol.query("members", log))["members"]
    assert {m["user"]: m["nickname"] for m in members} == {"alice": "", "bob": "鲍勃", "carol": ""}
    assert "settings" not in members[1]
