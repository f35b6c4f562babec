"""The servers that are measured side by side: how each is built, started, and spoken to.

Every one has a room, listeners, and one connection that speaks and does not listen. A peer's
program is in the checkout's `bench/peers`; what has to be built goes into the user's cache.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec

from hongyan import __version__
from hongyan.bench.crowd import BenchError
from hongyan.bench.server import ServerProcess, Usage
from hongyan.model.ids import DeviceId, LogId, OpId
from hongyan.wire import frames as f

QUIET = ("limits.heartbeat_ms=600000", "presence.ttl_ms=1200000")  # the generator sends no pings
ROOM = "main/r/bench"
BUILD_S = 900
_encode = msgspec.json.Encoder().encode

# What a connection does until it is ready: send the second when the first has come (b"" = at once).
Steps = tuple[tuple[bytes, bytes], ...]


class Serving(msgspec.Struct, frozen=True):
    """A peer that serves, and how to speak to it."""

    name: str
    version: str
    settings: str
    pid: int
    port: int
    path: str
    protocol: str
    listen: Callable[[int], Steps]  # of the listener with this number
    listening: bytes  # what says that it listens
    speak: Steps  # of the connection that speaks
    speaking: bytes  # what says that it may; b"" = at once
    say: Callable[[int, str], bytes]  # the message with this number and text, in ASCII

    def usage(self) -> Usage:
        """What it has used so far."""
        return Usage.of(self.pid)


Start = Callable[[int | None], contextlib.AbstractContextManager[Serving]]


def servers(folder: Path, tick_ms: int) -> dict[str, Start]:
    """All there are, by name. `folder` is `bench/peers`; peers that can merge
    writes for a fixed time do so for `tick_ms`."""
    return {
        "hongyan": _hongyan,
        "centrifuge": partial(_centrifuge, folder, 0),
        "centrifuge-merged": partial(_centrifuge, folder, tick_ms),
        "websockets": partial(_websockets, folder),
        "socketio": partial(_socketio, folder),
        "null": partial(_null, folder, tick_ms),
    }


@contextlib.contextmanager
def _process(command: list[str], core: int | None) -> Iterator[tuple[int, int, str]]:
    """Start it on `core`; (pid, port, version) from its line "serves PORT VERSION"."""

    def pin() -> None:
        if core is not None:
            os.sched_setaffinity(0, {core})

    child = subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=pin)  # before Go counts
    try:
        assert child.stdout is not None
        line = child.stdout.readline().decode()
        if not line.startswith("serves "):
            raise BenchError(f"{command[0]} did not start, status {child.wait(10)}")
        _, port, version = line.strip().split(" ", 2)
        yield child.pid, int(port), version
    finally:
        child.kill()
        child.wait(10)
        if child.stdout is not None:
            child.stdout.close()


# --- hongyan ----------------------------------------------------------------------------------


@contextlib.contextmanager
def _hongyan(core: int | None) -> Iterator[Serving]:
    """A live room as it is by default, but that all is shown."""
    with ServerProcess(core=core, settings=QUIET) as server:
        subscribe = _encode(f.Subscribe(ref=1, log=LogId(ROOM)))
        room = {"title": "bench", "name": "bench", "rate": 0}
        create = f.Call(ref=1, name="room.create", op=OpId("open"), args=msgspec.Raw(_encode(room)))

        def hello(user: str) -> bytes:
            token = server.token(user)
            return _encode(f.Hello(token=token, device=DeviceId("d1"), rows=1))

        def listen(number: int) -> Steps:
            return ((b"", hello(f"u{number}")), (b'"welcome"', subscribe))

        def say(number: int, text: str) -> bytes:
            return (
                f'{{"t":"call","ref":{number + 2},"name":"room.say","op":"m{number}",'
                f'"log":"{ROOM}","args":{{"text":"{text}"}}}}'
            ).encode()

        yield Serving(
            name="hongyan",
            version=f"{__version__} Python {sys.version.split()[0]}",
            settings="live room, nothing sampled, JSON",
            pid=server.pid,
            port=server.port,
            path="/v1/ws",
            protocol=f.JSON_SUBPROTOCOL,
            listen=listen,
            listening=b'"attached"',
            speak=((b"", hello("host")), (b'"welcome"', _encode(create))),
            speaking=b'"ack"',
            say=say,
        )


# --- peers ------------------------------------------------------------------------------------


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "hongyan-bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise BenchError(f"{name} is not installed")
    return found


def _build(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=BUILD_S)
    if done.returncode:
        raise BenchError(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")


@contextlib.contextmanager
def _centrifuge(folder: Path, delay_ms: int, core: int | None) -> Iterator[Serving]:
    program = _cache() / "centrifuge"
    _build([_tool("go"), "build", "-trimpath", "-o", str(program)], folder / "centrifuge")
    publish = b'{"id":%d,"publish":{"channel":"bench","data":"%s"}}'
    connect = b'{"id":1,"connect":{}}'
    with _process([str(program), f"-delay={delay_ms}ms"], core) as (pid, port, version):
        yield Serving(
            name="centrifuge-merged" if delay_ms else "centrifuge",
            version=version,
            settings="write buffer pool, no compression, JSON"
            + (f", WriteDelay {delay_ms} ms with timer, frames unlimited" if delay_ms else ""),
            pid=pid,
            port=port,
            path="/connection/websocket",
            protocol="",
            listen=lambda number: (
                (b"", connect),
                (b'"connect"', b'{"id":2,"subscribe":{"channel":"bench"}}'),
            ),
            listening=b'"subscribe"',
            speak=((b"", connect),),
            speaking=b'"connect"',
            say=lambda number, text: publish % (number + 2, text.encode()),
        )


@contextlib.contextmanager
def _websockets(folder: Path, core: int | None) -> Iterator[Serving]:
    with _process([sys.executable, str(folder / "broadcast.py")], core) as (pid, port, version):
        yield _plain("websockets", version, "broadcast, no compression, uvloop", pid, port)


@contextlib.contextmanager
def _null(folder: Path, tick_ms: int, core: int | None) -> Iterator[Serving]:
    command = [sys.executable, str(folder / "null.py"), str(tick_ms / 1000)]
    with _process(command, core) as (pid, port, version):
        yield _plain("null", version, f"one write per {tick_ms} ms", pid, port)


def _plain(name: str, version: str, settings: str, pid: int, port: int) -> Serving:
    """A server that is told `join`, and echoes all else to all who joined."""
    return Serving(
        name=name,
        version=version,
        settings=settings,
        pid=pid,
        port=port,
        path="/",
        protocol="",
        listen=lambda number: ((b"", b"join"),),
        listening=b"joined",
        speak=(),
        speaking=b"",
        say=lambda number, text: text.encode(),
    )


@contextlib.contextmanager
def _socketio(folder: Path, core: int | None) -> Iterator[Serving]:
    place = _cache() / "socketio"
    shutil.copytree(folder / "socketio", place, dirs_exist_ok=True)
    wanted = (place / "package-lock.json").read_bytes()
    stamp = place / "node_modules" / ".hongyan"
    if not stamp.exists() or stamp.read_bytes() != wanted:
        _build([_tool("npm"), "ci", "--no-audit", "--no-fund"], place)
        stamp.write_bytes(wanted)
    with _process([_tool("node"), str(place / "server.mjs")], core) as (pid, port, version):
        yield Serving(
            name="socketio",
            version=version,
            settings="websocket only, no compression, bufferutil",
            pid=pid,
            port=port,
            path="/socket.io/?EIO=4&transport=websocket",
            protocol="",
            listen=lambda number: ((b"0{", b"40"), (b'40{"sid"', b'42["join"]')),
            listening=b"joined",
            speak=((b"0{", b"40"),),
            speaking=b'40{"sid"',
            say=lambda number, text: f'42["say","{text}"]'.encode(),
        )
