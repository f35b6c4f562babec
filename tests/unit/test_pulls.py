"""Pulls: named cursors that move by acknowledgements (rules WH)."""

from __future__ import annotations

import asyncio

import pytest
from webhook_rig import ADMIN, KNOWN, OTHER, A, B, Shop

from hongyan.engine.backends import pulls as pulls_module
from hongyan.engine.backends.pulls import PullPage, Pulls
from hongyan.engine.identity import Identity
from hongyan.model.errors import BadArgs, BadId, Conflict, Forbidden, Full, NoSuchEntry
from hongyan.model.ids import LogId, TenantId, UserId
from hongyan.ports import FeedItem

READER = Identity(tenant=TenantId("main"), user=UserId(""), epoch=1, scopes=("read",))


class Desk(Shop):
    """A store to speak into, and its pulls."""

    def __init__(self, most: int = 16) -> None:
        super().__init__()
        self.most = most
        self.pulls = self.fresh()

    def fresh(self) -> Pulls:
        """As after a restart."""
        return Pulls(
            KNOWN, store=self.store, outlets=self.outlets, clock=self.clock, most=self.most
        )

    async def fetch(self, name: str = "crm", limit: int = 100, wait_s: float = 0.0) -> PullPage:
        async with asyncio.timeout(10):
            return await self.pulls.fetch(READER, name, limit=limit, wait_s=wait_s)


def seqs(page: PullPage) -> list[tuple[str, int]]:
    return [(event.event.log, event.event.entry.seq) for event in page.events]


async def test_WH22_only_an_acknowledgement_moves_the_cursor() -> None:
    desk = Desk()
    await desk.pulls.create(READER, "crm", beginning=True)
    await desk.say(A, "1", "2", "3")
    first = await desk.fetch(limit=2)
    assert (seqs(first), first.more) == ([(A, 1), (A, 2)], True)
    assert await desk.fetch(limit=2) == first  # not acknowledged: again, also after a restart
    desk.pulls = desk.fresh()
    assert await desk.fetch(limit=2) == first
    await desk.pulls.ack(READER, "crm", first.events[0].pos)
    assert seqs(await desk.fetch()) == [(A, 2), (A, 3)]
    view = await desk.pulls.ack(READER, "crm", 0)  # never back
    assert view.pos == first.events[0].pos
    last = await desk.fetch()
    view = await desk.pulls.ack(READER, "crm", last.next)
    assert (view.lag, view.lag_ms) == (0, 0)
    assert seqs(await desk.fetch()) == []
    with pytest.raises(BadArgs):
        await desk.pulls.ack(READER, "crm", last.next + 1)


async def test_WH22_from_now_on_or_from_the_beginning() -> None:
    desk = Desk()
    await desk.say(A, "old")
    await desk.pulls.create(ADMIN, "new")
    await desk.pulls.create(ADMIN, "all", beginning=True)
    await desk.say(A, "new")
    assert seqs(await desk.fetch("new")) == [(A, 2)]
    assert seqs(await desk.fetch("all")) == [(A, 1), (A, 2)]


async def test_WH23_a_request_waits_for_the_first_event() -> None:
    desk = Desk()
    await desk.pulls.create(READER, "crm")
    waiting = asyncio.create_task(desk.fetch(wait_s=9.0))
    async with asyncio.timeout(10):
        while not desk.pulls._waiting:  # noqa: ASYNC110
            await asyncio.sleep(0)
    await desk.say(A, "1")
    desk.pulls.wake()
    assert seqs(await waiting) == [(A, 1)]
    assert desk.pulls._waiting == {}


async def test_WH23_what_is_committed_during_the_look_is_not_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pulls_module, "POLL_S", 3600.0)
    desk = Desk()
    await desk.pulls.create(READER, "crm")
    real = desk.store.feed

    async def late(*, after: int, limit: int) -> list[FeedItem]:
        found = await real(after=after, limit=limit)
        if not desk.ops:
            await desk.say(A, "1")
            desk.pulls.wake()
        return found

    monkeypatch.setattr(desk.store, "feed", late)
    assert seqs(await desk.fetch(wait_s=25.0)) == [(A, 1)]  # fetch gives up after 10


async def test_WH23_a_lost_hint_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulls_module, "POLL_S", 0.02)
    desk = Desk()
    await desk.pulls.create(READER, "crm")
    waiting = asyncio.create_task(desk.fetch(wait_s=9.0))
    await asyncio.sleep(0)
    await desk.say(A, "1")  # and no wake
    assert seqs(await waiting) == [(A, 1)]


async def test_WH23_a_wait_ends_empty_in_time_or_when_the_server_stops() -> None:
    desk = Desk()
    await desk.pulls.create(READER, "crm")
    assert seqs(await desk.fetch(wait_s=0.02)) == []
    waiting = asyncio.create_task(desk.fetch(wait_s=9.0))
    async with asyncio.timeout(10):
        while not desk.pulls._waiting:  # noqa: ASYNC110
            await asyncio.sleep(0)
    desk.pulls.stop()
    assert seqs(await waiting) == []


async def test_WH23_filters_and_no_end_of_what_nobody_wants() -> None:
    desk = Desk()
    await desk.pulls.create(READER, "crm", types=("joined",), kinds=("group",), beginning=True)
    await desk.say(A, *(str(n) for n in range(700)))
    await desk.say(B, "x", type="joined")
    await desk.say(LogId("main/d/ann~bob"), "x", type="joined")
    page = await desk.fetch()
    assert seqs(page) == [(B, 1)]
    await desk.pulls.ack(READER, "crm", page.next)
    await desk.say(A, *(str(n) for n in range(50)))
    page = await desk.fetch()
    assert seqs(page) == []
    pull = await desk.outlets.pull(TenantId("main"), "crm")
    assert pull is not None
    assert pull.pos == await desk.store.feed_end()  # the next look does not begin at the old place


async def test_WH24_another_tenant_sees_nothing_and_a_right_is_needed() -> None:
    bob = Identity(tenant=TenantId("main"), user=UserId("bob"), epoch=1)
    sender = Identity(tenant=TenantId("main"), user=UserId(""), epoch=1, scopes=("send",))
    desk = Desk()
    await desk.pulls.create(READER, "crm", beginning=True)
    await desk.say(LogId("acme/g/x"), "theirs")
    await desk.say(LogId("main/u/ann"), "private")
    await desk.say(A, "ours")
    assert seqs(await desk.fetch()) == [(A, 1)]
    with pytest.raises(NoSuchEntry):
        await desk.pulls.fetch(OTHER, "crm", limit=1, wait_s=0)
    assert await desk.pulls.list(OTHER) == []
    assert not await desk.pulls.drop(OTHER, "crm")
    for who in (bob, sender):
        with pytest.raises(Forbidden):
            await desk.pulls.fetch(who, "crm", limit=1, wait_s=0)
        with pytest.raises(Forbidden):
            await desk.pulls.ack(who, "crm", 1)
        with pytest.raises(Forbidden):
            await desk.pulls.create(who, "x")
    assert await desk.pulls.drop(READER, "crm")
    assert not await desk.pulls.drop(READER, "crm")


async def test_WH24_names_are_unique_checked_and_bounded() -> None:
    desk = Desk(most=2)
    await desk.pulls.create(READER, "crm")
    with pytest.raises(Conflict):
        await desk.pulls.create(READER, "crm")
    for name in ("", "A", "a b", "../x", "x" * 65):
        with pytest.raises(BadId):
            await desk.pulls.create(READER, name)
    with pytest.raises(BadArgs):
        await desk.pulls.create(READER, "b", kinds=("nokind",))
    await desk.pulls.create(READER, "b")
    with pytest.raises(Full):
        await desk.pulls.create(READER, "c")
    assert [view.name for view in await desk.pulls.list(READER)] == ["b", "crm"]


async def test_WH25_a_page_is_bounded_in_events_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulls_module, "MOST_BYTES", 1000)
    desk = Desk()
    await desk.pulls.create(READER, "crm", beginning=True)
    await desk.say(A, *("x" * 300 for _ in range(10)))
    page = await desk.fetch()
    assert (len(page.events), page.more) == (4, True)
    assert page.lag == 10
    seen: list[tuple[str, int]] = []
    while page.events:
        seen += seqs(page)
        await desk.pulls.ack(READER, "crm", page.next)
        page = await desk.fetch()
    assert seen == [(A, n) for n in range(1, 11)]


async def test_WH25_so_many_requests_of_a_tenant_wait_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pulls_module, "MOST_WAITING", 2)
    desk = Desk()
    await desk.pulls.create(READER, "crm")
    waiting = [asyncio.create_task(desk.fetch(wait_s=9.0)) for _ in range(2)]
    async with asyncio.timeout(10):
        while desk.pulls._waiting.get(TenantId("main")) != 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
    with pytest.raises(Full):
        await desk.fetch(wait_s=9.0)
    desk.pulls.stop()
    await asyncio.gather(*waiting)
