"""Clocks: the machine's, and one that a test moves by hand."""

from __future__ import annotations

import time


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC; jumps when the operator sets the clock."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        return time.monotonic()


class ManualClock:
    """Stands still until told to move. The wall may jump either way, `monotonic` may not."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        """Start at `now_ms` on the wall and at 0 on the monotonic side."""
        self._now_ms = now_ms
        self._seconds = 0.0

    def now_ms(self) -> int:
        """Milliseconds since 1970 as last set."""
        return self._now_ms

    def monotonic(self) -> float:
        """Seconds advanced so far."""
        return self._seconds

    def advance(self, seconds: float) -> None:
        """Let `seconds` >= 0 pass on both sides."""
        if seconds < 0:
            raise ValueError("time does not go back; jump_wall() does")
        self._seconds += seconds
        self._now_ms += round(seconds * 1000)

    def jump_wall(self, ms: int) -> None:
        """Set the wall clock forward or back by `ms`, as an operator or NTP would."""
        self._now_ms += ms
