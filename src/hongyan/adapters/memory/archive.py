"""Kept live items in a dict."""

from __future__ import annotations

from collections.abc import Sequence

from hongyan.model.ids import LogId, TenantId, UserId, tenant_of
from hongyan.ports import Kept, Mark


class MemoryArchive:
    """The model of the Archive port."""

    def __init__(self) -> None:
        """Empty."""
        self.items: dict[tuple[LogId, int, int], Kept] = {}

    async def add(self, items: Sequence[tuple[LogId, Kept]]) -> None:
        """See the port."""
        for log, item in items:
            self.items.setdefault((log, *item.key), item)

    async def remove(self, items: Sequence[tuple[LogId, int, int]]) -> int:
        """See the port."""
        return sum(self.items.pop(key, None) is not None for key in items)

    async def remove_sender(self, tenant: TenantId, sender: UserId) -> int:
        """See the port."""
        return await self.remove(
            [
                key
                for key, item in self.items.items()
                if item.sender == sender and tenant_of(key[0]) == tenant
            ]
        )

    async def page(
        self, log: LogId, low: int, high: int, *, media: bool, after: Mark, limit: int
    ) -> list[Kept]:
        """See the port."""
        marked = [
            ((item.media_ms if media else item.at, *item.key), item)
            for (of, _, _), item in self.items.items()
            if of == log and (item.media_ms >= 0 or not media)
        ]
        found = sorted(m for m in marked if low <= m[0][0] < high and m[0] > after)
        return [item for _, item in found[:limit]]

    async def forget(self, before: int) -> int:
        """See the port."""
        return await self.remove([key for key, item in self.items.items() if item.at < before])
