"""The bus of one process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from hongyan.ports import Hint

_logger = logging.getLogger(__name__)


class MemoryBus:
    """Hands hints over in the order they came, on a later turn of the loop.

    Later, so that a publisher is never re-entered by a handler that publishes in turn. All hints
    of one turn share one callback.
    """

    def __init__(self) -> None:
        """No loop is needed before the first `publish`."""
        self._handlers: dict[int, Callable[[Hint], None]] = {}  # by ticket, in order of arrival
        self._ticket = 0
        self._waiting: list[Hint] = []
        self._closed = False

    def publish(self, hint: Hint) -> None:
        """Offer `hint` to whoever subscribes when the loop turns; dropped after `close`."""
        if self._closed:
            return
        self._waiting.append(hint)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._hand_over)

    def subscribe(self, handler: Callable[[Hint], None]) -> Callable[[], None]:
        """Call `handler` for every hint; the returned function ends it, also from inside one."""
        self._ticket = ticket = self._ticket + 1
        self._handlers[ticket] = handler

        def end() -> None:
            self._handlers.pop(ticket, None)

        return end

    async def close(self) -> None:
        """Drop what waits and whoever listens. Idempotent."""
        self._closed = True
        self._waiting.clear()
        self._handlers.clear()

    def _hand_over(self) -> None:
        waiting, self._waiting = self._waiting, []
        for hint in waiting:
            for ticket, handler in list(self._handlers.items()):
                if ticket not in self._handlers:  # ended by a handler before it
                    continue
                try:
                    handler(hint)
                except Exception:  # a handler's bug is its own: the others still get the hint
                    _logger.exception("bus handler failed on %s", type(hint).__name__)
