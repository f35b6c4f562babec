"""Copies the write-ahead log into the file, beside the writer, so that no commit waits for it.

A checkpoint syncs the whole file; left to SQLite it is part of a commit, which then takes a few
hundred milliseconds on a slow disk. A thread with a connection of its own copies without holding
anybody up. The log can only start over when nothing is left to copy, which never happens while
commits follow each other; so once it is long, the writer copies the short rest between two groups.

A failed checkpoint loses nothing: the pages stay in the write-ahead log and are copied again.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from pathlib import Path

from hongyan.adapters.sqlite.values import connect
from hongyan.adapters.sqlite.writer import Writer

PERIOD = 0.5  # seconds between two copies while something is written
LONG = 8_192  # pages of write-ahead log (32 MiB) after which it should start over

_logger = logging.getLogger(__name__)


class Checkpointer:
    """The thread. `failures` counts copies that failed, for the metrics."""

    def __init__(self, file: Path, writer: Writer) -> None:
        """Copy what `writer` commits to `file`, from now on."""
        self.failures = 0
        self._writer = writer
        self._db = connect(file)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hongyan-checkpointer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End after the copy that runs. Blocks. Idempotent."""
        self._stop.set()
        self._thread.join()

    def copy(self) -> None:
        """Copy what is committed; ask the writer for the rest when the log has become long."""
        try:
            found = self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as exc:
            self.failures += 1
            _logger.warning("checkpoint failed, will be tried again: %s", exc)
            return
        if found[1] > LONG:
            self._writer.checkpoint = True

    def _run(self) -> None:
        copied = 0
        while not self._stop.wait(PERIOD):
            if self._writer.groups != copied:
                copied = self._writer.groups
                self.copy()
        self._db.close()
