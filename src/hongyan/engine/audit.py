"""Who did which administrative thing, when, from where.

A line is on disk before the thing is done, and says how it ended before the answer leaves. So a
server that dies in between leaves a line whose end is unknown, never a thing without a line.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import structlog

from hongyan.engine.identity import Identity
from hongyan.model.errors import BadArgs, Forbidden, Refusal
from hongyan.ports import Audit, AuditEnd, AuditFilter, AuditLine, Clock

logger = structlog.get_logger(__name__)

MAX_PAGE = 200
MAX_DETAIL = 2048  # bytes of JSON; more is replaced by how much it was
MAX_TEXT = 200  # characters of a target or address
FORGET_EVERY_S = 3600.0
DAY_MS = 86_400_000
NEVER = 1 << 62

_encode = msgspec.json.Encoder().encode


class Draft(msgspec.Struct):
    """A line whose thing is being done; the handler fills in what only it knows."""

    id: int = 0
    target: str = ""
    detail: dict[str, Any] = {}


class Trail:
    """Writes and reads the list. Methods that wait may raise StoreDown or Overloaded."""

    def __init__(self, audit: Audit, clock: Clock, *, keep_days: int) -> None:
        """Lines older than `keep_days` are dropped, some time later; 0 = kept for ever."""
        self._audit, self._clock, self._keep_days = audit, clock, keep_days
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to drop old lines; needs a running loop."""
        if self._keep_days and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._forget_forever())

    async def stop(self) -> None:
        """End that. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _forget_forever(self) -> None:
        while True:
            try:
                await self.forget_old()
            except Refusal as why:
                logger.warning("old audit lines not dropped, will be tried again", error=why.text)
            await asyncio.sleep(FORGET_EVERY_S)

    async def forget_old(self) -> int:
        """Drop what is older than it is kept; give how many lines went."""
        if not self._keep_days:
            return 0
        return await self._audit.forget(self._clock.now_ms() - self._keep_days * DAY_MS)

    @staticmethod
    def concerns(who: Identity) -> bool:
        """Whether what `who` does is administration: administrators and API keys. What others
        try there is refused, and must not fill the list."""
        return who.admin or bool(who.scopes)

    async def begin(self, who: Identity, *, ip: str, action: str) -> Draft:
        """Put down that `who` is about to do it; do it only when this has returned."""
        detail = {"as": who.user} if who.key and who.user else {}
        actor = f"key:{who.key}" if who.key else who.user
        line = AuditLine(
            tenant=who.tenant,
            at=self._clock.now_ms(),
            actor=actor,
            ip=ip[:MAX_TEXT],
            action=action,
            detail=msgspec.Raw(_encode(detail)),
        )
        return Draft(id=await self._audit.begin(line), detail=dict(detail))

    async def end(self, draft: Draft, outcome: int) -> None:
        """Say how it ended: 0 done, else the code of the refusal."""
        detail = _encode(draft.detail)
        if len(detail) > MAX_DETAIL:
            detail = _encode({"left_out_bytes": len(detail)})
        end = AuditEnd(outcome, draft.target[:MAX_TEXT], msgspec.Raw(detail))
        await self._audit.end(draft.id, end)

    async def page(
        self, who: Identity, *, before: int = 0, limit: int = 50, only: AuditFilter
    ) -> tuple[list[AuditLine], bool]:
        """Lines of the own tenant, newest first, those before id `before` (0 = the newest); True:
        there are more.

        Raises:
            Forbidden: not an administrator. BadArgs: `limit` is not 1 to 200.
        """
        if not who.admin:
            raise Forbidden("this needs an administrator")
        if not 1 <= limit <= MAX_PAGE:
            raise BadArgs(f"limit must be 1 to {MAX_PAGE}")
        found = await self._audit.page(
            who.tenant, before=before or NEVER, limit=limit + 1, only=only
        )
        return found[:limit], len(found) > limit
