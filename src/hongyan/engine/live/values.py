"""Newest values by key, with versions, as the viewers of a live log see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from hongyan.model.errors import Full
from hongyan.model.live import Put, Value

NULL = msgspec.Raw(b"null")
ONLINE = "online"  # the engine's own key: the number of viewers; there is always room for it
_encode = msgspec.json.Encoder(order="sorted").encode


class Values:
    """Key to (version, value). Memory is bounded by the number of keys, however often they
    change and however slow a viewer is: an older value is never needed again."""

    def __init__(self, most: int) -> None:
        """`most` keys at once, beside ONLINE."""
        self.most = most
        self.seq = 0  # of the last change that was sent
        self._now: dict[str, Value] = {}
        self._changed: dict[str, None] = {}  # since the last `take`, in order of first change
        self._told: dict[str, int] = {}  # the `seq` that told the newest change of a key
        self._gone: dict[str, Value] = {}  # keys that are told to be gone
        self._floor = 0  # `since` knows of nothing before this seq
        self._versions = 0  # highest version so far: a key that comes back goes on from there
        self._totals: dict[str, int] = {}

    def put(self, key: str, value: Any) -> bool:
        """Set a key; None takes it away. False where that is how it is.

        Raises:
            Full: that many keys are held; nothing was changed.
        """
        held = self._now.get(key)
        if value is None:
            if held is None:
                return False
            del self._now[key]
            self._totals.pop(key, None)
        else:
            raw = msgspec.Raw(_encode(value))
            if held is None:
                if self._held >= self.most and key != ONLINE:
                    raise Full(f"at most {self.most} values here")
            elif bytes(held.value) == bytes(raw):
                return False
            self._now[key] = Value(key, self._version(), raw)
        self._changed[key] = None
        return True

    def put_all(self, puts: Sequence[Put]) -> None:
        """Set many keys, or none.

        Raises:
            Full: not all of them have room; nothing was changed.
        """
        if self._held + len(puts) > self.most:
            after = set(self._now) - {ONLINE}
            for put in puts:
                (after.discard if put.value is None else after.add)(put.key)
            if len(after) > max(self.most, self._held):
                raise Full(f"at most {self.most} values here")
            puts = sorted(puts, key=lambda put: put.value is not None)  # first make room
        for put in puts:
            self.put(put.key, put.value)

    @property
    def _held(self) -> int:
        return len(self._now) - (ONLINE in self._now)

    def add(self, key: str, n: int) -> int:
        """Add to a total, exactly; what it is now."""
        total = self._totals.get(key, 0) + n
        self.put(key, total)
        self._totals[key] = total
        return total

    def start(self, key: str, total: int) -> None:
        """Go on with a total from where it was kept."""
        self.put(key, total)
        self._totals[key] = total

    @property
    def totals(self) -> dict[str, int]:
        """All totals as they are now."""
        return dict(self._totals)

    def all(self) -> list[Value]:
        """Every value."""
        return list(self._now.values())

    @property
    def changed(self) -> bool:
        """Whether `take` has something to tell."""
        return bool(self._changed)

    def take(self) -> tuple[int, list[Value]]:
        """(`seq` before, what changed since the last take, each newest). Moves `seq` on."""
        prev = self.seq
        if not self._changed:
            return prev, []
        self.seq = seq = prev + 1
        now, told, news = self._now, self._told, []
        for key in self._changed:
            value = now.get(key)
            if value is None:
                value = self._gone[key] = Value(key, self._version(), NULL)
            elif self._gone:
                self._gone.pop(key, None)
            told[key] = seq
            news.append(value)
        self._changed.clear()
        if len(self._gone) > self.most:
            self._forget()
        return prev, news

    def since(self, seq: int) -> tuple[int, list[Value]]:
        """(`seq`, what was told after it, each newest); (0, every value) where that is not known
        any more. For who lost what was told meanwhile."""
        if seq < max(self._floor, 1):
            return 0, self.all()
        told = self._told
        news = [value for key, value in self._now.items() if told.get(key, 0) > seq]
        now = self._now  # what came back but was not told yet is in both
        news += [v for key, v in self._gone.items() if told[key] > seq and key not in now]
        return seq, news

    def _forget(self) -> None:
        """What is gone need not be told for ever: who was away for longer gets all values."""
        for key in self._gone:
            del self._told[key]
        self._gone.clear()
        self._floor = self.seq

    def _version(self) -> int:
        self._versions += 1
        return self._versions
