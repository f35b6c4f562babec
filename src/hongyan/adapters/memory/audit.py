"""The audit list in a list."""

from __future__ import annotations

from msgspec.structs import replace

from hongyan.model.ids import TenantId
from hongyan.ports import AuditEnd, AuditFilter, AuditLine


class MemoryAudit:
    """The model of the Audit port."""

    def __init__(self) -> None:
        """Empty."""
        self._lines: list[AuditLine] = []
        self._last = 0

    async def begin(self, line: AuditLine) -> int:
        """See the port."""
        self._last += 1
        self._lines.append(replace(line, id=self._last))
        return self._last

    async def end(self, line_id: int, end: AuditEnd) -> bool:
        """See the port."""
        for place, line in enumerate(self._lines):
            if line.id == line_id and line.outcome == -1:
                self._lines[place] = replace(
                    line, target=end.target, outcome=end.outcome, detail=end.detail
                )
                return True
        return False

    async def page(
        self, tenant: TenantId, *, before: int, limit: int, only: AuditFilter
    ) -> list[AuditLine]:
        """See the port."""
        found = [
            line
            for line in reversed(self._lines)
            if line.tenant == tenant
            and line.id < before
            and only.actor in ("", line.actor)
            and only.target in ("", line.target)
            and line.action.startswith(only.action)
            and line.at >= only.since
            and (not only.until or line.at < only.until)
        ]
        return found[:limit]

    async def forget(self, before: int) -> int:
        """See the port."""
        kept = [line for line in self._lines if line.at >= before]
        gone = len(self._lines) - len(kept)
        self._lines = kept
        return gone
