"""Routes that administer, declared with `audit=`: none can forget to say what was done.

The wrapper asks who it is before the handler does, has a line on disk before the handler runs, and
says how it ended before the answer leaves. The handler only notes what it was done to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import structlog
from starlette.requests import Request
from starlette.responses import Response

from hongyan.engine.audit import Draft, Trail
from hongyan.engine.identity import Identity
from hongyan.model.errors import Refusal

log = structlog.get_logger(__name__)

OWN = "own"  # declared by a route that changes only what belongs to who asks: no line


class Askers(Protocol):
    """What is needed of `Requests`."""

    async def identity(self, request: Request) -> Identity:
        """Who asks; raises Refusal."""
        ...

    def ip(self, request: Request) -> str:
        """From where."""
        ...


class Desk:
    """Where routes find the list: `app.state.audit`."""

    def __init__(self, trail: Trail, askers: Askers) -> None:
        """Starts nothing."""
        self.trail, self.askers = trail, askers


def note(request: Request, target: str = "", **detail: Any) -> None:
    """Say to whom or what it is done, and how; never anything secret, no contents of messages.
    Of several notes the last target stands. Does nothing where no line is written."""
    draft: Draft | None = getattr(request.state, "audit_draft", None)
    if draft is not None:
        draft.target = target or draft.target
        draft.detail.update(detail)


async def audited(
    request: Request, action: str, handler: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Run `handler` between the two halves of its line. Who is neither administrator nor API key
    gets the handler's refusal, and no line.

    Raises what the handler raises; StoreDown, Overloaded: the line could not be written. Where
    that is known before the handler ran, nothing was done.
    """
    desk: Desk | None = getattr(request.app.state, "audit", None)
    if desk is None or "authorization" not in request.headers:
        return await handler(request)
    who = await desk.askers.identity(request)
    if not desk.trail.concerns(who):
        return await handler(request)
    draft = await desk.trail.begin(who, ip=desk.askers.ip(request), action=action)
    draft.target = ", ".join(map(str, request.path_params.values()))
    request.state.audit_draft = draft
    try:
        answer = await handler(request)
    except BaseException as exc:
        await _end(desk, draft, exc.code if isinstance(exc, Refusal) else Refusal.code)
        raise
    await desk.trail.end(draft, 0 if answer.status_code < 400 else answer.status_code)
    return answer


async def record(request: Request, who: Identity, action: str, target: str) -> None:
    """A whole line for what was done without a token: a one-time code made an administrator."""
    desk: Desk | None = getattr(request.app.state, "audit", None)
    if desk is not None:
        draft = await desk.trail.begin(who, ip=desk.askers.ip(request), action=action)
        draft.target = target
        await desk.trail.end(draft, 0)


async def _end(desk: Desk, draft: Draft, outcome: int) -> None:
    """After a failure: what made it fail is what the asker must hear."""
    try:
        await desk.trail.end(draft, outcome)
    except Refusal as why:
        log.error("audit line stays open", line=draft.id, error=why.text)
