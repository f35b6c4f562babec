"""Widths, words and slash commands of the terminal client."""

from __future__ import annotations

import string
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hongyan.cli.tui import words as words_module
from hongyan.cli.tui.content import day_line
from hongyan.cli.tui.slash import ALL, Typed, complete, matching, parse
from hongyan.cli.tui.widths import NOT_FIRST, cell_len, clip, fit, plain, wrap
from hongyan.cli.tui.words import EN, LANGUAGES, ZH, Words, language

TABLE = Path(words_module.__file__)
FOLDER = TABLE.parent
TEXT = st.text(st.sampled_from("ab ,。，你好界（）…\n-👍é/"), max_size=80)


@given(text=TEXT, width=st.integers(2, 20))
def test_N7_wrapped_lines_fit_and_lose_nothing(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_N7_closing_punctuation_does_not_start_a_line() -> None:
    lines = wrap("大家早上好，今天下午三点开会。请准备！", 12)
    assert len(lines) > 2
    assert not any(line[0] in NOT_FIRST for line in lines)


@given(text=st.text(max_size=60), width=st.integers(0, 20))
def test_N7_clipped_and_padded_text_has_its_width(text: str, width: int) -> None:
    shown = plain(text)
    assert cell_len(clip(shown, width)) <= width
    assert cell_len(fit(shown, width)) == width


def test_N7_what_is_written_cannot_steer_the_terminal() -> None:
    assert plain("a\x1b[2Jb\x07\x9b31mc\u202ed\r\ne\tf") == "a[2Jb31mcd\ne    f"


def test_N8_both_languages_have_the_same_texts_and_fields() -> None:
    def fields(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    assert EN.keys() == ZH.keys()
    dates = {"day", "short_day"}  # each language has its own order and parts
    for key in EN.keys() - dates:
        assert fields(EN[key]) == fields(ZH[key]), key
    for texts in LANGUAGES.values():
        assert len(texts["weekdays"].split()) == 7
        assert len(texts["months"].split()) == 12


def test_N8_no_text_is_left_over() -> None:
    code = "".join(path.read_text("utf-8") for path in FOLDER.glob("*.py") if path != TABLE)
    code += TABLE.read_text("utf-8").partition("LANGUAGES")[2]
    code = code.replace("'", '"')
    made_up = ("h_", "s_joined_", "s_role_", "c_")  # put together from a prefix and a name
    unused = [key for key in EN if f'"{key}"' not in code and not key.startswith(made_up)]
    assert unused == []


def test_N8_every_command_has_its_help() -> None:
    for lang in LANGUAGES:
        words = Words(lang)
        assert all(words(f"h_{slash.name}") and slash.usage(words) for slash in ALL)


@pytest.mark.parametrize(
    ("environ", "lang"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LC_ALL": "en_GB.UTF-8", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LC_ALL": "", "LC_MESSAGES": "zh_TW", "LANG": "C"}, "zh"),
        ({}, "en"),
    ],
)
def test_N8_the_environment_chooses_the_language(environ: dict[str, str], lang: str) -> None:
    assert language(environ) == lang


def test_N8_days_read_as_each_language_writes_them() -> None:
    today, day = date(2026, 11, 24), date(2026, 11, 20)
    assert day_line(day, Words("en"), today) == "Friday 20 November 2026"
    assert day_line(day, Words("zh"), today) == "2026年11月20日 星期五"
    assert day_line(date(2026, 11, 23), Words("zh"), today) == "昨天"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("hello", "hello"),
        ("/open bob", Typed("open", "bob")),
        ("/OPEN  bob ", Typed("open", "bob")),
        ("/nonsense", Typed("nonsense", "")),
        ("//open", "/open"),
        ("/", "/"),
        ("/usr/bin is a path", "/usr/bin is a path"),
        ("/edit\nline", Typed("edit", "line")),
    ],
)
def test_N10_what_is_a_command(text: str, found: object) -> None:
    assert parse(text) == found


def test_N10_quotes_keep_a_title_together() -> None:
    assert Typed("group", '"Team one" bob “项目 组”').words == ["Team one", "bob", "项目 组"]


@pytest.mark.parametrize(
    ("text", "done"),
    [
        ("/op", "/open "),
        ("/re", "/re"),  # reply, recall, react
        ("/rea", "/react "),
        ("/open bo", "/open bob"),  # bob or bobby
        ("/open car", "/open carol "),
        ("hi @car", "hi @carol "),
        ("hi car", None),
        ("hi @zed", None),
    ],
)
def test_N10_completion(text: str, done: str | None) -> None:
    assert complete(text, ["bob", "bobby", "carol"]) == done


def test_N10_hints_end_where_arguments_begin() -> None:
    assert [slash.name for slash in matching("/re")] == ["reply", "recall", "react"]
    assert matching("/reply ") == [] == matching("hello")
