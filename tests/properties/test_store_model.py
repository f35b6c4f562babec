"""SqliteStore against the model: whatever is asked, both answer the same."""

from __future__ import annotations

import asyncio
import tempfile
import threading
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
    Views,
    answer,
    asks,
    commit_of,
    moves,
    plain,
    programs,
)

from hongyan.adapters.memory.store import MemoryStore
from hongyan.adapters.sqlite import SqliteStore, places
from hongyan.adapters.sqlite.check import check
from hongyan.ports import Store

SLOW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)


async def step(store: Store, step: Step) -> Any:
    if step.what == "sync":
        return await store.sync(T, step.user)
    return await answer(
        store.move(step.log, step.user, read=step.read, delivered=step.delivered, mark=step.mark)
    )


keeps = st.sampled_from([0, 3, places.KEEP])  # rows before they move over: often, here


@SLOW
@given(programs, keeps)
def test_U1_O1_D2_D22_any_program_gives_the_answers_of_the_model(
    program: list[Ask | Step], keep: int
) -> None:
    """Seqs, refusals, cursors, unread, mentions, inbox, ranges: all of the port, step by step."""

    async def run(path: Path) -> None:
        model = MemoryStore(large_above=LARGE_ABOVE)
        real = SqliteStore(path, large_above=LARGE_ABOVE)
        try:
            for at, item in enumerate(program, start=1):
                if isinstance(item, Ask):
                    commit = await commit_of(item, model, at)
                    assert await answer(real.commit(commit)) == await answer(model.commit(commit))
                elif item.what == "restart":
                    await real.close()
                    real = SqliteStore(path, large_above=LARGE_ABOVE)
                    model.restart()
                else:
                    assert await step(real, item) == await step(model, item)
            differ(await Views().look(real), await Views().look(model))
        finally:
            await real.close()
        assert list(check(path)) == []

    with tempfile.TemporaryDirectory() as path, mock.patch.object(places, "KEEP", keep):
        asyncio.run(run(Path(path)))


@SLOW
@given(st.lists(st.one_of(asks, asks, moves), max_size=12), st.lists(asks, max_size=25), keeps)
def test_O2_D2_a_group_in_one_transaction_gives_what_one_by_one_gives(
    before: list[Ask | Step], together: list[Ask], keep: int
) -> None:
    """Plain commits are written in bulk beside odd ones: nobody can tell."""

    async def run(path: Path) -> None:
        model = MemoryStore(large_above=LARGE_ABOVE)
        real = SqliteStore(path, large_above=LARGE_ABOVE)
        try:
            for at, item in enumerate(before, start=1):
                if isinstance(item, Ask):
                    commit = await commit_of(item, model, at)
                    assert await answer(real.commit(commit)) == await answer(model.commit(commit))
                else:
                    assert await step(real, item) == await step(model, item)
            commits = [await commit_of(ask, model, 100 + i) for i, ask in enumerate(together)]
            gate = threading.Event()
            held = real.writer.put(lambda db: gate.wait(10))
            futures = [real.commit(commit) for commit in commits]
            gate.set()
            assert await held
            got = [untouched(await answer(future)) for future in futures]
            assert got == [untouched(await answer(model.commit(c))) for c in commits]
            assert real.writer.groups <= len(before) + 2
            views = await Views().look(real, useqs=False)
            differ(views, await Views().look(model, useqs=False))
        finally:
            await real.close()
        assert list(check(path)) == []

    with tempfile.TemporaryDirectory() as path, mock.patch.object(places, "KEEP", keep):
        asyncio.run(run(Path(path)))


def differ(real: dict[str, Any], model: dict[str, Any]) -> None:
    """Fail with the first view in which the two stores differ."""
    assert real.keys() == model.keys()
    for view, found in model.items():
        assert real[view] == found, view


def untouched(answer: Any) -> Any:
    """Without what depends on the order in which inbox rows were written inside the group."""
    return {**answer, "touched": []} if isinstance(answer, dict) else answer


SILENT = ("peer_read", "peer_delivered", "delivered")  # told by cursors, never by the inbox


@SLOW
@given(programs, st.lists(st.integers(0, 40), max_size=4))
def test_U9_U16_the_rows_of_a_sync_and_those_since_are_the_fresh_rows(
    program: list[Ask | Step], sync_at: list[int]
) -> None:
    """A client that keeps rows and asks only for what came after its token misses nothing."""

    async def run() -> None:
        store = MemoryStore(large_above=LARGE_ABOVE)
        kept: dict[str, dict[str, Any]] = {user: {} for user in USERS}
        token = dict.fromkeys(USERS, 0)

        async def sync(user: str) -> None:
            upto = await store.sync(T, user)
            while True:
                rows = await store.inbox(T, user, after=token[user], upto=upto, limit=1)
                if not rows:
                    break
                kept[user].update({row.log: row for row in rows})
                token[user] = rows[-1].useq
            token[user] = upto

        for at, item in enumerate(program, start=1):
            if isinstance(item, Ask):
                await answer(store.commit(await commit_of(item, store, at)))
            elif item.what == "restart":
                store.restart()
            elif item.what == "move":
                await step(store, item)
            else:
                await sync(item.user)
            if at in sync_at:
                await sync("ann")
        for user in USERS:
            await sync(user)
            large = set(await store.large_logs(T, user))
            fresh = {row.log: row for row in await store.rows(T, user, LOGS)}
            assert kept[user].keys() >= fresh.keys() - large
            for log in fresh.keys() - large:
                assert told(kept[user][log]) == told(fresh[log])

    asyncio.run(run())


def told(row: Any) -> dict[str, Any]:
    """What the inbox answers for of a row."""
    return {k: v for k, v in plain(row).items() if k not in SILENT}
