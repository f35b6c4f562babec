"""Unwanted words: lists, and what is found of them."""

from __future__ import annotations

import asyncio
import os
import time
import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from hongyan.adapters.wordfilter import WordFilter
from hongyan.adapters.wordlist import BadList, WordList, folded
from hongyan.cli import main
from hongyan.model.ids import TenantId

MAIN, SHOP = TenantId("main"), TenantId("shop")
LIST = WordList(
    [
        "# a comment",
        "",
        "ass",
        "fuck",
        "发票=fa piao",
        "代开发票",
        "*spam*",
        "微信 # here",
        "Straße",
    ]
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        ("hello there", ()),
        ("what an ASS", ("ass",)),
        ("class assume grass", ()),
        ("f.u.c.k", ("fuck",)),
        ("F U-C_K!", ("fuck",)),
        ("ＦＵＣＫ", ("fuck",)),
        ("fück", ("fuck",)),
        ("f\u200bu\u00adc\u0301k", ("fuck",)),
        ("this hit, was so", ()),
        ("你fuck吗", ("fuck",)),
        ("请开发票", ("发票",)),
        ("发 票", ("发票",)),
        ("发·票", ("发票",)),
        ("发。票", ()),
        ("fa piao", ("发票",)),
        ("FAPIAO", ("发票",)),
        ("发piao", ("发票",)),
        ("fa票", ("发票",)),
        ("kaifapiao", ()),
        ("代开发票", ("代开发票", "发票")),
        ("antispammer", ("spam",)),
        ("加微信", ("微信",)),
        ("STRASSE", ("Straße",)),
        ("fuck fuck ass", ("fuck", "ass")),
    ],
)
def test_LR8_words_are_found_however_they_are_dressed_up(text: str, words: tuple[str, ...]) -> None:
    assert LIST.find(text) == words


@pytest.mark.parametrize("line", ["...", "发票=fa", "x" * 65, "\u200b"])
def test_LR8_a_line_that_cannot_be_is_named(line: str) -> None:
    with pytest.raises(BadList, match=r"words\.txt, line 2: "):
        WordList(["fine", line], "words.txt")


@given(st.text())
def test_LR8_the_one_form_is_one(text: str) -> None:
    assert folded(folded(text)) == folded(text)


SIMPLE = st.text("abcd发票微信代", min_size=1, max_size=6)


@given(st.lists(SIMPLE, max_size=8), st.text("abcd发票微信代. ", max_size=30))
def test_LR8_every_word_is_found_where_a_plain_search_finds_it(words: list[str], text: str) -> None:
    """Against a model: each listed word by itself, in the text without what stands between."""
    bare = text.replace(".", "").replace(" ", "")
    found = WordList([f"*{word}*" for word in words]).find(text)
    assert set(found) == {word for word in words if word in bare}


@given(st.text("abcdef", min_size=1, max_size=5), st.sampled_from([" ", ".", "-", "\u200b", "*"]))
def test_LR8_what_stands_between_hides_nothing(word: str, between: str) -> None:
    assert WordList([word]).find(between.join(word)) == (word,)
    assert WordList([word]).find(unicodedata.normalize("NFKC", word).upper()) == (word,)


def write(path: Path, text: str) -> None:
    """As an editor does: a new file in place of the old one."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text, "utf-8")
    os.replace(fresh, path)


async def test_LR8_lists_are_read_again_when_they_change(tmp_path: Path) -> None:
    everyone, shop = tmp_path / "all.txt", tmp_path / "shop.txt"
    write(everyone, "\ufeffbad\n")
    write(shop, "cheap\n")
    words = WordFilter([("*", str(everyone)), ("shop", str(shop))])
    assert words.judge(MAIN, "bad cheap worse") == ("bad",)
    assert words.judge(SHOP, "bad cheap worse") == ("bad", "cheap")
    write(everyone, "worse\n")
    await words.look()
    assert words.judge(MAIN, "bad cheap worse") == ("worse",)
    await words.look()
    assert (words.reloads, words.failures) == (1, 0)

    write(everyone, "worse\n...\n")  # of no use: the old words hold
    await words.look()
    assert words.judge(MAIN, "worse") == ("worse",)
    assert (words.reloads, words.failures) == (1, 1)
    await words.look()
    assert words.failures == 1  # said once
    everyone.unlink()
    await words.look()
    assert words.judge(MAIN, "worse") == ("worse",)
    write(everyone, "better\n")
    await words.look()
    assert words.judge(MAIN, "worse better") == ("better",)


async def test_LR8_a_change_is_noticed_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "all.txt"
    write(path, "one\n")
    words = WordFilter([("*", str(path))])
    words.start(0.01)
    write(path, "one\ntwo\n")
    async with asyncio.timeout(10):
        while not words.judge(MAIN, "two"):  # noqa: ASYNC110  # the file system has no events here
            await asyncio.sleep(0.01)
    await words.stop()


async def test_LR8_the_loop_goes_on_while_a_large_list_is_read(tmp_path: Path) -> None:
    path = tmp_path / "all.txt"
    write(path, "one\n")
    words = WordFilter([("*", str(path))])
    write(path, "\n".join(f"word{number}" for number in range(100_000)))
    turns, looking = 0, asyncio.create_task(words.look())
    began = time.monotonic()
    while not looking.done():
        await asyncio.sleep(0)
        turns += 1
    assert len(words) == 100_000
    assert turns > 10, f"{turns} turns in {time.monotonic() - began} s"


def test_LR8_files_that_cannot_be_used_are_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(BadList, match=r"none\.txt"):
        WordFilter([("*", str(tmp_path / "none.txt"))])
    bad = tmp_path / "bad.txt"
    bad.write_bytes(b"ok\n\xff\xfe\n")
    with pytest.raises(BadList, match="UTF-8"):
        WordFilter([("*", str(bad))])


def test_LR8_words_check_says_what_is_found(tmp_path: Path) -> None:
    path = tmp_path / "all.txt"
    write(path, "发票=fa piao\n")
    config = tmp_path / "hongyan.toml"
    config.write_text(f'[[words.files]]\nfile = "{path}"\n')
    for more in (["--list", str(path)], ["--config", str(config)]):
        found = CliRunner().invoke(main, ["words", "check", "开 FA PIAO", *more])
        assert (found.exit_code, found.stdout) == (1, "发票\n")
    none = CliRunner().invoke(main, ["words", "check", "hello", "--list", str(path)])
    assert (none.exit_code, none.stdout) == (0, "")
    write(path, "...\n")
    broken = CliRunner().invoke(main, ["words", "check", "hello", "--list", str(path)])
    assert broken.exit_code == 2
    assert "line 1" in broken.output
