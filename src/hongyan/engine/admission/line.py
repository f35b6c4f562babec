"""In front of hello: who is let in now, who waits, and who is told when to come back.

When everybody comes at once, work that is begun for all is finished for none. So only some
sessions are opened at a time and so many a second; a bounded number of clients waits in line,
those that resume before newcomers, for they ask for less and were promised more. Whoever would
wait too long is told at once when to come back. Those moments are spread over the time the line
needs, and each takes its place behind those told before, so that the return is no second storm.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from hongyan.config import Admission as Settings
from hongyan.config import Rate
from hongyan.engine.admission.load import Level, Load
from hongyan.engine.limits import TokenBucket
from hongyan.engine.peer import Peer
from hongyan.model.errors import Overloaded, Refusal
from hongyan.ports import Clock
from hongyan.telemetry import Metrics
from hongyan.wire.frames import Hello

AT_ONCE = 256  # sessions being opened
FOR_NEWCOMERS = 8  # of this many places one goes to a newcomer, whoever resumes
LEAST_MS = 500  # before anybody comes back
WINDOW_S = 0.25  # over which the speed of the line is measured
SLOWEST = 50.0  # sessions a second, for what the line needs: less is a stall, not a speed


class Ticket:
    """A client that waits."""

    __slots__ = ("came", "hello", "peer")

    def __init__(self, peer: Peer, hello: Hello, came: float) -> None:
        """`came` in monotonic seconds."""
        self.peer, self.hello, self.came = peer, hello, came


class Admission:
    """The line in front of one node. Sync; everything runs on the loop, with one timer."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        load: Load,
        let_in: Callable[[Peer, Hello], Coroutine[Any, Any, None]],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        refusal: Callable[[Hello], Refusal | None] = lambda hello: None,
    ) -> None:
        """`let_in(peer, hello)` opens a session and raises nothing; `spawn` runs it. `refusal`
        says of a hello why it takes no place in line, without waiting."""
        self._refusal = refusal
        self._clock, self._load, self._let_in, self._spawn = clock, load, let_in, spawn
        self._bucket = TokenBucket(Rate(rate=settings.rate, burst=settings.burst))
        self._most, self._wait_s = settings.queue, settings.wait_ms / 1000
        self._latest_s = settings.most_retry_ms / 1000
        self._fastest = settings.rate or 1e6
        self._speed = self._fastest  # sessions a second, as far as it is known
        self._resumes: deque[Ticket] = deque()
        self._newcomers: deque[Ticket] = deque()
        self._inside = 0
        self._turn = 0
        self._booked = 0.0  # the moment that was promised last (monotonic)
        self._timer: asyncio.TimerHandle | None = None
        self._window = (0.0, 0)  # since when, and how many were let in before
        self.admitted = self.refused = self.expired = self.waited = self.unknown = 0
        self.wait_seconds = self.worst_wait = 0.0

    def __len__(self) -> int:
        """Clients in line."""
        return len(self._resumes) + len(self._newcomers)

    @property
    def inside(self) -> int:
        """Sessions being opened."""
        return self._inside

    def show(self, metrics: Metrics) -> None:
        """Put the line into the metrics."""
        metrics.gauge("admission_queue", "Clients that wait to be let in.", lambda: len(self))
        metrics.gauge("admission_opening", "Sessions being opened.", lambda: self._inside)
        for name, text in (
            ("admitted", "Hellos that were worked on."),
            ("waited", "Of them: had to wait."),
            ("refused", "Hellos sent away with a moment to come back."),
            ("expired", "Of them: had waited too long."),
            ("unknown", "Hellos with a token that is none: they take no place in line."),
            ("wait_seconds", "Seconds waited in all."),
            ("worst_wait", "The longest wait, in seconds."),
        ):
            metrics.gauge(
                f"admission_{name}",
                text,
                lambda name=name: getattr(self, name),  # type: ignore[misc]
            )

    def enter(self, peer: Peer, hello: Hello) -> None:
        """A client said hello: let it in, let it wait, or send it away with a moment to return."""
        now, resumes = self._clock.monotonic(), hello.inbox > 0
        level = self._load.level
        if level >= Level.CRITICAL or (level >= Level.BUSY and not resumes):
            self._refuse(peer, now)
            return
        if (why := self._refusal(hello)) is not None:
            self.unknown += 1
            peer.close(why, reconnect_after_ms=max(why.retry_after_ms, LEAST_MS))
            return
        if self._has_room(resumes, now):
            line = self._resumes if resumes else self._newcomers
            line.append(Ticket(peer, hello, now))
            peer.opened_at = now + self._wait_s  # its time to say hello does not run in line
            self._pump()
        elif resumes and len(self) >= self._most and self._newcomers:
            self._refuse(self._newcomers.pop().peer, now)
            self.enter(peer, hello)
        else:
            self._refuse(peer, now)

    def sweep(self, now: float) -> None:
        """Send away who waited too long; call it every few seconds."""
        for line in (self._resumes, self._newcomers):
            while line and now - line[0].came > self._wait_s:
                ticket = line.popleft()
                if not ticket.peer.closing:
                    self.expired += 1
                    self._refuse(ticket.peer, now)
        self._pump()

    def close(self) -> None:
        """Let nobody in any more; who waits is told by whoever closes the connections."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._resumes.clear()
        self._newcomers.clear()

    # --- the line -------------------------------------------------------------------------------

    def _has_room(self, resumes: bool, now: float) -> bool:
        if self._inside < AT_ONCE and not len(self):
            return True
        ahead: float = len(self)
        if resumes:
            ahead = len(self._resumes) * FOR_NEWCOMERS / (FOR_NEWCOMERS - 1)
        return len(self) < self._most and ahead / self._speed <= self._wait_s

    def _pump(self) -> None:
        """Let in as many as may."""
        if self._timer is not None:
            return  # the bucket is empty until then
        now = self._clock.monotonic()
        while self._inside < AT_ONCE and len(self):
            if (wait := self._bucket.take(now)) > 0:
                self._timer = asyncio.get_running_loop().call_later(wait, self._again)
                return
            ticket = self._next()
            if ticket is None:
                return
            self._begin(ticket, now)

    def _again(self) -> None:
        self._timer = None
        self._pump()

    def _next(self) -> Ticket | None:
        """The next that is still there."""
        while len(self):
            self._turn += 1
            share = self._newcomers and not self._turn % FOR_NEWCOMERS
            line = self._newcomers if share or not self._resumes else self._resumes
            ticket = line.popleft()
            if not ticket.peer.closing:
                return ticket
        return None

    def _begin(self, ticket: Ticket, now: float) -> None:
        waited = now - ticket.came
        if waited > 0:
            self.waited += 1
            self.wait_seconds += waited
            self.worst_wait = max(self.worst_wait, waited)
        self._inside += 1
        self.admitted += 1
        ticket.peer.opened_at = now
        self._spawn(self._open(ticket))

    async def _open(self, ticket: Ticket) -> None:
        try:
            await self._let_in(ticket.peer, ticket.hello)
        finally:
            self._inside -= 1
            self._measure()
            self._pump()

    def _measure(self) -> None:
        """How fast the line moves: only while there is one is that known."""
        now = self._clock.monotonic()
        since, before = self._window
        if not len(self):
            self._window = (0.0, 0)
            self._speed = self._fastest
        elif not since:
            self._window = (now, self.admitted)
        elif now - since >= WINDOW_S:
            speed = (self.admitted - before) / (now - since)
            self._speed = min(max((self._speed + speed) / 2, SLOWEST), self._fastest)
            self._window = (now, self.admitted)

    # --- away -----------------------------------------------------------------------------------

    def _refuse(self, peer: Peer, now: float) -> None:
        self.refused += 1
        after = self._after_ms(now)
        why = Overloaded("too many come at once: come back a little later", retry_after_ms=after)
        peer.close(why, reconnect_after_ms=after)

    def _after_ms(self, now: float) -> int:
        """When to come back: behind the line and behind those who were told before."""
        calm = self._load.calm_s if self._load.level else 0.0
        free = now + len(self) / self._speed + calm
        self._booked = min(max(self._booked, free) + 1 / self._speed, now + self._latest_s)
        ahead = self._booked - now
        after = int(random.uniform(ahead * 0.5, min(ahead * 1.5, self._latest_s)) * 1000)
        return after if after > LEAST_MS else LEAST_MS + random.randint(0, LEAST_MS)
