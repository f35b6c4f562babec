"""Every adapter of a port, and a conversation that can be spoken to in few words."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hongyan.adapters.memory.bus import MemoryBus
from hongyan.adapters.memory.directory import MemoryDirectory
from hongyan.adapters.memory.store import MemoryStore
from hongyan.adapters.sqlite import SqliteDirectory, SqliteStore
from hongyan.model.ids import LogId, tenant_of
from hongyan.model.log import Commit, Committed, InboxRow, MemberChange, Write
from hongyan.ports import Bus, Directory, Store

LARGE_ABOVE = 4


@dataclass
class Talk:
    """One log of a store. Times and ops are counted up; every method waits until it is durable."""

    store: Store
    log: LogId = LogId("main/g/room")
    at: int = 1_000
    ops: Any = field(default_factory=lambda: itertools.count(1))

    async def commit(self, sender: str = "ann", **fields: Any) -> Committed:
        self.at += 1
        if "touch" not in fields and (info := await self.store.info(self.log)) is not None:
            members = await self.store.members(self.log)  # as the engine knows them
            fields |= {"touch": tuple(m.user for m in members), "roster": info.roster}
        given = {"op": f"op{next(self.ops)}", "hash": b"h" * 16, "at": self.at, **fields}
        return await self.store.commit(Commit(log=self.log, sender=sender, **given))

    async def create(self, *users: str, **fields: Any) -> Committed:
        joins = tuple(MemberChange(user=user, join=True) for user in users)
        return await self.commit(users[0], expect=0, state=b'{"v":1}', members=joins, **fields)

    async def say(self, sender: str = "ann", text: str = "hi", **fields: Any) -> int:
        write = Write(
            fields.pop("type", "message"),
            msgspec.json.encode({"text": text}),
            count=fields.pop("count", True),
            **fields,
        )
        return (await self.commit(sender, writes=(write,))).last

    async def change(self, user: str, sender: str = "ann", **fields: Any) -> Committed:
        return await self.commit(sender, members=(MemberChange(user=user, **fields),))

    async def row(self, user: str) -> InboxRow:
        [row] = await self.store.rows(tenant_of(self.log), user, [self.log])
        return row

    async def unread(self, user: str) -> int:
        return (await self.row(user)).unread

    async def seqs(self, user: str, **fields: Any) -> list[int]:
        return [e.seq for e in (await self.store.read(self.log, user, **fields)).entries]


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    made: Store
    if request.param == "memory":
        made = MemoryStore(large_above=LARGE_ABOVE)
    else:
        made = SqliteStore(tmp_path / "data", large_above=LARGE_ABOVE)
    yield made
    await made.close()


@pytest.fixture
def talk(store: Store) -> Talk:
    return Talk(store)


@pytest.fixture(params=["memory", "sqlite"])
async def directory(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Directory]:
    if request.param == "memory":
        yield MemoryDirectory()
        return
    store = SqliteStore(tmp_path / "data")
    yield SqliteDirectory(store)
    await store.close()


@pytest.fixture(params=["memory"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    made = MemoryBus()
    yield made
    await made.close()
