"""What waits for the next tick of a live log, by lane: under overload the lowest goes first.

Each step costs the same however much waits: an overload must not make itself worse.
"""

from __future__ import annotations

from collections import deque
from itertools import chain

from hongyan.model.live import Audience, Lane, LiveItem

Waiting = tuple[int, LiveItem, Audience]  # with the number by which it came


class Pending:
    """Items with their audiences, in the order in which they came."""

    __slots__ = ("_lanes", "_number")

    def __init__(self) -> None:
        """Empty."""
        self._lanes: tuple[deque[Waiting], ...] = tuple(deque() for _ in Lane)
        self._number = 0

    def __len__(self) -> int:
        """Items that wait."""
        return sum(map(len, self._lanes))

    def add(self, item: LiveItem, audience: Audience) -> None:
        """Let it wait."""
        self._number += 1
        self._lanes[item.lane].append((self._number, item, audience))

    def shed(self, above: Lane) -> tuple[Lane, Audience] | None:
        """Let go of the oldest item of the lowest lane that is below `above`; its lane and
        audience. None: all that waits is of that lane or a higher one."""
        for lane in (Lane.LOW, Lane.NORMAL):
            if lane <= above:
                return None
            if self._lanes[lane]:
                _, _, audience = self._lanes[lane].popleft()
                return lane, audience
        return None

    def erase(self, off: int) -> bool:
        """Take out the item with this offset; False where it does not wait."""
        for lane in self._lanes:
            for at, (_, item, _) in enumerate(lane):
                if item.off == off:
                    del lane[at]
                    return True
        return False

    def take(self) -> list[tuple[LiveItem, Audience]]:
        """All of it, in order; nothing waits then."""
        waiting = sorted(chain(*self._lanes), key=lambda one: one[0])
        for lane in self._lanes:
            lane.clear()
        return [(item, audience) for _, item, audience in waiting]
