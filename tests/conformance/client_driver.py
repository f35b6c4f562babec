"""The Python SDK under a script: does and shows what the lines of a case say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec
from scripted_server import Mismatch

from hongyan.client import Client, Closed, LogCut, events
from hongyan.model.errors import Refusal
from hongyan.model.log import Entry

CHECK_S = 5.0


class Listening(Protocol):
    """The server as a client sees it."""

    port: int


class Reader:
    """Somebody who reads a log to the end, or to an error."""

    def __init__(self) -> None:
        self.seqs: list[int] = []
        self.error: Exception | None = None
        self.task: asyncio.Task[None]

    async def run(self, stream: AsyncIterator[Entry]) -> None:
        try:
            async for entry in stream:
                self.seqs.append(entry.seq)
        except (LogCut, Refusal, Closed) as exc:
            self.error = exc

    def shown(self, value: dict[str, Any]) -> dict[str, Any]:
        """What is asked for in `value`."""
        shown: dict[str, Any] = {"as": value["as"], "seqs": self.seqs}
        if "cut" in value and isinstance(self.error, LogCut):
            shown["cut"] = [self.error.cut.low, self.error.cut.high]
        if "code" in value:
            shown["code"] = getattr(self.error, "code", None)
        return shown


class Driver:
    """One device; `data` None keeps nothing over a restart."""

    def __init__(self, server: Listening, data: Path | None, config: dict[str, Any]) -> None:
        self.server, self.data, self.config = server, data, config
        self.tokens = 0
        self.results: dict[str, asyncio.Task[Any]] = {}
        self.seen: dict[str, list[int]] = {}
        self.happened: list[events.Event] = []
        self.readers: dict[str, Reader] = {}
        self.client: Client
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.client = Client(
            f"ws://127.0.0.1:{self.server.port}",
            self._token,
            device=self.config.get("device", "d1"),
            data=self.data,
            keep=self.config.get("keep", 500),
        )
        await self.client.start()
        self._watch = asyncio.create_task(self._listen(self.client.events()))

    async def _listen(self, stream: events.EventStream) -> None:
        async for event in stream:
            self.happened.append(event)
            if isinstance(event, events.Entries):
                self.seen.setdefault(event.log, []).extend(e.seq for e in event.entries)

    async def stop(self) -> None:
        await self.client.close()
        await asyncio.gather(*(reader.task for reader in self.readers.values()))
        for task in self.results.values():
            task.cancel()
        await asyncio.gather(*self.results.values(), return_exceptions=True)
        if self._watch is not None:
            await self._watch

    async def _token(self) -> str:
        self.tokens += 1
        tokens = self.config.get("tokens", ["token"])
        return str(tokens[min(self.tokens, len(tokens)) - 1])

    async def do(self, action: dict[str, Any]) -> None:
        [(verb, value)] = action.items()
        match verb:
            case "call":
                task = asyncio.create_task(
                    self.client.call(
                        value["name"],
                        value.get("args", {}),
                        log=value.get("log", ""),
                        op=value.get("op"),
                    )
                )
                self.results[value["as"]] = task
                task.add_done_callback(lambda done: done.cancelled() or done.exception())
            case "open":
                self.results["open " + value] = asyncio.create_task(self.client.open(value))
            case "mark_read":
                await self.client.mark_read(value["log"], value["seq"])
            case "reader":
                self.readers[value["as"]] = reader = Reader()
                stream = self.client.entries(value["log"], after=value["after"])
                reader.task = asyncio.create_task(reader.run(stream))
            case "signal":
                assert self.client.signal(value["log"], value["name"], value.get("body"))
            case "wake":
                self.client.wake()
            case "restart":
                await self.stop()
                self.results.clear()
                await self.start()
            case _:
                raise Mismatch(f"unknown action {verb}")

    async def check(self, wanted: dict[str, Any]) -> None:
        [(verb, value)] = wanted.items()
        if verb == "result":
            await self._result(value)
            return
        shown = self._shown(verb, value)
        try:
            async with asyncio.timeout(CHECK_S):
                while (problem := shown()) is not None:  # noqa: ASYNC110  # no one event tells
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise Mismatch(problem) from None

    def _shown(self, verb: str, value: Any) -> Callable[[], str | None]:
        """A function that says what is not yet as wanted."""

        def equal(what: Callable[[], Any], wanted: Any) -> Callable[[], str | None]:
            return lambda: None if what() == wanted else f"shows {what()!r}"

        match verb:
            case "entries":
                return equal(lambda: self.seen.get(value["log"], []), value["seqs"])
            case "bodies":
                return equal(lambda: self._bodies(value["log"]), value["bodies"])
            case "row":
                fields = {k: v for k, v in value.items() if k != "log"}
                return equal(lambda: self._row(value["log"], fields), fields)
            case "rows":
                return equal(lambda: len(self.client.rows), value)
            case "tokens":
                return equal(lambda: self.tokens, value)
            case "pending":
                return equal(lambda: len(self.client.outbox), value)
            case "stopped":
                return equal(lambda: self._stopped(value), value)
            case "reader":
                return equal(lambda: self.readers[value["as"]].shown(value), value)
            case "told":
                return equal(self._told, value)
            case "skipped":
                return equal(self._skipped, value)
            case _:
                raise Mismatch(f"unknown check {verb}")

    def _bodies(self, log: str) -> list[Any]:
        replica = self.client.replica(log)
        messages = replica.messages() if replica is not None else []
        return [msgspec.json.decode(m.body) for m in messages if m.entry.count]

    def _row(self, log: str, fields: dict[str, Any]) -> dict[str, Any]:
        row = {str(k): r for k, r in self.client.rows.items()}.get(log)
        return {k: getattr(row, k, None) for k in fields}

    def _stopped(self, wanted: int | str) -> int | str | None:
        error = self.client.stopped
        by_name = isinstance(wanted, str)
        return type(error).__name__ if by_name else getattr(error, "code", None)

    def _told(self) -> list[list[Any]]:
        told: list[list[Any]] = []
        for event in self.happened:
            if isinstance(event, events.Refused):
                told.append(["refused", event.error.code])
            elif isinstance(event, events.Acked):
                told.append(["acked", event.ack.seq])
        return told

    def _skipped(self) -> list[list[Any]]:
        cuts = [e.cut for e in self.happened if isinstance(e, events.Skipped)]
        return [[cut.low, cut.high, cut.reason] for cut in cuts]

    async def _result(self, value: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(CHECK_S):
                ack = await asyncio.shield(self.results[value["of"]])
        except Refusal as why:
            if value.get("code") != why.code:
                raise Mismatch(f"refused with {why.code} {why}") from None
            return
        except TimeoutError:
            raise Mismatch("no answer yet") from None
        for key, part in value.items():
            if key != "of" and getattr(ack, key, None) != part:
                raise Mismatch(f"{ack}")
