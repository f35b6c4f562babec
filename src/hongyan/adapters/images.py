"""Pictures are looked at by a process of its own, one job at a time, and never in the server's.

The process is started with the first picture, killed when a job takes too long, replaced when it
died, and changed for a new one now and then. A bounded number of pictures waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path

import msgspec
import structlog

from hongyan.adapters.images_job import Done, Job
from hongyan.model.errors import BadFile, Overloaded, StoreDown
from hongyan.ports import Prepared

logger = structlog.get_logger(__name__)

START_S = 20.0
JOBS = 500  # of one process
PREVIEW = "image/webp"
_ENVIRONMENT = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "VIRTUAL_ENV")


class WorkerPictures:
    """See the port."""

    def __init__(self, *, pixels: int, waiting: int = 64, seconds: float = 30.0) -> None:
        """A picture has at most `pixels`; `waiting` jobs wait at most; one takes at most so many
        `seconds` by the clock on the wall."""
        self._pixels, self._most, self._seconds = pixels, waiting, seconds
        self._waiting = 0
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._jobs = 0
        self._closed = False
        self.killed = 0

    @property
    def crowded(self) -> bool:
        """See the port."""
        return self._waiting >= self._most

    @property
    def waiting(self) -> int:
        """Jobs that wait or are done now."""
        return self._waiting

    @property
    def pid(self) -> int:
        """Of the process; 0 = there is none now."""
        return self._process.pid if self._process is not None else 0

    async def prepare(self, source: Path, media_type: str, clean: Path, preview: Path) -> Prepared:
        """See the port."""
        done = await self._ask(Job(str(source), media_type, str(clean), str(preview), self._pixels))
        return Prepared(
            media_type=PREVIEW,
            width=done.width,
            height=done.height,
            placeholder=done.placeholder,
            preview=done.preview,
        )

    async def film(self, source: Path, media_type: str) -> Prepared:
        """See the port."""
        done = await self._ask(Job(str(source), media_type, "", "", self._pixels, film=True))
        return Prepared(
            media_type=media_type,
            width=done.width,
            height=done.height,
            duration_ms=done.duration_ms,
        )

    async def _ask(self, job: Job) -> Done:
        """Wait for a turn. Raises what the port names."""
        if self._closed:
            raise StoreDown("pictures are not looked at any more")
        if self.crowded:
            raise Overloaded("too many pictures wait to be looked at", retry_after_ms=2000)
        self._waiting += 1
        try:
            async with self._turn:
                done = await self._do(job)
        finally:
            self._waiting -= 1
        if done.error:
            raise BadFile(done.error)
        return done

    async def close(self) -> None:
        """See the port."""
        self._closed = True
        await self._end()

    async def _do(self, job: Job) -> Done:
        process = await self._ready()
        assert process.stdin is not None and process.stdout is not None
        try:
            async with asyncio.timeout(self._seconds):
                process.stdin.write(msgspec.json.encode(job) + b"\n")
                await process.stdin.drain()
                line = await process.stdout.readline()
            done = msgspec.json.decode(line, type=Done) if line else None
        except TimeoutError:
            done = Done(error="the picture takes too long to be looked at")
            await self._kill("too slow")
        except (ConnectionError, msgspec.DecodeError):
            done = None
        except asyncio.CancelledError:
            await asyncio.shield(self._kill("not wanted any more"))
            raise
        if done is None:
            await self._kill("died")
            done = Done(error="the picture asks for too much")
        self._jobs += 1
        if self._jobs >= JOBS:
            await self._end()
        return done

    async def _ready(self) -> asyncio.subprocess.Process:
        """The process, started where there is none. Raises StoreDown."""
        if self._process is not None and self._process.returncode is None:
            return self._process
        await self._end()
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "hongyan.adapters.images_worker"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                start_new_session=True,
            )
        except OSError as exc:
            raise StoreDown(f"the picture process does not start: {exc.strerror}") from exc
        self._process, self._jobs = process, 0
        assert process.stdout is not None
        line = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_S):
                line = await process.stdout.readline()
        if not line:
            await self._kill("did not start")
            raise StoreDown("the picture process does not start")
        return process

    async def _kill(self, why: str) -> None:
        self.killed += 1
        logger.warning("picture process ended", why=why, pid=self.pid)
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self._end()

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(2.0):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if process.stdout is not None:
            await process.stdout.read()  # the end, so that the pipe is given back
