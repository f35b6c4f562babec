"""The Python SDK under a script: does and shows what the lines of a case say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from scripted_server import Mismatch, ScriptedServer

from hongyan.client import Client, events
from hongyan.model.errors import Refusal

CHECK_S = 5.0


class Driver:
    """One device; `data` None keeps nothing over a restart."""

    def __init__(self, server: ScriptedServer, data: Path | None, config: dict[str, Any]) -> None:
        self.server, self.data, self.config = server, data, config
        self.tokens = 0
        self.results: dict[str, asyncio.Task[Any]] = {}
        self.seen: dict[str, list[int]] = {}
        self.happened: list[events.Event] = []
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
                return equal(lambda: getattr(self.client.stopped, "code", None), value)
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
