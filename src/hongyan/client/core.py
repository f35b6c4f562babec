"""The parts of a client put together: who tells whom what.

Core ─── Shell ── ClientSession      socket and reconnects ── the protocol (hongyan.wire)
  ├───── Sender ── Outbox            calls that are not acknowledged yet
  ├───── Inbox ─── Rows, Cursors     the conversation list; how far this device has come
  ├───── Follower  Replica per log   opened logs, their holes, their readers
  └───── DataFile                    all of this on disk
"""

from __future__ import annotations

import asyncio
import ssl as ssl_module
import weakref
from collections.abc import Coroutine
from functools import partial
from typing import Any

from hongyan.client import events as ev
from hongyan.client.datafile import DataFile, Saved
from hongyan.client.errors import Closed, WrongUser
from hongyan.client.follow import Follower
from hongyan.client.inbox import Inbox
from hongyan.client.ledger import Ledger
from hongyan.client.login import GetToken
from hongyan.client.outbox import Outbox
from hongyan.client.sender import Sender
from hongyan.client.shell import Shell
from hongyan.client.watch import Watchers
from hongyan.model.ids import DeviceId, LogId, Seq, UserId
from hongyan.model.log import Entry, InboxRow
from hongyan.wire.frames import (
    Ack,
    Attached,
    Behind,
    Call,
    Cursor,
    Deliver,
    Gap,
    Live,
    Page,
    Reset,
    Result,
    Signal,
    Subscribe,
    Values,
    Welcome,
)
from hongyan.wire.session import Answered, ClientSession, Event, Opened, Refused, Rows

ASK_S = 30.0  # for an answer to a read or query, reconnects included


class Core:
    """Glue. The shell calls it with what the session brings, the facade with what is asked."""

    def __init__(
        self,
        url: str,
        get_token: GetToken,
        subprotocol: str,
        ssl: ssl_module.SSLContext | None,
        keep: int,
        ledger: Ledger | None,
        outbox: Outbox | None,
    ) -> None:
        """Nothing happens before `start`."""
        self.welcome: Welcome | None = None  # of the newest connection
        self.streams: weakref.WeakSet[ev.EventStream] = weakref.WeakSet()
        self.shell = Shell(self, url, get_token, subprotocol=subprotocol, ssl=ssl)
        shell = self.shell
        self.follower = Follower(self, self._applied, self._row, shell.clock, shell.random, keep)
        box = Outbox() if outbox is None else outbox  # an empty one is false
        self.sender = Sender(shell, box, self.emit, self._stored, ledger)
        self.inbox = Inbox(shell, self, self.follower, ledger)
        self.watchers = Watchers(shell, self.follower)
        self._ledger = ledger
        self._written: dict[LogId, Seq] = {}  # last seq in the ledger
        self._device = DeviceId("")
        self._file: DataFile | None = None
        self._owner = ""  # tenant/user that the data is of
        self._tasks: set[asyncio.Task[None]] = set()

    # --- life -----------------------------------------------------------------------------------

    def start(
        self, file: DataFile | None, saved: Saved, device: DeviceId, cls: str, name: str
    ) -> None:
        """Take up what was saved and begin to connect."""
        self._device, self._file, self._owner = device, file, saved.user
        self.inbox.file = self.follower.file = self.sender.file = file
        self.inbox.restore(saved, UserId(saved.user.partition("/")[2]))
        for pending in saved.calls:
            self.sender.outbox.load(pending)
        self.shell.session = ClientSession(
            self.shell.codec,
            device,
            cls=cls,
            client=name,
            token=saved.token,
            large=saved.large,
        )
        self.spawn(self.shell.run())

    async def close(self, *, logout: bool) -> None:
        """Leave, end every task, write what is queued. The file is let go last."""
        await self.shell.leave(logout=logout)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._file is not None:
            await self._file.close()
        if self._ledger is not None:
            self._ledger.close()

    # --- what the parts ask ---------------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """See Server. A task that breaks stops the client: better than to go on half."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.shell.stop(error if isinstance(error, Exception) else RuntimeError(repr(error)))

    def emit(self, event: ev.Event) -> None:
        """See Server."""
        if self._ledger is not None and isinstance(event, ev.Skipped):
            cut = event.cut
            self._ledger.skip(event.log, cut.low, cut.high, cut.reason)
            self._written[event.log] = cut.high
        for stream in self.streams:
            stream.put(event)

    async def read(
        self,
        log: LogId,
        *,
        after: Seq | None = None,
        before: Seq | None = None,
        around: Seq | None = None,
        limit: int = 50,
    ) -> Page:
        """See Server."""
        read = self.shell.session.read
        ask = partial(read, log, after=after, before=before, around=around, limit=limit)
        answer = await self.shell.ask(ask, ASK_S)
        assert isinstance(answer, Page)  # the session lets no other answer through
        return answer

    async def query(self, name: str, args: bytes, log: LogId) -> Result:
        """The answer to a query. Raises like `read`."""
        ask = partial(self.shell.session.query, name, args, log=log)
        answer = await self.shell.ask(ask, ASK_S)
        assert isinstance(answer, Result)
        return answer

    # --- what the shell tells -------------------------------------------------------------------

    def handle(self, event: Event) -> None:
        """See Owner."""
        match event:
            case Deliver():
                if not self.follower.deliver(event.log, event.entries):
                    self.inbox.delivered(event.log, event.entries)
            case Answered() | Refused():
                self._answered(event)
            case Rows():
                self.inbox.take(event)
            case Opened():
                self._opened(event.welcome)
            case Cursor():
                self.inbox.cursor(event)
            case Signal():
                self.watchers.handle(event)
                self.emit(ev.Signalled(event.log, event.name, event.user, event.device, event.body))
            case Live() | Values():
                self.watchers.handle(event)
            case Behind():
                held = self.follower.hint(event.log, event.head, urgent=True)
                if not held and event.log not in self.watchers:
                    self.inbox.doubt(event.log)
            case Gap():
                self.watchers.handle(event)
                self.emit(ev.Dropped(event.log, event.n, event.reason))
            case Reset():
                self.follower.reset(event)
                self.inbox.doubt(event.log)
            case _:
                pass  # Stale: the session syncs by itself; Closed: the shell has seen it

    def work(self, now: float) -> None:
        """See Owner."""
        self.watchers.work(now)  # first: who only watches may read after that
        self.sender.work(now)
        self.inbox.work(now)
        self.follower.work()

    def due(self) -> float | None:
        """See Owner."""
        parts = (self.watchers, self.sender, self.inbox, self.follower)
        times = [part.due() for part in parts]
        return min((at for at in times if at is not None), default=None)

    def disconnected(self, reason: str, retry_in_s: float) -> None:
        """See Owner."""
        self.emit(ev.Disconnected(reason, retry_in_s))

    def ended(self, error: Exception) -> None:
        """See Owner."""
        self.sender.stop(error)
        self.follower.stop(error)
        self.watchers.stop(error)
        if not isinstance(error, Closed):
            self.emit(ev.Stopped(error))
        for stream in self.streams:
            stream.close()

    def _opened(self, welcome: Welcome) -> None:
        owner = f"{welcome.tenant}/{welcome.user}"
        if self._owner and self._owner != owner:
            self.shell.stop(WrongUser(f"the data is of {self._owner}, the token of {owner}"))
            self.shell.drop("the data is of another user")
            return
        repeat, self.welcome = self.welcome is not None, welcome
        if not self._owner:
            self._owner = owner
            if self._file is not None:
                self._file.save_user(owner)
        if not repeat and self._ledger is not None:
            self._ledger.began(welcome.tenant, welcome.user, self._device)
        self.inbox.rows.user = welcome.user
        self.follower.connected()
        self.watchers.opened()
        self.emit(ev.Connected(welcome.session, welcome.user, repeat))

    def _answered(self, event: Answered | Refused) -> None:
        frame = event.request.frame if event.request is not None else None
        if isinstance(event, Refused):
            if isinstance(frame, Call):
                self.sender.refused(frame, event.why)
            elif isinstance(frame, Cursor):
                self.inbox.refused(frame, event.why)
            elif isinstance(frame, Subscribe):
                self.watchers.refused(frame, event.why)
        elif isinstance(frame, Subscribe) and isinstance(event.answer, Ack | Attached):
            self.watchers.answered(frame, event.answer)
        elif isinstance(event.answer, Ack):
            if isinstance(frame, Call):
                self.sender.answered(frame, event.answer)
            elif isinstance(frame, Cursor):
                self.inbox.confirmed(frame)

    def _stored(self, ack: Ack) -> None:
        if ack.log and ack.seq:
            self.follower.hint(ack.log, ack.seq)

    def _applied(self, log: LogId, entries: list[Entry]) -> None:
        if self._ledger is not None:
            self._write(self._ledger, log, entries)
        self.inbox.entries(log, entries, opened=True)

    def _write(self, ledger: Ledger, log: LogId, entries: list[Entry]) -> None:
        """Each entry once, also when its log was shut and opened again in between."""
        last = self._written.get(log, Seq(0))
        fresh = [entry for entry in entries if entry.seq > last]
        if fresh:
            if last and fresh[0].seq > last + 1:
                ledger.skip(log, Seq(last + 1), Seq(fresh[0].seq - 1), "shut")
            ledger.got(log, fresh)
            self._written[log] = fresh[-1].seq

    def _row(self, log: LogId) -> InboxRow | None:
        return self.inbox.rows.get(log)
