"""Clients of the receivers: sessions over plain HTTP, spoken by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from http_rig import Service, text

LONG = httpx.Timeout(20.0)


def hello(token: str, device: str = "d1", **more: Any) -> dict[str, Any]:
    return {"t": "hello", "token": token, "device": device, "cls": "thing", **more}


def flat(message: Any) -> list[dict[str, Any]]:
    """The frames of a message."""
    return message if isinstance(message, list) else [message]


async def eventually(true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for a condition that no event tells of."""
    end = asyncio.get_running_loop().time() + seconds
    for _ in iter(true, True):
        assert asyncio.get_running_loop().time() < end, "it did not come true"
        await asyncio.sleep(0.01)


class Event:
    """One event of a stream."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self.id = "".join(value for name, value in fields if name == "id")
        self.data = "\n".join(value for name, value in fields if name == "data")
        self.retry = "".join(value for name, value in fields if name == "retry")
        self.comment = any(name == "" for name, _ in fields)

    @property
    def json(self) -> Any:
        return json.loads(self.data)


async def events(response: httpx.Response) -> AsyncIterator[Event]:
    """The events of a stream, comments too, until it ends."""
    fields: list[tuple[str, str]] = []
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(":")
            fields.append((name, value.removeprefix(" ")))
        else:
            yield Event(fields)
            fields = []


class Streamed:
    """A session over server-sent events."""

    def __init__(self, http: httpx.AsyncClient, response: httpx.Response) -> None:
        self.http, self.response = http, response
        self.session = response.headers["hongyan-session"]
        self.events = events(response)
        self.seen: list[dict[str, Any]] = []

    async def up(self, *frames: Any, n: int = 0) -> httpx.Response:
        query = f"?n={n}" if n else ""
        return await self.http.post(f"/v1/stream/{self.session}{query}", json=list(frames))

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first frame, also of those seen, that is wanted."""
        looked = 0
        async with asyncio.timeout(15):
            while True:
                for frame in self.seen[looked:]:
                    if wanted(frame):
                        return frame
                looked = len(self.seen)
                event = await anext(self.events, None)
                assert event is not None, f"the stream ended after {self.seen[-3:]}"
                if event.data:
                    self.seen += flat(event.json)

    async def frame(self, kind: str, **fields: Any) -> dict[str, Any]:
        return await self.until(
            lambda f: f["t"] == kind and all(f.get(k) == v for k, v in fields.items())
        )


@asynccontextmanager
async def streamed(
    http: httpx.AsyncClient, token: str, device: str = "d1", **more: Any
) -> AsyncIterator[Streamed]:
    async with http.stream(
        "POST", "/v1/stream", json=hello(token, device, **more), timeout=LONG
    ) as response:
        if response.status_code != 200:
            raise AssertionError((await response.aread()).decode())
        yield Streamed(http, response)


class Polled:
    """A session by long-polling."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.session = ""
        self.next = 0
        self.seen: list[dict[str, Any]] = []

    async def open(self, token: str, device: str = "d1") -> Polled:
        got = await self.http.post("/v1/poll", json=hello(token, device), timeout=LONG)
        assert got.status_code == 200, got.text
        self.session = got.json()["session"]
        self._take(got.json())
        return self

    def _take(self, answer: dict[str, Any]) -> None:
        self.next = answer["next"]
        for message in answer["messages"]:
            self.seen += flat(message)

    async def get(self, after: int | None = None, wait: int = 10) -> httpx.Response:
        after = self.next if after is None else after
        path = f"/v1/poll/{self.session}?after={after}&wait={wait}"
        return await self.http.get(path, timeout=LONG)

    async def up(self, *frames: Any, n: int = 0) -> httpx.Response:
        query = f"?n={n}" if n else ""
        return await self.http.post(f"/v1/poll/{self.session}{query}", json=list(frames))

    async def frame(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The first frame, also of those seen, that fits; polls as long as needed."""
        looked = 0
        async with asyncio.timeout(15):
            while True:
                for frame in self.seen[looked:]:
                    if frame["t"] == kind and all(frame.get(k) == v for k, v in fields.items()):
                        return frame
                looked = len(self.seen)
                got = await self.get()
                assert got.status_code == 200, got.text
                self._take(got.json())


def call(ref: int, words: str, log: str, op: str = "") -> dict[str, Any]:
    args = {"content": {"type": "text", "text": words}}
    return {
        "t": "call",
        "ref": ref,
        "name": "chat.send",
        "op": op or words,
        "log": log,
        "args": args,
    }


# --- receivers without a session --------------------------------------------------------------


async def say(s: Service, token: str, log: str, words: str) -> int:
    got = await s.post(f"/v1/logs/{log}/calls", text(words), token, Idempotency_Key=words[:60])
    assert got.status_code == 200, got.text
    return int(got.json()["seq"])


async def do(s: Service, token: str, name: str, log: str = "", **args: Any) -> dict[str, Any]:
    path = f"/v1/logs/{log}/calls" if log else "/v1/calls"
    do.ops += 1  # type: ignore[attr-defined]
    got = await s.post(path, {"name": name, "args": args}, token, Idempotency_Key=f"do{do.ops}")  # type: ignore[attr-defined]
    assert got.status_code == 200, got.text
    answer: dict[str, Any] = got.json()
    return answer


do.ops = 0  # type: ignore[attr-defined]


@asynccontextmanager
async def listening(
    s: Service, token: str, query: str = "", **headers: str
) -> AsyncIterator[AsyncIterator[Event]]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if token:
        named["Authorization"] = f"Bearer {token}"
    path = f"/v1/events{query}"
    async with s.http.stream("GET", path, headers=named, timeout=LONG) as response:
        if response.status_code != 200:
            raise AssertionError((await response.aread()).decode())
        yield events(response)


async def take(stream: AsyncIterator[Event], number: int) -> list[Event]:
    """The next events that bring an entry."""
    found: list[Event] = []
    async with asyncio.timeout(15):
        while len(found) < number:
            event = await anext(stream)
            if event.data and "cursor" not in event.json:
                found.append(event)
    return found


async def cursor_of(stream: AsyncIterator[Event]) -> str:
    """That of the first event, which only tells it."""
    async with asyncio.timeout(15):
        event = await anext(stream)
    assert event.json == {"cursor": event.id}
    return event.id


async def pull(s: Service, token: str, query: str) -> dict[str, Any]:
    got = await s.http.get(
        f"/v1/updates?{query}", headers={"Authorization": f"Bearer {token}"}, timeout=LONG
    )
    assert got.status_code == 200, got.text
    answer: dict[str, Any] = got.json()
    return answer


def ids(updates: list[Any]) -> list[tuple[str, int]]:
    return [(update["log"], update["entry"]["seq"]) for update in updates]


async def whole(s: Service, token: str, log: str) -> list[tuple[str, int]]:
    got = await s.get(f"/v1/logs/{log}/entries?after=0&limit=200", token)
    return [(log, entry["seq"]) for entry in got.json()["entries"]]
