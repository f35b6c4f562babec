"""The conversation list over a connection: rows, what is in doubt, own cursors."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hongyan.client import events as ev
from hongyan.client.cursors import Cursors
from hongyan.client.datafile import DataFile, Saved
from hongyan.client.follow import Follower, Server
from hongyan.client.ledger import Ledger
from hongyan.client.outbox import backoff
from hongyan.client.replica import Replica
from hongyan.client.rows import Rows
from hongyan.client.shell import Shell
from hongyan.model.errors import Refusal
from hongyan.model.ids import LogId, Seq, UserId
from hongyan.model.log import Entry, InboxRow
from hongyan.wire import session as ws
from hongyan.wire.frames import Cursor

DOUBT_S = 0.5  # a row in doubt is asked for after this; what was on its way has come by then
ASKERS = 4  # rows asked for at once
AT_ONCE = 32  # read cursors on the way

_row = msgspec.json.Decoder(InboxRow).decode


class Inbox:
    """Keeps `rows` right, from what the session brings."""

    def __init__(
        self,
        shell: Shell,
        server: Server,
        follower: Follower,
        ledger: Ledger | None,
    ) -> None:
        """Nothing is known yet."""
        self.rows = Rows(replica=self._replica)
        self.cursors = Cursors()
        self.file: DataFile | None = None
        self.token = 0
        self._shell, self._server, self._follower = shell, server, follower
        self._ledger = ledger
        self._asking: set[LogId] = set()
        self._doubt_at: float | None = None
        self._tries = 0

    def restore(self, saved: Saved, user: UserId) -> None:
        """Take up what an earlier process left."""
        self.rows.user, self.token = user, saved.token
        for row in saved.rows:
            self.rows.put(row)
        for log, (seq, mark) in saved.reads.items():
            self.cursors.read(log, seq, mark)
            self.rows.reading(log, seq, mark)

    # --- from the session -----------------------------------------------------------------------

    def take(self, event: ws.Rows) -> None:
        """Rows of a sync, or pushed."""
        if event.token is not None and event.token < self.token:
            self._went_back()
            return
        changed = [self._put(row) for row in event.rows]
        for log, head in event.large:
            row = self.rows.get(log)
            if row is not None and head > row.head:
                self._follower.hint(log, head, urgent=True)
                self.doubt(log)
        if event.token is not None:
            self.token = event.token
        if self.file is not None and (changed or event.token is not None):
            self.file.save_rows(changed, event.token, self._shell.session.heads.large)
        if event.token is not None:
            self._server.emit(ev.Synced(event.token))

    def _put(self, given: InboxRow) -> InboxRow:
        log = given.log
        before = self.rows.get(log)
        row = self.rows.put(given)
        self._follower.row(before, row)
        self.cursors.deliver(log, row.head, given.delivered)
        reading = self.cursors.reads.get(log)
        if reading is not None and not reading.sent and given.read >= reading.seq:
            still_marked = given.marked and given.mark == reading.mark
            if not still_marked:
                self.confirmed(Cursor(log=log, read=given.read, mark=reading.mark))
        self._changed(row)
        return row

    def _went_back(self) -> None:
        """The server was restored to an older state: nothing that is held can be trusted."""
        self.rows.forget()
        self.token = 0
        if self.file is not None:
            self.file.forget_rows()
        self._shell.session.heads = type(self._shell.session.heads)()
        self._shell.session.sync()

    def entries(self, log: LogId, entries: Sequence[Entry], *, opened: bool) -> None:
        """Entries were applied by a replica (opened: in order), or just delivered."""
        before = self.rows.get(log)
        if before is None:
            return  # its row is on the way
        row = self.rows.apply(log, entries)
        if log in self.rows.doubts:
            self.doubt(log)
        if (opened or not before.large) and any(e.sender != self.rows.user for e in entries):
            self.cursors.deliver(log, entries[-1].seq, before.delivered)
        if row is not None:
            self._changed(row)

    def delivered(self, log: LogId, entries: Sequence[Entry]) -> None:
        """Entries of a log that is not opened, as they came."""
        row = self.rows.get(log)
        self.entries(log, entries, opened=False)
        if row is not None and entries and entries[0].seq > row.head + 1:
            self.doubt(log)  # something is missing between: counted by `ord`, but who knows

    def cursor(self, cursor: Cursor) -> None:
        """Another member's cursors moved."""
        row = self.rows.cursor(cursor)
        self._server.emit(ev.Receipted(cursor.log, cursor.user, cursor.delivered, cursor.read))
        if row is not None:
            self._changed(row)

    # --- read cursors ---------------------------------------------------------------------------

    async def mark_read(self, log: LogId, seq: Seq | None) -> None:
        """See Client.mark_read."""
        row = self.rows.get(log)
        if seq is None:
            seq = row.head if row is not None else Seq(0)
        mark = row.mark if row is not None and row.marked else -1
        if row is not None:
            seq = min(seq, row.head)
            if seq <= row.read and mark < 0:
                return
        if not self.cursors.read(log, seq, mark):
            return
        self.rows.reading(log, seq, mark)
        if (now := self.rows.get(log)) is not None and now is not row:
            self._changed(now)
        if self.file is not None:
            await self.file.save_read(log, seq, mark)
        self._shell.poke()

    def confirmed(self, cursor: Cursor) -> None:
        """The server has a read cursor."""
        self._tries = 0
        if self.cursors.confirmed(cursor):
            self.rows.read_confirmed(cursor.log, cursor.read)
        if self.file is not None:
            self.file.drop_read(cursor.log, cursor.read)

    def refused(self, cursor: Cursor, why: Refusal) -> None:
        """It has not."""
        if why.retry:
            self._tries += 1
            pause = max(why.retry_after_ms / 1000, backoff(self._tries, self._shell.random))
            self.cursors.later(cursor.log, self._shell.clock() + pause)
            return
        self.cursors.drop(cursor.log)  # no member any more: there is nothing to mark
        self.rows.read_confirmed(cursor.log, cursor.read)
        if self.file is not None:
            self.file.drop_read(cursor.log, cursor.read)
        self.doubt(cursor.log)  # the row shows what the server did not take

    # --- what is due ----------------------------------------------------------------------------

    def doubt(self, log: LogId) -> None:
        """This row cannot be counted here: ask for it soon."""
        self.rows.doubts.add(log)
        if self._doubt_at is None:
            self._doubt_at = self._shell.clock() + DOUBT_S
            self._shell.poke()

    def due(self) -> float | None:
        """When `work` has something to do."""
        asking = len(self._asking) >= ASKERS
        times = (
            self.cursors.due(),
            self.cursors.reads_due(),
            None if asking or not self.rows.doubts else self._doubt_at,
        )
        return min((at for at in times if at is not None), default=None)

    def work(self, now: float) -> None:
        """Say how far this device has come; ask for rows in doubt."""
        session = self._shell.session
        for cursor in self.cursors.take(now):
            session.move(cursor.log, delivered=cursor.delivered)
        for cursor in self.cursors.take_reads(now, AT_ONCE):
            session.move(cursor.log, read=cursor.read, mark=cursor.mark, durable=True)
        if self._doubt_at is None or now < self._doubt_at:
            return
        for log in [log for log in self.rows.doubts if log not in self._asking]:
            if len(self._asking) >= ASKERS:
                return
            self._asking.add(log)
            self._server.spawn(self._resolve(log))
        if not self.rows.doubts:
            self._doubt_at = None

    async def _resolve(self, log: LogId) -> None:
        """Get one row from the server."""
        self.rows.doubts.discard(log)
        try:
            answer = await self._server.query("log", b"{}", log)
            row = self._put(_row(answer.body))
            if self.file is not None:
                self.file.save_rows([row])
        except Refusal as why:
            if why.retry:
                self._doubt_at = self._shell.clock() + max(1.0, why.retry_after_ms / 1000)
                self.rows.doubts.add(log)
        finally:
            self._asking.discard(log)
            if not self.rows.doubts:
                self._doubt_at = None
            self._shell.poke()

    def _changed(self, row: InboxRow) -> None:
        if self._ledger is not None:
            exact = self.rows.exact(row.log) and row.log not in self._asking
            self._ledger.shown(row, exact)
        self._server.emit(ev.RowChanged(row))

    def _replica(self, log: LogId) -> Replica | None:
        held = self._follower.opened.get(log)
        return None if held is None else held.replica
