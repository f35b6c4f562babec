"""Live logs that are watched: items each once and in order, values kept current, gaps counted.

A watch holds over reconnects. It says with each new subscription what it has seen, so within one
life of the log on the server (an epoch) only what the server does not hold any more is lost, and
counted. After a restart of the server the log begins a new epoch with what was said since.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

from hongyan.client.errors import Closed
from hongyan.client.follow import Follower, Pulse
from hongyan.client.latest import Latest
from hongyan.client.outbox import backoff
from hongyan.client.shell import Shell
from hongyan.model.errors import BadArgs, Forbidden, Refusal
from hongyan.model.ids import LogId, Seq
from hongyan.model.live import GAP_EPOCH, LiveItem
from hongyan.model.log import Entry
from hongyan.wire.frames import Ack, Attached, Gap, Live, Signal, Subscribe, Values

QUEUE = 4_096  # items that wait for the application
UNREAD = "unread"  # reason of items that the application did not take in time
DISMISSED = "dismissed"  # the server's signal


class Watch:
    """One watched log: `async with client.watch(log) as room: async for item in room: …`.

    `attached` is the newest answer of the server; `values` the newest value of each key, decoded;
    `gaps` counts by reason the items that were not given. What was given since the first
    `attached` of an epoch, and `gaps`, add up to what was said since.
    """

    def __init__(self, watchers: Watchers, log: LogId, rate: int) -> None:
        """Made by `Client.watch`."""
        self.log, self.rate = log, rate
        self.attached: Attached | None = None
        self._latest = Latest()
        self.values = self._latest.values
        self.gaps: Counter[str] = Counter()
        self.epochs = 0  # lives of the log on the server that were seen
        self.dismissed = False  # sent away by a moderator
        self.live = False  # attached on this connection
        self.error: Exception | None = None  # why it is over
        self.position = 0  # offset up to which everything was given or counted, of this epoch
        self.asking = False
        self.ask_at: float | None = 0.0  # when to subscribe (again); None = not wanted now
        self.tries = 0
        self._watchers = watchers
        self._items: deque[LiveItem] = deque()
        self._seen = 0  # highest offset given
        self._pulse = Pulse()

    # --- for the application --------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Return once the log is watched.

        Raises:
            Refusal: it may not be, or is no live log. Closed, or why the client stopped.
        """
        try:
            await self.until(lambda: self.attached is not None)
        except BaseException:
            self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Watch no more; whoever iterates comes to the end. Idempotent."""
        self._watchers.drop(self)
        self.over(Closed("the watch was closed"))

    def __aiter__(self) -> Self:
        """Itself."""
        return self

    async def __anext__(self) -> LiveItem:
        """The next item; the newest ones that the server held come first. Of one epoch each once
        and in order. Ends when the watch or the client is closed.

        Raises:
            Forbidden: dismissed. Refusal: the log may not be watched any more. What stopped the
            client.
        """
        while not self._items:
            if isinstance(self.error, Closed):
                raise StopAsyncIteration
            self._check()
            await self._pulse.wait()
        return self._items.popleft()

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until `true()`, which is asked after each change of values, items or gaps. Raises
        like iterating."""
        while not true():
            self._check()
            await self._pulse.wait()

    def entries(self, after: int | None = None) -> AsyncIterator[Entry]:
        """Every durable entry (gifts, announcements), like `Client.entries`: none is lost."""
        return self._watchers.entries(self.log, None if after is None else Seq(after))

    def _check(self) -> None:
        if self.error is not None:
            raise self.error

    # --- for the watchers -----------------------------------------------------------------------

    def over(self, why: Exception) -> None:
        """Nothing comes any more."""
        if self.error is None:
            self.error, self.live, self.ask_at = why, False, None
        self._pulse.fire()

    def attach(self, answer: Attached) -> None:
        """The server lets this connection watch: everything comes from here on."""
        if self.attached is not None and self.attached.epoch == answer.epoch:
            # What came between the question and the answer was given or counted already.
            items = [item for item in answer.items if item.off > self.position]
            self.gaps[GAP_EPOCH] += max(answer.off - self.position - len(items), 0)
        else:
            self.epochs, self._seen, items = self.epochs + 1, 0, answer.items
        self.attached, self.live, self.tries = answer, True, 0
        self._put(items)
        self.position = self._seen = answer.off
        self._latest.attach(answer)
        self._pulse.fire()

    def take(self, frame: Live) -> None:
        """Items of a tick."""
        if self._strange(frame.epoch):
            return
        self.position += sum(1 for item in frame.items if item.off > self._seen)
        self._put(frame.items)
        self._pulse.fire()

    def left_out(self, gap: Gap) -> None:
        """What the server did not send."""
        self.gaps[gap.reason] += gap.n
        self.position += gap.n
        self._pulse.fire()

    def news(self, frame: Values) -> None:
        """Values that changed. Where a frame before is missing, all of them are asked for."""
        if self._strange(frame.epoch):
            return
        if self._latest.take(frame) == "gap":
            self._again()
        self._pulse.fire()

    def _strange(self, epoch: int) -> bool:
        """Of another life of the log: what it says does not fit, so begin anew."""
        if self.attached is None:
            return True
        if epoch != self.attached.epoch:
            self._again()
            return True
        return False

    def _again(self) -> None:
        if not self.asking:
            self.ask_at = 0.0
            self._watchers.poke()

    def _put(self, items: list[LiveItem]) -> None:
        """Give each item once; when the application is too slow the oldest go, and are counted."""
        for item in items:
            if item.off:
                if item.off <= self._seen:
                    continue
                self._seen = item.off
            if len(self._items) >= QUEUE:
                self._items.popleft()
                self.gaps[UNREAD] += 1
            self._items.append(item)


class Watchers:
    """The watches of a client, and their subscriptions on the present connection."""

    def __init__(self, shell: Shell, follower: Follower) -> None:
        """`follower` reads their durable entries."""
        self._shell, self._follower = shell, follower
        self._watches: dict[LogId, Watch] = {}

    def watch(self, log: LogId, rate: int) -> Watch:
        """Begin to watch. Raises ValueError: this client does already."""
        if log in self._watches:
            raise ValueError(f"{log} is watched already")
        made = self._watches[log] = Watch(self, log, rate)
        self._follower.viewed.add(log)
        self.poke()
        return made

    def drop(self, watch: Watch) -> None:
        """Watch no more."""
        if self._watches.get(watch.log) is not watch:
            return
        del self._watches[watch.log]
        self._follower.viewed.discard(watch.log)
        if self._shell.open and (watch.live or watch.asking):
            self._shell.session.subscribe(watch.log, on=False)
            self.poke()

    def poke(self) -> None:
        """Something is due."""
        self._shell.poke()

    def entries(self, log: LogId, after: Seq | None) -> AsyncIterator[Entry]:
        """See Watch.entries."""
        return self._follower.entries(log, after)

    # --- from the connection --------------------------------------------------------------------

    def opened(self) -> None:
        """A connection without subscriptions."""
        for watch in self._watches.values():
            watch.live, watch.asking, watch.ask_at = False, False, 0.0

    def answered(self, frame: Subscribe, answer: Ack | Attached) -> None:
        """A subscription holds."""
        watch = self._watches.get(frame.log)
        if watch is None:
            return  # closed meanwhile; the unsubscribe is behind it
        watch.asking = False
        if isinstance(answer, Ack):
            self._over(watch, BadArgs(f"{frame.log} is no live log"))
            return
        watch.attach(answer)
        self._follower.attached(frame.log, answer.head)

    def refused(self, frame: Subscribe, why: Refusal) -> None:
        """A subscription does not."""
        watch = self._watches.get(frame.log)
        if watch is None:
            return
        watch.asking = watch.live = False
        if not why.retry:
            self._over(watch, why)
            return
        watch.tries += 1
        pause = max(why.retry_after_ms / 1000, backoff(watch.tries, self._shell.random))
        watch.ask_at = self._shell.clock() + pause

    def handle(self, frame: Live | Values | Gap | Signal) -> None:
        """What came of a log; nothing where it is not watched."""
        watch = self._watches.get(frame.log)
        if watch is None:
            return
        if isinstance(frame, Live):
            watch.take(frame)
        elif isinstance(frame, Values):
            watch.news(frame)
        elif isinstance(frame, Gap):
            watch.left_out(frame)
        elif frame.name == DISMISSED:
            watch.dismissed = True
            self._over(watch, Forbidden("dismissed: this log may not be watched any more"))

    def __contains__(self, log: object) -> bool:
        """Whether a log is watched."""
        return log in self._watches

    def due(self) -> float | None:
        """When `work` has something to do."""
        times = [w.ask_at for w in self._watches.values() if w.ask_at is not None and not w.asking]
        return min(times, default=None)

    def work(self, now: float) -> None:
        """Subscribe where it is due. Only while the session is open."""
        for watch in list(self._watches.values()):
            if watch.asking or watch.ask_at is None or watch.ask_at > now:
                continue
            watch.asking, watch.ask_at = True, None
            epoch = watch.attached.epoch if watch.attached is not None else 0
            self._shell.session.subscribe(
                watch.log, rate=watch.rate, epoch=epoch, after=watch.position
            )

    def stop(self, error: Exception) -> None:
        """The client is over."""
        for watch in list(self._watches.values()):
            self._over(watch, error)

    def _over(self, watch: Watch, why: Exception) -> None:
        self._watches.pop(watch.log, None)
        self._follower.viewed.discard(watch.log)
        watch.over(why)
