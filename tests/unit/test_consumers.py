"""Consumers bring every entry, in order, whatever fails (rules K)."""

# size: the cases of one subject share their fixtures; parted, each part would repeat them

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from hongyan.adapters.memory.clock import ManualClock
from hongyan.adapters.memory.store import MemoryStore
from hongyan.engine.consumers import Consumer, StoredSink, wait_for
from hongyan.model.errors import StoreDown
from hongyan.model.ids import LogId, OpId, UserId
from hongyan.model.log import Commit, MemberChange, Write
from hongyan.ports import FeedItem

AB = LogId("main/d/alice~bob")
NOW = 1_700_000_000_000
DEADLINE = 10.0  # seconds until a test that hangs is called failed


class Feed:
    """A store with one log and a way to say something in it."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.said = 0

    async def say(self, *texts: str, at: int = NOW) -> None:
        writes = tuple(Write("message", f'"{text}"'.encode(), count=True) for text in texts)
        self.said += 1
        create = self.said == 1
        await self.store.commit(
            Commit(
                log=AB,
                sender=UserId("alice"),
                op=OpId(f"op{self.said}"),
                hash=b"0" * 16,
                at=at,
                writes=writes,
                expect=0 if create else -1,
                state=b"{}" if create else None,
                members=(MemberChange(user=UserId("alice"), join=True),) if create else (),
            )
        )


class Work:
    """A handler that notes what it was given, and fails where it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.fail: Callable[[list[str]], bool] = lambda texts: False

    async def __call__(self, items: Sequence[FeedItem]) -> None:
        texts = [bytes(item.entry.body).decode().strip('"') for item in items]
        self.batches.append(texts)
        if self.fail(texts):
            raise RuntimeError("the handler broke")

    @property
    def flat(self) -> list[str]:
        return [text for batch in self.batches for text in batch]


class Waits:
    """Stands in for time: pauses of the consumer end at once and are noted; a poll lasts until
    the event comes or `poll()` ends it."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.polling = asyncio.Event()
        self._tick = asyncio.Event()

    async def __call__(self, event: asyncio.Event, seconds: float) -> None:
        if seconds != POLL_S:
            self.pauses.append(seconds)
            await asyncio.sleep(0)
            return
        self.polling.set()
        over = [asyncio.create_task(e.wait()) for e in (event, self._tick)]
        try:
            await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in over:
                task.cancel()
            self._tick.clear()
            self.polling.clear()

    def poll(self) -> None:
        """The time of a poll is over."""
        self._tick.set()


POLL_S = 12.5  # a length no pause has


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
async def waits() -> Waits:
    return Waits()


@pytest.fixture
def make(feed: Feed, work: Work, waits: Waits) -> Callable[..., Consumer]:
    def build(**settings: object) -> Consumer:
        sink = settings.pop("sink", None) or StoredSink("test", feed.store, work)
        known = {
            "poll_s": POLL_S,
            "gather_s": 0.0,
            "wait": waits,
            "jitter": lambda: 1.0,
            **settings,
        }
        clock = known.pop("clock", ManualClock(NOW))
        return Consumer("test", feed.store, sink, clock, **known)  # type: ignore[arg-type]

    return build


async def caught_up(consumer: Consumer) -> None:
    await asyncio.wait_for(consumer.caught_up(), DEADLINE)


async def until(true: Callable[[], bool]) -> None:
    """Let the loop run until it is so; no time passes in these tests."""
    async with asyncio.timeout(DEADLINE):
        while not true():  # noqa: ASYNC110 (a count that no event tells)
            await asyncio.sleep(0)


@contextmanager
def errors() -> Iterator[list[EventDict]]:
    """The log lines of level error, as they come."""
    with capture_logs() as lines:
        yield lines


async def test_K1_every_entry_once_in_order_in_bounded_batches(
    feed: Feed, work: Work, make: Callable[..., Consumer]
) -> None:
    for n in range(25):
        await feed.say(f"{n}a", f"{n}b")
    consumer = make(batch=7)
    consumer.start()
    await caught_up(consumer)

    assert work.flat == [f"{n}{part}" for n in range(25) for part in "ab"]
    assert {len(batch) for batch in work.batches} == {7, 1}
    assert await feed.store.consumer("test") == 50
    await consumer.stop()


async def test_K1_a_new_start_goes_on_where_the_last_one_ended(
    feed: Feed, work: Work, make: Callable[..., Consumer]
) -> None:
    await feed.say("one")
    first = make()
    first.start()
    await caught_up(first)
    await first.stop()
    await feed.say("two")

    second = make()
    second.start()
    await caught_up(second)

    assert work.batches == [["one"], ["two"]]
    await second.stop()


async def test_K2_death_between_work_and_save_brings_the_entry_again(
    feed: Feed, work: Work, make: Callable[..., Consumer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work is done, the position is not saved, the process dies: handled again, not lost."""
    reached = asyncio.Event()

    async def die(name: str, pos: int) -> None:
        reached.set()
        await asyncio.Event().wait()

    await feed.say("one")
    with monkeypatch.context() as patch:
        patch.setattr(feed.store, "save_consumer", die)
        dying = make()
        dying.start()
        await asyncio.wait_for(reached.wait(), DEADLINE)
        await dying.stop(grace_s=0)
    await feed.say("two")

    reborn = make()
    reborn.start()
    await caught_up(reborn)

    assert work.batches == [["one"], ["one", "two"]]
    await reborn.stop()


async def test_K2_a_position_that_cannot_be_saved_brings_the_entries_again(
    feed: Feed, work: Work, make: Callable[..., Consumer], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = feed.store.save_consumer, 2

    async def fails_twice(name: str, pos: int) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise StoreDown("disk gone")
        await real(name, pos)

    monkeypatch.setattr(feed.store, "save_consumer", fails_twice)
    await feed.say("one")
    consumer = make()
    consumer.start()
    await caught_up(consumer)

    assert work.batches == [["one"]] * 3
    assert consumer.stats()["position"] == 1
    await consumer.stop()


async def test_K3_a_handler_that_fails_three_times_then_works(
    feed: Feed, work: Work, waits: Waits, make: Callable[..., Consumer]
) -> None:
    tries = 0

    def three_times(texts: list[str]) -> bool:
        nonlocal tries
        tries += 1
        return tries <= 3

    work.fail = three_times
    await feed.say("one")
    consumer = make(pause_s=0.5)
    with errors() as lines:
        consumer.start()
        await caught_up(consumer)

    assert work.batches == [["one"]] * 4
    assert waits.pauses == [0.5, 1.0, 2.0]
    told = [line for line in lines if line["log_level"] == "error"]
    assert [(line["failures"], line["log"], line["seq"]) for line in told] == [
        (1, AB, 1),
        (2, AB, 1),
        (3, AB, 1),
    ]
    assert all(isinstance(line["exc_info"], RuntimeError) for line in told)
    stats = consumer.stats()
    assert (stats["failed"], stats["failures"], stats["handled"]) == (3, 0, 1)
    await consumer.stop()


async def test_K3_pauses_double_to_a_bound_and_are_spread(
    feed: Feed, work: Work, waits: Waits, make: Callable[..., Consumer]
) -> None:
    stopped = asyncio.Event()

    def fail(texts: list[str]) -> bool:
        if len(work.batches) == 2000:  # far beyond what 2.0 ** n can hold
            stopped.set()
        return True

    work.fail = fail
    await feed.say("one")
    jitter = iter([0.0, 0.5] * 2000)
    consumer = make(pause_s=0.2, most_pause_s=3.0, jitter=lambda: next(jitter))
    with errors():
        consumer.start()
        await asyncio.wait_for(stopped.wait(), DEADLINE)
        await consumer.stop()

    assert waits.pauses[:6] == pytest.approx([0.1, 0.3, 0.4, 1.2, 1.5, 2.25])
    assert {round(pause, 2) for pause in waits.pauses[4:]} == {1.5, 2.25}


async def test_K3_a_store_that_fails_ends_nothing(
    feed: Feed, work: Work, make: Callable[..., Consumer], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = feed.store.feed, 3

    async def fails(*, after: int, limit: int) -> list[FeedItem]:
        nonlocal failures
        if failures:
            failures -= 1
            raise StoreDown("no database")
        return await real(after=after, limit=limit)

    monkeypatch.setattr(feed.store, "feed", fails)
    await feed.say("one")
    consumer = make()
    with errors() as lines:
        consumer.start()
        await caught_up(consumer)

    assert work.batches == [["one"]]
    assert len(lines) == 3
    await consumer.stop()


async def test_K4_a_bad_entry_holds_up_only_what_is_behind_it(
    feed: Feed, work: Work, waits: Waits, make: Callable[..., Consumer]
) -> None:
    """What is before it gets through; the log names it; mended, it goes on with it."""
    waiting = asyncio.Event()

    def bad(texts: list[str]) -> bool:
        if texts == ["bad"]:
            waiting.set()
        return "bad" in texts

    work.fail = bad
    for text in ["a", "b", "c", "d", "e", "bad", "f", "g"]:
        await feed.say(text)
    consumer = make(batch=100)
    with errors() as lines:
        consumer.start()
        await asyncio.wait_for(waiting.wait(), DEADLINE)
        await until(lambda: consumer.stats()["failures"] >= 2)
        assert await feed.store.consumer("test") == 5
        assert (lines[-1]["log"], lines[-1]["seq"], lines[-1]["after"]) == (AB, 6, 5)
        work.fail = lambda texts: False
        await caught_up(consumer)

    assert await feed.store.consumer("test") == 8
    done = [text for batch in work.batches if "bad" not in batch for text in batch]
    assert done[:5] == ["a", "b", "c", "d", "e"]
    assert work.batches[-1][-1] == "g"
    assert consumer.stats()["failures"] == 0
    await consumer.stop()


async def test_K5_a_wake_up_call_is_enough(
    feed: Feed, work: Work, waits: Waits, make: Callable[..., Consumer]
) -> None:
    consumer = make()
    consumer.start()
    await asyncio.wait_for(waits.polling.wait(), DEADLINE)
    await feed.say("one")
    consumer.wake()
    consumer.wake()
    await until(lambda: bool(work.batches))

    assert work.batches == [["one"]]
    await consumer.stop()


async def test_K5_a_wake_up_call_during_a_look_is_not_lost(
    feed: Feed, work: Work, make: Callable[..., Consumer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entry is committed just after the feed was read, and the poll is far away."""
    real = feed.store.feed

    async def late(*, after: int, limit: int) -> list[FeedItem]:
        items = await real(after=after, limit=limit)
        if not feed.said:
            await feed.say("one")
            consumer.wake()
        return items

    monkeypatch.setattr(feed.store, "feed", late)
    consumer = make()
    consumer.start()
    await until(lambda: work.batches == [["one"]])

    await consumer.stop()


async def test_K3_an_idle_consumer_is_idle(
    feed: Feed, work: Work, waits: Waits, make: Callable[..., Consumer]
) -> None:
    looks = 0
    real = feed.store.feed

    async def counted(*, after: int, limit: int) -> list[FeedItem]:
        nonlocal looks
        looks += 1
        return await real(after=after, limit=limit)

    feed.store.feed = counted  # type: ignore[method-assign]
    await feed.say("one")
    consumer = make()
    consumer.start()
    consumer.wake()
    await caught_up(consumer)
    await asyncio.wait_for(waits.polling.wait(), DEADLINE)
    before = looks
    for _ in range(100):
        await asyncio.sleep(0)

    assert looks == before
    await consumer.stop()


async def test_K3_new_entries_do_not_shorten_a_pause(
    feed: Feed, work: Work, make: Callable[..., Consumer]
) -> None:
    """Else a failing sink would be tried again at every commit."""

    async def wait(event: asyncio.Event, seconds: float) -> None:
        await asyncio.sleep(0)  # so that a pause that is none shows, and does not hang the test
        await wait_for(event, seconds)

    work.fail = lambda texts: True
    await feed.say("one")
    consumer = make(wait=wait, pause_s=1e6, most_pause_s=1e6)
    with errors():
        consumer.start()
        await until(lambda: consumer.stats()["failures"] == 1)
        for _ in range(100):
            consumer.wake()
            await asyncio.sleep(0)

    assert len(work.batches) == 1
    await consumer.stop()


async def test_K5_a_lost_wake_up_call_is_found_by_the_poll(
    feed: Feed, work: Work, waits: Waits, make: Callable[..., Consumer]
) -> None:
    consumer = make()
    consumer.start()
    await asyncio.wait_for(waits.polling.wait(), DEADLINE)
    await feed.say("one")  # and nobody says so
    waits.poll()
    await until(lambda: bool(work.batches))

    assert work.batches == [["one"]]
    await consumer.stop()


async def test_K5_the_real_wait_ends_by_time_and_by_event() -> None:
    event = asyncio.Event()
    await asyncio.wait_for(wait_for(event, 0.001), DEADLINE)
    event.set()
    await asyncio.wait_for(wait_for(event, 1e6), DEADLINE)


async def test_K6_stop_lets_the_running_batch_end(
    feed: Feed, make: Callable[..., Consumer]
) -> None:
    begun, may_end, seen = asyncio.Event(), asyncio.Event(), []

    async def slow(items: Sequence[FeedItem]) -> None:
        begun.set()
        await may_end.wait()
        seen.extend(items)

    for n in range(3):
        await feed.say(str(n))
    consumer = make(sink=StoredSink("test", feed.store, slow), batch=1)
    consumer.start()
    await asyncio.wait_for(begun.wait(), DEADLINE)
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.sleep(0)
    may_end.set()
    await asyncio.wait_for(stopping, DEADLINE)

    assert len(seen) == 1
    assert await feed.store.consumer("test") == 1


async def test_K6_stop_cancels_a_batch_that_does_not_end_and_it_comes_again(
    feed: Feed, work: Work, make: Callable[..., Consumer]
) -> None:
    begun = asyncio.Event()

    async def stuck(items: Sequence[FeedItem]) -> None:
        begun.set()
        await asyncio.Event().wait()

    await feed.say("one")
    consumer = make(sink=StoredSink("test", feed.store, stuck))
    consumer.start()
    await asyncio.wait_for(begun.wait(), DEADLINE)
    waiting = asyncio.create_task(consumer.caught_up())
    await asyncio.sleep(0)
    with errors() as lines:
        await asyncio.wait_for(consumer.stop(grace_s=0), DEADLINE)

    assert [line["event"] for line in lines] == ["consumer cancelled in the middle of a batch"]
    with pytest.raises(StoreDown, match="stopped"):
        await waiting
    assert await feed.store.consumer("test") == 0
    again = make()
    again.start()
    await caught_up(again)
    assert work.batches == [["one"]]
    await again.stop()


async def test_K6_stop_ends_a_pause_and_a_poll_at_once(
    feed: Feed, work: Work, make: Callable[..., Consumer]
) -> None:
    failed = asyncio.Event()

    def fail(texts: list[str]) -> bool:
        failed.set()
        return True

    idle = make(wait=wait_for, poll_s=1e6)
    idle.start()
    await caught_up(idle)
    await asyncio.wait_for(idle.stop(grace_s=1e6), DEADLINE)
    work.fail = fail
    await feed.say("one")
    pausing = make(wait=wait_for, pause_s=1e6, most_pause_s=1e6)
    with errors():
        pausing.start()
        await asyncio.wait_for(failed.wait(), DEADLINE)
        await asyncio.wait_for(pausing.stop(grace_s=1e6), DEADLINE)
    await pausing.stop()
    with pytest.raises(StoreDown, match="does not run"):
        await pausing.caught_up()


async def test_K6_a_consumer_starts_once_and_stops_unstarted(
    make: Callable[..., Consumer],
) -> None:
    await make().stop()
    consumer = make()
    consumer.start()
    with pytest.raises(RuntimeError, match="started before"):
        consumer.start()
    await consumer.stop()


async def test_K7_lag_is_the_age_of_the_oldest_entry_not_handled(
    feed: Feed, work: Work, make: Callable[..., Consumer]
) -> None:
    clock = ManualClock(NOW)
    consumer = make(clock=clock)
    assert consumer.stats()["lag_seconds"] == 0
    work.fail = lambda texts: True
    await feed.say("old", at=NOW - 60_000)
    await feed.say("new", at=NOW)
    with errors():
        consumer.start()
        await until(lambda: consumer.stats()["failures"] >= 3)
        clock.advance(5)
        assert consumer.stats()["lag_seconds"] == 65
        clock.jump_wall(-3_600_000)
        assert consumer.stats()["lag_seconds"] == 0  # the clock jumped: no negative age
        work.fail = lambda texts: False
        await caught_up(consumer)

    assert consumer.stats() == {
        "position": 2,
        "handled": 2,
        "failed": consumer.stats()["failed"],
        "failures": 0,
        "lag_seconds": 0,
    }
    await consumer.stop()


async def test_K1_after_quiet_a_first_entry_waits_for_company(
    feed: Feed, work: Work, waits: Waits, make: Callable[..., Consumer]
) -> None:
    async def wait(event: asyncio.Event, seconds: float) -> None:
        if seconds == 0.25:
            await feed.say("two")  # comes while the consumer waits
        else:
            await waits(event, seconds)

    consumer = make(gather_s=0.25, wait=wait)
    consumer.start()
    await asyncio.wait_for(waits.polling.wait(), DEADLINE)
    await feed.say("one")
    consumer.wake()
    await until(lambda: bool(work.batches))

    assert work.batches == [["one", "two"]]
    await consumer.stop()


async def test_K1_under_a_flood_it_takes_its_share_of_the_time(
    feed: Feed, waits: Waits, make: Callable[..., Consumer]
) -> None:
    clock = ManualClock(NOW)
    took = iter([0.1, 0.3, 99.0])

    async def works(items: Sequence[FeedItem]) -> None:
        clock.advance(next(took))

    await feed.say("one", "two", "three")
    consumer = make(sink=StoredSink("test", feed.store, works), clock=clock, batch=1, share=0.25)
    consumer.start()
    await caught_up(consumer)

    assert waits.pauses[:3] == pytest.approx([0.3, 0.9, 1.0])  # never more than a second
    await consumer.stop()


async def test_K7_between_two_batches_the_lag_is_not_hidden(
    feed: Feed, work: Work, waits: Waits, make: Callable[..., Consumer]
) -> None:
    """While it rests, a consumer knows only that what is next is no older than what was last."""
    lags: list[float] = []

    async def wait(event: asyncio.Event, seconds: float) -> None:
        lags.append(consumer.stats()["lag_seconds"])
        await waits(event, seconds)

    clock = ManualClock(NOW)

    async def works(items: Sequence[FeedItem]) -> None:
        clock.advance(1)

    await feed.say("one", at=NOW - 60_000)
    await feed.say("two", at=NOW - 30_000)
    await feed.say("three", at=NOW - 10_000)
    sink = StoredSink("test", feed.store, works)
    consumer = make(sink=sink, clock=clock, batch=2, share=0.5, wait=wait)
    consumer.start()
    await caught_up(consumer)
    await asyncio.wait_for(waits.polling.wait(), DEADLINE)

    assert lags == [31, 12, 0]
    await consumer.stop()


class OwnPlace:
    """A sink that keeps its position with its data."""

    def __init__(self, pos: int) -> None:
        self.pos = pos
        self.rewound = 0
        self.seen: list[int] = []

    async def position(self) -> int:
        return self.pos

    async def apply(self, items: Sequence[FeedItem], pos: int) -> None:
        self.seen += [item.pos for item in items]
        self.pos = pos

    async def rewind(self) -> None:
        self.rewound += 1
        self.pos = 0


async def test_K8_a_sink_ahead_of_the_feed_is_told_to_begin_again(
    feed: Feed, make: Callable[..., Consumer]
) -> None:
    """The store was restored from an older copy: what the sink knows never happened."""
    await feed.say("one", "two")
    sink = OwnPlace(7)
    consumer = make(sink=sink)
    with errors() as lines:
        consumer.start()
        await caught_up(consumer)

    assert (sink.rewound, sink.seen, sink.pos) == (1, [1, 2], 2)
    assert lines[0]["log_level"] == "error" and lines[0]["position"] == 7
    await consumer.stop()


@pytest.mark.parametrize("pos", [0, 1, 2])
async def test_K8_a_sink_within_the_feed_is_left_alone(
    feed: Feed, make: Callable[..., Consumer], pos: int
) -> None:
    await feed.say("one", "two")
    sink = OwnPlace(pos)
    consumer = make(sink=sink)
    consumer.start()
    await caught_up(consumer)

    assert (sink.rewound, sink.seen) == (0, [1, 2][pos:])
    await consumer.stop()


async def test_K8_a_position_that_goes_back_brings_the_entries_again(
    feed: Feed, make: Callable[..., Consumer]
) -> None:
    """As when a damaged index is made new while the server runs."""
    await feed.say("one", "two")
    sink = OwnPlace(0)
    consumer = make(sink=sink)
    consumer.start()
    await caught_up(consumer)
    sink.pos = 0
    await caught_up(consumer)

    assert sink.seen == [1, 2, 1, 2]
    await consumer.stop()
