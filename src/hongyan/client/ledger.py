"""What a client saw and sent, written down for whoever checks the history later.

A ledger is a file of JSON lines, each one record; the field `t` says which. It is only ever
appended to. Several clients write several files; together with the server's log they prove that
nothing acknowledged was lost, nothing came twice and every reader saw the same order.

Times are ms of the client's clock: good for reports, never for order. The order of lines is the
order in which things happened in this client.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from pathlib import Path

import msgspec

from hongyan.model.ids import DeviceId, LogId, OpId, Seq, UserId
from hongyan.model.log import Entry, InboxRow


class Record(msgspec.Struct, tag_field="t", omit_defaults=True, frozen=True, gc=False):
    """What all records share."""

    at: int  # ms


class Began(Record, tag="began", frozen=True, gc=False):
    """A client process began to write; what is in memory of an earlier one is gone."""

    user: UserId
    device: DeviceId
    tenant: str = ""


class Sent(Record, tag="sent", frozen=True, gc=False):
    """A call was put into the outbox. `hash` is of the args as the client encoded them."""

    op: OpId
    log: LogId  # "" for calls that find their log
    name: str
    hash: str


class Acked(Record, tag="acked", frozen=True, gc=False):
    """The server acknowledged a call: entries first … seq of `log` (seq 0 = none) are on disk."""

    op: OpId
    log: LogId
    seq: Seq = Seq(0)
    first: Seq = Seq(0)
    repeat: bool = False


class Failed(Record, tag="failed", frozen=True, gc=False):
    """The server refused a call for good: it must have left no trace."""

    op: OpId
    log: LogId
    code: int


class Got(Record, tag="got", frozen=True, gc=False):
    """The application was given an entry. Of one log in one process: each seq once, rising by
    one, except after a Skip. `hash` is of the body's JSON."""

    log: LogId
    seq: Seq
    type: str
    sender: UserId
    hash: str
    op: OpId = OpId("")
    target: Seq = Seq(0)


class Skip(Record, tag="skip", frozen=True, gc=False):
    """The application was told that entries low … high were passed over, and why."""

    log: LogId
    low: Seq
    high: Seq
    reason: str


class Shown(Record, tag="shown", frozen=True, gc=False):
    """A row of the conversation list as the application saw it. `synced`: the client had
    everything the server had told of, so the numbers must be the server's."""

    log: LogId
    head: Seq
    unread: int
    read: Seq
    synced: bool = False


AnyRecord = Began | Sent | Acked | Failed | Got | Skip | Shown


def digest(data: bytes | msgspec.Raw) -> str:
    """The hash that records carry: 8 bytes of BLAKE2b in hex."""
    return blake2b(data, digest_size=8).hexdigest()


def read_ledger(path: Path) -> Iterator[AnyRecord]:
    """The records of a file, in order. A last line that was cut off by a crash is left out.

    Raises:
        msgspec.DecodeError: another line is no record.
    """
    decode = msgspec.json.Decoder(AnyRecord).decode
    with path.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield decode(line)


class Ledger:
    """Appends records to a file. What one tick of the loop brings is one write, without fsync: a
    killed process loses the records of that tick at most. Records are never torn but the last."""

    def __init__(
        self, path: Path, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        """Append to `path`; records are written from within a running loop. Raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._now_ms = now_ms
        self._encode = msgspec.json.Encoder().encode
        self._lines: list[bytes] = []

    def began(self, tenant: str, user: UserId, device: DeviceId) -> None:
        """See Began."""
        self._write([Began(self._now_ms(), user, device, tenant)])

    def sent(self, op: OpId, log: LogId, name: str, args: bytes) -> None:
        """See Sent."""
        self._write([Sent(self._now_ms(), op, log, name, digest(args))])

    def acked(self, op: OpId, log: LogId, seq: Seq, first: Seq, repeat: bool) -> None:
        """See Acked."""
        self._write([Acked(self._now_ms(), op, log, seq, first, repeat)])

    def failed(self, op: OpId, log: LogId, code: int) -> None:
        """See Failed."""
        self._write([Failed(self._now_ms(), op, log, code)])

    def got(self, log: LogId, entries: Iterable[Entry]) -> None:
        """See Got."""
        at = self._now_ms()
        self._write(
            [Got(at, log, e.seq, e.type, e.sender, digest(e.body), e.op, e.target) for e in entries]
        )

    def skip(self, log: LogId, low: Seq, high: Seq, reason: str) -> None:
        """See Skip."""
        self._write([Skip(self._now_ms(), log, low, high, reason)])

    def shown(self, row: InboxRow, synced: bool) -> None:
        """See Shown."""
        self._write([Shown(self._now_ms(), row.log, row.head, row.unread, row.read, synced)])

    def close(self) -> None:
        """Write what is left. Idempotent."""
        self._flush()
        self._file.close()

    def _write(self, records: list[AnyRecord]) -> None:
        if not self._lines:  # hot: a write per record costs more than the rest of the client
            asyncio.get_running_loop().call_soon(self._flush)
        encode = self._encode
        self._lines += [encode(record) + b"\n" for record in records]

    def _flush(self) -> None:
        if self._lines:
            lines, self._lines = self._lines, []
            self._file.write(b"".join(lines))
