"""The word filter of a server: lists of tenants from files, read again when they change."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

import structlog

from hongyan.adapters.wordlist import BadList, WordList
from hongyan.model.ids import TenantId

logger = structlog.get_logger(__name__)

ALL = "*"  # of every tenant
MOST_BYTES = 64 * 1024 * 1024  # of a file

Stamp = tuple[int, int, int]  # of a file: inode, size, time of change


class WordFilter:
    """Judges texts. A file that cannot be read again leaves the words as they were, and says so
    in the log; nothing is ever half read."""

    def __init__(self, files: Sequence[tuple[str, str]]) -> None:
        """`files` are (tenant, path); tenant `*` is for all. Reads them: blocks.

        Raises:
            BadList: a file that cannot be read, or a line that cannot be.
        """
        self.reloads = 0  # lists read again
        self.failures = 0  # attempts at it that failed
        self._files: dict[str, list[Path]] = {}
        for tenant, path in files:
            self._files.setdefault(tenant, []).append(Path(path))
        self._lists: dict[str, WordList] = {}
        self._stamps: dict[str, list[Stamp]] = {}
        self._failed: dict[str, list[Stamp]] = {}  # a state of files that was of no use
        self._task: asyncio.Task[None] | None = None
        for tenant, paths in self._files.items():
            self._stamps[tenant], self._lists[tenant] = _stamps(paths), _read(paths)

    def judge(self, tenant: TenantId, text: str) -> tuple[str, ...]:
        """The unwanted words in a text, as listed. Never waits."""
        found: tuple[str, ...] = ()
        for name in (ALL, tenant):
            if (words := self._lists.get(name)) is not None:
                found += words.find(text)
        return found

    def __len__(self) -> int:
        """Words and spellings held, of all tenants."""
        return sum(map(len, self._lists.values()))

    # --- changes --------------------------------------------------------------------------------

    def start(self, every_s: float) -> None:
        """Look for changed files that often; needs a running loop."""
        if self._files and every_s:
            self._task = asyncio.get_running_loop().create_task(self._watch(every_s))

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _watch(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            await self.look()

    async def look(self) -> None:
        """Read what has changed, in a thread; calls are judged meanwhile by what was there."""
        for tenant, paths in self._files.items():
            try:
                stamps = await asyncio.to_thread(_stamps, paths)
                if stamps in (self._stamps[tenant], self._failed.get(tenant)):
                    continue
                self._failed[tenant] = stamps
                words = await asyncio.to_thread(_read, paths)
            except BadList as why:
                self.failures += 1
                logger.error("words not read again, the old ones hold", error=str(why))
                continue
            self._failed.pop(tenant, None)
            self._lists[tenant], self._stamps[tenant] = words, stamps
            self.reloads += 1
            logger.info("words read again", tenant=tenant, words=len(words))


def _stamps(paths: Sequence[Path]) -> list[Stamp]:
    found = []
    for path in paths:
        try:
            stat = path.stat()
        except OSError as exc:
            raise BadList(f"{path}: {exc.strerror}") from None
        found.append((stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return found


def _read(paths: Sequence[Path]) -> WordList:
    """One list of all files. The stamps are taken before: a change while reading is seen next."""
    lines: list[str] = []
    for path in paths:
        try:
            if path.stat().st_size > MOST_BYTES:
                raise BadList(f"{path}: larger than {MOST_BYTES} bytes")
            lines += path.read_text(encoding="utf-8-sig").splitlines()
        except OSError as exc:
            raise BadList(f"{path}: {exc.strerror}") from None
        except UnicodeDecodeError as exc:
            raise BadList(f"{path}: not UTF-8 at byte {exc.start}") from None
    return WordList(lines, ", ".join(map(str, paths)))
