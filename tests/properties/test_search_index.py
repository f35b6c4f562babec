"""The index against the plainest meaning of a search: look at every text."""

from __future__ import annotations

import asyncio
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hongyan.adapters.memory.search import MemorySearch
from hongyan.adapters.sqlite_search import SqliteSearch
from hongyan.adapters.words import grams, needles, normal, query_words
from hongyan.model.errors import BadArgs
from hongyan.model.ids import LogId, Seq, TenantId
from hongyan.ports import Hit, Search

LOGS = [LogId("main/g/one"), LogId("main/g/two"), LogId("other/g/one")]

# Few characters, so that words meet; odd ones, so that forms and borders do too.
LETTERS = "abAB12发票월ｅéеßﬁΣσςİ ,\"*'-\u0301\u200d\ufe0f👍🏽\t"
phrase = st.text(alphabet=LETTERS, max_size=12)
anything = st.text(max_size=12)
change = st.tuples(st.sampled_from(LOGS), st.integers(1, 4), st.one_of(phrase, anything))
query = st.tuples(
    st.sampled_from([TenantId("main"), TenantId("other")]),
    st.one_of(phrase, anything),
    st.sampled_from([None, *LOGS]),
    st.one_of(st.integers(0, 40), st.just(2**63 - 1)),
    st.integers(1, 5),
)


def plain_words(text: str) -> list[str]:
    """Words by the letter of rule F1, with no table and no memo."""
    seen = "".join(
        c for c in text
        if unicodedata.category(c) != "Cf" and not unicodedata.name(c, "").startswith("VARIATION")
    )  # fmt: skip
    form = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold())
    kept = [
        c if unicodedata.category(c)[0] in "LNM" or unicodedata.category(c) == "So" else " "
        for c in form
    ]
    return "".join(kept).split(" ")


class Oracle:
    def __init__(self) -> None:
        self.first: dict[tuple[str, int], int] = {}
        self.texts: dict[tuple[str, int], str] = {}
        self.erased: set[tuple[str, int]] = set()

    def change(self, pos: int, log: str, seq: int, text: str) -> None:
        if text == "":
            self.erased.add((log, seq))
        self.first.setdefault((log, seq), pos)
        self.texts[log, seq] = "" if (log, seq) in self.erased else text

    def find(self, tenant: str, text: str, log: str | None, before: int, limit: int) -> list[Hit]:
        wanted = [word for word in plain_words(text) if word]
        hits = [
            Hit(self.first[place], LogId(place[0]), Seq(place[1]))
            for place, has in self.texts.items()
            if place[0].startswith(tenant + "/") and (log is None or place[0] == log)
            if all(any(word in own for own in plain_words(has)) for word in wanted)
            if self.first[place] < before and place not in self.erased
        ]
        return sorted(hits, key=lambda hit: -hit.pos)[:limit] if wanted else []


async def agree(
    search: Search, changes: list[tuple[LogId, int, str]], cut: int, queries: list[tuple]
) -> None:  # type: ignore[type-arg]
    oracle = Oracle()
    feed = [(pos, log, Seq(seq), text) for pos, (log, seq, text) in enumerate(changes, 1)]
    for at in range(0, len(feed), cut):
        batch = feed[at : at + cut]
        await search.index(batch, batch[-1][0])
        for item in batch:
            oracle.change(*item)
    for tenant, text, log, before, limit in queries:
        try:
            found = await search.find(tenant, text, log=log, before=before, limit=limit)
        except BadArgs:
            assert not any(plain_words(text)) or len(plain_words(text)) > 8
            continue
        assert found == oracle.find(tenant, text, log, before, limit), (text, log)


@pytest.mark.parametrize("adapter", ["memory", "sqlite"])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    changes=st.lists(change, min_size=1, max_size=30),
    cut=st.integers(1, 8),
    queries=st.lists(query, min_size=1, max_size=12),
)
def test_F1_the_index_finds_what_looking_at_every_text_finds(
    adapter: str,
    changes: list[tuple[LogId, int, str]],
    cut: int,
    queries: list[tuple],  # type: ignore[type-arg]
) -> None:
    """Whatever is written, edited and removed, in whatever batches."""

    async def play() -> None:
        with tempfile.TemporaryDirectory() as folder:
            search: Search = (
                MemorySearch() if adapter == "memory" else SqliteSearch(Path(folder) / "search.db")
            )
            try:
                parts = [text[at : at + 3] for _, _, text in changes for at in range(0, 6, 2)]
                asked = [(TenantId("main"), part, None, 2**63 - 1, 5) for part in parts if part]
                await agree(search, changes, cut, queries + asked)
            finally:
                await search.close()

    asyncio.run(play())


@given(st.one_of(anything, phrase))
def test_F1_the_form_of_a_word_is_final(text: str) -> None:
    assert normal(normal(text)) == normal(text)
    assert [word for word in plain_words(text) if word] == normal(text).split()


@given(st.one_of(anything, phrase), st.integers(0, 12), st.integers(1, 6))
def test_F1_a_text_has_all_grams_of_its_parts(text: str, start: int, size: int) -> None:
    """No part of a word can be asked for that the index would not give."""
    for word in normal(text).split():
        part = word[start % len(word) :][:size]
        assert needles(part) <= grams(normal(text))
        assert all(
            0 < len(gram) <= 3 and '"' not in gram and " " not in gram for gram in needles(part)
        )


def test_F1_a_word_inside_another_word_of_the_query_asks_nothing_more() -> None:
    assert query_words("voi Invoice 发 INV 发票 ") == ["invoice", "发票"]
