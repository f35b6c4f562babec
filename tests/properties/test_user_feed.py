"""The feed of one user: both stores against each other, and against what the user may read."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_programs import (
    LARGE_ABOVE,
    LOGS,
    USERS,
    Ask,
    Step,
    T,
    answer,
    commit_of,
    plain,
    programs,
)

from hongyan.adapters.memory.store import MemoryStore
from hongyan.adapters.sqlite import SqliteStore, places, receiving
from hongyan.model.errors import Refusal
from hongyan.model.log import Commit, MemberChange, Write
from hongyan.ports import Store

SLOW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)


FIRST = (Write("message", b'{"text":"first"}', count=True),)
ALL = tuple(MemberChange(user=user, join=True) for user in USERS[:3])


async def run_on(program: list[Ask | Step], model: Store, *stores: Store) -> None:
    """Do the commits and moves of a program everywhere, on logs that have members already."""
    for log in LOGS:
        made = Commit(
            log=log, sender="ann", op="made", hash=b"h" * 16, at=1, writes=FIRST, members=ALL
        )
        for store in (*stores, model):
            await store.commit(made)
    for at, item in enumerate(program, start=1):
        if isinstance(item, Ask):
            commit = await commit_of(item, model, at)
            for store in (*stores, model):
                await answer(store.commit(commit))
        elif item.what == "move":
            for store in (*stores, model):
                await answer(store.move(item.log, item.user, read=item.read))


async def all_of(store: Store, user: str, after: int, limit: int, log: str | None) -> list[Any]:
    """Everything after a position, in pages."""
    found: list[Any] = []
    end = await store.feed_end()
    while True:
        page = await store.user_feed(T, user, after=after, limit=limit, log=log)
        assert all(after < item.pos <= page.upto for item in page.items)
        assert len(page.items) <= limit
        found += plain(page.items)
        if len(page.items) < limit:
            assert page.upto == end
            return found
        after = page.upto


async def readable(store: Store, user: str, log: str | None) -> list[Any]:
    """The same by reading each log whole, laid out by the feed."""
    shown = {}
    for name in LOGS if log is None else [log]:
        try:
            part = await store.read(name, user, limit=1000)
        except Refusal:
            continue
        shown.update({(name, entry.seq): entry for entry in part.entries})
    feed = await store.feed(after=0, limit=10_000)
    return [
        plain({"pos": item.pos, "log": item.log, "entry": shown[item.log, item.entry.seq]})
        for item in feed
        if (item.log, item.entry.seq) in shown
    ]


@SLOW
@given(programs, st.sampled_from([0, 3, 512]), st.sampled_from([0, 3, 99]))
def test_RB11_feed_of_a_user_is_what_the_user_may_read_in_commit_order(
    program: list[Ask | Step], near: int, keep: int
) -> None:
    """From every position, in pages of any size, over all logs or one: nothing more or less."""

    async def run(path: Path) -> None:
        model = MemoryStore(large_above=LARGE_ABOVE)
        real = SqliteStore(path, large_above=LARGE_ABOVE)
        try:
            await run_on(program, model, real)
            for user in USERS:
                for log in (None, LOGS[0], "main/g/none"):
                    whole = await readable(model, user, log)
                    for after in range(await model.feed_end() + 1):
                        wanted = [item for item in whole if item["pos"] > after]
                        for limit in (1, 3, 1000):
                            assert await all_of(real, user, after, limit, log) == wanted
                        assert await all_of(model, user, after, 3, log) == wanted
        finally:
            await real.close()

    with (
        tempfile.TemporaryDirectory() as path,
        mock.patch.object(places, "KEEP", keep),
        mock.patch.object(receiving, "NEAR", near),
    ):
        asyncio.run(run(Path(path)))
