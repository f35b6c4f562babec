"""Brings one webhook its events: at least once, and in order per log.

    feed ─ Consumer ─▶ apply ─┬─ delivered ────────────────▶ position (durable)
                              └─ failed: Hold of the log ──▶ retried by itself, position goes on
                                    └─ given up: dead letter, the log goes on

What stands before the position is delivered, dead, or in a held log at or after the hold's seq.
A held log is read from the store when it is tried again, so nothing waits in memory but one
small row per held log; at `most_held` of them the reading of the feed pauses.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
import structlog
from msgspec.structs import replace

from hongyan.engine.backends.events import Wanted, body_of, event_of, iso
from hongyan.engine.backends.signing import sign
from hongyan.engine.consumers import Consumer, Feed, wait_for
from hongyan.model.ids import LogId, Seq
from hongyan.model.outlets import Dead, Hold, Progress, Webhook
from hongyan.ports import Clock, FeedItem, Outlets, Poster, Reply, Store

logger = structlog.get_logger(__name__)

MOST_ANSWER = 4096  # bytes of an answer that are read; they count for nothing
PAGE = 32  # entries of a held log, or dead letters, at a time
BATCH = 200
SKIPPED = 2000  # positions that nobody wanted, after which the position is saved anyway
LEAST_PAUSE_MS = 20  # whatever the dice say
STORE_PAUSE_MS = 5000  # when our own store fails
ERROR_CHARS = 200
GONE = 410


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How deliveries are tried; see the settings of the same names."""

    timeout_s: float = 10.0
    tries: int = 20
    pause_s: float = 2.0
    most_pause_s: float = 3600.0
    max_age_s: float = 3 * 86_400.0
    disable_after_s: float = 5 * 86_400.0
    parallel: int = 8
    most_held: int = 256
    most_dead: int = 10_000


class Courier:
    """One enabled webhook at work. `start` once, `wake` on commits, `stop` at the end."""

    def __init__(
        self,
        webhook: Webhook,
        known: Mapping[str, str],
        *,
        feed: Feed,
        store: Store,
        outlets: Outlets,
        poster: Poster,
        clock: Clock,
        terms: Terms,
        disable: Callable[[Webhook, str], None],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`disable` is called at most once, with the reason, when the webhook has to end; it must
        not wait. `jitter` gives 0..1."""
        self.webhook = webhook
        self.progress = Progress()
        self.given_up = 0  # dead letters there are
        self._known = known
        self._wanted = Wanted(webhook.tenant, webhook.kinds, webhook.types, known)
        self._store, self._outlets, self._poster = store, outlets, poster
        self._clock, self._terms, self._disable, self._jitter = clock, terms, disable, jitter
        self._pos = self._saved = 0
        self._holds: dict[LogId, Hold] = {}
        self._last: dict[LogId, int] = {}  # of each hold: up to where the feed was read past it
        self._ready: set[LogId] = set()  # holds that are on disk and that nobody is at
        self._slots = asyncio.Semaphore(terms.parallel)
        self._quiet_until = 0.0  # monotonic: the target asked for a pause
        self._stopping = asyncio.Event()
        self._look = asyncio.Event()  # something may be due
        self._freed = asyncio.Event()
        self._replays = True  # there may be dead letters to send again
        self._ending = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._consumer = Consumer(f"webhook {webhook.id}", feed, self, clock, batch=BATCH, share=1)

    # --- life -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Read how far it has come, and go on from there. Raises StoreDown."""
        self._pos, self.progress = await self._outlets.progress(self.webhook.id)
        self._saved = self._pos
        self.given_up = await self._outlets.count_dead(self.webhook.id)
        for hold in await self._outlets.holds(self.webhook.id):
            self._holds[hold.log] = hold
            self._last[hold.log] = self._pos
            self._ready.add(hold.log)
        self._spawn(self._tend())
        self._consumer.start()

    def wake(self) -> None:
        """Something was committed."""
        self._consumer.wake()

    def replay(self) -> None:
        """Dead letters were asked for again."""
        self._replays = True
        self._look.set()

    async def stop(self, grace_s: float = 1.0) -> None:
        """End; what was not taken by then is sent again after the next start. Idempotent."""
        self._stopping.set()
        self._look.set()
        self._freed.set()
        await self._consumer.stop(grace_s)
        mine = asyncio.current_task()
        tasks = {task for task in self._tasks if task is not mine}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    @property
    def held(self) -> int:
        """Logs that wait for another try."""
        return len(self._holds)

    @property
    def lag_seconds(self) -> float:
        """No entry older than this is unread; held logs not counted."""
        return self._consumer.stats()["lag_seconds"]

    async def caught_up(self) -> None:
        """Wait until the feed was read to its end; held logs may still wait."""
        await self._consumer.caught_up()

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- the sink of the consumer -----------------------------------------------------------

    async def position(self) -> int:
        """See Sink."""
        return self._pos

    async def rewind(self) -> None:
        """See Sink: the position is as old as the store."""

    async def apply(self, items: Sequence[FeedItem], pos: int) -> None:
        """See Sink: bring these entries, or hold their logs back."""
        while len(self._holds) >= self._terms.most_held:
            self._freed.clear()
            await self._rest(self._freed)
        groups: dict[LogId, list[FeedItem]] = {}
        for item in items:  # no wait in this loop: a hold that ends meanwhile misses nothing
            if item.log in self._holds:
                self._last[item.log] = item.pos
            elif self._wanted.takes(item):
                groups.setdefault(item.log, []).append(item)
        if not groups and pos - self._saved < SKIPPED:
            self._pos = pos
            return
        dead: list[Dead] = []
        await asyncio.gather(*(self._bring(group, dead) for group in groups.values()))
        fresh = [self._holds[log] for log in groups if log in self._holds]
        try:
            await self._outlets.settle(
                self.webhook.id, self.progress, pos=pos, held=fresh, dead=dead
            )
        except BaseException:
            for hold in fresh:  # the batch comes again
                self._let_go(hold.log)
            raise
        self._pos = self._saved = pos
        self._ready.update(hold.log for hold in fresh)
        await self._count(dead)
        self._look.set()

    async def _bring(self, items: Sequence[FeedItem], dead: list[Dead]) -> None:
        """Entries of one log in their order, up to the first that is not taken."""
        for item in items:
            reply = await self._attempt(item)
            if not taken(reply):
                hold = Hold(log=item.log, seq=item.entry.seq)
                self._last[item.log] = items[-1].pos
                self._holds[item.log] = hold
                dead += self._failed(hold, item, reply)
                return

    # --- held logs --------------------------------------------------------------------------

    async def _tend(self) -> None:
        """Try what is due, until stopped."""
        while not self._stopping.is_set():
            self._look.clear()
            if self._replays:
                self._replays = False
                self._spawn(self._guard(None, self._replay_all()))
            now = self._clock.now_ms()
            for log in [log for log in self._ready if self._holds[log].next_at <= now]:
                self._ready.discard(log)
                self._spawn(self._guard(self._holds[log], self._retry(self._holds[log])))
            soonest = min((self._holds[log].next_at for log in self._ready), default=now + 60_000)
            await wait_for(self._look, max(soonest - now, 1) / 1000)

    async def _guard(self, hold: Hold | None, work: Awaitable[None]) -> None:
        """Our own store may fail, or we may have a bug: then later again."""
        try:
            await work
        except Exception:
            logger.exception("webhook retry failed", webhook=self.webhook.id)
            if hold is None:
                self._replays = True
                await wait_for(self._stopping, STORE_PAUSE_MS / 1000)
            else:
                hold.next_at = self._clock.now_ms() + STORE_PAUSE_MS
        if hold is not None and hold.log in self._holds:
            self._ready.add(hold.log)
        self._look.set()

    async def _retry(self, hold: Hold) -> None:
        """Go on with a held log, until it has caught up with the feed or fails again."""
        while not self._stopping.is_set():
            seen = self._last[hold.log]
            items = await self._store.tail(hold.log, after=Seq(hold.seq - 1), limit=PAGE)
            over = not items and self._last[hold.log] == seen
            dead: list[Dead] = []
            failed = False
            for item in items:
                if item.pos > self._last[hold.log]:
                    over = True  # the feed has not come there yet and brings it itself
                    break
                if self._wanted.takes(item):
                    reply = await self._attempt(item)
                    if failed := not taken(reply):
                        dead += self._failed(hold, item, reply)
                        break
                    hold.tries = hold.since = 0
                hold.seq = Seq(item.entry.seq + 1)
            await self._save(hold, over, dead)
            if over or failed:
                return

    async def _save(self, hold: Hold, over: bool, dead: list[Dead]) -> None:
        if over:  # before the wait: from now on the feed brings this log again
            self._let_go(hold.log)
            await self._outlets.settle(self.webhook.id, self.progress, freed=[hold.log], dead=dead)
        else:
            await self._outlets.settle(self.webhook.id, self.progress, held=[hold], dead=dead)
        await self._count(dead)

    def _let_go(self, log: LogId) -> None:
        self._holds.pop(log, None)
        self._last.pop(log, None)
        self._freed.set()

    def _failed(self, hold: Hold, item: FeedItem, reply: Reply) -> list[Dead]:
        """Note a failed attempt at the first entry of a hold: a later one, or a dead letter."""
        now, terms = self._clock.now_ms(), self._terms
        hold.since = hold.since or now
        hold.tries += 1
        longest = min(terms.pause_s * 2.0 ** min(hold.tries - 1, 40), terms.most_pause_s)
        hold.next_at = now + max(
            int(longest * self._jitter() * 1000), LEAST_PAUSE_MS, self._asked_ms(reply)
        )
        if hold.tries < terms.tries and now - hold.since < terms.max_age_s * 1000:
            return []
        letter = Dead(
            pos=item.pos,
            log=item.log,
            seq=item.entry.seq,
            type=item.entry.type,
            at=now,
            tries=hold.tries,
            error=error_of(reply),
        )
        self.progress.given_up += 1
        hold.seq, hold.tries = Seq(item.entry.seq + 1), 0
        logger.warning("webhook gave an entry up", webhook=self.webhook.id, log=item.log)
        return [letter]

    # --- dead letters -----------------------------------------------------------------------

    async def _replay_all(self) -> None:
        """Send again what was asked for, each once, in the order of the feed."""
        while letters := await self._outlets.dead(self.webhook.id, limit=PAGE, replay=True):
            for letter in letters:
                items = await self._store.tail(letter.log, after=Seq(letter.seq - 1), limit=1)
                reply = Reply(0, error="the entry is not kept any more")
                if items and items[0].entry.seq == letter.seq:
                    reply = await self._attempt(items[0])
                if taken(reply):
                    self.given_up -= 1
                    await self._outlets.settle(self.webhook.id, self.progress, sent=[letter.pos])
                    continue
                tried = replace(
                    letter,
                    tries=letter.tries + 1,
                    at=self._clock.now_ms(),
                    error=error_of(reply),
                    replay=False,
                )
                await self._outlets.settle(self.webhook.id, self.progress, dead=[tried])

    async def _count(self, dead: Sequence[Dead]) -> None:
        self.given_up += len(dead)
        if dead and self.given_up >= self._terms.most_dead:
            await self._end(f"{self.given_up} dead letters: replay or drop them, then enable")

    # --- one attempt ------------------------------------------------------------------------

    async def _attempt(self, item: FeedItem) -> Reply:
        """Post an entry once. Cancels itself where the webhook ends meanwhile."""
        async with self._slots:
            while (pause := self._quiet_until - self._clock.monotonic()) > 0:
                await self._rest(self._stopping, pause)
            if self._stopping.is_set() or self._ending:
                raise asyncio.CancelledError
            event = event_of(item, self._known)
            reply = await post(
                self._poster, self.webhook, event.id, body_of(event), self._clock, self._terms
            )
        await self._note(reply)
        return reply

    async def _note(self, reply: Reply) -> None:
        now, progress = self._clock.now_ms(), self.progress
        progress.last_status = reply.status
        if taken(reply):
            progress.delivered += 1
            progress.last_ok_at, progress.failing_since = now, 0
            return
        progress.failed += 1
        progress.last_failed_at, progress.last_error = now, error_of(reply)
        progress.failing_since = progress.failing_since or now
        if asked := self._asked_ms(reply):
            self._quiet_until = self._clock.monotonic() + asked / 1000
        if reply.status == GONE:
            await self._end("the target answered 410 Gone")
        elif now - progress.failing_since > self._terms.disable_after_s * 1000:
            await self._end(
                f"nothing was taken since {iso(progress.failing_since)}: {progress.last_error}"
            )

    def _asked_ms(self, reply: Reply) -> int:
        return min(reply.retry_after_ms, int(self._terms.most_pause_s * 1000))

    async def _end(self, reason: str) -> None:
        """Disable the webhook; what is not delivered stays where it is."""
        if not self._ending:
            self._ending = True
            await self._outlets.settle(self.webhook.id, self.progress)
            self._disable(self.webhook, reason)
        raise asyncio.CancelledError

    async def _rest(self, event: asyncio.Event, seconds: float = 3600.0) -> None:
        """Wait for an event; ends the task where the courier was stopped meanwhile."""
        await wait_for(event, seconds)
        if self._stopping.is_set():
            raise asyncio.CancelledError


def taken(reply: Reply) -> bool:
    """Whether the target has taken what was posted."""
    return 200 <= reply.status < 300


def error_of(reply: Reply) -> str:
    """Why not, in one line."""
    return (reply.error or f"HTTP {reply.status}")[:ERROR_CHARS]


async def post(
    poster: Poster, webhook: Webhook, message_id: str, body: bytes, clock: Clock, terms: Terms
) -> Reply:
    """Sign and post once."""
    return await poster.post(
        webhook.url,
        sign(webhook.secrets, message_id, clock.now_ms(), body),
        body,
        timeout_s=terms.timeout_s,
        most=MOST_ANSWER,
    )
