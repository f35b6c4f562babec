"""From the feed to the index: what each entry does to what can be found (rules F and K)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from hongyan.adapters.memory.clock import ManualClock
from hongyan.adapters.memory.search import MemorySearch
from hongyan.adapters.memory.store import MemoryStore
from hongyan.adapters.sqlite import SqliteStore
from hongyan.adapters.sqlite_search import SqliteSearch
from hongyan.engine.consumers import Consumer, SearchSink
from hongyan.model.ids import LogId, OpId, Seq, TenantId, UserId
from hongyan.model.kind import Kind
from hongyan.model.log import EDIT, Commit, Entry, MemberChange, Write
from hongyan.ports import FeedItem, Search, Store

MAIN = TenantId("main")
AB = LogId("main/n/alice~bob")
ALICE = UserId("alice")
DEADLINE = 10.0


def search_text(entry_type: str, body: msgspec.Raw) -> str | None:
    if entry_type == "recall":
        return ""
    if entry_type == "reaction":
        return None
    text = msgspec.json.decode(body)["text"]
    assert isinstance(text, str)
    return text


KIND = Kind(name="note", code="n", state=dict, rules={}, search_text=search_text)


def item(
    pos: int, type_: str, body: Any, target: int = 0, slot: str = "", log: str = AB
) -> FeedItem:
    raw = msgspec.Raw(msgspec.json.encode(body))
    entry = Entry(Seq(pos), type_, ALICE, 0, 0, raw, target=Seq(target), slot=slot)
    return FeedItem(pos, LogId(log), entry)


async def found(search: Search, text: str) -> list[int]:
    hits = await search.find(MAIN, text, log=None, before=2**63 - 1, limit=100)
    return [hit.seq for hit in hits]


@pytest.fixture
def search() -> MemorySearch:
    return MemorySearch()


@pytest.fixture
def sink(search: MemorySearch) -> SearchSink:
    return SearchSink(search, {"n": KIND})


async def test_F6_an_edit_is_found_at_the_entry_it_changes(
    search: MemorySearch, sink: SearchSink
) -> None:
    edit = item(2, "edit", {"text": "tea"}, target=1, slot=EDIT)
    await sink.apply([item(1, "note", {"text": "coffee"}), edit], 2)

    assert await found(search, "coffee") == []
    assert await found(search, "tea") == [1]


async def test_F6_an_entry_without_words_may_get_some_by_edit(
    search: MemorySearch, sink: SearchSink
) -> None:
    edits = [
        item(2 + n, "edit", {"text": text}, target=1, slot=EDIT)
        for n, text in enumerate(["tea", "", "cake"])
    ]
    await sink.apply([item(1, "note", {"text": ""}), edits[0]], 2)
    assert await found(search, "tea") == [1]
    await sink.apply([edits[1]], 3)
    assert await found(search, "tea") == []
    await sink.apply([edits[2]], 4)
    assert await found(search, "cake") == [1]


async def test_F7_a_recall_takes_the_words_away_for_good(
    search: MemorySearch, sink: SearchSink
) -> None:
    """The edit was decided at the same moment and was committed after the recall."""
    await sink.apply([item(1, "note", {"text": "secret"})], 1)
    await sink.apply([item(2, "recall", {}, target=1, slot="recall")], 2)
    await sink.apply([item(3, "edit", {"text": "secret!"}, target=1, slot=EDIT)], 3)

    assert await found(search, "secret") == []


async def test_F7_a_body_blanked_before_it_was_read_is_nothing(
    search: MemorySearch, sink: SearchSink
) -> None:
    """The kind is not even asked: its decoder need not know empty bodies."""
    blank = [item(1, "note", {}), item(2, "edit", {}, target=1, slot=EDIT)]
    with capture_logs() as lines:
        await sink.apply([*blank, item(3, "recall", {}, target=1)], 3)

    assert lines == []
    assert await found(search, "secret") == []
    assert await sink.position() == 3


async def test_F8_entries_of_no_interest_move_the_position(
    search: MemorySearch, sink: SearchSink
) -> None:
    await sink.apply([item(4, "reaction", {"text": "coffee"}, target=1)], 4)

    assert await found(search, "coffee") == []
    assert await search.position() == 4


async def test_K4_a_kind_that_breaks_on_an_entry_does_not_stop_the_index(
    search: MemorySearch, sink: SearchSink
) -> None:
    with capture_logs() as lines:
        bad = [item(n, "note", {"txt": 1}) for n in (1, 2)]
        await sink.apply([*bad, item(3, "note", {"text": "fine"})], 3)

    assert await found(search, "fine") == [3]
    told = [(line["log_level"], line["log"], line["seq"], line["exc_info"]) for line in lines]
    assert told == [("error", AB, 1, True), ("error", AB, 2, False)]  # one traceback for a type


async def test_K4_a_large_batch_leaves_the_loop_its_turns(sink: SearchSink) -> None:
    """500 bodies of 64 KiB must not hold the loop until all are decoded."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    await sink.apply([item(n, "note", {"text": "x" * 60_000}) for n in range(1, 41)], 40)
    task.cancel()

    assert turns >= 15


async def test_K4_a_kind_this_program_does_not_have_is_told_once(
    search: MemorySearch, sink: SearchSink
) -> None:
    alien = [item(n, "x", {"text": "alien"}, log="main/zz/a") for n in (1, 2)]
    with capture_logs() as lines:
        await sink.apply(alien, 2)

    assert await found(search, "alien") == []
    assert len(lines) == 1


class Talk:
    """Alice's notes in a store of their own."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.ops = 0

    async def write(self, *writes: Write) -> None:
        self.ops += 1
        new = self.ops == 1
        commit = Commit(
            log=AB,
            sender=ALICE,
            op=OpId(f"op{self.ops}"),
            hash=b"0" * 16,
            at=1,
            writes=writes,
            expect=0 if new else -1,
            state=b"{}" if new else None,
            members=(MemberChange(user=ALICE, join=True),) if new else (),
        )
        await self.store.commit(commit)

    async def note(self, text: str) -> None:
        await self.write(Write("note", msgspec.json.encode({"text": text}), count=True))

    async def edit(self, target: int, text: str) -> None:
        body = msgspec.json.encode({"text": text})
        await self.write(Write("edit", body, target=Seq(target), slot=EDIT))

    async def recall(self, target: int) -> None:
        await self.write(Write("recall", b"{}", target=Seq(target), erases=True))


@pytest.fixture(params=["memory", "sqlite"])
async def index(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Search]:
    adapter: Search = (
        MemorySearch() if request.param == "memory" else SqliteSearch(tmp_path / "search.db")
    )
    yield adapter
    await adapter.close()


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    adapter: Store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "data")
    yield adapter
    await adapter.close()


def start(store: Store, index: Search, batch: int) -> Consumer:
    sink = SearchSink(index, {"n": KIND})
    consumer = Consumer("search", store, sink, ManualClock(), batch=batch, gather_s=0)
    consumer.start()
    return consumer


@pytest.mark.parametrize("batch", [1, 3, 500])
async def test_F9_index_filled_late_equals_the_one_that_followed(
    store: Store, index: Search, batch: int
) -> None:
    """Recalled bodies are blank for who comes late; the answers are the same."""
    talk = Talk(store)
    consumer = start(store, index, batch)
    for n in range(6):
        await talk.note(f"note {n} 发票")
    await asyncio.wait_for(consumer.caught_up(), DEADLINE)
    await talk.edit(2, "收据 2")
    await talk.recall(3)
    await talk.edit(4, "secret")
    await talk.recall(4)
    await talk.edit(3, "note again 发票")
    await asyncio.wait_for(consumer.caught_up(), DEADLINE)
    queries = ["note", "发票", "收据", "secret", "again", "2"]
    followed = [await found(index, query) for query in queries]
    assert followed[:3] == [[6, 5, 1], [6, 5, 1], [2]] and followed[3:5] == [[], []]

    await index.wipe()
    await asyncio.wait_for(consumer.caught_up(), DEADLINE)

    assert [await found(index, query) for query in queries] == followed
    await consumer.stop()


async def test_K8_an_index_from_the_future_of_a_restored_store_is_made_new(
    store: Store, index: Search
) -> None:
    await index.index([(n, AB, Seq(n), "never happened") for n in range(1, 10)], 9)
    await Talk(store).note("happened")
    with capture_logs():
        consumer = start(store, index, 10)
        await asyncio.wait_for(consumer.caught_up(), DEADLINE)

    assert await found(index, "never") == []
    assert await found(index, "happened") == [1]
    await consumer.stop()
