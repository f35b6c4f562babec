"""Newest values by key, with versions, as the viewers of a live log see them."""

from __future__ import annotations

from typing import Any

import msgspec

from hongyan.model.errors import Full
from hongyan.model.live import Value

NULL = msgspec.Raw(b"null")
_encode = msgspec.json.Encoder(order="sorted").encode


class Values:
    """Key to (version, value). Memory is bounded by the number of keys, however often they
    change and however slow a viewer is: an older value is never needed again."""

    def __init__(self, most: int) -> None:
        """`most` keys at once."""
        self.seq = 0  # of the last change that was sent
        self._most = most
        self._now: dict[str, Value] = {}
        self._changed: dict[str, None] = {}  # since the last `take`, in order of first change
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
            if held is not None and bytes(held.value) == bytes(raw):
                return False
            if held is None and len(self._now) >= self._most:
                raise Full(f"at most {self._most} values here")
            self._now[key] = Value(key, self._version(), raw)
        self._changed[key] = None
        return True

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
        news = [self._now.get(key) or Value(key, self._version(), NULL) for key in self._changed]
        self._changed.clear()
        self.seq += 1
        return prev, news

    def _version(self) -> int:
        self._versions += 1
        return self._versions
