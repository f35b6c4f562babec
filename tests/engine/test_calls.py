"""E: calls, their order, their fence, their repeats."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from hongyan.adapters.memory.store import MemoryStore
from hongyan.model.log import Commit
from hongyan.wire import frames as f
from tests.engine.rig import MAIN, Person, Rig


async def direct(a: Person, b: Person) -> str:
    ack = await a.call("chat.open", {"user": b.user})
    assert isinstance(ack, f.Ack), ack
    return ack.log


async def group(owner: Person, *others: str, **more: object) -> str:
    ack = await owner.call("chat.create", {"title": "team", "members": list(others), **more})
    assert isinstance(ack, f.Ack), ack
    return ack.log


async def test_E1_ack_only_after_commit_and_with_class(rig: Rig) -> None:
    alice, bob = await rig.person("alice"), await rig.person("bob")
    log = await direct(alice, bob)
    real, held = rig.store.commit, []

    def hold(commit: Commit) -> asyncio.Future[object]:
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        held.append((commit, future))
        return future

    rig.store.commit = hold  # type: ignore[method-assign,assignment]
    ref = alice.start_call("chat.send", {"content": {"type": "text", "text": "hi"}}, log=log)
    for _ in range(20):
        await asyncio.sleep(0)
    assert held and not [x for x in alice.link.frames if getattr(x, "ref", 0) == ref]
    assert not bob.delivered(log) or bob.delivered(log)[-1].type != "message"
    commit, future = held[0]
    future.set_result(await real(commit))
    ack = await alice.answer(ref)
    assert (ack.stage, ack.cls, ack.log) == ("stored", "durable", log)
    assert (await bob.got(log, ack.seq)).seq == ack.seq


async def test_E2_retry_after_lost_ack_gets_first_answer(rig: Rig) -> None:
    alice, bob = await rig.person("alice"), await rig.person("bob")
    log = await direct(alice, bob)
    first = await alice.send(log, "once", op="op-1")
    again = await alice.send(log, "once", op="op-1")
    assert (again.seq, again.at, again.repeat) == (first.seq, first.at, True)
    other = await alice.send(log, "twice", op="op-1")
    assert (other.code, isinstance(other, f.Fail)) == (110, True)
    page = await bob.ask(f.Read(ref=0, log=log, after=0))
    assert [e.type for e in page.entries].count("message") == 1


async def test_E2_retry_of_what_would_be_refused_now(rig: Rig) -> None:
    alice = await rig.person("alice")
    await rig.user("bob")
    bob = await rig.person("bob")
    log = await group(alice, "bob")
    left = await bob.call("chat.leave", {}, log=log, op="go")
    assert isinstance(left, f.Ack), left
    again = await bob.call("chat.leave", {}, log=log, op="go")
    assert isinstance(again, f.Ack) and again.repeat and again.seq == left.seq
    fresh = await bob.call("chat.leave", {}, log=log, op="other")
    assert isinstance(fresh, f.Fail)


async def test_E3_order_is_kept_over_slow_and_fast_calls(rig: Rig) -> None:
    alice, bob = await rig.person("alice"), await rig.person("bob")
    log = await direct(alice, bob)
    first = await alice.send(log, "target")
    rig.node.cache.wipe()  # the next call must load; those after it could be fast
    refs = []
    for n in range(30):
        args = {"content": {"type": "text", "text": str(n)}}
        if n % 7 == 3:  # needs an entry from the store: slow
            args["reply_to"] = first.seq  # type: ignore[assignment]
        refs.append(alice.start_call("chat.send", args, log=log))
    acks = [await alice.answer(ref) for ref in refs]
    assert all(isinstance(ack, f.Ack) for ack in acks), acks
    assert [ack.seq for ack in acks] == sorted(ack.seq for ack in acks)


async def test_E4_race_decides_again(rig: Rig) -> None:
    """Eight admins change the title at once: all succeed, one after the other."""
    alice = await rig.person("alice")
    for n in range(7):
        await rig.user(f"admin{n}")
    log = await group(alice, *[f"admin{n}" for n in range(7)])
    people = [alice]
    for n in range(7):
        await alice.call("chat.set_role", {"user": f"admin{n}", "role": "admin"}, log=log)
        people.append(await rig.person(f"admin{n}"))
    rig.node.cache.wipe()
    refs = [p.start_call("chat.update", {"title": f"by {p.user}"}, log=log) for p in people]
    refs2 = [
        p.start_call("chat.send", {"content": {"type": "text", "text": p.user}}, log=log)
        for p in people
    ]
    for person, ref, ref2 in zip(people, refs, refs2, strict=True):
        update, sent = await person.answer(ref), await person.answer(ref2)
        assert isinstance(update, f.Ack) and isinstance(sent, f.Ack), (update, sent)
        assert update.seq < sent.seq
    info = await rig.store.info(log)  # type: ignore[arg-type]
    assert info is not None and b"by " in info.state


async def test_E4_muted_between_load_and_commit_cannot_speak(rig: Rig) -> None:
    """The mute commits behind the cache's back; the fence catches the stale decision."""
    alice = await rig.person("alice")
    await rig.user("bob")
    log = await group(alice, "bob")
    bob = await rig.person("bob")
    assert isinstance(await bob.send(log, "hello"), f.Ack)
    rig.bus.publish = lambda hint: None  # type: ignore[method-assign]
    assert isinstance(await alice.call("chat.mute", {"user": "bob", "seconds": 60}, log=log), f.Ack)
    state = rig.node.cache.get(log)  # type: ignore[arg-type]
    assert state is not None and not state.members["bob"].muted_until  # type: ignore[index]
    refused = await bob.send(log, "still here?")
    assert isinstance(refused, f.Fail) and refused.code == 204


async def test_E23_both_open_at_once(rig: Rig) -> None:
    alice, bob = await rig.person("alice"), await rig.person("bob")
    refs = (
        alice.start_call("chat.open", {"user": "bob"}),
        bob.start_call("chat.open", {"user": "alice"}),
    )
    a, b = await alice.answer(refs[0]), await bob.answer(refs[1])
    assert isinstance(a, f.Ack) and isinstance(b, f.Ack) and a.log == b.log == "main/d/alice~bob"
    members = await rig.store.members(a.log)
    assert [m.user for m in members] == ["alice", "bob"]


async def test_E9_other_tenant_does_not_exist(rig: Rig) -> None:
    alice, bob = await rig.person("alice"), await rig.person("bob")
    log = await direct(alice, bob)
    from hongyan.model.ids import TenantId, UserId
    from hongyan.ports import User

    await rig.directory.put_user(User(tenant=TenantId("other"), user=UserId("alice")))
    token = await rig.node.authenticator.grant(TenantId("other"), UserId("alice"))
    spy = Person(rig, "alice", "spy")
    await spy.hello(token)
    for answer in (
        await spy.send(log, "x"),
        await spy.ask(f.Read(ref=0, log=log, after=0)),
        await spy.query("members", log),
        await spy.ask(f.Subscribe(ref=0, log=log)),
        await spy.ask(f.Cursor(log=log, read=1)),
    ):
        assert isinstance(answer, f.Fail) and answer.code == 108, answer


@pytest.mark.parametrize("who", ["carol", "bob"])
async def test_E10_not_a_member_reads_and_writes_nothing(rig: Rig, who: str) -> None:
    """carol never was one; bob has left: he reads what he could before, nothing after."""
    alice = await rig.person("alice")
    await rig.user("bob")
    log = await group(alice, "bob")
    bob = await rig.person("bob")
    last = await bob.call("chat.leave", {}, log=log)
    after = await alice.send(log, "secret")
    person = bob if who == "bob" else await rig.person("carol")
    assert isinstance(await person.send(log, "x"), f.Fail)
    assert isinstance(await person.ask(f.Subscribe(ref=0, log=log)), f.Fail)
    assert isinstance(await person.query("members", log), f.Fail)
    assert isinstance(await person.query("receipts", log, seq=1), f.Fail)
    page = await person.ask(f.Read(ref=0, log=log, after=0, limit=100))
    if who == "carol":
        assert isinstance(page, f.Fail) and page.code == 202
    else:
        assert page.head == last.seq < after.seq
        assert all(e.seq <= last.seq for e in page.entries)
    person.say(f.Signal(log=log, name="typing"))
    assert isinstance(await alice.send(log, "sync point"), f.Ack)
    assert not [x for x in alice.link.frames if isinstance(x, f.Signal)]


async def test_E21_every_ref_gets_one_answer(rig: Rig) -> None:
    alice, bob = await rig.person("alice"), await rig.person("bob")
    log = await direct(alice, bob)
    raw = msgspec.Raw
    weird = [
        f.Call(ref=1001, name="no.such", op="a", log=log),
        f.Call(ref=1002, name="chat.send", op="b", log=log, args=raw(b'{"content":5}')),
        f.Call(ref=1003, name="chat.send", op="c", log="main/zz/none", args=raw(b"{}")),
        f.Call(ref=1004, name="chat.send", op="d", log="", args=raw(b"{}")),
        f.Call(ref=1005, name="chat.open", op="e", log=log, args=raw(b'{"user":"carol"}')),
        f.Read(ref=1006, log=log, after=-5),
        f.Read(ref=1007, log=log, before=0, limit=10_000),
        f.Query(ref=1008, name="nope"),
        f.Query(ref=1009, name="members"),
        f.Query(ref=1010, name="search", args=raw(b'{"text":"  "}')),
        f.Sync(ref=1011, after=-1),
        f.Cursor(ref=1012, log="main/d/x~y", read=1),
        f.Subscribe(ref=1013, log="main/d/x~y"),
        f.Unsubscribe(ref=1014, log=log),
        f.Query(ref=1015, name="presence", args=raw(b'{"users":["' + b'a","' * 300 + b'"]}')),
    ]
    for frame in weird:
        alice.say(frame)
    for frame in weird:
        answer = await alice.answer(frame.ref)
        assert isinstance(answer, f.Ack if frame.ref == 1014 else f.Fail), answer
        assert getattr(answer, "code", 0) != 100, answer
    counts = [sum(getattr(x, "ref", 0) == w.ref for x in alice.link.frames) for w in weird]
    assert counts == [1] * len(weird)
    assert isinstance(await alice.send(log, "alive"), f.Ack)


async def test_E25_too_fast_is_told_when(rig: Rig) -> None:
    limited = Rig(options={"limits.rates.user": {"rate": 1, "burst": 3}})
    await limited.start()
    try:
        alice, bob = await limited.person("alice"), await limited.person("bob")
        log = await direct(alice, bob)
        assert isinstance(await alice.send(log, "1"), f.Ack)
        assert isinstance(await alice.send(log, "2"), f.Ack)
        refused = await alice.send(log, "3", op="late")
        assert isinstance(refused, f.Fail) and refused.retry and refused.retry_after_ms > 0
        limited.clock.advance(refused.retry_after_ms / 1000)
        taken = await alice.send(log, "3", op="late")
        assert isinstance(taken, f.Ack) and not taken.repeat
    finally:
        await limited.stop()


async def test_E7_cache_wiped_while_running(rig: Rig) -> None:
    alice, bob = await rig.person("alice"), await rig.person("bob")
    log = await direct(alice, bob)
    assert isinstance(rig.store, MemoryStore)
    seqs = []
    for n in range(20):
        ref = alice.start_call("chat.send", {"content": {"type": "text", "text": str(n)}}, log=log)
        rig.node.cache.wipe()
        seqs.append((await alice.answer(ref)).seq)
    assert seqs == list(range(seqs[0], seqs[0] + 20))
    await bob.got(log, seqs[-1])
    assert [e.seq for e in bob.delivered(log)] == list(range(1, seqs[-1] + 1))
    row = (await bob.query("log", log)) if True else None
    assert row["unread"] == 20 and row["head"] == seqs[-1]
    assert MAIN == "main"


async def test_E10_a_group_link_lets_in_who_has_it_and_is_never_the_same(rig: Rig) -> None:
    alice, carol = await rig.person("alice"), await rig.person("carol")
    log = await group(alice, join_mode="link")
    links = []
    for _ in range(2):
        assert isinstance(await alice.call("chat.link", {"renew": True}, log=log), f.Ack)
        links.append((await alice.query("log", log))["state"]["link"])
    assert len(set(links)) == 2 and all(len(link) == 32 for link in links)
    assert isinstance(await carol.call("chat.join", {"token": links[0]}, log=log), f.Fail)
    assert isinstance(await carol.call("chat.join", {"token": ""}, log=log), f.Fail)
    assert isinstance(await carol.call("chat.join", {"token": links[1]}, log=log), f.Ack)
    assert "link" not in (await carol.query("log", log))["state"]
