"""The OpenAPI document of a whole server. `python scripts/openapi.py` renews docs/openapi.json;
with `--check` it only says whether that is fresh (exit status 1: it is not)."""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from pathlib import Path

import httpx
import structlog

from hongyan.app import Server
from hongyan.config import load
from hongyan.transport.openapi import PATH, text_of

PAGE = Path(__file__).parents[1] / "docs" / "openapi.json"


async def served() -> bytes:
    """The document as a server with its defaults gives it, in the form that is committed."""
    with tempfile.TemporaryDirectory() as data:
        server = Server(load(None, {}, {"server.port": 0, "data.dir": data}))
        await server.start()
        try:
            async with httpx.AsyncClient() as http:
                got = await http.get(f"http://127.0.0.1:{server.port}{PATH}")
                got.raise_for_status()
                return text_of(got.json())
        finally:
            await server.stop()


def main() -> int:
    """See the module."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    fresh = asyncio.run(served())
    if "--check" not in sys.argv[1:]:
        PAGE.write_bytes(fresh)
    elif PAGE.read_bytes() != fresh:
        print(f"{PAGE} is stale: run python scripts/openapi.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
