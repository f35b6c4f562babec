"""How long a live log collects what is said: as short as its fan-out allows.

A write costs about the same whether it carries one item or ten, so the time between two ticks
decides what an item costs. A log whose fan-out is cheap ticks often, and is at once where it was
quiet; a dear one collects for longer. All of them together leave the rest of the loop to others.
"""

from __future__ import annotations

SHARE = 0.25  # of the loop's time that fan-outs may take, in the long run
MOST_SHARE = 0.4  # that one log may take, where it would have to keep to its longest time
LEAST_S = 0.005  # between two ticks of a log, however cheap they are
WINDOW_S = 0.1  # over which the share is looked at
WEIGHT = 0.25  # of the newest fan-out in what one costs
MOST_STRETCH = 64.0


class Pacer:
    """The pace of a node's live logs. Sync and without a clock: it is told what passed."""

    __slots__ = ("_at", "_busy", "stretch")

    def __init__(self) -> None:
        """Nothing was spent yet."""
        self.stretch = 1.0  # by how much many logs together wait longer than each would alone
        self._at = 0.0
        self._busy = 0.0

    def spent(self, seconds: float, now: float) -> None:
        """A part of a fan-out took `seconds`, up to `now` (monotonic)."""
        self._busy += seconds
        passed = now - self._at
        if passed < WINDOW_S:
            return
        share = min(self._busy / passed, 1.0)
        grown = self.stretch * max(share / SHARE, 0.5)
        self.stretch = min(max(grown, 1.0), MOST_STRETCH)
        self._at, self._busy = now, 0.0

    def pause(self, cost: float, longest: float) -> float:
        """Seconds between two ticks of a log of which one costs `cost`; at most `longest`."""
        return min(max(cost * self.stretch / SHARE, LEAST_S), longest)


def longest(tick_s: float, cost: float) -> float:
    """The longest time between two ticks: what the log says, or more where a tick costs so much
    that it would fill the loop."""
    return max(tick_s, cost / MOST_SHARE)
