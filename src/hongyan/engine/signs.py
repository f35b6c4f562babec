"""Frames that store no entry: cursors, signals, pings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import msgspec
import structlog

from hongyan.engine.callers import Caller
from hongyan.engine.logs import LogCache, LogState
from hongyan.engine.notify import Notifier
from hongyan.engine.peer import Peer
from hongyan.engine.sync import Reader, owned
from hongyan.model.errors import (
    BadArgs,
    Forbidden,
    Full,
    NoSuchLog,
    NotAMember,
    Refusal,
    UnknownCall,
)
from hongyan.model.ids import LogId
from hongyan.model.log import Member, Role
from hongyan.ports import Bus, Clock, Signalled
from hongyan.wire import frames as f

logger = structlog.get_logger(__name__)


class Signs:
    """Handles them for open sessions. Nothing here raises; nothing waits."""

    def __init__(
        self,
        notifier: Notifier,
        cache: LogCache,
        reader: Reader,
        bus: Bus,
        clock: Clock,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        """`spawn` runs what has to wait for the store."""
        self._notifier, self._cache, self._reader = notifier, cache, reader
        self._bus, self._clock, self._spawn = bus, clock, spawn

    def cursor(self, peer: Peer, cursor: f.Cursor) -> None:
        """The client moved its cursors; with `ref` it is told when that is durable."""
        caller = peer.caller
        assert caller is not None
        try:
            if caller.guest is not None:
                raise Forbidden("guests have no cursors")
            owned(cursor.log, caller.tenant)
            if cursor.read < 0 or cursor.delivered < 0:
                raise BadArgs("cursors are not negative")
            if cursor.ref:
                self._notifier.limits.asks.take(caller.key, self._clock.monotonic())
        except Refusal as why:
            if cursor.ref:
                peer.answer(fail_of(cursor.ref, why))
            return
        cursors = self._notifier.cursors
        if not cursor.ref:
            cursors.later(caller.user, caller.device, cursor)
            return
        future = cursors.now(cursor.log, caller.user, caller.device, cursor)
        future.add_done_callback(partial(self._moved, peer, cursor))

    def _moved(self, peer: Peer, cursor: f.Cursor, future: asyncio.Future[Any]) -> None:
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            peer.answer(f.Ack(ref=cursor.ref, log=cursor.log))
        elif isinstance(error, Refusal):
            peer.answer(fail_of(cursor.ref, error))
        else:
            logger.error("cursor move failed", exc_info=error)
            peer.answer(fail_of(cursor.ref, Refusal("internal error")))

    def signal(self, peer: Peer, signal: f.Signal) -> None:
        """Tell the other members now. What is not allowed is dropped: a signal has no ref."""
        caller = peer.caller
        assert caller is not None
        if caller.guest is not None:
            return
        try:
            log = owned(signal.log, caller.tenant)
            now = self._clock.monotonic()
            self._notifier.limits.take(caller.connection, caller.key, log, caller.address, now)
        except Refusal:
            return  # a signal has no ref: there is nobody to tell
        state = self._cache.get(log)
        if state is None:
            self._spawn(self._late_signal(caller, signal))
        else:
            self._tell(caller, signal, state)

    def _tell(self, caller: Caller, signal: f.Signal, state: LogState) -> None:
        try:
            # Not a member, or in a large log not known here: signals may be lost.
            hint = told(caller, signal, state, state.members.get(caller.user))
        except Refusal:
            return
        self._bus.publish(hint)

    async def _late_signal(self, caller: Caller, signal: f.Signal) -> None:
        try:
            state = await self._cache.load(LogId(signal.log))
        except Refusal:
            return
        if state.version:
            self._tell(caller, signal, state)

    def ping(self, peer: Peer, ping: f.Ping) -> None:
        """A sign of life, answered with the digest of what changed since the token. Pings that
        come while the answer to one is looked for, or too fast, are a sign of life only."""
        caller = peer.caller
        assert caller is not None
        if caller.guest is not None:
            peer.say(f.Pong(now=self._clock.now_ms(), inbox=ping.inbox, digest=0))
            return
        self._notifier.away(peer, ping.away)
        if peer.pinged:
            return
        try:
            self._notifier.limits.asks.take(caller.key, self._clock.monotonic())
        except Refusal:
            return
        peer.pinged = True
        self._spawn(self._pong(peer, ping))

    async def _pong(self, peer: Peer, ping: f.Ping) -> None:
        caller = peer.caller
        assert caller is not None
        try:
            digest = await self._reader.digest(caller.tenant, caller.user, ping.inbox)
        except Refusal:
            return  # no pong: the client pings again, and reconnects if it stays so
        finally:
            peer.pinged = False
        pong = f.Pong(now=self._clock.now_ms(), inbox=ping.inbox, digest=digest)
        peer.say(pong)


def told(caller: Caller, signal: f.Signal, state: LogState, member: Member | None) -> Signalled:
    """The hint that tells the other members.

    Raises:
        NoSuchLog, NotAMember; UnknownCall: no such signal here; Full: off in a log this large;
        BadArgs: its body.
    """
    if not state.version:
        raise NoSuchLog(f"no log {state.log}")
    if member is None or member.role is Role.NONE:
        raise NotAMember()
    rule = state.kind.signals.get(signal.name)
    if rule is None:
        raise UnknownCall(f"no signal {signal.name[:40]!r} here")
    if state.count > rule.max_members:
        raise Full(f"{signal.name} is off above {rule.max_members} members")
    try:
        msgspec.json.decode(bytes(signal.body) or b"{}", type=rule.args)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise BadArgs(f"{signal.name}: {exc}") from None
    return Signalled(state.log, caller.user, caller.device, signal.name, signal.body)


def fail_of(ref: int, why: Refusal) -> f.Fail:
    """The frame that tells of a refusal."""
    return f.Fail(ref, why.code, why.text, why.retry, why.retry_after_ms)
