"""The client: calls that survive, logs without holes, a list that is right."""

from __future__ import annotations

import asyncio
import ssl as ssl_module
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, cast

import msgspec

from hongyan import __version__
from hongyan.client.core import Core
from hongyan.client.datafile import DataFile, Saved
from hongyan.client.events import EventStream
from hongyan.client.ledger import Ledger
from hongyan.client.login import GetToken
from hongyan.client.outbox import Outbox
from hongyan.client.replica import KEEP, Replica
from hongyan.client.sender import encode_args
from hongyan.client.watch import Watch
from hongyan.model.ids import DEVICE, DeviceId, LogId, OpId, Seq, UserId, check
from hongyan.model.log import Entry, InboxRow
from hongyan.wire.frames import JSON_SUBPROTOCOL, MSGPACK_SUBPROTOCOL, Ack, Page, Welcome


class Client:
    """One device of one user, over all its connections. Use it from one event loop.

    `data` is a file for this user and device alone: with it, calls and read cursors survive the
    process, and the next start costs only what changed. Without it they live in memory.

    `get_token` is called for every connection. What it raises is taken for a passing trouble,
    except a `Denied` refusal (a wrong password), which stops the client.

        async with Client("http://localhost:8000", get_token, device="laptop") as client:
            ack = await client.send("main/d/alice~bob", "hello")
    """

    def __init__(
        self,
        url: str,
        get_token: GetToken,
        *,
        device: str,
        cls: str = "desktop",
        data: Path | None = None,
        codec: Literal["json", "msgpack"] = "json",
        ssl: ssl_module.SSLContext | None = None,
        name: str = "",
        keep: int = KEEP,
        ledger: Ledger | None = None,
        outbox: Outbox | None = None,
    ) -> None:
        """Nothing happens before `start`.

        `keep`: entries in memory per opened log. `name` tells the operator which program this
        is. `outbox` gives other limits than 1,000 calls and 8 MiB. Raises BadId for `device`.
        """
        self.device = DeviceId(check(DEVICE, device, "device"))
        self._cls, self._data = cls, data
        self._name = f"{name} hongyan-python/{__version__}".strip()
        self._started = False
        subprotocol = JSON_SUBPROTOCOL if codec == "json" else MSGPACK_SUBPROTOCOL
        self._core = Core(url, get_token, subprotocol, ssl, keep, ledger, outbox)

    # --- life -----------------------------------------------------------------------------------

    async def start(self) -> Self:
        """Open the data file and begin to connect; returns at once, also without a network.

        Raises:
            DataInUse: another process has the data file.
            DataBroken: it cannot be used; nothing was changed.
        """
        if self._started:
            raise RuntimeError("a client starts once")
        self._started = True
        file, saved = None, Saved()
        if self._data is not None:
            file, saved = await asyncio.to_thread(_open, self._data)
        self._core.start(file, saved, self.device, self._cls, self._name)
        return self

    async def close(self, *, logout: bool = False) -> None:
        """Leave; whoever still waits gets `Closed`. `logout` also forgets this device's login.
        Idempotent."""
        if self._started:
            await self._core.close(logout=logout)

    async def __aenter__(self) -> Self:
        """Start."""
        return await self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        await self.close()

    async def connected(self, within: float | None = None) -> Welcome:
        """Wait for an open session; `within` seconds, or as long as it takes.

        Raises:
            Offline: it took longer.
            Refusal: there will be none: Kicked, Disabled, WrongPassword, WrongUser …
            Closed: the client was closed.
        """
        await self._core.shell.opened(within)
        assert self._core.welcome is not None
        return self._core.welcome

    def wake(self) -> None:
        """Call this when the network changed or the device woke up: tries to connect at once,
        or checks within 5 s that the connection still works."""
        self._core.shell.wake()

    def away(self, away: bool) -> None:
        """Tell the others, with the next heartbeat, that nobody is at the device."""
        self._core.shell.session.away = away

    @property
    def online(self) -> bool:
        """Whether the session is open now."""
        return self._core.shell.open

    @property
    def stopped(self) -> Exception | None:
        """Why the client will not connect any more; None while it works."""
        return self._core.shell.error

    # --- calls ----------------------------------------------------------------------------------

    @property
    def outbox(self) -> Outbox:
        """The calls that are not acknowledged, in order. For looking only."""
        return self._core.sender.outbox

    async def call(
        self, name: str, args: Any = None, *, log: str = "", op: str | None = None
    ) -> Ack:
        """Do something that is stored; return once the server has it on disk.

        The call is in the outbox (with a data file: on disk) before it is sent, and is sent until
        it is answered: over reconnects, and over restarts of this program. It is done once, also
        when `op` is used again after a crash. Calls of one log are done in the order in which
        they were made. Cancelling stops the waiting, not the call.

        Raises:
            OutboxFull, DataBroken: nothing was queued.
            Refusal: the server will not do it, for the reason of that class; `op` is used up.
            Closed: the client was closed; with a data file, the next one sends it.
        """
        self._check()
        payload = encode_args({} if args is None else args)
        return await self._core.sender.call(LogId(log), name, payload, OpId(op) if op else None)

    async def send(self, log: str, content: str | dict[str, Any], **fields: Any) -> Ack:
        """`chat.send`: a text, or content as the chat pages describe it; `fields` are the other
        fields of the call (reply_to, mentions …). Raises like `call`."""
        if isinstance(content, str):
            content = {"type": "text", "text": content}
        return await self.call("chat.send", {"content": content, **fields}, log=log)

    def signal(self, log: str, name: str, body: Any = None) -> bool:
        """Tell the others now, best effort (typing). False: it was dropped, there is no session
        or too much is waiting."""
        shell = self._core.shell
        sent = shell.open and shell.session.signal(
            LogId(log), name, encode_args({} if body is None else body)
        )
        shell.poke()
        return sent

    # --- questions ------------------------------------------------------------------------------

    async def read(
        self,
        log: str,
        *,
        after: int | None = None,
        before: int | None = None,
        around: int | None = None,
        limit: int = 50,
    ) -> Page:
        """A range of a log: exactly one of the three; `before=0` is the newest.

        Raises:
            Offline: no answer within 30 s, reconnects included; ask again.
            Refusal: NotAMember, NoSuchLog, BadArgs …
        """
        self._check()
        return await self._core.read(
            LogId(log), after=_seq(after), before=_seq(before), around=_seq(around), limit=limit
        )

    async def query(self, name: str, args: Any = None, *, log: str = "") -> Any:
        """Ask for something else (members, receipts, search …). Raises like `read`."""
        self._check()
        payload = encode_args({} if args is None else args)
        answer = await self._core.query(name, payload, LogId(log))
        return msgspec.json.decode(answer.body)

    # --- what is here ---------------------------------------------------------------------------

    @property
    def user(self) -> UserId:
        """Who this is; "" before the first connection."""
        return self._core.inbox.rows.user

    @property
    def rows(self) -> Mapping[str, InboxRow]:
        """The conversation list by log, live."""
        return cast("Mapping[str, InboxRow]", self._core.inbox.rows)

    async def open(self, log: str) -> Replica:
        """Follow a log: its newest entries are loaded, what comes is applied without a hole and
        told as `Entries`. Returns once the newest page is here, or the cached one.

        Raises:
            Refusal: it cannot be read (NotAMember, NoSuchLog …).
            Closed, or why the client stopped.
        """
        self._check()
        return await self._core.follower.open(LogId(log))

    def replica(self, log: str) -> Replica | None:
        """The replica of an opened log."""
        held = self._core.follower.opened.get(LogId(log))
        return None if held is None else held.replica

    def shut(self, log: str) -> None:
        """Stop following a log."""
        self._core.follower.drop(LogId(log))

    def entries(self, log: str, *, after: int | None = None) -> AsyncIterator[Entry]:
        """Every entry of a log after `after` (None = from now on): each once, in order, over
        reconnects, for ever. A slow reader misses nothing: what is no longer in memory is read
        from the server.

        Raises (while iterating):
            LogCut: entries cannot be had any more; start again at `cut.high`.
            Refusal: the log cannot be read (any more).
            Closed, or why the client stopped.
        """
        self._check()
        return self._core.follower.entries(LogId(log), _seq(after))

    def watch(self, log: str, rate: int = 0) -> Watch:
        """Watch a live log, at most `rate` items a second (0 = as the log says), over reconnects:
        `async with client.watch(log) as room`. One watch per log at a time.

        Raises:
            ValueError: this client watches it already.
        """
        self._check()
        return self._core.watchers.watch(LogId(log), rate)

    def events(self) -> EventStream:
        """What happens from now on. Each stream gets everything; a slow one gets `Missed`."""
        stream = EventStream()
        self._core.streams.add(stream)
        if self.stopped is not None:
            stream.close()
        return stream

    async def mark_read(self, log: str, seq: int | None = None) -> None:
        """The user has read up to `seq` (None = all that is known). Durable on return, and sent
        until the server has it. A lower seq than before changes nothing."""
        self._check()
        await self._core.inbox.mark_read(LogId(log), _seq(seq))

    def _check(self) -> None:
        if not self._started:
            raise RuntimeError("start the client first")
        if self.stopped is not None:
            raise self.stopped


def _open(path: Path) -> tuple[DataFile, Saved]:
    file = DataFile(path)
    return file, file.load()


def _seq(seq: int | None) -> Seq | None:
    return None if seq is None else Seq(seq)
