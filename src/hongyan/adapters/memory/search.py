"""Full text by looking at every message: the meaning of Search in the fewest words."""

from __future__ import annotations

from collections.abc import Sequence

from hongyan.adapters.words import normal, query_words
from hongyan.model.ids import LogId, Seq, TenantId, tenant_of
from hongyan.ports import Hit


class MemorySearch:
    """The Search port, gone with the process. Costs a walk over all messages per search."""

    def __init__(self) -> None:
        """Empty, at position 0."""
        self._clear()

    def _clear(self) -> None:
        self._pos = 0
        self._texts: dict[tuple[LogId, Seq], tuple[int, str]] = {}
        self._erased: set[tuple[LogId, Seq]] = set()

    async def index(self, items: Sequence[tuple[int, LogId, Seq, str]], pos: int) -> None:
        """See the port."""
        for at, log, seq, text in items:
            place = (log, seq)
            if at <= self._pos or place in self._erased:
                continue
            if text:
                first = self._texts.get(place, (at, ""))[0]
                self._texts[place] = (first, normal(text))
            else:
                self._texts.pop(place, None)
                self._erased.add(place)
        self._pos = max(self._pos, pos)

    async def position(self) -> int:
        """See the port."""
        return self._pos

    async def wipe(self) -> None:
        """See the port."""
        self._clear()

    async def find(
        self, tenant: TenantId, text: str, *, log: LogId | None, before: int, limit: int
    ) -> list[Hit]:
        """See the port."""
        words = query_words(text)
        hits = [
            Hit(pos, where, seq)
            for (where, seq), (pos, has) in self._texts.items()
            if pos < before and where == (log or where) and tenant_of(where) == tenant
            if all(word in has for word in words)
        ]
        hits.sort(key=lambda hit: -hit.pos)
        return hits[: max(limit, 0)]

    async def close(self) -> None:
        """See the port."""
