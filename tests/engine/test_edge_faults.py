"""E: what goes wrong between the parts: wiped caches, lost hints, broken links."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hongyan.adapters.memory.bus import MemoryBus
from hongyan.engine.logs import LogState
from hongyan.model.errors import GoingAway
from hongyan.model.ids import LogId
from hongyan.ports import Appended, Hint
from hongyan.wire import frames as f
from tests.engine.rig import Person, Rig
from tests.engine.test_calls import direct, group


@asynccontextmanager
async def rigged(**more: Any) -> AsyncIterator[Rig]:
    rig = Rig(**more)
    await rig.start()
    try:
        yield rig
    finally:
        await rig.stop()


async def turns(number: int = 20) -> None:
    """Let everything that is ready run."""
    for _ in range(number):
        await asyncio.sleep(0)


class Gate:
    """Holds the calls of one async method of an object until it is opened."""

    def __init__(self, owner: Any, name: str) -> None:
        self.calls, self.inside, self.most = 0, 0, 0
        self.open = asyncio.Event()
        real = getattr(owner, name)

        async def held(*args: Any, **more: Any) -> Any:
            self.calls += 1
            self.inside += 1
            self.most = max(self.most, self.inside)
            await self.open.wait()
            self.inside -= 1
            return await real(*args, **more)

        setattr(owner, name, held)


class OddBus(MemoryBus):
    """Loses appended hints, or forgets the cache before it hands one over."""

    lose = False
    before: Any = None  # called before an appended hint goes on

    def publish(self, hint: Hint) -> None:
        if isinstance(hint, Appended):
            if self.lose:
                return
            if self.before is not None:
                self.before()
        super().publish(hint)


async def test_E22_calls_of_a_lost_connection_do_not_hold_up_the_closing(rig: Rig) -> None:
    alice, bob = await rig.person("alice"), await rig.person("bob")
    log = await direct(alice, bob)
    faults: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: faults.append(context))
    rig.node.cache.wipe()
    gate = Gate(rig.store, "info")
    for text in ("one", "two", "three"):
        content = {"type": "text", "text": text}
        alice.start_call("chat.send", {"content": content}, log=log)
    await turns()
    alice.lose()
    gate.open.set()
    pipeline = rig.node.gateway._p.pipeline
    assert await pipeline.idle(2.0)
    await turns()
    gc.collect()
    assert not faults
    again = await rig.person("alice")  # what was not done is done when it is sent again
    ack = await again.call(
        "chat.send", {"content": {"type": "text", "text": "three"}}, log=log, op="alice-1-4"
    )
    assert isinstance(ack, f.Ack)


async def test_E7_E8_a_log_grows_large_while_the_cache_is_wiped() -> None:
    bus = OddBus()
    async with rigged(bus=bus, options={"logs.large_above": 3}) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        await rig.user("carol")
        await rig.user("dave")
        log = await group(alice, "bob", "carol")
        bus.before = rig.node.cache.wipe
        assert isinstance(await alice.call("chat.invite", {"users": ["dave"]}, log=log), f.Ack)
        await turns()
        bus.before = None
        ack = await alice.send(log, "still with us?")
        for person in (alice, bob):
            await person.got(log, ack.seq)


class HeldCache:
    """The hub's view of the cache: what it loads comes late."""

    def __init__(self, cache: Any) -> None:
        self._cache, self.open = cache, asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    async def load(self, log: LogId) -> LogState:
        state: LogState = await self._cache.load(log)
        await self.open.wait()
        return state


async def test_E6_a_join_told_late_does_not_undo_the_leave_after_it() -> None:
    bus = OddBus()
    async with rigged(bus=bus, options={"logs.large_above": 2}) as rig:
        alice, carol = await rig.person("alice"), await rig.person("carol")
        await rig.user("bob")
        await rig.user("dave")
        log = await group(alice, "bob", "dave")
        held = HeldCache(rig.node.cache)
        rig.node.hub._cache = held  # type: ignore[assignment]
        bus.before = rig.node.cache.wipe
        assert isinstance(await alice.call("chat.invite", {"users": ["carol"]}, log=log), f.Ack)
        await turns()
        bus.before = None
        removed = await alice.call("chat.remove", {"users": ["carol"]}, log=log)
        assert isinstance(removed, f.Ack)
        await turns()
        held.open.set()
        await turns()
        secret = await alice.send(log, "she is gone")
        await alice.got(log, secret.seq)
        await carol.query("devices")
        assert all(entry.seq <= removed.seq for entry in carol.delivered(log))


async def test_E6_a_lost_leave_ends_with_the_next_entry() -> None:
    """Large: who was removed while the bus lost the hint gets no more than the next entry."""
    bus = OddBus()
    async with rigged(bus=bus, options={"logs.large_above": 2}) as rig:
        alice, carol = await rig.person("alice"), await rig.person("carol")
        await rig.user("bob")
        log = await group(alice, "bob", "carol")
        bus.lose = True
        removed = await alice.call("chat.remove", {"users": ["carol"]}, log=log)
        bus.lose = False
        for text in ("one", "two", "three"):
            ack = await alice.send(log, text)
            await alice.got(log, ack.seq)
        await carol.query("devices")
        assert [e.seq for e in carol.delivered(log) if e.seq > removed.seq] == []


async def test_E4_a_lost_join_is_noticed_by_who_joined() -> None:
    bus = OddBus()
    async with rigged(bus=bus) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        log = await group(alice)
        bus.lose = True
        assert isinstance(await alice.call("chat.invite", {"users": ["bob"]}, log=log), f.Ack)
        bus.lose = False
        ack = await bob.send(log, "am I in?")
        assert isinstance(ack, f.Ack), ack
        stranger = await rig.person("carol")
        refused = await stranger.send(log, "am I?")
        assert isinstance(refused, f.Fail) and refused.code == 202


async def test_P6_who_is_gone_watches_nobody(rig: Rig) -> None:
    alice, bob = await rig.person("alice"), await rig.person("bob")
    await direct(alice, bob)
    presence = rig.node.gateway._p.notifier._presence
    gate = Gate(rig.store, "rows")
    args = f.Query(ref=7, name="presence", args=f.msgspec.Raw(b'{"users":["bob"],"watch":true}'))
    alice.say(args)
    await turns()
    alice.lose()
    gate.open.set()
    await turns()
    assert gate.calls and not presence._watchers and not presence._watched


async def test_E12_a_fault_while_rows_are_pushed_ends_no_later_push(rig: Rig) -> None:
    alice, bob = await rig.person("alice"), await rig.person("bob")
    desk = await rig.person("bob", "desk", cls="desktop")
    log = await direct(alice, bob)
    first, last = await alice.send(log, "1"), await alice.send(log, "2")
    real = rig.store.rows

    async def broken(*args: Any) -> Any:
        rig.store.rows = real  # type: ignore[method-assign]
        raise RuntimeError("a row that cannot be read")

    rig.store.rows = broken  # type: ignore[method-assign]
    await bob.ask(f.Cursor(log=log, read=first.seq))
    await turns()
    await bob.ask(f.Cursor(log=log, read=last.seq))
    await desk.until(lambda x: isinstance(x, f.Inbox) and any(r.read == 2 for r in x.page.rows))


async def test_E15_a_broken_link_does_not_keep_the_others_open() -> None:
    options = {"limits.handshake_ms": 40, "limits.heartbeat_ms": 1000, "presence.ttl_ms": 4000}
    async with rigged(options=options) as rig:
        people = [Person(rig, f"nobody{n}", "x") for n in range(4)]

        def broken(message: bytes) -> None:
            raise RuntimeError("the transport is broken")

        people[0].link.write = broken  # type: ignore[method-assign]
        people[2].link.write = broken  # type: ignore[method-assign]
        rig.clock.advance(1.5)
        for person in (people[1], people[3]):
            assert (await person.closed()).code == 309
        late = Person(rig, "late", "x")
        rig.clock.advance(1.5)
        assert (await late.closed()).code == 309
        assert all(person.link.closed for person in people)
        assert not rig.node.hub.peers


async def test_E22_a_broken_link_does_not_stop_the_goodbyes(rig: Rig) -> None:
    alice, bob = await rig.person("alice"), await rig.person("bob")

    def broken(message: bytes) -> None:
        raise RuntimeError("the transport is broken")

    alice.link.write = broken  # type: ignore[method-assign]
    await rig.node.stop(1.0)
    assert (await bob.closed()).code == GoingAway.code
    assert alice.link.closed


async def test_E3_who_was_invited_a_moment_ago_is_removed(rig: Rig) -> None:
    """A join raises no version, so no fence catches what was decided before it was known."""
    alice = await rig.person("alice")
    await rig.user("carol")
    log = await group(alice)
    names = ["chat.invite", "chat.remove"] * 4
    refs = [alice.start_call(name, {"users": ["carol"]}, log=log) for name in names]
    acks = [await alice.answer(ref) for ref in refs]
    assert [ack.seq for ack in acks] == list(range(2, 10)), acks
    other = await rig.person("alice", "other")
    first = alice.start_call("chat.invite", {"users": ["carol"]}, log=log)
    assert (await alice.answer(first)).seq == 10  # the hint may still be on its way
    assert (await other.call("chat.remove", {"users": ["carol"]}, log=log)).seq == 11
