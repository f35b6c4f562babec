"""What every Search adapter promises (rules F)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hongyan.adapters.memory.search import MemorySearch
from hongyan.adapters.sqlite_search import SqliteSearch
from hongyan.model.errors import BadArgs
from hongyan.model.ids import LogId, Seq, TenantId
from hongyan.ports import Search

MAIN = TenantId("main")
AB = LogId("main/d/alice~bob")
GROUP = LogId("main/g/7zz")
OTHER = LogId("other/d/alice~bob")


@pytest.fixture(params=["memory", "sqlite"])
async def search(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Search]:
    adapter: Search = (
        MemorySearch() if request.param == "memory" else SqliteSearch(tmp_path / "search.db")
    )
    yield adapter
    await adapter.close()


async def fill(search: Search, *texts: str, log: LogId = AB) -> None:
    """Texts as seqs 1, 2, … at positions 10, 20, …"""
    items = [(10 * n, log, Seq(n), text) for n, text in enumerate(texts, 1)]
    await search.index(items, 10 * len(texts))


async def seqs(
    search: Search, text: str, log: LogId | None = None, tenant: str = "main"
) -> list[int]:
    hits = await search.find(TenantId(tenant), text, log=log, before=2**63 - 1, limit=100)
    return [hit.seq for hit in hits]


TEXT = (
    "请开发票 Invoice №42 给张三，3月15日前。Straße ＡＢＣ naïve ok👍🏽 don't e-mail"
    " привет ไทย がぎ 한국어"
)
FOUND = [
    "发票", "开发票", "请开发票", "票", "发", "张三", "3月", "15日前",  # Chinese of any length
    "invoice", "INVOICE", "voi", "oic", "in", "v", "42", "no42", "4",  # words and parts, any case
    "strasse", "STRASSE", "straße", "abc", "ABC", "ａｂｃ", "naïve", "nai\u0308ve",  # one form
    "nai\u200d\u0308ve",
    "ok", "👍", "👍🏿", "don't", "e-mail", "mail", "привет", "ПРИВЕТ",
    "вет", "ไทย", "がぎ", "한국",
    "发票 invoice 3月", "3月，发票", "invoice invoice invoice", "  票\n42\t", "in\u00advoice",
]  # fmt: skip
ABSENT = [
    "发标", "票发", "开票", "invoices", "inv0ice", "xyz", "q", "43", "发票 quittung", "月3",
    "strase", "naive", "票invoice", "ключ", "log1", "tenant1", "main", "alice", "1月",
]  # fmt: skip


@pytest.mark.parametrize("query", FOUND)
async def test_F1_every_word_of_the_query_anywhere_in_the_text(search: Search, query: str) -> None:
    await fill(search, "elsewhere", TEXT, "")

    assert await seqs(search, query) == [2]
    assert await seqs(search, query, AB) == [2]


@pytest.mark.parametrize("query", ABSENT)
async def test_F1_a_word_that_is_not_there_is_not_found(search: Search, query: str) -> None:
    await fill(search, "elsewhere", TEXT)

    assert await seqs(search, query) == []


async def test_F1_grams_of_a_word_apart_are_no_hit(search: Search) -> None:
    await fill(search, "abcd bcde", "发票票据", "abcde", "发票据", "abc bcd", "вгд где", "вгде")

    assert await seqs(search, "abcde") == [3]
    assert await seqs(search, "发票据") == [4]
    assert await seqs(search, "abcd") == [3, 1]
    assert await seqs(search, "вгде") == [7]


@pytest.mark.parametrize(
    "query",
    ["", " ", "\t\n", "!?", "…，。", "*", '"', "'", "-", "\u200b", "\ufe0f", "\0", "\ud800"],
)
async def test_F2_a_text_without_words_is_refused(search: Search, query: str) -> None:
    await fill(search, TEXT)

    with pytest.raises(BadArgs, match="text"):
        await seqs(search, query)


async def test_F2_length_of_a_query_is_bounded(search: Search) -> None:
    await fill(search, "x" * 300, " ".join("abcdefghijklmnop"))

    assert await seqs(search, "x" * 256) == [1]
    assert await seqs(search, " ".join("abcdefghijklmnop")) == [2]
    for query in ("x" * 257, " ".join("abcdefghijklmnopq")):
        with pytest.raises(BadArgs, match="at most"):
            await seqs(search, query)


@pytest.mark.parametrize(
    "query",
    [
        'hello" OR "x', "hello OR x", "hello AND x", "NOT x", "hello NEAR(x)", "hel*",
        "words:hello",
        "{words}: hello", "^hello", "hello + x", "hello) --", "'; drop table messages; --",
        "hello\0x",
        '""', "%", "_", "h%o", "h_llo", "?1", "$a", ":a", "@a", "\\", "log1 hello", "-hello",
    ],
)  # fmt: skip
async def test_F3_nothing_in_a_query_is_syntax(search: Search, query: str) -> None:
    """The query's words, taken one by one, decide: never an operator among them."""
    await fill(search, "hello", "x", "hello x")
    words = "".join(c if c.isalnum() else " " for c in query).lower().split()
    texts = {1: "hello", 2: "x", 3: "hello x"}

    if not words:
        with pytest.raises(BadArgs):
            await seqs(search, query)
        return
    expected = [n for n in (3, 2, 1) if all(word in texts[n] for word in words)]
    assert await seqs(search, query) == expected


async def test_F4_newest_first_and_pages_meet_exactly_while_messages_arrive(search: Search) -> None:
    await search.index([(n, AB, Seq(n), f"note {n}") for n in range(1, 101)], 100)
    before, got = 2**63 - 1, []
    while page := await search.find(MAIN, "note", log=None, before=before, limit=7):
        assert len(page) <= 7
        got += [hit.pos for hit in page]
        before = page[-1].pos
        at = 100 + len(got)
        await search.index([(at, AB, Seq(at), "note new")], at)  # arrives while one reads
        await search.index([(at + 1, AB, Seq(1), "note edited")], at + 1)  # an edit moves nothing

    assert got == list(range(100, 0, -1))


@pytest.mark.parametrize("before, limit", [(0, 10), (-5, 10), (10, 10), (2**70, 0), (11, 10)])
async def test_F4_before_and_limit_are_taken_literally(
    search: Search, before: int, limit: int
) -> None:
    await fill(search, "word", "word")

    hits = await search.find(MAIN, "word", log=None, before=before, limit=limit)

    assert [hit.pos for hit in hits] == ([10] if before == 11 else [])


async def test_F5_a_search_sees_one_tenant_and_if_asked_one_log(search: Search) -> None:
    items = [(1, AB, "word one"), (2, GROUP, "word two"), (3, OTHER, "word three")]
    await search.index([(pos, log, Seq(pos), text) for pos, log, text in items], 3)

    assert await seqs(search, "word") == [2, 1]
    assert await seqs(search, "word", AB) == [1]
    assert await seqs(search, "word", tenant="other") == [3]
    assert await seqs(search, "word", OTHER) == []  # a log of another tenant
    assert await seqs(search, "word", OTHER, tenant="other") == [3]
    assert await seqs(search, "word", LogId("main/d/nobody~here")) == []
    assert await seqs(search, "word", tenant="nobody") == []


async def test_F6_an_edit_replaces_and_keeps_its_place(search: Search) -> None:
    await fill(search, "old words", "newer")
    await search.index([(30, AB, Seq(1), "new words"), (40, AB, Seq(1), "newest words")], 40)

    assert await seqs(search, "old") == []
    assert await seqs(search, "words") == [1]
    assert await seqs(search, "new") == [2, 1]  # by the place of the message, not of the edit


async def test_F6_an_edit_to_nothing_may_be_followed_by_words(search: Search) -> None:
    await fill(search, "old")
    await search.index([(20, AB, Seq(1), " ")], 20)
    assert await seqs(search, "old") == []

    await search.index([(30, AB, Seq(1), "back")], 30)

    assert await seqs(search, "back") == [1]


async def test_F7_a_removed_text_stays_away(search: Search) -> None:
    await fill(search, "secret", "other", "secret too")
    await search.index([(40, AB, Seq(1), ""), (41, AB, Seq(1), "secret edited")], 41)
    await search.index([(50, AB, Seq(1), "secret again"), (51, GROUP, Seq(1), "secret here")], 51)

    hits = await search.find(MAIN, "secret", log=None, before=99, limit=10)

    assert [(hit.log, hit.seq) for hit in hits] == [(GROUP, 1), (AB, 3)]


async def test_F7_removing_what_never_was_is_no_error(search: Search) -> None:
    await search.index([(1, AB, Seq(5), ""), (2, AB, Seq(5), "")], 2)

    assert await search.position() == 2


async def test_F8_the_position_moves_with_the_data_and_only_forward(search: Search) -> None:
    assert await search.position() == 0
    await search.index([(3, AB, Seq(1), "one")], 7)
    assert await search.position() == 7
    await search.index([], 9)
    assert await search.position() == 9
    await search.index([], 4)
    assert await search.position() == 9


async def test_F8_a_batch_that_comes_again_changes_nothing(search: Search) -> None:
    batch = [
        (1, AB, Seq(1), "one"),
        (2, AB, Seq(2), "two"),
        (3, AB, Seq(1), "uno"),
        (4, AB, Seq(2), ""),
    ]
    await search.index(batch, 4)
    await search.index([(5, AB, Seq(1), "eins")], 5)

    await search.index(batch, 4)
    await search.index(batch[:1], 1)

    assert await seqs(search, "eins") == [1]
    assert await seqs(search, "one") == await seqs(search, "uno") == await seqs(search, "two") == []
    assert await search.position() == 5


async def test_F9_wiped_and_filled_again_gives_the_same_answers(search: Search) -> None:
    feed = [
        (n, AB if n % 3 else GROUP, Seq(n % 20 + 1), f"note {n % 7} 第{n}号") for n in range(1, 80)
    ]
    feed += [(n, AB, Seq(n % 5), "") for n in range(80, 90)]
    queries = ["note", "3", "第", "号 5", "第7"]
    await search.index(feed, 90)
    before = [await search.find(MAIN, q, log=None, before=999, limit=99) for q in queries]
    assert all(before)

    await search.wipe()
    assert await search.position() == 0
    assert await seqs(search, "note") == []
    for at in range(0, len(feed), 13):
        await search.index(feed[at : at + 13], feed[at : at + 13][-1][0])

    after = [await search.find(MAIN, q, log=None, before=999, limit=99) for q in queries]
    assert after == before


async def test_F1_long_texts_are_searched_to_their_end(search: Search) -> None:
    await fill(search, "啊" * 20_000 + " 终于 finally", "ab " * 20_000 + "needle")

    assert await seqs(search, "终于") == [1]
    assert await seqs(search, "finally") == [1]
    assert await seqs(search, "needle") == [2]


async def test_close_twice(search: Search) -> None:
    await search.close()
    await search.close()
