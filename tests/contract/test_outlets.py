"""The Outlets port and the feed by log, on every adapter (rules WH)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from conftest import Talk
from msgspec.structs import replace

from hongyan.adapters.memory.outlets import MemoryOutlets
from hongyan.adapters.sqlite import SqliteOutlets, SqliteStore
from hongyan.model.errors import Conflict
from hongyan.model.outlets import Dead, Hold, Hook, Progress, Pull, Secret, Webhook
from hongyan.ports import Outlets, Store

SECRETS = (Secret("whsec_a"), Secret("whsec_b", until=7))
WEBHOOK = Webhook(tenant="main", id="wh_1", url="https://x.example/", secrets=SECRETS, about="n")
HOOK = Hook(
    tenant="main", id="hk_1", url="https://x.example/", secrets=SECRETS, calls=("chat.send",)
)


@pytest.fixture(params=["memory", "sqlite"])
async def outlets(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Outlets]:
    if request.param == "memory":
        yield MemoryOutlets()
        return
    store = SqliteStore(tmp_path / "data")
    yield SqliteOutlets(store)
    await store.close()


def letter(pos: int, **more: object) -> Dead:
    dead = Dead(pos=pos, log="main/g/a", seq=pos, type="message", at=5, tries=3, error="HTTP 500")
    return replace(dead, **more)


async def test_WH1_a_webhook_is_kept_as_put_and_its_place_beside_it(outlets: Outlets) -> None:
    await outlets.put_webhook(WEBHOOK, pos=40)
    await outlets.put_webhook(replace(WEBHOOK, id="wh_2", tenant="acme"), pos=0)
    assert await outlets.webhooks("main") == [WEBHOOK]
    assert [w.id for w in await outlets.webhooks()] == ["wh_1", "wh_2"]
    assert await outlets.progress("wh_1") == (40, Progress())

    changed = replace(WEBHOOK, enabled=False, reason="410")
    await outlets.put_webhook(changed)
    assert await outlets.webhooks("main") == [changed]
    assert (await outlets.progress("wh_1"))[0] == 40
    assert await outlets.progress("none") == (0, Progress())


async def test_WH1_position_holds_and_dead_letters_are_saved_together(outlets: Outlets) -> None:
    await outlets.put_webhook(WEBHOOK, pos=1)
    hold = Hold(log="main/g/a", seq=3, tries=2, since=10, next_at=20)
    other = Hold(log="main/g/b", seq=1)
    await outlets.settle(
        "wh_1", Progress(delivered=4, last_error="x"), pos=9, held=[hold, other], dead=[letter(8)]
    )
    assert await outlets.progress("wh_1") == (9, Progress(delivered=4, last_error="x"))
    assert sorted(await outlets.holds("wh_1"), key=lambda h: h.log) == [hold, other]
    assert await outlets.dead("wh_1") == [letter(8)]

    moved = Hold(log="main/g/a", seq=4, next_at=30)
    await outlets.settle("wh_1", Progress(), held=[moved], freed=["main/g/b"], sent=[8])
    assert await outlets.progress("wh_1") == (9, Progress())
    assert await outlets.holds("wh_1") == [moved]
    assert await outlets.dead("wh_1") == []

    await outlets.settle("wh_1", Progress(), pos=3)  # never back
    assert (await outlets.progress("wh_1"))[0] == 9


async def test_WH1_what_is_settled_is_as_it_was_when_asked(outlets: Outlets) -> None:
    await outlets.put_webhook(WEBHOOK, pos=1)
    hold, progress = Hold(log="main/g/a", seq=3), Progress(delivered=1)
    await outlets.settle("wh_1", progress, held=[hold])
    hold.seq, progress.delivered = 99, 99
    assert (await outlets.holds("wh_1"))[0].seq == 3
    assert (await outlets.progress("wh_1"))[1].delivered == 1


async def test_WH6_dead_letters_page_and_are_asked_for_again(outlets: Outlets) -> None:
    await outlets.put_webhook(WEBHOOK, pos=1)
    await outlets.put_webhook(replace(WEBHOOK, id="wh_2"), pos=1)
    await outlets.settle("wh_1", Progress(), dead=[letter(pos) for pos in (5, 2, 9)])
    await outlets.settle("wh_2", Progress(), dead=[letter(2)])
    assert [d.pos for d in await outlets.dead("wh_1", limit=2)] == [2, 5]
    assert [d.pos for d in await outlets.dead("wh_1", after=5)] == [9]
    assert await outlets.count_dead("wh_1") == 3
    assert await outlets.dead("wh_1", replay=True) == []

    assert await outlets.ask_again("wh_1", [9, 2, 77]) == 2
    assert await outlets.dead("wh_1", replay=True) == [
        letter(2, replay=True),
        letter(9, replay=True),
    ]
    await outlets.settle("wh_1", Progress(), dead=[letter(2, tries=4)])
    assert [d.pos for d in await outlets.dead("wh_1", replay=True)] == [9]
    assert await outlets.ask_again("wh_1", None) == 3
    assert await outlets.count_dead("wh_2") == 1
    assert await outlets.ask_again("none", None) == 0


async def test_WH14_a_dropped_webhook_leaves_nothing_and_comes_not_back(outlets: Outlets) -> None:
    await outlets.put_webhook(WEBHOOK, pos=1)
    await outlets.settle("wh_1", Progress(), held=[Hold(log="main/g/a", seq=1)], dead=[letter(1)])
    assert not await outlets.drop_webhook("acme", "wh_1")
    assert await outlets.drop_webhook("main", "wh_1")
    assert not await outlets.drop_webhook("main", "wh_1")
    await outlets.settle("wh_1", Progress(), pos=5, held=[Hold(log="main/g/a", seq=1)])
    await outlets.put_webhook(WEBHOOK)  # a change that comes too late
    assert await outlets.webhooks() == []
    assert (await outlets.holds("wh_1"), await outlets.dead("wh_1")) == ([], [])


async def test_WH15_hooks_are_kept_in_the_order_they_were_made(outlets: Outlets) -> None:
    second = replace(HOOK, id="hk_0", created_at=5)
    for hook in (second, HOOK, replace(HOOK, id="hk_2", tenant="acme")):
        await outlets.put_hook(hook)
    assert await outlets.hooks("main") == [HOOK, second]
    assert len(await outlets.hooks()) == 3
    await outlets.put_hook(replace(HOOK, enabled=False))
    assert (await outlets.hooks("main"))[0].enabled is False
    assert not await outlets.drop_hook("acme", "hk_1")
    assert await outlets.drop_hook("main", "hk_1")
    assert await outlets.hooks("main") == [second]


async def test_WH22_a_pull_moves_forward_only(outlets: Outlets) -> None:
    pull = Pull(tenant="main", name="crm", pos=5, types=("message",), created_at=3)
    await outlets.put_pull(pull)
    await outlets.put_pull(replace(pull, tenant="acme"))
    with pytest.raises(Conflict):
        await outlets.put_pull(pull)
    assert await outlets.pull("main", "crm") == pull
    assert await outlets.move_pull("main", "crm", 9) == 9
    assert await outlets.move_pull("main", "crm", 7) == 9
    assert await outlets.move_pull("main", "none", 7) == -1
    assert await outlets.pulls("main") == [replace(pull, pos=9)]
    assert (await outlets.pull("acme", "crm")) == replace(pull, tenant="acme")
    assert await outlets.drop_pull("main", "crm")
    assert not await outlets.drop_pull("main", "crm")
    assert await outlets.pull("main", "crm") is None


async def test_WH2_a_log_is_read_by_itself_in_order(store: Store) -> None:
    one, two = Talk(store), Talk(store, log="main/g/two")
    assert await store.feed_end() == 0
    await one.create("ann")
    await two.create("ann")
    for n in range(5):
        await one.say(text=f"a{n}")
        await two.say(text=f"b{n}")
    items = await store.tail(one.log, after=1, limit=3)
    assert [item.entry.seq for item in items] == [2, 3, 4]
    assert {item.log for item in items} == {one.log}
    feed = await store.feed(after=0, limit=100)
    assert items == [x for x in feed if x.log == one.log and x.entry.seq in (2, 3, 4)]
    assert await store.feed_end() == feed[-1].pos
    assert await store.tail(one.log, after=99, limit=3) == []
    assert await store.tail("main/g/none", after=0, limit=3) == []
