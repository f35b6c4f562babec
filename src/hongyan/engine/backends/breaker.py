"""A circuit breaker: who failed again and again is left alone for a while.

closed ──5 failures in a row──▶ open ──pause over──▶ half-open (one is let through)
   ▲                             ▲                        │
   └────────── answered ─────────┴──── failed: longer ────┘
"""

from __future__ import annotations

FAILURES = 5  # in a row, that open it
PAUSE_S, MOST_PAUSE_S = 5.0, 60.0


class Breaker:
    """Times are monotonic seconds, given by the caller. Every `admit` that says yes is followed
    by exactly one of `good`, `bad` and `unknown`."""

    def __init__(self) -> None:
        """Closed."""
        self._failures = 0
        self._pause_s = PAUSE_S
        self._until = 0.0  # open before this; 0 = closed
        self._probing = False

    def admit(self, now: float) -> bool:
        """Whether somebody may try now."""
        if not self._until:
            return True
        if now < self._until or self._probing:
            return False
        self._probing = True
        return True

    def good(self) -> None:
        """It answered."""
        self._failures, self._until, self._probing = 0, 0.0, False
        self._pause_s = PAUSE_S

    def bad(self, now: float) -> None:
        """It did not answer, or not as it should."""
        self._failures += 1
        if self._probing:
            self._pause_s = min(self._pause_s * 2, MOST_PAUSE_S)
        if self._probing or (self._failures >= FAILURES and not self._until):
            self._until = now + self._pause_s
        self._probing = False

    def unknown(self) -> None:
        """Nobody waited for the answer."""
        self._probing = False

    def state(self, now: float) -> str:
        """closed, open or half-open."""
        if not self._until:
            return "closed"
        return "open" if now < self._until else "half-open"

    def wait_ms(self, now: float) -> int:
        """How long until it may be tried; 0 = now."""
        return max(int((self._until - now) * 1000), 0)
