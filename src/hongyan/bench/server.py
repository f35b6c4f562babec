"""A server process to measure: started, pinned, watched, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import jwt
import msgspec

TICKS = os.sysconf("SC_CLK_TCK")
ISSUER = "bench"
LOOSE = (  # a bench measures the work, not the limits
    "limits.connections_per_ip=0",
    'limits.rates.connection={"rate":0,"burst":1}',
    'limits.rates.user={"rate":0,"burst":1}',
    'limits.rates.log={"rate":0,"burst":1}',
    'limits.rates.ip={"rate":0,"burst":1}',
    'limits.rates.asks={"rate":0,"burst":1}',
    "telemetry.level=warning",
)


class Usage(msgspec.Struct, frozen=True):
    """What a process has used so far."""

    cpu_s: float
    rss_bytes: int

    @staticmethod
    def of(pid: int) -> Usage:
        """Read from the kernel; CPU in steps of 10 ms."""
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        cpu = (int(stat[11]) + int(stat[12])) / TICKS
        return Usage(cpu, pages * os.sysconf("SC_PAGE_SIZE"))


def free_port() -> int:
    """A port that nobody listens on now."""
    with contextlib.closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class ServerProcess:
    """`hongyan serve` as a child, on `core`, with tokens for any user.

    The data directory is kept over `restart`; a directory made here is removed at the end.
    """

    def __init__(
        self, data: Path | None = None, *, core: int | None = 0, settings: tuple[str, ...] = ()
    ) -> None:
        """`settings` are KEY=VALUE for `serve --set`. Nothing starts before `with`."""
        self._own = tempfile.TemporaryDirectory(prefix="hongyan-bench-") if data is None else None
        self.data = data or Path(self._own.name if self._own else ".")
        self.port = free_port()
        self.core = core
        self._secret = secrets.token_hex(32)
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self.code = ""  # for the first administrator, as printed

    def __enter__(self) -> ServerProcess:
        """Start and wait until calls are taken."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, and remove what was made."""
        self.stop()
        if self._own is not None:
            self._own.cleanup()

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://127.0.0.1:{self.port}/v1/ws"

    def start(self) -> float:
        """Start; return the seconds until it serves.

        Raises:
            RuntimeError: it ended instead.
        """
        issuer = f'[{{"iss":"{ISSUER}","alg":"HS256","secret":"{self._secret}"}}]'
        given = [f"--set={setting}" for setting in (*LOOSE, *self._settings)]
        began = time.perf_counter()
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "hongyan", "serve", "--data", str(self.data)),
                *("--port", str(self.port), f"--set=tokens.issuers={issuer}", *given),
            ],
            stdout=subprocess.PIPE,
        )
        if self.core is not None:
            os.sched_setaffinity(self._process.pid, {self.core})
        assert self._process.stdout is not None
        while b"serves" not in (line := self._process.stdout.readline()):
            if not line:
                raise RuntimeError(f"the server did not start, status {self._process.wait()}")
            if b"--code " in line:
                self.code = line.decode().split("--code ")[1].strip()
        return time.perf_counter() - began

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it; SIGKILL for a crash. Idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        if process.stdout is not None:
            process.stdout.close()
        process.wait(30)

    def token(self, user: str) -> str:
        """A token for `user`; the first use makes the account."""
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": user, "iat": now, "exp": now + 86_400, "ep": now * 1000}
        return jwt.encode(claims, self._secret, algorithm="HS256")

    async def quiet(self, seconds: float = 120.0) -> None:
        """Wait until the server has next to nothing to do (the search index is up to date).

        Raises:
            TimeoutError: it did not come to rest in `seconds`.
        """
        async with asyncio.timeout(seconds):
            while True:
                before = self.usage().cpu_s
                await asyncio.sleep(0.5)
                if self.usage().cpu_s - before <= 0.02:
                    return

    def usage(self) -> Usage:
        """What the server has used so far."""
        return Usage.of(self.pid)


@contextlib.contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Run this process on one core for a while; None = leave it where it is."""
    before = os.sched_getaffinity(0)
    if core is not None and core in before:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cores() -> tuple[int | None, int | None]:
    """The server's core and the generator's; None = do not pin (there is only one).

    A caller that has pinned the generator already says in HONGYAN_BENCH_SERVER_CPU where the
    server goes.
    """
    given = os.environ.get("HONGYAN_BENCH_SERVER_CPU", "")
    if given:
        return int(given), None
    cores = sorted(os.sched_getaffinity(0))
    return (cores[0], cores[-1]) if len(cores) > 1 else (None, None)
