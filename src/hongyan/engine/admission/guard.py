"""All send queues together have a bound too: when it is passed, the slowest readers go first."""

from __future__ import annotations

import random
from heapq import nlargest

from hongyan.engine.peer import Peer
from hongyan.model.errors import TooSlow
from hongyan.telemetry import Metrics

DOWN_TO = 0.8  # of the bound, so that the next look has nothing to do
LOOKED_AT = 1000  # of the longest queues, closed at most in one look
COME_BACK_MS = (1000, 10_000)


class QueueGuard:
    """Adds up what waits while somebody walks over all connections, and closes at the end."""

    def __init__(self, most: int) -> None:
        """`most` bytes may wait in all queues together; 0 = no bound."""
        self._most = most
        self.waiting = 0  # as of the last look
        self.closed = 0
        self._sum = 0
        self._long: list[tuple[int, Peer]] = []

    def show(self, metrics: Metrics) -> None:
        """Put the sum into the metrics."""
        metrics.gauge(
            "queues_bytes_limit", "Bound of all send queues together.", lambda: self._most
        )
        metrics.gauge("queues_closed", "Connections closed for it.", lambda: self.closed)

    def add(self, peer: Peer) -> None:
        """Count one connection in this look."""
        pending = peer.session.pending
        if pending:
            self._sum += pending
            self._long.append((pending, peer))

    def end(self) -> None:
        """All were added: close those with the longest queues where it is too much. They come
        back and sync: nothing durable is lost by it."""
        self.waiting, self._sum = self._sum, 0
        long, self._long = self._long, []
        if not self._most or self.waiting <= self._most:
            return
        left = self.waiting
        for pending, peer in nlargest(LOOKED_AT, long, key=lambda pair: pair[0]):
            if left <= self._most * DOWN_TO:
                break
            left -= pending
            self.closed += 1
            why = TooSlow("too much waits for slow connections")
            peer.close(why, reconnect_after_ms=random.randint(*COME_BACK_MS))
