"""What a webhook promises, on memory parts (rules WH)."""

# size: the cases of one subject share their fixtures; parted, each part would repeat them

from __future__ import annotations

import asyncio
import json

import pytest
from msgspec.structs import replace
from webhook_rig import ADMIN, KNOWN, OTHER, QUICK, URL, A, B, C, Shop

from hongyan.engine.backends.feed import SharedFeed
from hongyan.engine.identity import Identity
from hongyan.model.errors import BadArgs, Forbidden, Full, NoSuchEntry, StoreDown
from hongyan.model.ids import LogId, TenantId, UserId
from hongyan.ports import FeedItem, Reply

NO = Reply(500)


async def test_WH1_entries_arrive_with_all_they_say() -> None:
    async with Shop() as shop:
        webhook = await shop.make()
        await shop.say(A, "one")
        await shop.target.until(lambda: shop.target.seqs(A) == [1])
        [(url, headers, body)] = shop.target.posts
    event = json.loads(body)
    assert url == URL
    assert headers["webhook-id"] == event["id"]
    assert {k: event[k] for k in ("type", "tenant", "log")} == {
        "type": "group.message",
        "tenant": "main",
        "log": A,
    }
    assert event["timestamp"].endswith("Z")
    assert event["entry"]["body"] == {"text": "one"}
    assert event["entry"]["from"] == "ann"
    assert webhook.startswith("wh_")


async def test_WH1_goes_on_after_a_restart_where_it_was() -> None:
    async with Shop() as shop:
        await shop.make()
        await shop.say(A, "one", "two")
        await shop.target.until(lambda: shop.target.seqs(A) == [1, 2])
        await shop.restart()
        await shop.say(A, "three")
        await shop.target.until(lambda: 3 in shop.target.seqs(A))
        assert shop.target.seqs(A)[-1] == 3


async def test_WH1_what_was_not_taken_when_the_process_ended_comes_again() -> None:
    async with Shop() as shop:
        await shop.make()
        shop.target.gate = asyncio.Event()
        await shop.say(A, "one")
        await shop.target.until(lambda: len(shop.target.posts) == 1)
        await shop.restart()  # in the middle of the delivery
        assert shop.target.taken == []
        shop.target.gate.set()
        await shop.target.until(lambda: shop.target.seqs(A) == [1])
    assert shop.target.posts[0][1]["webhook-id"] == shop.target.posts[1][1]["webhook-id"]


async def test_WH2_a_failing_log_holds_back_itself_and_no_other() -> None:
    async with Shop(terms=replace(QUICK, tries=1000)) as shop:
        webhook = await shop.make()
        bad = True
        shop.target.reply = lambda e: NO if bad and e["log"] == A else Reply(200)
        await shop.say(A, "a1", "a2", "a3")
        await shop.say(B, "b1")
        await shop.target.until(lambda: shop.target.seqs(B) == [1])
        await shop.say(B, "b2")
        await shop.say(A, "a4")
        await shop.target.until(lambda: shop.target.seqs(B) == [1, 2])
        assert shop.target.seqs(A) == []
        assert (await shop.webhooks.get(ADMIN, webhook)).held == 1
        bad = False
        await shop.target.until(lambda: shop.target.seqs(A) == [1, 2, 3, 4])
        await shop.settled(webhook, lambda view: view.held == 0)
        await shop.say(A, "a5")
        await shop.target.until(lambda: len(shop.target.seqs(A)) == 5)
    assert shop.target.seqs(A) == [1, 2, 3, 4, 5]


async def test_WH2_a_held_log_stays_held_over_a_restart() -> None:
    async with Shop(terms=replace(QUICK, tries=1000)) as shop:
        webhook = await shop.make()
        bad = True
        shop.target.reply = lambda e: NO if bad and e["log"] == A else Reply(200)
        await shop.say(A, "a1")
        await shop.settled(webhook, lambda view: view.held == 1)
        await shop.say(A, "a2")
        await shop.say(B, "b1")
        await shop.target.until(lambda: shop.target.seqs(B) == [1])
        await shop.restart()
        await shop.say(A, "a3")
        bad = False
        await shop.target.until(lambda: len(set(shop.target.seqs(A))) == 3)
    assert list(dict.fromkeys(shop.target.seqs(A))) == [1, 2, 3]


async def test_WH2_one_delivery_of_a_log_at_a_time_and_logs_beside_each_other() -> None:
    async with Shop() as shop:
        shop.target.gate = asyncio.Event()
        await shop.make()
        for log in (A, B, C):
            await shop.say(log, "1", "2")
        await shop.target.until(lambda: shop.target.open == 3)
        logs = [json.loads(body)["log"] for *_, body in shop.target.posts]
        assert sorted(logs) == sorted([A, B, C])
        shop.target.gate.set()
        await shop.target.until(lambda: len(shop.target.taken) == 6)
    assert shop.target.most_open == 3


async def test_WH4_only_what_was_asked_for_and_own_logs_only_by_name() -> None:
    mine, foreign = LogId("main/u/ann"), LogId("acme/g/x")
    async with Shop() as shop:
        await shop.make(types=("message",))
        for log in (mine, foreign, A, C):
            await shop.say(log, "x", type="joined")
            await shop.say(log, "y")
        await shop.target.until(lambda: len(shop.target.taken) == 2)
        assert sorted(shop.target.taken) == [(C, 2), (A, 2)]
        await shop.make(kinds=("self",), beginning=True)
        await shop.target.until(lambda: len(shop.target.taken) == 4)
        await shop.make(OTHER, beginning=True)
        await shop.target.until(lambda: len(shop.target.taken) == 6)
    assert shop.target.taken[2:] == [(mine, 1), (mine, 2), (foreign, 1), (foreign, 2)]


@pytest.mark.parametrize(
    "given", [{"kinds": ("nokind",)}, {"types": ("",)}, {"types": ("x",) * 33}]
)
async def test_WH4_filters_are_checked(given: dict[str, tuple[str, ...]]) -> None:
    async with Shop() as shop:
        with pytest.raises(BadArgs):
            await shop.make(**given)


async def test_WH5_a_pause_that_the_target_asks_for_holds_for_all_logs() -> None:
    terms = replace(QUICK, most_pause_s=0.3)
    async with Shop(terms=terms) as shop:
        webhook = await shop.make()
        busy = True
        shop.target.reply = lambda e: Reply(429, retry_after_ms=60_000) if busy else Reply(200)
        began = shop.clock.monotonic()
        await shop.say(A, "a1")
        await shop.settled(webhook, lambda view: view.failed == 1)
        await shop.say(B, "b1")
        busy = False
        await shop.target.until(lambda: len(shop.target.taken) >= 1)
        # The bound of 0.3 s counts, not the minute that was asked for; for the other log too.
        assert shop.clock.monotonic() - began >= 0.29
        await shop.target.until(lambda: len(shop.target.taken) == 2)
    assert len(shop.target.posts) == 3


async def test_WH6_an_entry_given_up_becomes_a_dead_letter_and_its_log_goes_on() -> None:
    async with Shop() as shop:
        webhook = await shop.make()
        shop.target.reply = lambda e: NO if e["entry"]["seq"] == 2 else Reply(200)
        await shop.say(A, "1", "2", "3")
        await shop.target.until(lambda: shop.target.seqs(A) == [1, 3])
        view = await shop.settled(webhook, lambda view: view.held == 0)
        [dead] = await shop.webhooks.dead(ADMIN, webhook, after=0, limit=10)
    attempts = [json.loads(body)["entry"]["seq"] for *_, body in shop.target.posts]
    assert attempts.count(2) == QUICK.tries
    assert (dead.log, dead.seq, dead.tries, dead.error) == (A, 2, QUICK.tries, "HTTP 500")
    assert (view.dead, view.given_up, view.delivered, view.failed) == (1, 1, 2, 3)


async def test_WH6_after_max_age_each_entry_of_a_log_gets_one_attempt() -> None:
    async with Shop(terms=replace(QUICK, tries=1000, max_age_s=0.0)) as shop:
        webhook = await shop.make()
        shop.target.reply = lambda e: NO
        await shop.say(A, "1", "2", "3")
        await shop.settled(webhook, lambda view: view.dead == 3)
    assert len(shop.target.posts) == 3


async def test_WH6_dead_letters_are_replayed_once_each_in_order() -> None:
    async with Shop() as shop:
        webhook = await shop.make()
        shop.target.reply = lambda e: NO
        await shop.say(A, "1", "2")
        await shop.say(B, "1")
        await shop.settled(webhook, lambda view: view.dead == 3)
        dead = await shop.webhooks.dead(ADMIN, webhook, after=0, limit=10)
        shop.target.reply = lambda e: NO if e["log"] == B else Reply(200)
        shop.target.posts.clear()
        assert await shop.webhooks.replay(ADMIN, webhook, None) == 3
        await shop.settled(webhook, lambda view: view.dead == 1)
        await shop.target.until(lambda: len(shop.target.posts) == 3)
        [left] = await shop.webhooks.dead(ADMIN, webhook, after=0, limit=10)
        async with asyncio.timeout(10):
            while left.replay:
                [left] = await shop.webhooks.dead(ADMIN, webhook, after=0, limit=10)
        assert shop.target.seqs(A) == [1, 2]
        assert (left.log, left.tries, left.replay) == (B, QUICK.tries + 1, False)
        shop.target.reply = lambda e: Reply(200)
        assert await shop.webhooks.replay(ADMIN, webhook, [dead[-1].pos, 999]) == 1
        await shop.settled(webhook, lambda view: view.dead == 0)


async def test_WH6_a_replay_that_was_asked_for_survives_a_restart() -> None:
    async with Shop() as shop:
        webhook = await shop.make()
        shop.target.reply = lambda e: NO
        await shop.say(A, "1")
        await shop.settled(webhook, lambda view: view.dead == 1)
        await shop.webhooks.stop()
        await shop.outlets.ask_again(webhook, None)  # as if it died before it sent
        shop.target.reply = lambda e: Reply(200)
        await shop.restart()
        await shop.settled(webhook, lambda view: view.dead == 0)
        assert shop.target.seqs(A) == [1]


async def test_WH7_gone_disables_and_enabling_goes_on_where_it_ended() -> None:
    async with Shop() as shop:
        webhook = await shop.make()
        await shop.say(A, "1")
        await shop.target.until(lambda: shop.target.seqs(A) == [1])
        shop.target.reply = lambda e: Reply(410)
        await shop.say(A, "2")
        view = await shop.settled(webhook, lambda view: not view.enabled)
        assert "410" in view.reason
        await shop.say(A, "3")
        await shop.restart()
        other = await shop.make(types=("none",))  # returns after the others were started
        assert set(shop.webhooks.stats()) == {other}
        shop.target.reply = lambda e: Reply(200)
        view = await shop.webhooks.change(ADMIN, webhook, enabled=True)
        assert (view.enabled, view.reason) == (True, "")
        await shop.target.until(lambda: shop.target.seqs(A) == [1, 2, 3])


async def test_WH7_a_target_that_takes_nothing_for_long_is_disabled_with_a_reason() -> None:
    async with Shop(terms=replace(QUICK, tries=1000, disable_after_s=0.05)) as shop:
        webhook = await shop.make()
        shop.target.reply = lambda e: Reply(0, error="cannot connect")
        await shop.say(A, "1")
        view = await shop.settled(webhook, lambda view: not view.enabled)
        assert "cannot connect" in view.reason
        assert view.last_error == "cannot connect"
        shop.target.reply = lambda e: Reply(200)
        await shop.webhooks.change(ADMIN, webhook, enabled=True)
        await shop.target.until(lambda: shop.target.seqs(A) == [1])


async def test_WH7_too_many_dead_letters_disable() -> None:
    async with Shop(terms=replace(QUICK, tries=1, most_dead=2)) as shop:
        webhook = await shop.make()
        shop.target.reply = lambda e: NO
        await shop.say(A, "1", "2", "3", "4")
        view = await shop.settled(webhook, lambda view: not view.enabled)
        assert "dead letters" in view.reason
        assert view.dead == 2


async def test_WH8_at_most_so_many_logs_are_held_and_nothing_is_lost() -> None:
    logs = [LogId(f"main/g/log{n}") for n in range(30)]
    async with Shop(terms=replace(QUICK, tries=100_000, most_held=4)) as shop:
        webhook = await shop.make()
        down = True
        shop.target.reply = lambda e: NO if down else Reply(200)
        for log in logs:
            await shop.say(log, "x")
            await shop.settled(webhook, lambda view: view.held == 4 or view.lag == 0)
        # The four are tried again and again; meanwhile no other one is begun.
        await shop.target.until(lambda: len(shop.target.posts) > 100)
        assert (await shop.webhooks.get(ADMIN, webhook)).held == 4
        assert len({json.loads(body)["log"] for *_, body in shop.target.posts}) == 4
        down = False
        await shop.target.until(lambda: {log for log, _ in shop.target.taken} == set(logs))


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/in",
        "ftp://shop.example/",
        "https://",
        "https://user:pw@shop.example/",
        "https://shop.example/#x",
        "https://127.0.0.1/",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:192.168.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://[fe80::1]/",
        "https://localhost:8443/",
        "https://db.internal/",
        "https://127.1/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://shop.example:99999/",
        "https://shop.example/ x",
        "https://shop.exa\nmple/",
        "https://shop.example/" + "x" * 2048,
    ],
)
async def test_WH9_a_url_that_cannot_be_public_is_refused(url: str) -> None:
    async with Shop() as shop:
        with pytest.raises(BadArgs):
            await shop.make(url=url)


async def test_WH9_allow_private_lets_them_through() -> None:
    shop = Shop()
    shop.webhooks = shop.made(allow_private=True)
    async with shop:
        assert await shop.make(url="http://127.0.0.1:9/in")
        with pytest.raises(BadArgs):
            await shop.make(url="ftp://127.0.0.1/")


async def test_WH11_only_administrators_and_only_of_the_tenant() -> None:
    bob = Identity(tenant=TenantId("main"), user=UserId("bob"), epoch=1)
    async with Shop() as shop:
        webhook = await shop.make()
        hooks = shop.webhooks
        for who, error in ((bob, Forbidden), (OTHER, NoSuchEntry)):
            with pytest.raises(error):
                await hooks.get(who, webhook)
            with pytest.raises(error):
                await hooks.change(who, webhook, enabled=False)
            with pytest.raises(error):
                await hooks.rotate(who, webhook)
            with pytest.raises(error):
                await hooks.test(who, webhook)
            with pytest.raises(error):
                await hooks.dead(who, webhook, after=0, limit=1)
            with pytest.raises(error):
                await hooks.replay(who, webhook, None)
        with pytest.raises(Forbidden):
            await hooks.create(bob, URL)
        with pytest.raises(Forbidden):
            await hooks.list(bob)
        assert await hooks.list(OTHER) == []
        assert not await hooks.drop(OTHER, webhook)
        assert [view.id for view in await hooks.list(ADMIN)] == [webhook]


async def test_WH11_secrets_are_shown_once() -> None:
    async with Shop() as shop:
        webhook = await shop.make()
        view = await shop.webhooks.get(ADMIN, webhook)
        [stored] = await shop.outlets.webhooks()
    assert shop.secret.startswith("whsec_")
    assert shop.secret not in repr(view)
    assert shop.secret not in repr(stored)


async def test_WH11_a_tenant_has_so_many_at_most() -> None:
    shop = Shop()
    shop.webhooks = shop.made(most=2)
    async with shop:
        await shop.make()
        await shop.make()
        with pytest.raises(Full):
            await shop.make()
        await shop.make(OTHER)


async def test_WH12_a_test_event_is_sent_at_once_and_counts_for_nothing() -> None:
    async with Shop() as shop:
        webhook = await shop.make()
        await shop.webhooks.change(ADMIN, webhook, enabled=False)
        result = await shop.webhooks.test(ADMIN, webhook)
        assert (result.ok, result.status) == (True, 200)
        shop.target.reply = lambda e: Reply(0, error="cannot connect")
        result = await shop.webhooks.test(ADMIN, webhook)
        assert (result.ok, result.status, result.error) == (False, 0, "cannot connect")
        view = await shop.webhooks.get(ADMIN, webhook)
    assert json.loads(shop.target.posts[0][2])["type"] == "webhook.test"
    assert (view.delivered, view.failed) == (0, 0)


async def test_WH13_numbers_tell_how_it_fares() -> None:
    async with Shop() as shop:
        webhook = await shop.make()
        bad = True
        shop.target.reply = lambda e: NO if bad else Reply(200)
        await shop.say(A, "1", "2")
        view = await shop.settled(webhook, lambda view: view.failed >= 1 and view.held == 1)
        assert view.last_error == "HTTP 500"
        assert 0 < view.failing_since <= view.last_failed_at
        bad = False
        view = await shop.settled(webhook, lambda view: view.delivered == 2 and view.held == 0)
        stats = shop.webhooks.stats()[webhook]
    assert (view.failing_since, view.last_status, view.lag) == (0, 200, 0)
    assert (stats["delivered"], stats["held"], stats["dead"]) == (2, 0, 0)
    assert stats["failed"] == view.failed


async def test_WH14_from_now_on_or_from_the_beginning() -> None:
    async with Shop() as shop:
        await shop.say(A, "old")
        await shop.make()
        await shop.say(A, "new")
        await shop.target.until(lambda: shop.target.seqs(A) == [2])
        await shop.make(beginning=True)
        await shop.target.until(lambda: len(shop.target.taken) == 3)
    assert shop.target.seqs(A) == [2, 1, 2]


async def test_WH14_a_dropped_webhook_sends_nothing_more() -> None:
    async with Shop() as shop:
        webhook = await shop.make()
        assert await shop.webhooks.drop(ADMIN, webhook)
        assert not await shop.webhooks.drop(ADMIN, webhook)
        await shop.say(A, "1")
        await shop.make(beginning=True)
        await shop.target.until(lambda: len(shop.target.taken) == 1)
    assert len(shop.target.posts) == 1


async def test_WH1_a_store_that_fails_for_a_while_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The position cannot be saved after the delivery: it is delivered again, held or not."""
    async with Shop() as shop:
        webhook = await shop.make()
        real, broken = shop.outlets.settle, 2

        async def settle(*args: object, **more: object) -> None:
            nonlocal broken
            if broken:
                broken -= 1
                raise StoreDown("the disk is full")
            await real(*args, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(shop.outlets, "settle", settle)
        shop.target.reply = lambda e: NO if e["entry"]["seq"] == 1 and broken else Reply(200)
        await shop.say(A, "1", "2")
        await shop.settled(webhook, lambda view: view.lag == 0 and view.held == 0)
    assert list(dict.fromkeys(shop.target.seqs(A))) == [1, 2]


def test_WH4_kinds_are_those_of_this_server() -> None:
    from hongyan.app import KINDS
    from hongyan.engine.backends.events import PRIVATE, names_of

    assert names_of(KINDS).items() >= KNOWN.items()
    assert PRIVATE in names_of(KINDS).values()


async def test_WH1_webhooks_at_the_same_place_share_one_reading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Shop() as shop:
        for _ in range(6):
            await shop.make()
        reads = 0
        real = shop.store.feed

        async def counted(*, after: int, limit: int) -> list[FeedItem]:
            nonlocal reads
            reads += 1
            return await real(after=after, limit=limit)

        monkeypatch.setattr(shop.store, "feed", counted)
        await shop.say(A, "1")
        await shop.target.until(lambda: len(shop.target.taken) == 6)
    assert reads <= 4  # where each reads for itself: 12


async def test_WH1_a_reading_that_began_before_a_commit_does_not_hide_it() -> None:
    shop = Shop()
    feed, gate, began = SharedFeed(shop.store), asyncio.Event(), asyncio.Event()
    real = shop.store.feed

    async def slow(*, after: int, limit: int) -> list[FeedItem]:
        found = await real(after=after, limit=limit)
        began.set()
        await gate.wait()
        return found

    shop.store.feed = slow  # type: ignore[method-assign]
    await shop.say(A, "1")
    first = asyncio.create_task(feed.feed(after=0, limit=9))
    same = asyncio.create_task(feed.feed(after=0, limit=9))
    await asyncio.wait_for(began.wait(), 10)
    await shop.say(A, "2")
    feed.wake()
    later = asyncio.create_task(feed.feed(after=0, limit=9))
    gate.set()
    assert [len(await task) for task in (first, same, later)] == [1, 1, 2]
    assert (await first) is (await same)


async def test_WH1_a_reading_that_fails_or_finds_nothing_is_not_kept() -> None:
    """The hint of a commit may get lost, and a store may be down for a while."""
    shop = Shop()
    feed = SharedFeed(shop.store)
    assert await feed.feed(after=0, limit=9) == []
    await shop.say(A, "1")  # and no wake
    assert len(await feed.feed(after=0, limit=9)) == 1
    real = shop.store.feed

    async def broken(*, after: int, limit: int) -> list[FeedItem]:
        raise StoreDown("for a while")

    shop.store.feed = broken  # type: ignore[method-assign]
    with pytest.raises(StoreDown):
        await feed.feed(after=1, limit=9)
    shop.store.feed = real  # type: ignore[method-assign]
    assert await feed.feed(after=1, limit=9) == []
