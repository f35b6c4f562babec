"""How many different people came to a live log, and how hot it is: numbers for a list of rooms.

Both are estimates and cheap: nothing is stored per visitor. Who came is counted exactly up to
`EXACT`, above that by a sketch of 16 KiB (HyperLogLog, 0.8 % off). Heat is a sum that halves
every five minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from math import log as ln

from hongyan.model.ids import UserId

EXACT = 512  # people
BITS = 14  # of a hash choose one of the registers
REGISTERS = 1 << BITS
ALPHA = 0.7213 / (1 + 1.079 / REGISTERS)
HALF_S = 300.0  # after it, heat is half of what it was
VISITORS, HEAT, SAID, ONLINE = "visitors", "heat", "said", "online"  # names of values and weights


class Visitors:
    """Counts different users of one log."""

    __slots__ = ("_exact", "_registers")

    def __init__(self) -> None:
        """Nobody yet."""
        self._exact: set[int] = set()
        self._registers: bytearray | None = None

    def add(self, user: UserId) -> None:
        """Somebody came, perhaps again. 2 µs."""
        digest = int.from_bytes(blake2b(user.encode(), digest_size=8).digest(), "big")
        if self._registers is not None:
            _note(self._registers, digest)
            return
        self._exact.add(digest)
        if len(self._exact) > EXACT:
            self._registers = bytearray(REGISTERS)
            for known in self._exact:
                _note(self._registers, known)
            self._exact.clear()

    def count(self) -> int:
        """How many they are. 1 ms where they are many."""
        if self._registers is None:
            return len(self._exact)
        empty = self._registers.count(0)
        if empty > REGISTERS // 32:  # few for the sketch: how many registers are free says more
            return round(REGISTERS * ln(REGISTERS / empty))
        total = sum(2.0**-rank for rank in self._registers)
        return round(ALPHA * REGISTERS * REGISTERS / total)


def _note(registers: bytearray, digest: int) -> None:
    place, rest = digest >> (64 - BITS), digest & ((1 << (64 - BITS)) - 1)
    rank = 64 - BITS - rest.bit_length() + 1
    if rank > registers[place]:
        registers[place] = rank


class Popularity:
    """The numbers of one live log, since this node holds it. `now` is monotonic."""

    __slots__ = ("_at", "_back", "_heat", "_told", "_visitors", "_weights")

    def __init__(self, weights: Mapping[str, int]) -> None:
        """`weights` by what happens: names of counts, and `visitors`, `said`, `online`."""
        self._weights = weights
        self._visitors, self._back = Visitors(), Visitors()
        self._told = 0  # new visitors, as of the last question
        self._heat = self._at = 0.0

    def came(self, user: UserId, *, new: bool) -> None:
        """A user begins to watch. Not `new`: was counted in an earlier life of the log."""
        self._visitors.add(user)
        if not new:
            self._back.add(user)

    def happened(self, what: str, n: int, now: float) -> None:
        """`n` of something with a weight."""
        weight = self._weights.get(what, 0)
        if weight:
            self._cool(now)
            self._heat += weight * n

    def visitors(self, now: float) -> int:
        """How many more than the last time this was asked; they make it hotter."""
        count = self._visitors.count() - self._back.count()
        more = max(0, count - self._told)
        self._told += more
        self.happened(VISITORS, more, now)
        return more

    def heat(self, online: int, now: float) -> int:
        """How hot it is, in steps of a tenth, so that it is told seldom while it cools."""
        self._cool(now)
        return _stepped(self._heat + self._weights.get(ONLINE, 0) * online)

    def _cool(self, now: float) -> None:
        self._heat *= 0.5 ** (max(0.0, now - self._at) / HALF_S)
        self._at = max(now, self._at)


def _stepped(heat: float) -> int:
    """Two digits of it."""
    whole = int(heat)
    step: int = 10 ** max(0, len(str(whole)) - 2)
    return whole // step * step
