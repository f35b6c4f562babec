"""E: what one client may cost: questions, signs of life, signals and cursors are limited too."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hongyan.model.errors import Overloaded, TooFast
from hongyan.model.ids import LogId, Seq, UserId
from hongyan.wire import frames as f
from tests.engine.rig import MAIN, Person, Rig
from tests.engine.test_calls import direct
from tests.engine.test_edge_faults import Gate, rigged, turns

FEW = {"limits.rates.asks": {"rate": 1, "burst": 5}}


@pytest.mark.parametrize("what", ["read", "sync", "query", "subscribe", "cursor"])
async def test_E28_too_many_questions_are_told_when_to_ask_again(what: str) -> None:
    async with rigged(options=FEW) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        log = await direct(alice, bob)
        await alice.send(log, "x")
        asks: dict[str, Any] = {
            "read": lambda: f.Read(ref=0, log=log, after=0),
            "sync": lambda: f.Sync(ref=0, after=0),
            "query": lambda: f.Query(ref=0, name="devices"),
            "subscribe": lambda: f.Subscribe(ref=0, log=log),
            "cursor": lambda: f.Cursor(log=log, read=Seq(1)),
        }
        answers = [await bob.ask(asks[what]()) for _ in range(6)]
        assert not any(isinstance(answer, f.Fail) for answer in answers[:5]), answers
        refused = answers[5]
        assert isinstance(refused, f.Fail) and refused.code == 303 and refused.retry_after_ms > 0
        assert isinstance(await bob.send(log, "calls have limits of their own"), f.Ack)
        rig.clock.advance(refused.retry_after_ms / 1000)
        assert not isinstance(await bob.ask(asks[what]()), f.Fail)


async def test_E28_questions_over_http_are_limited_with_those_of_the_user() -> None:
    async with rigged(options=FEW) as rig:
        await rig.user("alice")
        who = await rig.node.authenticator.authenticate(await rig.token("alice"))
        for _ in range(5):
            await rig.node.gateway.sync(who, f.Sync(ref=1, after=0))
        with pytest.raises(TooFast):
            await rig.node.gateway.sync(who, f.Sync(ref=1, after=0))
        with pytest.raises(TooFast):
            await rig.node.gateway.query(who, f.Query(ref=1, name="devices"))


async def test_E28_pings_are_answered_one_at_a_time(rig: Rig) -> None:
    alice = await rig.person("alice")
    gate = Gate(rig.store, "heads")
    for _ in range(200):
        alice.say(f.Ping())
    await turns()
    assert gate.calls == 1
    gate.open.set()
    await alice.until(lambda x: isinstance(x, f.Pong))
    alice.link.frames.clear()
    alice.say(f.Ping())
    await alice.until(lambda x: isinstance(x, f.Pong))
    assert gate.calls == 2


async def test_E28_signals_to_logs_that_are_not_there_are_limited_before_they_are_looked_for() -> (
    None
):
    few = {"limits.rates.connection": {"rate": 1, "burst": 5}}
    async with rigged(options=few) as rig:
        alice = await rig.person("alice")
        gate = Gate(rig.store, "info")
        gate.open.set()
        for n in range(100):
            alice.say(f.Signal(log=LogId(f"main/g/none{n}"), name="typing"))
        await turns(50)
        assert 0 < gate.calls <= 5


async def test_E28_cursors_of_one_user_do_not_fill_the_queue_of_the_store(rig: Rig) -> None:
    """However many logs one client names, a moment's share of them reaches the store."""
    alice = await rig.person("alice")
    handed: list[int] = []
    real = rig.store.move

    def counted(*args: Any, **more: Any) -> Any:
        handed[-1] += 1
        return real(*args, **more)

    rig.store.move = counted  # type: ignore[method-assign]
    cursors = rig.node.gateway._p.notifier.cursors
    for n in range(5000):
        alice.say(f.Cursor(log=LogId(f"main/g/none{n}"), read=Seq(1)))
    for _ in range(3):
        handed.append(0)
        cursors.flush()
    assert 0 < max(handed) <= 500, handed
    handed.append(0)
    cursors.flush(everything=True)
    assert sum(handed) == 5000 and not cursors.waiting


async def test_E28_a_cursor_that_the_store_had_no_room_for_is_stored_later(rig: Rig) -> None:
    alice, bob = await rig.person("alice"), await rig.person("bob")
    log = await direct(alice, bob)
    sent = await alice.send(log, "x")
    real = rig.store.move

    def full(*args: Any, **more: Any) -> Any:
        rig.store.move = real  # type: ignore[method-assign]
        future = real(LogId("main/g/none"), UserId("nobody"))
        future.exception()
        busy: Any = type(future)(loop=future.get_loop())
        busy.set_exception(Overloaded("the queue is full"))
        return busy

    rig.store.move = full  # type: ignore[method-assign]
    bob.say(f.Cursor(log=LogId(log), read=sent.seq))
    await alice.until(lambda x: isinstance(x, f.Cursor) and x.read == sent.seq)
    row = (await rig.store.rows(MAIN, UserId("bob"), [LogId(log)]))[0]
    assert row.unread == 0


async def test_E20_a_search_does_not_tell_what_others_wrote(rig: Rig) -> None:
    """A word that only others used gives the same answer as one that nobody used."""
    alice, bob, carol = [await rig.person(name) for name in ("alice", "bob", "carol")]
    log = await direct(alice, bob)
    await alice.send(log, "merger with globex")
    mine = await direct(carol, bob)
    own = await carol.send(mine, "lunch with globex")
    await alice.send(log, "globex again")
    await rig.node.consumers[0].caught_up()
    used, unused = (
        await carol.query("search", text="merger"),
        await carol.query("search", text="acquisition"),
    )
    assert used == unused and used["hits"] == []
    found = await carol.query("search", text="globex")
    assert [hit["entry"]["seq"] for hit in found["hits"]] == [own.seq]
    assert found["before"] == found["hits"][-1]["pos"]


async def test_A7_E10_a_key_without_the_scope_read_reads_nothing(rig: Rig) -> None:
    from hongyan.model.errors import Forbidden

    alice, bob = await rig.person("alice"), await rig.person("bob")
    log = await direct(alice, bob)
    auth, gateway = rig.node.authenticator, rig.node.gateway
    text = msgspec.Raw(b'{"content":{"type":"text","text":"hi"}}')
    for scopes, reads in ((("send_as",), False), (("send_as", "read"), True)):
        key = await auth.authenticate((await auth.create_key(MAIN, scopes))[1])
        who = await auth.act_as(key, "bob")
        sent = f.Call(ref=1, name="chat.send", op=f"k-{reads}", log=LogId(log), args=text)
        assert (await gateway.call(who, sent)).seq
        asks: list[Any] = [
            lambda who=who: gateway.read(who, f.Read(ref=1, log=LogId(log), after=Seq(0))),
            lambda who=who: gateway.sync(who, f.Sync(ref=1, after=0)),
            lambda who=who: gateway.query(who, f.Query(ref=1, name="devices")),
        ]
        for ask in asks:
            if reads:
                assert await ask()
            else:
                with pytest.raises(Forbidden):
                    await ask()


async def test_E21_a_person_who_is_gone_is_answered_nothing(rig: Rig) -> None:
    """Answers that come after the connection went away harm nobody."""
    alice, bob = await rig.person("alice"), await rig.person("bob")
    log = await direct(alice, bob)
    gate = Gate(rig.store, "read")
    alice.say(f.Read(ref=9, log=LogId(log), after=Seq(0)))
    await turns()
    alice.lose()
    before = len(alice.link.frames)
    gate.open.set()
    await turns()
    assert len(alice.link.frames) == before and gate.calls == 1
    late = Person(rig, "alice", "alice-2")
    assert isinstance(await late.hello(await rig.token("alice")), f.Welcome)
