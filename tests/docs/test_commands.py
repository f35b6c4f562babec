"""What the pages tell a reader to type can be typed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from hongyan.cli import main

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^ *```(?:sh|bash|shell|console)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
STANDS_FOR = {"scripts/serve": ["serve"], "scripts/bench": ["bench"]}  # scripts that pass on


def commands(page: Path) -> Iterator[list[str]]:
    """Arguments of each `hongyan …` in the shell blocks of a page."""
    for block in BLOCK.findall(page.read_text("utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.strip().removeprefix("$ "), comments=True)
            words = words[: next((i for i, w in enumerate(words) if w in "|>&&;"), None)]
            if words[:1] == ["hongyan"]:
                yield words[1:]
            elif words and words[0] in STANDS_FOR and words[1:] != ["store"]:
                yield STANDS_FOR[words[0]] + words[1:]


def parse(args: list[str]) -> str:
    """What the command line says against these arguments, "" for nothing. Runs no command:
    names of commands and options are checked before `--help` is obeyed."""
    result = CliRunner().invoke(main, [*args, "--help"])
    return "" if result.exit_code == 0 else result.output


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_the_pages_exist(page: Path) -> None:
    wrong = [(args, said) for args in commands(page) if (said := parse(args))]
    assert wrong == []


def test_a_wrong_command_is_noticed() -> None:
    assert "no-such" in parse(["no-such"])
    assert "--no-such" in parse(["serve", "--no-such"])


def test_pages_with_commands_are_read() -> None:
    assert len(list(commands(ROOT / "docs/quickstart.md"))) >= 4
