"""A server that plays a script, to test a client in any language.

    python -m tests.conformance.scripted_server tests/conformance/cases/NAME.json

It listens on a free port of 127.0.0.1, prints `{"port": N}` and then, line by line on stdout,
what the client has to do and to show; `docs/protocol.md` and the README of the cases say what
the lines mean. Each `do` and `check` is answered by one line on stdin: empty = done, anything
else = what went wrong. Exit status: 0 the script was followed, 1 it was not (stderr says where).

Steps of a script, one key each:

- `expect`: the next frame of the client has these fields. A text that begins with `$` is a name:
  at first it takes the value, later it must be equal. `"*"` is any value. Pings, and cursors that
  want no answer, are passed over unless they are what is expected.
- `send`: a frame, or a list of frames that go out as one message. `$name` is replaced.
- `raw`: a text message as it stands. `fragments`: the same, cut into this many fragments.
- `drop`: true = cut the connection without a word, false = close it in order.
- `accept`: wait for the next connection.
- `quiet`: for this many seconds nothing (but what is passed over) may come.
- `do`, `check`: for the client's side; see the README of the cases.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from ssl import SSLContext
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

STEP_S = 10.0  # a step that takes longer has failed
SUBPROTOCOL = "hongyan.v1.json"

Tell = Callable[[dict[str, Any]], Awaitable[None]]


class Mismatch(AssertionError):
    """The client did something else."""


class ScriptedServer:
    """Plays one script at a time."""

    def __init__(self, ssl: SSLContext | None = None) -> None:
        self.port = 0
        self._ssl = ssl
        self.names: dict[str, Any] = {}
        self.connections = 0
        self._server: Server | None = None
        self._arrived: asyncio.Queue[ServerConnection] = asyncio.Queue()
        self._current: ServerConnection | None = None
        self._frames: list[dict[str, Any]] = []
        self._over = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._connected,
            "127.0.0.1",
            0,
            subprotocols=[SUBPROTOCOL],
            ping_interval=None,
            ssl=self._ssl,
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._over.set()
        self._server.close()
        await self._server.wait_closed()

    async def _connected(self, connection: ServerConnection) -> None:
        self.connections += 1
        await self._arrived.put(connection)
        closed = asyncio.ensure_future(connection.wait_closed())
        over = asyncio.ensure_future(self._over.wait())
        await asyncio.wait([closed, over], return_when=asyncio.FIRST_COMPLETED)
        closed.cancel()
        over.cancel()

    async def play(self, steps: list[dict[str, Any]], do: Tell, check: Tell) -> None:
        """Play `steps`; the first connection is accepted without a step, unless the client has
        something to do first. Raises Mismatch."""
        if steps and "do" not in steps[0]:
            steps = [{"accept": True}, *steps]
        for number, step in enumerate(steps):
            [(verb, value)] = ((k, v) for k, v in step.items() if k != "note")
            try:
                async with asyncio.timeout(STEP_S):
                    await self._step(verb, value, do, check)
            except TimeoutError:
                raise Mismatch(f"step {number} ({verb} {value}): nothing happened") from None
            except Mismatch as exc:
                raise Mismatch(f"step {number} ({verb} {value}): {exc}") from None
            except ConnectionClosed as exc:
                raise Mismatch(f"step {number} ({verb} {value}): closed: {exc}") from None

    async def _step(self, verb: str, value: Any, do: Tell, check: Tell) -> None:
        match verb:
            case "expect":
                await self._expect(value)
            case "send":
                await self._live.send(json.dumps(self._fill(value)))
            case "raw":
                await self._live.send(value)
            case "fragments":
                text = json.dumps(self._fill(value["frame"]))
                size = -(-len(text) // value["pieces"])
                await self._live.send(text[i : i + size] for i in range(0, len(text), size))
            case "drop":
                if value:
                    self._live.transport.abort()
                else:
                    await self._live.close()
                await self._live.wait_closed()
                self._frames.clear()
            case "accept":
                await self._accept()
            case "quiet":
                await self._quiet(value)
            case "do":
                await do(self._fill(value))
            case "check":
                await check(self._fill(value))
            case _:
                raise Mismatch(f"unknown step {verb}")

    @property
    def _live(self) -> ServerConnection:
        assert self._current is not None
        return self._current

    async def _accept(self) -> None:
        self._current = await self._arrived.get()
        self._frames.clear()

    async def _next(self) -> dict[str, Any]:
        while not self._frames:
            message = await self._live.recv()
            frames = json.loads(message)
            self._frames += frames if isinstance(frames, list) else [frames]
        return self._frames.pop(0)

    async def _expect(self, wanted: dict[str, Any]) -> None:
        while True:
            frame = await self._next()
            if frame.get("t") != wanted.get("t") and _passed_over(frame):
                continue
            names = dict(self.names)
            if (problem := _compare(wanted, frame, names)) is None:
                self.names = names
                return
            if not _passed_over(frame):
                raise Mismatch(f"{problem}; got {frame}")

    async def _quiet(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while _passed_over(frame := await self._next()):
                    pass
        except TimeoutError:
            return
        raise Mismatch(f"got {frame}")

    def _fill(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._fill(part) for key, part in value.items()}
        if isinstance(value, list):
            return [self._fill(part) for part in value]
        if isinstance(value, str) and value.startswith("$"):
            return self.names[value]
        return value


def _passed_over(frame: dict[str, Any]) -> bool:
    return frame.get("t") == "ping" or (frame.get("t") == "cursor" and not frame.get("ref"))


def _compare(wanted: Any, got: Any, names: dict[str, Any]) -> str | None:
    """What is wrong, or None. Fields that are not wanted may be there."""
    if wanted == "*":
        return None
    if isinstance(wanted, str) and wanted.startswith("$"):
        if names.setdefault(wanted, got) != got:
            return f"{wanted} was {names[wanted]!r}"
        return None
    if isinstance(wanted, dict) and isinstance(got, dict):
        for key, part in wanted.items():
            if key not in got:
                return f"no field {key}"
            if (problem := _compare(part, got[key], names)) is not None:
                return f"{key}: {problem}"
        return None
    return None if wanted == got else f"wanted {wanted!r}"


def load(path: Path) -> dict[str, Any]:
    """A case."""
    case: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return case


async def main(case: dict[str, Any]) -> int:
    """Play a case over stdin and stdout."""
    loop = asyncio.get_running_loop()

    async def tell(line: dict[str, Any]) -> None:
        print(json.dumps(line), flush=True)
        answer = (await loop.run_in_executor(None, sys.stdin.readline)).strip()
        if answer:
            raise Mismatch(answer)

    async with ScriptedServer() as server:
        print(json.dumps({"port": server.port, "client": case.get("client", {})}), flush=True)
        try:
            await server.play(
                case["steps"],
                lambda value: tell({"do": value}),
                lambda value: tell({"check": value}),
            )
        except Mismatch as exc:
            print(f"{case['name']}: {exc}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main(load(Path(sys.argv[1])))))
