"""All live logs of this node: when each is due, and the fan-out in slices of the loop.

One timer for all of them. An idle log has none; the first item after a pause goes out at once,
what follows within the tick is sent together.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, ItemsView
from itertools import count
from math import inf

import structlog

from hongyan.engine.admission.quotas import ViewerPlaces
from hongyan.engine.live.log import LiveLog
from hongyan.engine.live.ticks import Counters
from hongyan.engine.live.values import ONLINE
from hongyan.engine.live.viewers import Viewer
from hongyan.engine.pacing import Pacer
from hongyan.engine.peer import Peer
from hongyan.model.errors import Overloaded
from hongyan.model.ids import LogId, tenant_of
from hongyan.model.live import LiveSpec
from hongyan.ports import Clock

logger = structlog.get_logger(__name__)

# hot: viewers written to before others have their turn of the loop, 1 to 2 ms with the writes to
# their sockets. With 250 a room of 2,000 viewers moved the p99 of a 1:1 send by 85 ms, with 64 by 3
# (`bench/fairness.py`, a busy machine).
SLICE = 64
ONLINE_S = 2.0  # how old the number of viewers may be that they are shown
MOST_LOGS = 10_000
MOST_WATCHED = 100  # live logs of one connection


class LiveLogs:
    """The live logs by id. Sync; everything runs on the loop."""

    def __init__(self, clock: Clock, wake: Callable[[Peer], None]) -> None:
        """`wake` has a peer's queue written soon."""
        self.counters = Counters()
        self.places: ViewerPlaces | None = None  # what each tenant may have
        self._clock, self._wake = clock, wake
        self._logs: dict[LogId, LiveLog] = {}
        self._watched: dict[Peer, dict[LogId, None]] = {}
        self._due: list[tuple[float, int, LiveLog]] = []
        self._numbers = count()
        self._planned: dict[LogId, float] = {}
        self._shown: dict[LogId, tuple[int, float]] = {}  # viewers as told, and when
        self._timer: asyncio.TimerHandle | None = None
        self._pacer = Pacer()
        self._last_epoch = 0

    def __len__(self) -> int:
        """Live logs held."""
        return len(self._logs)

    @property
    def viewers(self) -> int:
        """Viewers of all of them."""
        return sum(len(live.viewers) for live in self._logs.values())

    # --- logs -----------------------------------------------------------------------------------

    def get(self, log: LogId) -> LiveLog | None:
        """The live log, if it is held."""
        return self._logs.get(log)

    def items(self) -> ItemsView[LogId, LiveLog]:
        """All live logs held."""
        return self._logs.items()

    def hold(self, log: LogId, spec: LiveSpec) -> LiveLog:
        """The live log, made where absent: with an epoch that no earlier one of it had.

        Raises:
            Overloaded: as many are held as may be, and all have viewers.
        """
        live = self._logs.get(log)
        if live is not None:
            live.respec(spec)
            return live
        if len(self._logs) >= MOST_LOGS:
            self._evict()
        self._last_epoch = max(self._clock.now_ms(), self._last_epoch + 1)
        live = self._logs[log] = LiveLog(log, spec, self._last_epoch, self.counters)
        return live

    def _evict(self) -> None:
        """Drop the one that was quiet for the longest; its next epoch tells who comes back."""
        idle = [live for live in self._logs.values() if not live.viewers and not live.waiting]
        if not idle:
            raise Overloaded(f"{MOST_LOGS} live logs are on", retry_after_ms=5000)
        quiet = min(idle, key=lambda live: live.sent_at)
        del self._logs[quiet.log]
        self._shown.pop(quiet.log, None)

    # --- viewers --------------------------------------------------------------------------------

    def join(
        self,
        live: LiveLog,
        peer: Peer,
        *,
        rate: int,
        host: bool,
        attached: Callable[[], None],
        gone: Callable[[], None] = lambda: None,
    ) -> None:
        """Let a peer watch; see `LiveLog.join`.

        Raises:
            Overloaded: the connection watches too many already, or its tenant has no place.
        """
        watched = self._watched.get(peer, {})
        if live.log not in watched:
            if len(watched) >= MOST_WATCHED:
                raise Overloaded(f"a connection watches at most {MOST_WATCHED} live logs")
            if self.places is not None:
                self.places.take(tenant_of(live.log))
        self._watched.setdefault(peer, {})[live.log] = None
        assert peer.identity is not None
        user = peer.identity.user
        live.join(peer, user, rate=rate, host=host, attached=attached, gone=gone)
        self.touched(live)

    def leave(self, log: LogId, peer: Peer) -> bool:
        """Let a peer go; False where it was no viewer."""
        watched = self._watched.get(peer)
        if watched is None or watched.pop(log, self) is self:
            return False
        if not watched:
            del self._watched[peer]
        if self.places is not None:
            self.places.give(tenant_of(log))
        live = self._logs[log]
        live.leave(peer)
        self.touched(live)
        return True

    def forget(self, peer: Peer) -> None:
        """Take a peer out of all live logs."""
        for log in list(self._watched.get(peer, ())):
            self.leave(log, peer)

    def overflowed(self, peer: Peer) -> None:
        """What waited for a peer was dropped: its logs make good what it lacks."""
        for log in self._watched.get(peer, ()):
            live = self._logs[log]
            live.overflowed(peer)
            self.touched(live)

    def slow(self) -> list[tuple[LogId, Viewer]]:
        """Viewers who are given nothing now, as their queues are full; those longest so first."""
        found = [(log, viewer) for log, live in self._logs.items() for viewer in live.owed]
        return sorted(found, key=lambda pair: pair[1].stuck_at or inf)

    # --- time -----------------------------------------------------------------------------------

    def touched(self, live: LiveLog) -> None:
        """Something is to be sent, or the number of viewers changed: plan the tick."""
        due = self._when(live)
        if due is None:
            return
        planned = self._planned.get(live.log)
        if planned is not None and planned <= due:
            return
        due = max(due, self._clock.monotonic())
        if planned is not None and planned <= due:
            return
        self._planned[live.log] = due
        heapq.heappush(self._due, (due, next(self._numbers), live))
        if self._due[0][2] is live:
            self._arm()

    def _when(self, live: LiveLog) -> float | None:
        if live.sending or live.waiting:
            return live.due(self._pacer)  # None: the end of the tick plans the next
        shown, at = self._shown.get(live.log, (0, 0.0))
        return None if shown == len(live.viewers) else at + ONLINE_S

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._due:
            delay = max(self._due[0][0] - self._clock.monotonic(), 0.0)
            self._timer = asyncio.get_running_loop().call_later(delay, self._run)

    def _run(self) -> None:
        now = self._clock.monotonic()
        while self._due and self._due[0][0] <= now:
            due, _, live = heapq.heappop(self._due)
            if self._planned.get(live.log) != due:
                continue  # an earlier tick took its place
            del self._planned[live.log]
            now_held = self._logs.get(live.log)
            if now_held is not live:  # it was let go, perhaps to begin anew
                if now_held is not None:
                    self.touched(now_held)
                continue
            try:
                self._tick(live, now, due)
            except Exception:  # one log's trouble must not stop the others
                logger.exception("tick failed", log=live.log)
        self._timer = None
        self._arm()

    def _tick(self, live: LiveLog, now: float, due: float) -> None:
        _, at = self._shown.get(live.log, (0, 0.0))
        if now - at >= ONLINE_S:
            self._shown[live.log] = (len(live.viewers), now)
            live.values.put(ONLINE, len(live.viewers))
        self._give(live, live.begin(now, due), 0, 0.0)

    def _give(self, live: LiveLog, viewers: list[Viewer], start: int, spent: float) -> None:
        """Fan a tick out, a slice at a time: calls and other logs go on in between. What can be
        written at once is: then nothing has to be kept until the end of the turn."""
        clock = self._clock
        now = clock.monotonic()
        live.fan_out(viewers[start : start + SLICE], now, self._wake)
        ended = clock.monotonic()
        spent += ended - now
        self._pacer.spent(ended - now, ended)
        if start + SLICE < len(viewers):
            loop = asyncio.get_running_loop()
            loop.call_soon(self._give, live, viewers, start + SLICE, spent)
            return
        live.end(spent)
        self.touched(live)

    def close(self) -> None:
        """Send nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due.clear()
