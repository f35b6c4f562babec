"""The page of rooms says what the code does: every call, argument, entry, item and setting."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.docs.test_chat_page import table

from hongyan.adapters.wordlist import WordList
from hongyan.engine.queries import Danmaku as DanmakuQuery
from hongyan.slices.room import bodies as b
from hongyan.slices.room.kinds import ROOM_KIND
from hongyan.slices.room.state import Room, totals_of, values_of

PAGE = (Path(__file__).parents[2] / "docs/room.md").read_text("utf-8")
COMMANDS: dict[str, Any] = {
    str(command.__struct_config__.tag): command  # type: ignore[attr-defined]
    for command in ROOM_KIND.rules
}
SECTIONS = {
    heading.strip(): text
    for heading, text in re.findall(r"^##+ ([^\n]+)\n(.*?)(?=^##|\Z)", PAGE, re.M | re.S)
}
ENTRIES: dict[str, Any] = {
    "created": b.Created,
    "changed": b.Changed,
    "gift": b.Given,
    "announcement": b.Announced,
    "order": b.Kept,
}
ITEMS: dict[str, Any] = {"danmaku": b.Danmaku, "deleted": b.Deleted, "came": b.Came}


def test_the_page_has_every_call_and_no_other() -> None:
    assert {name for name in SECTIONS if "." in name} == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_page_has_every_argument_of_a_call(name: str) -> None:
    assert list(table(SECTIONS[name], "argument")) == list(COMMANDS[name].__struct_fields__)


@pytest.mark.parametrize(("heading", "bodies"), [("Entries", ENTRIES), ("Items", ITEMS)])
def test_the_page_has_every_body_with_its_fields(heading: str, bodies: dict[str, Any]) -> None:
    rows = table(SECTIONS[heading], "entry" if heading == "Entries" else "item")
    assert set(rows) == set(bodies)
    for name, body in bodies.items():
        assert re.findall(r"`(\w+)`", rows[name][0]) == list(body.__struct_fields__), name
    found = {b.Body, *ENTRIES.values(), *ITEMS.values()}
    assert found == {b.Body, *b.Body.__subclasses__()}


def test_the_page_has_every_value() -> None:
    room = Room(host="h", attributes={"KEY": msgspec.Raw(b"1")})  # type: ignore[arg-type]
    rows = table(SECTIONS["Values"], "key")
    assert set(rows) == {*values_of(room), *totals_of(room), "online", "heat"}
    assert re.findall(r"`(\w+)`", rows["room"][0]) == list(values_of(room)["room"])


def test_the_page_has_the_query_of_the_replay() -> None:
    assert list(table(SECTIONS["Replay"], "argument")) == list(DanmakuQuery.__struct_fields__)


def test_the_page_has_every_setting_with_its_default() -> None:
    rows = table(SECTIONS["Settings of the server"], "setting")
    assert {key: row[0] for key, row in rows.items()} == {
        key: msgspec.json.encode(value).decode() for key, value in ROOM_KIND.defaults.items()
    }


def test_the_page_says_of_words_what_is_found() -> None:
    for line, [finds] in table(SECTIONS["Unwanted words"], "line").items():
        found = finds.split(";")[0]
        if line.startswith("*"):
            assert WordList([line]).find("antispammer")
            continue
        for text in re.sub(r"\(.*?\)|also ", "", found).split(", "):
            assert WordList([line]).find(text.strip()), (line, text)
    assert not WordList(["spam"]).find("antispammer")
