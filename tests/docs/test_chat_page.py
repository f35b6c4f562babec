"""The chat page says what the code does: every call, argument, entry and setting, and no other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hongyan.model.kind import Kind
from hongyan.slices.chat import bodies, content
from hongyan.slices.chat.kinds import KINDS as CHAT
from hongyan.slices.own.kinds import KINDS as OWN
from hongyan.slices.own.rules import BODIES as OWN_BODIES

PAGE = (Path(__file__).parents[2] / "docs/chat.md").read_text("utf-8")
KINDS: tuple[Kind, ...] = (*CHAT, *OWN)
COMMANDS: dict[str, Any] = {
    str(command.__struct_config__.tag): command  # type: ignore[attr-defined]
    for kind in KINDS
    for command in kind.rules
}
SECTIONS = {
    heading.strip(): text
    for heading, text in re.findall(r"^##+ ([^\n]+)\n(.*?)(?=^##|\Z)", PAGE, re.M | re.S)
}


def table(text: str, head: str) -> dict[str, list[str]]:
    """The rows of the table whose first column is called `head`: first cell to the others."""
    found = re.search(rf"^\| {head} \|.*\n\|[-|]+\n((?:\|.*\n?)*)", text, re.M)
    rows = found[1].splitlines() if found else []
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {first.strip("`"): rest for first, *rest in cells}


def test_the_page_has_every_call_and_no_other() -> None:
    assert {name for name in SECTIONS if "." in name} == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_page_has_every_argument_of_a_call(name: str) -> None:
    arguments = table(SECTIONS[name], "argument")
    assert list(arguments) == list(COMMANDS[name].__struct_fields__)
    assert ("No arguments." in SECTIONS[name]) == (not arguments)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_page_names_the_entries_that_a_call_writes(name: str) -> None:
    """Only the names are checked here; that they are written is what the rules' tests say."""
    known = {*bodies.BODIES, *OWN_BODIES}
    for sentence in re.findall(r"[Ww]rites ([^.:;]*)", SECTIONS[name]):
        written = set(re.findall(r"`(\w+)`", sentence.split(" with ")[0].split(" (")[0]))
        assert written <= known and (written or "nothing" in sentence or "Nothing" in sentence)


def test_the_page_has_every_entry_with_the_fields_of_its_body() -> None:
    rows = table(SECTIONS["Entries"], "entry")
    every: dict[str, Any] = {**bodies.BODIES, **OWN_BODIES}
    assert set(rows) == set(every)
    for name, body in every.items():
        if name != "edit":
            outer = re.sub(r"\([^)]*\)", "", rows[name][0])
            assert re.findall(r"`(\w+)`", outer) == list(body.__struct_fields__), name


def test_the_page_has_every_content_with_its_fields() -> None:
    rows = table(SECTIONS["chat.send"], "`type` of content")
    types = {str(t.__struct_config__.tag): t for t in content.Content.__args__}
    assert set(rows) == set(types)
    for name, struct in types.items():
        outer = re.sub(r"\([^)]*\)", "", rows[name][0])
        assert re.findall(r"`(\w+)`", outer)[: len(struct.__struct_fields__)] == list(
            struct.__struct_fields__
        ), name


def test_the_page_has_every_setting_with_its_default() -> None:
    rows = table(SECTIONS["Settings of the server"], "setting")
    defaults = {key: value for kind in KINDS for key, value in kind.defaults.items()}
    assert {key: row[0] for key, row in rows.items()} == {
        key: msgspec.json.encode(value).decode() for key, value in defaults.items()
    }
