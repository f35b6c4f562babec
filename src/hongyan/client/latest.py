"""The newest values of a live log as a client holds them. Pure: frames in, values out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from hongyan.model.live import Value
from hongyan.wire.frames import Attached, Values

_decode = msgspec.json.decode
Verdict = Literal["taken", "old", "gap"]


class Latest:
    """`values` holds the newest value of each key, decoded; it stays the same dict."""

    def __init__(self) -> None:
        """Nothing is known before `attach`."""
        self.epoch = self.seq = 0
        self.values: dict[str, Any] = {}

    def attach(self, answer: Attached) -> None:
        """All values, as the server holds them now."""
        self.epoch, self.seq = answer.epoch, answer.seq
        self.values.clear()
        self._put(answer.values)

    def take(self, frame: Values) -> Verdict:
        """Enter what changed. "old": what was attached holds it already, nothing was done. "gap":
        a frame before this one is missing, or it is of another epoch: subscribe again for all
        values. What is held meanwhile is right but for the keys that the missing frame told of."""
        if frame.epoch != self.epoch:
            return "gap"
        if frame.seq <= self.seq and frame.prev:
            return "old"
        if not frame.prev:
            if frame.seq < self.seq:
                return "old"
            self.values.clear()
        missing = frame.prev > self.seq
        self.seq = frame.seq
        self._put(frame.values)
        return "gap" if missing else "taken"

    def _put(self, news: Iterable[Value]) -> None:
        for value in news:
            if bytes(value.value) == b"null":
                self.values.pop(value.key, None)
            else:
                self.values[value.key] = _decode(value.value)
