"""The engine's door: opens sessions, takes every frame to where it is handled, closes.

One method per frame type; what a peer sends ends in an answer with its `ref`, never in an
exception that leaves this module.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

import structlog

from hongyan.engine.admission.guard import QueueGuard
from hongyan.engine.admission.line import Admission
from hongyan.engine.admission.opening import Opening
from hongyan.engine.callers import Caller
from hongyan.engine.limits import Counts, address_key
from hongyan.engine.live.viewing import SETTLE_S
from hongyan.engine.parts import Parts
from hongyan.engine.peer import Link, Peer
from hongyan.engine.questions import Questions
from hongyan.engine.signs import Signs, fail_of
from hongyan.engine.single import SingleRequests
from hongyan.engine.updates import Updates
from hongyan.model.errors import (
    BadFrame,
    Forbidden,
    GoingAway,
    Refusal,
    TimedOut,
    TooSlow,
    Unauthenticated,
)
from hongyan.model.ids import user_key
from hongyan.telemetry import Metrics
from hongyan.wire import frames as f
from hongyan.wire.codec import Codec
from hongyan.wire.session import ServerSession

__all__ = ["Gateway", "Parts"]

logger = structlog.get_logger(__name__)

SLOW_BACK_MS = 1000  # who was too slow comes back no earlier
RECONNECT_SPREAD_MS = 5000  # goodbyes of a closing server spread the return over this


class Gateway(SingleRequests):
    """Takes connections from any transport, and single requests from HTTP."""

    def __init__(self, parts: Parts) -> None:
        """Nothing starts before `start`."""
        super().__init__(parts)
        limits = parts.config.limits
        self._limits = f.Limits(limits.message_bytes, limits.window, limits.page)
        self._counts = Counts(
            limits.connections,
            limits.connections_per_ip,
            limits.connections_per_user,
            lambda tenant: parts.config.quota_of(tenant).connections,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._settler: asyncio.Task[None] | None = None
        self._questions = Questions(
            parts.reader, parts.queries, parts.notifier, parts.cache, parts.viewing
        )
        self._signs = Signs(
            parts.notifier, parts.cache, parts.reader, parts.bus, parts.clock, self._spawn
        )
        opening = Opening(parts, self._counts, self._limits)
        self.admission = Admission(
            parts.config.admission,
            parts.clock,
            parts.load,
            opening.open,
            self._spawn,
            opening.refusal,
        )
        self._guard = QueueGuard(parts.load.queues)
        self._frames = self._handlers()
        parts.hub.on_left = self._gone
        self.updates = Updates(
            parts.store, parts.bus, parts.cache, parts.clock, limits, self._asking
        )
        self._show(parts.metrics)

    def _show(self, metrics: Metrics) -> None:
        metrics.gauge("receivers", "Receivers without a session, now.", lambda: len(self.updates))
        named = list(self._p.config.tenants)  # others would make a series for each
        metrics.labelled(
            "tenant_sessions",
            "Open sessions of tenants with a quota of their own.",
            "tenant",
            lambda: {tenant: self._counts.of_tenant(tenant) for tenant in named},
        )
        for shown in (self._p.load, self.admission, self._guard):
            shown.show(metrics)

    def _handlers(self) -> dict[type, Callable[[Peer, Any], None]]:
        """What takes each frame."""
        return {
            f.Hello: self.admission.enter,
            f.Call: self._call,
            f.Cursor: self._signs.cursor,
            f.Ping: self._signs.ping,
            f.Signal: self._signal,
            f.Bye: self._bye,
            f.Read: partial(self._ask, self._questions.read),
            f.Sync: partial(self._ask, self._questions.sync),
            f.Query: partial(self._ask, self._questions.query),
            f.Subscribe: partial(self._ask, self._questions.subscribe),
            f.Unsubscribe: partial(self._ask, self._questions.unsubscribe),
        }

    # --- life -------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether new sessions and calls are taken."""
        return self._sweeper is not None and not self._draining

    def start(self) -> None:
        """Begin to look after connections; needs a running loop."""
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep())
        self._p.notifier.start()
        if self._p.viewing is not None:
            self._settler = asyncio.get_running_loop().create_task(self._settle())

    async def drain(self, seconds: float) -> None:
        """Take nothing new, answer what was accepted, then say goodbye to all: the return is
        spread over time by what each is told. Idempotent."""
        if self._draining:
            return
        self._draining = True
        await self.erasures.stop()
        if not await self._p.pipeline.idle(seconds):
            logger.warning("some calls are not answered; clients send them again")
        self.updates.close()
        self.admission.close()
        why = GoingAway("the server is closing")
        for peer in list(self._p.hub.peers):
            peer.close(why, reconnect_after_ms=random.randrange(100, RECONNECT_SPREAD_MS))
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=seconds)
        await self._p.notifier.stop()
        if self._settler is not None and self._p.viewing is not None:
            self._settler.cancel()
            await asyncio.gather(self._settler, return_exceptions=True)
            try:
                await self._p.viewing.settle(self._p.store)
            except Refusal as why:
                logger.warning("totals not kept", error=why.text)
            self._p.viewing.logs.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)

    async def _settle(self) -> None:
        """Keep the totals of live logs."""
        viewing = self._p.viewing
        assert viewing is not None
        while True:
            await asyncio.sleep(SETTLE_S)
            try:
                await viewing.settle(self._p.store)
            except Refusal as why:
                logger.warning("totals not kept, again later", error=why.text)
            except Exception:
                logger.exception("totals not kept")

    async def _sweep(self) -> None:
        """Close what never said hello and what fell silent (half-open connections)."""
        limits = self._p.config.limits
        every = min(limits.handshake_ms, limits.heartbeat_ms) / 4000
        while True:
            await asyncio.sleep(every)
            now, now_ms = self._p.clock.monotonic(), self._p.clock.now_ms()
            self.admission.sweep(now)
            for number, peer in enumerate(list(self._p.hub.peers)):
                if peer.session.state in ("new", "opening"):
                    if now - peer.opened_at > limits.handshake_ms / 1000:
                        peer.close(TimedOut("no hello in time"), reconnect_after_ms=1000)
                elif peer.session.expired(now):
                    self._silent(peer)
                elif peer.identity is not None and 0 < peer.identity.expires_at < now_ms:
                    peer.close(Unauthenticated("the token has expired"), reconnect_after_ms=0)
                self._guard.add(peer)
                if number % 1000 == 999:
                    await asyncio.sleep(0)  # many connections: let others run in between
            self._guard.end()

    @staticmethod
    def _silent(peer: Peer) -> None:
        """Close one of which nothing was heard. Nothing is read from a connection that takes
        nothing: such a one may well have pinged."""
        if peer.ok:
            peer.close(TimedOut(), reconnect_after_ms=0)
        else:
            peer.close(TooSlow("this connection took nothing"), reconnect_after_ms=SLOW_BACK_MS)

    # --- connections ------------------------------------------------------------------------

    def accept(self, link: Link, codec: Codec) -> Peer:
        """A new connection. Raises Overloaded, GoingAway: close it with the text."""
        if self._draining:
            raise GoingAway("the server is closing", retry_after_ms=1000)
        try:
            self._counts.opened(address_key(link.ip))
        except Refusal:
            self._p.metrics.refused_total += 1
            raise
        limits, now = self._p.config.limits, self._p.clock.monotonic()
        session = ServerSession(
            codec,
            self._limits,
            limits.heartbeat_ms / 1000,
            queue_bytes=limits.send_queue_bytes,
            queue_frames=limits.send_queue_frames,
            overflowed=lambda: self._overflowed(peer),
        )
        peer = Peer(self._p.hub, link, session, self._received, now)
        self._p.hub.peers.add(peer)
        self._p.metrics.accepted_total += 1
        self._p.metrics.connections += 1
        return peer

    def _overflowed(self, peer: Peer) -> None:
        self._p.metrics.behind_total += 1
        if self._p.viewing is not None:
            self._p.viewing.logs.overflowed(peer)

    def _gone(self, peer: Peer) -> None:
        self._counts.closed(address_key(peer.link.ip))
        self._p.metrics.connections -= 1
        if peer.identity is not None:
            self._p.metrics.sessions -= 1
            tenant, user = peer.identity.tenant, peer.identity.user
            self._counts.signed_out(user_key(tenant, user), tenant)
            if peer.identity.guest is None:
                self._p.notifier.left(peer)
        if peer.caller is not None:
            self._p.pipeline.abandon(peer.caller)
        if self._p.viewing is not None:
            self._p.viewing.logs.forget(peer)
        peer.session.detach()  # else the two hold each other

    def _received(self, peer: Peer, message: bytes) -> None:
        if peer.closing or self._draining:
            return  # what is not answered is sent again after the reconnect
        now = self._p.clock.monotonic()
        try:
            for frame in peer.session.receive(message, now):
                self._p.metrics.frames_total += 1
                self._frames[type(frame)](peer, frame)
        except Refusal as why:
            again = 1000 if why.retry or isinstance(why, BadFrame) else -1
            peer.close(why, reconnect_after_ms=again)
            return
        except Exception:
            logger.exception("frame handling failed", user=peer.identity and peer.identity.user)
            peer.close(Refusal("internal error"), reconnect_after_ms=1000)
            return
        if peer.session.pending:
            self._p.hub.wake(peer)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- calls, cursors, signals ------------------------------------------------------------

    def _call(self, peer: Peer, call: f.Call) -> None:
        caller = peer.caller
        assert caller is not None  # the session lets calls through only after the welcome
        self._p.pipeline.submit(caller, call, partial(self._done, peer, call.ref))

    def _done(self, peer: Peer, ref: int, answer: f.Ack | Refusal) -> None:
        peer.answer(answer if isinstance(answer, f.Ack) else fail_of(ref, answer))

    def _signal(self, peer: Peer, signal: f.Signal) -> None:
        if self._p.load.signal():
            self._signs.signal(peer, signal)

    def _bye(self, peer: Peer, bye: f.Bye) -> None:
        caller = peer.caller
        if bye.logout and caller is not None:
            self._spawn(self._log_out(peer, caller))
            return
        peer.link.close(1000, "bye")
        self._p.hub.forget(peer)

    async def _log_out(self, peer: Peer, caller: Caller) -> None:
        try:
            await self._p.directory.revoke(caller.tenant, caller.user, caller.device)
        except Refusal as why:
            logger.warning("log-out not stored", user=caller.user, error=why.text)
        peer.link.close(1000, "bye")
        self._p.hub.forget(peer)

    # --- questions --------------------------------------------------------------------------

    def _ask(self, work: Callable[[Peer, Any], Awaitable[f.Frame]], peer: Peer, frame: Any) -> None:
        assert peer.caller is not None  # the session lets questions through after the welcome
        try:
            _only_own(peer.caller, frame)
            self._p.load.ask()
            self._p.notifier.limits.asks.take(peer.caller.key, self._p.clock.monotonic())
        except Refusal as why:
            peer.answer(fail_of(frame.ref, why))
            return
        self._spawn(self._answer(work, peer, frame))

    async def _answer(
        self, work: Callable[[Peer, Any], Awaitable[f.Frame]], peer: Peer, frame: Any
    ) -> None:
        answer: f.Frame
        try:
            answer = await work(peer, frame)
        except Refusal as why:
            answer = fail_of(frame.ref, why)
        except Exception:
            logger.exception("question failed", frame=type(frame).__name__)
            answer = fail_of(frame.ref, Refusal("internal error"))
        if not peer.closing:
            peer.answer(answer)


def _only_own(caller: Caller, frame: Any) -> None:
    """A guest asks about the one log it may watch, and nothing else. Raises Forbidden."""
    if caller.guest is None:
        return
    other = isinstance(frame, f.Query) and frame.name != "danmaku"
    if other or isinstance(frame, f.Sync) or frame.log != caller.guest:
        raise Forbidden("guests watch one room; to do more, log in")
