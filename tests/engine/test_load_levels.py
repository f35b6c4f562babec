"""AD: what a loaded server does no more, and what it does at every level."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from hongyan.engine.admission.load import Level
from hongyan.model.errors import Overloaded
from hongyan.model.ids import LogId, UserId
from hongyan.model.live import Lane, LiveItem
from hongyan.wire import frames as f
from tests.engine.rig import Rig
from tests.engine.test_admission import comes, goodbye, welcomed
from tests.engine.test_calls import direct
from tests.engine.test_edge_faults import turns
from tests.engine.test_rooms import item, items, opened, watch

LAGS = {Level.NORMAL: 0.0, Level.BUSY: 101.0, Level.OVERLOADED: 201.0, Level.CRITICAL: 301.0}


def loaded(rig: Rig, level: Level) -> None:
    """Three looks that say so; the node's own ones, which would calm it down, come later."""
    for _ in range(3):
        rig.node.load.sample(LAGS[level], 0, asyncio.get_running_loop().time())
    assert rig.node.load.level is level


async def test_AD10_a_busy_server_lets_in_who_resumes(rig: Rig) -> None:
    alice = await rig.person("alice")
    loaded(rig, Level.BUSY)
    newcomer, back = await comes(rig, "new"), await comes(rig, "back", inbox=3)
    said = await goodbye(newcomer)
    assert said.code == Overloaded.code
    assert said.reconnect_after_ms >= rig.config.load.calm_ms / 2, "not before it is calm"
    await back.until(lambda x: isinstance(x, f.Welcome))
    loaded_until = rig.node.load.level
    assert loaded_until is Level.BUSY and alice.link.closed is None


async def test_AD10_a_critical_server_sends_all_away_and_keeps_whom_it_has(rig: Rig) -> None:
    alice, bob = await rig.person("alice"), await rig.person("bob")
    log = await direct(alice, bob)
    loaded(rig, Level.CRITICAL)
    back = await comes(rig, "back", inbox=3)
    assert (await goodbye(back)).code == Overloaded.code and not welcomed(back)
    sent = await alice.send(log, "still here")
    assert isinstance(sent, f.Ack)
    assert (await bob.got(log, sent.seq)).sender == "alice"


@pytest.mark.parametrize("level", list(Level))
async def test_AD11_calls_are_taken_at_every_level(rig: Rig, level: Level) -> None:
    alice, bob = await rig.person("alice"), await rig.person("bob")
    log = await direct(alice, bob)
    loaded(rig, level)
    acks = [await alice.send(log, str(n)) for n in range(5)]
    assert [type(ack) for ack in acks] == [f.Ack] * 5
    await bob.got(log, acks[-1].seq)
    bob.say(f.Cursor(log=LogId(log), read=acks[-1].seq))
    done = await bob.ask(f.Cursor(log=LogId(log), read=acks[-1].seq, ref=1))
    assert isinstance(done, f.Ack)


async def test_AD11_questions_are_refused_and_signals_dropped(rig: Rig) -> None:
    alice, bob = await rig.person("alice"), await rig.person("bob")
    log = await direct(alice, bob)
    who = await rig.node.authenticator.authenticate(await rig.token("alice"))
    asks: list[Any] = [
        lambda: f.Read(ref=0, log=log, after=0),
        lambda: f.Sync(ref=0, after=0),
        lambda: f.Query(ref=0, name="devices"),
    ]
    for level in (Level.NORMAL, Level.BUSY):
        loaded(rig, level)
        for ask in asks:
            assert not isinstance(await alice.ask(ask()), f.Fail)
        alice.say(f.Signal(log=LogId(log), name="typing"))
        await bob.until(lambda x: isinstance(x, f.Signal) and x.name == "typing")
        bob.link.frames.clear()
    loaded(rig, Level.OVERLOADED)
    for ask in asks:
        refused = await alice.ask(ask())
        assert isinstance(refused, f.Fail) and refused.code == Overloaded.code and refused.retry
        assert refused.retry_after_ms >= 1000
    with pytest.raises(Overloaded):
        await rig.node.gateway.sync(who, f.Sync(ref=1, after=0))
    alice.say(f.Signal(log=LogId(log), name="typing"))
    await turns()
    assert not any(isinstance(x, f.Signal) for x in bob.link.frames)
    assert (rig.node.load.refused, rig.node.load.dropped) == (4, 1)


async def test_AD11_the_level_and_the_line_are_in_the_metrics(rig: Rig) -> None:
    loaded(rig, Level.OVERLOADED)
    await goodbye(await comes(rig, "new"))
    shown = rig.node.metrics.render({}).decode()
    for line in ("load_level 2.0", "admission_refused 1.0", "admission_queue 0.0"):
        assert f"hongyan_{line}\n" in shown, line
    for name in ("admission_worst_wait", "queues_closed", "load_asks_refused"):
        assert f"hongyan_{name} " in shown, name


async def test_AD12_lanes_are_shed_from_the_lowest(rig: Rig) -> None:
    host, room = await opened(rig)
    fan = await rig.person("fan")
    since = (await watch(fan, room)).off
    live = rig.node.viewing.logs.get(LogId(room))
    assert live is not None
    counters = rig.node.viewing.logs.counters
    first = await fan.call("room.say", {"text": "one"}, log=room)
    assert isinstance(first, f.Ack)
    await item(fan, lambda i: i.off == first.seq)
    shed = list(counters.shed)

    loaded(rig, Level.OVERLOADED)
    assert counters.lowest is Lane.NORMAL
    late = await rig.person("late", inbox=1)
    refused = await late.ask(f.Subscribe(ref=1, log=LogId(room)))
    assert isinstance(refused, f.Fail) and refused.code == Overloaded.code
    came = LiveItem(0, "joined", UserId("late"), 0, msgspec.Raw(b"{}"), Lane.LOW)
    with pytest.raises(Overloaded):
        live.say(came)
    said = await fan.call("room.say", {"text": "two"}, log=room)
    assert isinstance(said, f.Ack), "speaking goes on"
    assert counters.shed == [shed[0], shed[1], shed[2] + 1]

    loaded(rig, Level.CRITICAL)
    refused = await fan.call("room.say", {"text": "three"}, log=room)
    assert isinstance(refused, f.Fail) and refused.code == Overloaded.code
    assert refused.retry and refused.retry_after_ms > 0
    notice = await host.call("room.announce", {"text": "patience"}, log=room)
    assert isinstance(notice, f.Ack), "what is durable goes on"
    assert counters.shed == [shed[0], shed[1] + 1, shed[2] + 1]

    rig.node.load._set(Level.NORMAL, 0.0, 0.0)
    last = await fan.call("room.say", {"text": "four"}, log=room)
    await item(fan, lambda i: i.off == last.seq)
    gaps = sum(x.n for x in fan.link.frames if isinstance(x, f.Gap))
    told = {i.off for i in items(fan) if i.off > since}
    assert len(told) + gaps == live.off - since, "what was never taken has no number"
