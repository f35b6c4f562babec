"""What a screen is shown of a tick when more is said than anybody can read."""

from __future__ import annotations

from collections.abc import Sequence

from hongyan.model.live import Lane, LiveItem


class Sampler:
    """Picks at most `rate` items a second, over time; those of the highest lane are all picked
    and cost nothing. Deterministic: all viewers of a group are shown the same."""

    __slots__ = ("_at", "_credit", "_rate")

    def __init__(self, rate: int) -> None:
        """`rate` 0 = everything."""
        self._rate = rate
        self._credit = float(rate)  # after a pause a second's worth at once
        self._at = 0.0

    def pick(self, items: Sequence[LiveItem], now: float) -> Sequence[LiveItem]:
        """Those to show, in their order, evenly spread over the tick; what people say goes before
        what is lowest. `now` is monotonic."""
        rate = self._rate
        if not rate:
            return items
        self._credit = min(self._credit + (now - self._at) * rate, float(rate))
        self._at = now
        normal = [at for at, item in enumerate(items) if item.lane == Lane.NORMAL]
        low = [at for at, item in enumerate(items) if item.lane == Lane.LOW]
        room = int(self._credit)
        if len(normal) + len(low) <= room:
            self._credit -= len(normal) + len(low)
            return items
        picked = _spread(normal, room)
        picked += _spread(low, room - len(picked))
        self._credit -= len(picked)
        chosen = set(picked)
        return [i for at, i in enumerate(items) if i.lane == Lane.HIGH or at in chosen]


def _spread(places: list[int], most: int) -> list[int]:
    """At most `most` of them, evenly spaced, the last one among them."""
    count = len(places)
    if count <= most:
        return places
    return [places[(k + 1) * count // most - 1] for k in range(most)]
