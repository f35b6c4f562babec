"""Calls that wait to be acknowledged: their order, their limits, when each is sent again.

Pure: `datafile` keeps the same calls on disk, the connection sends them. Calls of one log form
a lane. Of a lane only the first is on the way, so that a refusal for now (3xx) of one call
cannot let a later one overtake it; lanes do not wait for each other.
"""

from __future__ import annotations

import random
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator

import msgspec

from hongyan.client.errors import OutboxFull
from hongyan.model.ids import LogId, OpId

MOST_CALLS = 1_000
MOST_BYTES = 8 * 1024 * 1024
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case: sorts as it counts
TIME_CHARS, RANDOM_BITS = 10, 80


class OpIds:
    """Unique op ids that sort by time: 10 characters of ms, 16 of randomness.

    Rising within one process also when the clock stands still or goes back.
    """

    def __init__(self, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        """`now_ms` is the clock."""
        self._now_ms = now_ms
        self._last = 0

    def __call__(self) -> OpId:
        """A new one."""
        fresh = (self._now_ms() << RANDOM_BITS) | secrets.randbits(RANDOM_BITS)
        if fresh >> RANDOM_BITS <= self._last >> RANDOM_BITS:
            fresh = self._last + 1 + secrets.randbits(RANDOM_BITS // 2)
        self._last = fresh
        shifts = range(5 * (TIME_CHARS + RANDOM_BITS // 5 - 1), -1, -5)
        return OpId("".join(ALPHABET[(fresh >> shift) & 31] for shift in shifts))


class Pending(msgspec.Struct, gc=False):
    """A call that has no answer yet. `n` is its place in the order of calls."""

    n: int
    op: OpId
    log: LogId
    name: str
    args: bytes  # JSON
    at: int = 0  # ms, when it was made
    tries: int = 0  # refusals for now, so far
    not_before: float = 0.0  # monotonic seconds
    sent: bool = False  # handed to the session
    held: bool = False  # not on disk yet

    @property
    def size(self) -> int:
        """Bytes this counts for."""
        return len(self.args) + len(self.op) + len(self.log) + len(self.name) + 64


class Outbox:
    """The calls in order. Bounded by number and bytes; a full outbox refuses, it never drops."""

    def __init__(self, *, most: int = MOST_CALLS, most_bytes: int = MOST_BYTES) -> None:
        """Take at most `most` calls of `most_bytes` together."""
        self.most = most
        self.most_bytes = most_bytes
        self.bytes = 0
        self._calls: dict[OpId, Pending] = {}
        self._lanes: dict[LogId, deque[Pending]] = {}
        self._n = 0

    def __len__(self) -> int:
        """How many calls wait."""
        return len(self._calls)

    def __iter__(self) -> Iterator[Pending]:
        """The calls, in the order in which they were made."""
        return iter(list(self._calls.values()))

    def __contains__(self, op: object) -> bool:
        """Whether the call waits."""
        return op in self._calls

    def get(self, op: OpId) -> Pending | None:
        """The call, if it waits."""
        return self._calls.get(op)

    def add(
        self, op: OpId, log: LogId, name: str, args: bytes, at: int = 0, *, held: bool = False
    ) -> Pending:
        """Queue a call at the end of its lane; a held one is not sent before it is released.

        Raises:
            OutboxFull: nothing was queued; wait until something is acknowledged.
        """
        pending = Pending(self._n + 1, op, log, name, args, at, held=held)
        if len(self._calls) >= self.most:
            raise OutboxFull(f"{len(self._calls)} calls wait to be sent, the limit")
        if self.bytes + pending.size > self.most_bytes:
            raise OutboxFull(f"{self.bytes} bytes wait to be sent, the limit is {self.most_bytes}")
        self.load(pending)
        return pending

    def load(self, pending: Pending) -> None:
        """Put a saved call back, whatever the limits; in rising `n`."""
        self._n = max(self._n, pending.n)
        self.bytes += pending.size
        self._calls[pending.op] = pending
        self._lanes.setdefault(pending.log, deque()).append(pending)

    def ready(self, now: float, most: int) -> list[Pending]:
        """At most `most` calls to send now; they count as sent. The oldest first."""
        if most <= 0:
            return []
        heads = [lane[0] for lane in self._lanes.values()]
        able = [p for p in heads if not p.sent and not p.held and p.not_before <= now]
        able.sort(key=lambda pending: pending.n)
        for pending in able[:most]:
            pending.sent = True
        return able[:most]

    def due(self) -> float | None:
        """When the next call that was refused for now may be sent; None = no such call."""
        heads = [lane[0] for lane in self._lanes.values()]
        return min((p.not_before for p in heads if not p.sent and not p.held), default=None)

    def done(self, op: OpId) -> Pending | None:
        """The call has its final answer: forget it, and give it back if it was waiting."""
        pending = self._calls.pop(op, None)
        if pending is None:
            return None
        self.bytes -= pending.size
        lane = self._lanes[pending.log]
        lane.remove(pending)  # the first, unless a call was withdrawn
        if not lane:
            del self._lanes[pending.log]
        return pending

    def later(self, op: OpId, now: float, retry_after_s: float, random_: random.Random) -> None:
        """Refused for now: send it again, with the same op, after a growing pause."""
        pending = self._calls.get(op)
        if pending is None:
            return
        pending.tries += 1
        pending.sent = False
        pending.not_before = now + max(retry_after_s, backoff(pending.tries, random_))


LEAST_S, MOST_S = 0.3, 30.0


def backoff(tries: int, random_: random.Random) -> float:
    """Seconds to wait before try number `tries` + 1: exponential, 0.3 to 30 s, full jitter.

    Full jitter: anywhere between 0 and the ceiling, so that clients that were cut off together
    do not come back together; never under a tenth of it, so that nobody hammers.
    """
    ceiling = min(MOST_S, LEAST_S * 2.0 ** min(max(0, tries - 1), 16))
    return max(ceiling / 10, random_.uniform(0, ceiling))
