"""Coming back: a reconnect with many unchanged conversations, and a page of a long history."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec

from hongyan.adapters.sqlite import SqliteStore
from hongyan.bench.links import Link, Tally, connect, percentile
from hongyan.bench.server import ServerProcess
from hongyan.model.ids import OpId, Seq, UserId, log_id, pair_name
from hongyan.model.log import Commit, MemberChange, Write
from hongyan.wire import frames as f

WRITES = 64  # entries of a commit while a store is filled


class SyncResult(msgspec.Struct, frozen=True):
    """Reconnects of one user, and pages of 50 of one log; CPU of the server process."""

    conversations: int
    reconnects: int
    welcome_bytes: int
    cpu_ms_per_reconnect: float
    reconnect_p50_ms: float
    reconnect_p99_ms: float
    first_welcome_s: float  # with all rows, in pages
    entries: int
    pages: int
    page_p50_ms: float
    page_p99_ms: float
    cpu_ms_per_page: float


async def fill(data: Path, *, conversations: int, entries: int) -> None:
    """Write a data directory: one user's direct conversations, one of them long."""
    store = SqliteStore(data)
    try:
        now = time.time_ns() // 1_000_000
        made = []
        for n in range(conversations):
            made.append(store.commit(_first(n, now)))
            if len(made) == 1000:
                await asyncio.gather(*made)
                made.clear()
        await asyncio.gather(*made)
        body = msgspec.json.encode({"content": {"type": "text", "text": "x" * 128}})
        long = log_id("main", "d", pair_name("me", "p0"))
        for start in range(0, entries, WRITES * 100):
            commits = [
                Commit(
                    log=long,
                    sender=UserId("p0"),
                    op=OpId(f"long-{n}"),
                    hash=b"0" * 16,
                    at=now,
                    writes=tuple(Write("message", body, count=True) for _ in range(WRITES)),
                    touch=(),
                )
                for n in range(start, min(entries, start + WRITES * 100), WRITES)
            ]
            await asyncio.gather(*(store.commit(commit) for commit in commits))
    finally:
        await store.close()


def _first(n: int, now: int) -> Commit:
    users = (UserId("me"), UserId(f"p{n}"))
    return Commit(
        log=log_id("main", "d", pair_name(*users)),
        sender=users[1],
        op=OpId("open"),
        hash=b"0" * 16,
        at=now,
        writes=(Write("message", b'{"content":{"type":"text","text":"hello"}}', count=True),),
        expect=0,
        state=b"{}",
        members=tuple(MemberChange(user=user, join=True) for user in users),
        touch=users,
    )


async def run(
    server: ServerProcess, *, conversations: int, entries: int, reconnects: int, pages: int
) -> SyncResult:
    """`server` serves a directory made by `fill`."""
    await server.quiet()
    tally = Tally()
    began = time.perf_counter()
    link = await connect(server.url, server.token("me"), "d1", tally, _uncounted, rows=500)
    token = await _all_rows(link)
    first = time.perf_counter() - began
    start = server.usage()
    reads = await _read_pages(link, entries, pages)
    paged = server.usage()
    link.transport.disconnect()
    waits, size = await _come_back(server, tally, token, reconnects)
    back = server.usage()
    return SyncResult(
        conversations=conversations,
        reconnects=reconnects,
        welcome_bytes=size,
        cpu_ms_per_reconnect=round((back.cpu_s - paged.cpu_s) / reconnects * 1e3, 2),
        reconnect_p50_ms=round(percentile(waits, 0.5) * 1e3, 2),
        reconnect_p99_ms=round(percentile(waits, 0.99) * 1e3, 2),
        first_welcome_s=round(first, 2),
        entries=entries,
        pages=pages,
        page_p50_ms=round(percentile(reads, 0.5) * 1e3, 2),
        page_p99_ms=round(percentile(reads, 0.99) * 1e3, 2),
        cpu_ms_per_page=round((paged.cpu_s - start.cpu_s) / pages * 1e3, 2),
    )


def _uncounted(ref: int, now: float) -> None:
    """Acks are not counted here."""


async def _all_rows(link: Link) -> int:
    """Page through a first sync; the token at its end."""
    page = (await link.welcome)["inbox"]
    ref = 1
    while page.get("more"):
        ref += 1
        after = page["rows"][-1]["useq"]
        asked = f.Sync(ref=ref, after=after, upto=page["upto"], limit=500)
        page = (await link.ask(ref, asked))["page"]
    return int(page["upto"])


async def _read_pages(link: Link, entries: int, pages: int) -> list[float]:
    """Pages of 50 from the whole length of the long log, the newest first; seconds of each.

    Raises:
        RuntimeError: a page is short.
    """
    log = log_id("main", "d", pair_name("me", "p0"))
    times = []
    for n in range(pages):
        before = Seq(entries - n * (entries // pages) + 1)
        at = time.perf_counter()
        got = await link.ask(10_000 + n, f.Read(ref=10_000 + n, log=log, before=before, limit=50))
        times.append(time.perf_counter() - at)
        if before > 50 and len(got["entries"]) != 50:
            raise RuntimeError(f"a page before {before} has {len(got['entries'])} entries")
    return times


async def _come_back(
    server: ServerProcess, tally: Tally, token: int, reconnects: int
) -> tuple[list[float], int]:
    """Reconnect with a token, one after the other; seconds of each, bytes of the largest."""
    waits, sizes = [], []
    for n in range(reconnects):
        at = time.perf_counter()
        link = await connect(
            server.url, server.token("me"), f"b{n % 4}", tally, _uncounted, inbox=token, rows=100
        )
        waits.append(time.perf_counter() - at)
        sizes.append(link.bytes_in)
        link.transport.disconnect()
    return waits, max(sizes)
