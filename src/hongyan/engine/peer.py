"""A connection as the engine sees it: its session, who it is, and the way out to its transport."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import structlog

from hongyan.engine.auth import Identity
from hongyan.engine.callers import Caller
from hongyan.model.errors import Refusal
from hongyan.model.ids import LogId
from hongyan.wire.frames import Frame
from hongyan.wire.session import ServerSession

logger = structlog.get_logger(__name__)


class Link(Protocol):
    """What the hub needs of a connection; a transport implements it."""

    ip: str

    def write(self, message: bytes) -> None:
        """Send one WebSocket message. Never waits; after `close` it does nothing."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Close with a WebSocket code, after what was written. Idempotent."""
        ...


class Home(Protocol):
    """Where connections are registered; the hub."""

    def wake(self, peer: Peer) -> None:
        """Write to this peer soon."""
        ...

    def forget(self, peer: Peer) -> None:
        """Take it out of every table. Idempotent."""
        ...


class Peer:
    """One connection with its session. The engine's side of a `Link`."""

    __slots__ = (
        "_handle",
        "caller",
        "closing",
        "departed",
        "epoch",
        "hub",
        "identity",
        "large",
        "link",
        "muted",
        "ok",
        "opened_at",
        "paced",
        "pinged",
        "queued",
        "session",
    )

    def __init__(
        self,
        hub: Home,
        link: Link,
        session: ServerSession,
        handle: Callable[[Peer, bytes], None],
        now: float,
    ) -> None:
        """`handle` takes each message; `now` is monotonic."""
        self.hub, self.link, self.session = hub, link, session
        self._handle = handle
        self.identity: Identity | None = None
        self.caller: Caller | None = None
        self.ok = True  # the transport takes more
        self.queued = False  # will be written to in this turn of the loop
        self.paced = False  # will be written to in the next round
        self.closing = False
        self.pinged = False  # a pong is being made
        self.opened_at = now
        self.epoch = 0
        self.large: list[LogId] = []
        self.departed: set[LogId] = set()  # large logs left while the session was opening
        self.muted: set[LogId] = set()  # unsubscribed on this connection

    def received(self, message: bytes) -> None:
        """Take one whole WebSocket message. Never raises, never waits."""
        self._handle(self, message)

    def writable(self, ok: bool) -> None:
        """The transport's buffer is over (False) or under (True) its mark."""
        self.ok = ok
        if ok:
            self.hub.wake(self)

    def lost(self) -> None:
        """The connection is gone; called exactly once."""
        self.hub.forget(self)

    def flush(self) -> None:
        """Give the transport what is queued, as few messages as possible."""
        session, link = self.session, self.link
        while self.ok:
            message = session.take()
            if message is None:
                break
            link.write(message)

    def say(self, frame: Frame) -> None:
        """Queue a frame that may be dropped when the reader is slow."""
        self.session.say(frame)
        self.hub.wake(self)

    def answer(self, frame: Frame) -> None:
        """Queue an answer; it is never dropped."""
        self.session.answer(frame)
        self.hub.wake(self)

    def close(self, why: Refusal, *, reconnect_after_ms: int) -> None:
        """Say goodbye, flush, close. `reconnect_after_ms` < 0: do not come back by yourself."""
        if self.closing:
            return
        self.closing = True
        self.session.goodbye(why, reconnect_after_ms)
        self.ok = True  # a goodbye is worth a try even on a full socket
        try:
            self.flush()
            self.link.close(1013 if why.retry else 1008, type(why).__name__)
        except Exception:  # who closes many peers must come to the last one
            logger.exception("goodbye failed")
            self.link.close(1011, "internal error")
        finally:
            self.hub.forget(self)
