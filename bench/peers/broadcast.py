"""The websockets library as a room: what one says, `broadcast` gives to all.

Prints "serves PORT VERSION" when it listens. Compression and keepalive are off, as its
documentation advises for broadcasts of small messages to many.
"""

from __future__ import annotations

import asyncio
import sys

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.version import version

MOST_BYTES = 64 * 1024


async def main() -> None:
    """Serve until it is killed."""
    room: set[ServerConnection] = set()

    async def take(connection: ServerConnection) -> None:
        try:
            async for message in connection:
                if message == "join":
                    room.add(connection)
                    await connection.send("joined")
                else:
                    broadcast(room, message)
        finally:
            room.discard(connection)

    async with serve(
        take,
        "127.0.0.1",
        0,
        compression=None,
        ping_interval=None,
        max_size=MOST_BYTES,
        backlog=4096,
    ) as server:
        port = server.sockets[0].getsockname()[1]
        print("serves", port, f"{version} Python {sys.version.split()[0]}")
        sys.stdout.flush()
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:
        asyncio.run(main())
    else:
        uvloop.run(main())
