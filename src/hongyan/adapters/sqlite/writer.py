"""The one thread that writes: a group of jobs, one transaction, one fsync.

The group forms by itself: while a commit waits for the disk, the next jobs queue. Inside a group
commits come first, then moves, then everything else in the order it was asked for; none of them
had been answered when the others were asked, so any order is a right one.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from hongyan.adapters.sqlite.bulk import commit_plain
from hongyan.adapters.sqlite.logs import Logs
from hongyan.adapters.sqlite.moves import Move, move_all
from hongyan.adapters.sqlite.places import Places
from hongyan.adapters.sqlite.single import commit_one
from hongyan.adapters.sqlite.touches import Touches
from hongyan.model.errors import BadArgs, Overloaded, Refusal, StoreDown
from hongyan.model.log import Commit, Committed

MOST_JOBS = 512  # in one group
MOST_BYTES = 4 * 1024 * 1024  # in one group, roughly
RETRY_AFTER_MS = 200
BUSY_JOBS = 16  # a group at least this large says that writes come faster than one by one
BUSY_PACE = 0.010  # seconds from one group to the next while busy: halves the CPU of a commit
DISK = (sqlite3.OperationalError, sqlite3.InternalError)  # what is not the fault of a job

_logger = logging.getLogger(__name__)

Act = Callable[[sqlite3.Connection], Any]  # any other write; runs inside the transaction
Task = Commit | Move | Act
Job = tuple[Task, "asyncio.Future[Any]", int]  # what, whom to tell, bytes


class Writer:
    """Queues jobs from the loop, does them on its thread, settles them on the loop."""

    def __init__(
        self,
        db: sqlite3.Connection,
        *,
        large_above: int,
        most_queued: int,
        most_queued_bytes: int,
        after_commit: Callable[[], None],
    ) -> None:
        """Own `db` from now on. `after_commit` is a failpoint: tests cut the power there."""
        self._db = db
        self._large_above = large_above
        self._most_queued = most_queued
        self._most_queued_bytes = most_queued_bytes
        self._after_commit = after_commit
        self._logs = Logs()
        self._touches = Touches()
        self._places = Places()
        self._queue: queue.SimpleQueue[list[Job] | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None  # the one all puts come from
        self._batch: list[Job] = []  # put in this turn of the loop
        self._left: list[Job] = []  # of the thread: handed over, beyond one group
        self._waiting = self._waiting_bytes = 0  # both belong to the loop
        self._closed = False
        self._failed = ""  # why nothing can be written any more
        self.checkpoint = False  # asked for by the checkpointer: copy the rest between groups
        self.groups = self.done = 0
        self.commit_seconds = 0.0
        self._thread = threading.Thread(target=self._write_forever, name="hongyan-writer")
        self._thread.daemon = True  # a process that ends without close() is a crash: safe
        self._thread.start()

    @property
    def waiting(self) -> tuple[int, int]:
        """Jobs and bytes queued or being written."""
        return self._waiting, self._waiting_bytes

    @property
    def failed(self) -> str:
        """Why nothing can be written until a restart, or ""."""
        return self._failed

    def put(self, task: Task, size: int = 256) -> asyncio.Future[Any]:
        """Queue `task`; the future settles when it is durable, or with a refusal."""
        loop = self._loop
        if loop is None:  # hot: get_running_loop asks the kernel for the process id each time
            loop = self._loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if self._closed or self._failed:
            future.set_exception(StoreDown(self._failed or "the store is closed"))
        elif (
            self._waiting >= self._most_queued
            or self._waiting_bytes + size > self._most_queued_bytes
        ):
            future.set_exception(
                Overloaded("too many writes are waiting", retry_after_ms=RETRY_AFTER_MS)
            )
        else:
            self._waiting += 1
            self._waiting_bytes += size
            # hot: bench chat. One hand-over per turn of the loop: waking the thread for each
            # job cost 5 µs of every send, and made it fight for the interpreter too early.
            if not self._batch:
                loop.call_soon(self._hand_over)
            self._batch.append((task, future, size))
        return future

    def _hand_over(self) -> None:
        if self._batch:
            batch, self._batch = self._batch, []
            self._queue.put(batch)

    def refuse(self) -> None:
        """Take nothing more; what was taken is written. On the loop. Idempotent."""
        if not self._closed:
            self._closed = True
            self._hand_over()
            self._queue.put(None)

    def join(self) -> None:
        """After `refuse`: wait until all is written, then close. Blocks; call it off the loop.

        The last connection to close folds the write-ahead log into the file; of two that close
        at once each takes the other for the last one. So close all others before.
        """
        self._thread.join()
        self._db.close()

    # --- on the thread ----------------------------------------------------------------------

    def _write_forever(self) -> None:
        last, again = False, 0.0
        while not last:
            if (pause := again - time.monotonic()) > 0:
                time.sleep(pause)
            group, last = self._gather()
            if group:
                started = time.monotonic()
                results = self._write(group)
                self._tell(group, results)
                again = started + BUSY_PACE if len(group) >= BUSY_JOBS else 0.0
                if self.checkpoint:
                    self.checkpoint = False
                    self._checkpoint()

    def _checkpoint(self) -> None:
        """Copy the rest of the write-ahead log, so that the next commit can start it over."""
        try:
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as exc:  # it stays in the log; the checkpointer will ask again
            _logger.warning("checkpoint failed, will be tried again: %s", exc)

    def _gather(self) -> tuple[list[Job], bool]:
        """Wait for a job, take what else is there; True: the writer has to end after these."""
        jobs, self._left = self._left, []
        last = False
        while not last and len(jobs) < MOST_JOBS:
            try:
                batch = self._queue.get(not jobs)
            except queue.Empty:
                break
            if batch is None:
                last = True
            else:
                jobs += batch
        size = 0
        for number, job in enumerate(jobs):
            size += job[2]
            if number == MOST_JOBS or (size > MOST_BYTES and number):
                jobs, self._left = jobs[:number], jobs[number:]
                break
        if last and self._left:
            self._queue.put(None)  # once more, after what is left
            last = False
        return jobs, last

    def _write(self, group: Sequence[Job]) -> list[Any]:
        """Do all jobs in one transaction; when the disk fails, all of them have failed.

        A job that cannot be written for what it holds (a number beyond 64 bits, say) must not
        take the others with it: the group is halved until it stands alone.
        """
        committing = False
        try:
            if self._failed:
                raise sqlite3.OperationalError(self._failed)
            self._touches.trim()
            self._db.execute("BEGIN IMMEDIATE")
            results = self._apply([job[0] for job in group])
            committing = True
            started = time.perf_counter()
            self._db.execute("COMMIT")
            self.commit_seconds += time.perf_counter() - started
        except Exception as exc:
            text = self._broken(exc, committing)
            if committing or isinstance(exc, DISK):
                return [StoreDown(text) for _ in group]
            if len(group) == 1:  # OverflowError, UnicodeEncodeError: a retry meets it again
                return [
                    BadArgs(text)
                    if isinstance(exc, ValueError | OverflowError)
                    else StoreDown(text)
                ]
            half = len(group) // 2
            return [*self._write(group[:half]), *self._write(group[half:])]
        self.groups += 1
        self.done += len(group)
        self._after_commit()  # failpoint: tests cut the power here
        return results

    def _apply(self, tasks: Sequence[Task]) -> list[Any]:
        """Do the tasks inside the open transaction; refusals come back as values."""
        results: list[Any] = [None] * len(tasks)
        commits = [(i, task) for i, task in enumerate(tasks) if isinstance(task, Commit)]
        moves = [(i, task) for i, task in enumerate(tasks) if isinstance(task, Move)]
        if commits:
            plain = commit_plain(
                self._db, self._logs, self._touches, self._places, [c for _, c in commits]
            )
            for (i, commit), done in zip(commits, plain, strict=True):
                results[i] = self._one(commit) if done is None else done
            self._places.move_on(self._db, len(commits))
        if moves:
            done_moves = move_all(self._db, self._logs, self._touches, [m for _, m in moves])
            for (i, _), moved in zip(moves, done_moves, strict=True):
                results[i] = moved
        for i, task in enumerate(tasks):
            if not isinstance(task, Commit | Move):
                results[i] = self._act(task)
        return results

    def _one(self, commit: Commit) -> Committed | Refusal:
        try:
            return commit_one(
                self._db, self._logs, self._touches, self._places, commit, self._large_above
            )
        except Refusal as refusal:  # raised before anything was written
            return refusal

    def _act(self, act: Act) -> Any:
        self._db.execute("SAVEPOINT act")
        try:
            result = act(self._db)
        except Refusal as refusal:
            self._db.execute("ROLLBACK TO act")
            result = refusal
        self._db.execute("RELEASE act")
        return result

    def sync(self, db: sqlite3.Connection, tenant: str, user: Any) -> int:
        """Begin a sync; an `Act` when its last two arguments are bound."""
        return self._touches.sync(db, tenant, user)

    def _broken(self, exc: Exception, committing: bool) -> str:
        """Roll the group back. After a failed COMMIT nobody may guess what is on the disk, so
        nothing is written any more; only a full disk leaves no doubt, and may get space again."""
        _logger.error("group of writes failed", exc_info=exc)
        full = getattr(exc, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        self._logs.forget()
        self._touches.forget()
        self._places.forget()
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error as again:
            self._failed = f"a failed write could not be rolled back: {again}"
        if committing and not full:
            self._failed = f"a commit failed on the disk: {exc}; restart to recover"
        return self._failed or ("the disk is full" if full else f"the write failed: {exc}")

    def _tell(self, group: Sequence[Job], results: Sequence[Any]) -> None:
        loop = group[0][1].get_loop()
        try:
            loop.call_soon_threadsafe(self._settle, group, results)
        except RuntimeError:  # the loop is gone, and with it whoever waited
            _logger.warning("%d writes were done after the loop had closed", len(group))

    # --- on the loop ------------------------------------------------------------------------

    def _settle(self, group: Sequence[Job], results: Sequence[Any]) -> None:
        self._waiting -= len(group)
        for (_, future, size), result in zip(group, results, strict=True):
            self._waiting_bytes -= size
            if future.done():  # cancelled by who asked; the write stands
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)
