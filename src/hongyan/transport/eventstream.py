"""An answer that does not end: `text/event-stream`, as browsers' EventSource and `curl -N` read it.

Written for proxies that buffer, cut and time out: no piece waits for another one, a comment is
sent while there is nothing to say, and no cache or compressor may touch the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

STREAM_TYPE = "text/event-stream"
STREAM_HEADERS = {
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
}
COMMENT = b":\n\n"


def event(data: bytes, number: str = "") -> bytes:
    """One event; `number` is its id. White space between JSON's tokens may hold line ends."""
    head = f"id: {number}\n".encode() if number else b""
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(data.splitlines())
    return head + b"data: " + data + b"\n\n"


class EventStream(StreamingResponse):
    """Sends what `pieces` gives, each at once; a slow reader is waited for between two pieces.

    `ended` is called exactly once: the pieces are over, the client went away, or the server cuts
    the connection.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        ended: Callable[[], None],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Nothing is asked of `pieces` before the answer begins."""
        super().__init__(
            pieces, media_type=STREAM_TYPE, headers={**STREAM_HEADERS, **(headers or {})}
        )
        self._pieces = pieces
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run until one side has enough."""
        if scope["method"] == "HEAD":
            self._ended()
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        loop = asyncio.get_running_loop()
        sending = loop.create_task(self._send(send))
        watching = loop.create_task(disconnected(receive))
        try:
            await asyncio.wait((sending, watching), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, watching):
                task.cancel()
            self._ended()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        with contextlib.suppress(asyncio.CancelledError):
            await sending  # what failed in it is for the log

    async def _send(self, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": 200, "headers": self.raw_headers},
        )
        async with contextlib.aclosing(self._pieces) as pieces:
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def disconnected(receive: Receive) -> None:
    """Until the client is gone. The body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def wait_with(request: Request, event: asyncio.Event, seconds: float) -> bool:
    """Wait until the event is set, at most `seconds`; False when the client went away."""
    loop = asyncio.get_running_loop()
    waiting = loop.create_task(event.wait())
    watching = loop.create_task(disconnected(request.receive))
    try:
        await asyncio.wait((waiting, watching), timeout=seconds, return_when="FIRST_COMPLETED")
        return not watching.done()
    finally:
        waiting.cancel()
        watching.cancel()
