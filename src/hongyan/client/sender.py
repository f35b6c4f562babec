"""From the outbox to the session and back: each call is answered once, whatever happens."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import msgspec

from hongyan.client import events as ev
from hongyan.client.datafile import DataFile
from hongyan.client.ledger import Ledger
from hongyan.client.outbox import OpIds, Outbox, Pending
from hongyan.client.shell import Shell
from hongyan.model.errors import Clash, FrameTooBig, Refusal, Unauthenticated
from hongyan.model.ids import LogId, OpId
from hongyan.wire.frames import Ack, Call

AT_ONCE = 256  # calls handed to the session; it keeps to the server's window


class Sender:
    """Calls of one client. `file` None: they live as long as the process."""

    def __init__(
        self,
        shell: Shell,
        outbox: Outbox,
        emit: Callable[[ev.Event], None],
        acked: Callable[[Ack], None],
        ledger: Ledger | None,
    ) -> None:
        """`acked` is told of each ack, before whoever waits for it."""
        self.outbox = outbox
        self.file: DataFile | None = None
        self._shell, self._emit, self._acked, self._ledger = shell, emit, acked, ledger
        self._ops = OpIds()
        self._random = random.Random()
        self._waiters: dict[OpId, list[asyncio.Future[Ack]]] = {}
        self._handed = 0

    async def call(self, log: LogId, name: str, args: bytes, op: OpId | None) -> Ack:
        """See Client.call."""
        op = op or self._ops()
        waiter: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()
        held = self.outbox.get(op)
        if held is None:
            self._add(op, log, name, args)
        elif (held.log, held.name, held.args) != (log, name, args):
            raise Clash(f"op {op} is that of another call in the outbox")
        self._waiters.setdefault(op, []).append(waiter)
        self._shell.poke()
        try:
            return await waiter
        finally:
            waiters = self._waiters.get(op, [])
            if waiter in waiters:
                waiters.remove(waiter)
            if not waiters:
                self._waiters.pop(op, None)

    def _add(self, op: OpId, log: LogId, name: str, args: bytes) -> None:
        file = self.file
        at = time.time_ns() // 1_000_000
        pending = self.outbox.add(op, log, name, args, at, held=file is not None)
        if self._ledger is not None:
            self._ledger.sent(op, log, name, args)
        if file is not None:  # sent only once it is on disk, also when the caller is gone by then
            file.save_call(pending).add_done_callback(lambda done: self._saved(pending, done))

    def _saved(self, pending: Pending, done: asyncio.Future[None]) -> None:
        error = done.exception()
        if error is None:
            pending.held = False
            self._shell.poke()
            return
        self.outbox.done(pending.op)
        if not self._tell(pending.op, error):
            self._emit(ev.CacheBroken(error if isinstance(error, Exception) else Exception(error)))

    # --- for the client -------------------------------------------------------------------------

    def due(self) -> float | None:
        """When `work` has something to send; None = not before something changes."""
        return self.outbox.due() if self._handed < AT_ONCE else None

    def work(self, now: float) -> None:
        """Hand calls to the session."""
        for pending in self.outbox.ready(now, AT_ONCE - self._handed):
            try:
                self._shell.session.call(pending.name, pending.args, op=pending.op, log=pending.log)
                self._handed += 1
            except FrameTooBig as why:
                self._refuse(pending, why)

    def answered(self, call: Call, ack: Ack) -> None:
        """A call is stored."""
        self._handed -= 1
        pending = self._forget(call.op)
        self._acked(ack)
        if pending is None:
            return
        if self._ledger is not None:
            self._ledger.acked(call.op, ack.log, ack.seq, ack.first, ack.repeat)
        if not self._tell(call.op, ack):
            self._emit(ev.Acked(call.op, call.name, ack))

    def refused(self, call: Call, why: Refusal) -> None:
        """A call was not done: try again later with the same op, or give up for good."""
        self._handed -= 1
        pending = self.outbox.get(call.op)
        if pending is None:
            return
        if why.retry or isinstance(why, Unauthenticated):
            pause = why.retry_after_ms / 1000
            self.outbox.later(call.op, self._shell.clock(), pause, self._random)
            if isinstance(why, Unauthenticated):
                self._shell.renew(why)
            return
        self._refuse(pending, why)

    def stop(self, error: Exception) -> None:
        """Nothing will be sent any more by this client."""
        for op in list(self._waiters):
            self._tell(op, error)

    def _refuse(self, pending: Pending, why: Refusal) -> None:
        self._forget(pending.op)
        if self._ledger is not None:
            self._ledger.failed(pending.op, pending.log, why.code)
        if not self._tell(pending.op, why):
            self._emit(ev.Refused(pending.op, pending.log, pending.name, why))

    def _forget(self, op: OpId) -> Pending | None:
        pending = self.outbox.done(op)
        if pending is not None and self.file is not None:
            self.file.drop_call(op)
        return pending

    def _tell(self, op: OpId, answer: Ack | BaseException) -> bool:
        """Whether somebody waited."""
        told = False
        for waiter in self._waiters.pop(op, ()):
            if waiter.done():
                continue
            told = True
            if isinstance(answer, BaseException):
                waiter.set_exception(answer)
            else:
                waiter.set_result(answer)
        return told


def encode_args(args: object) -> bytes:
    """Arguments as JSON, in the form in which the server compares them: keys sorted."""
    if isinstance(args, msgspec.Raw):
        return bytes(args)
    return msgspec.json.encode(args, order="sorted")
