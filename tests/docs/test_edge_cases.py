"""The page of edge cases names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/edge-cases.md"
NAMED = re.compile(r"`((?:tests|src)/[\w/]+\.py)::(\w+)`")


def names_in(path: Path) -> set[str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(path.read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, functions)}


def missing(page: str) -> list[str]:
    """What `page` names and is not there."""
    return [
        f"{path}::{test}"
        for path, test in NAMED.findall(page)
        if not (ROOT / path).is_file() or test not in names_in(ROOT / path)
    ]


def test_every_named_test_exists() -> None:
    page = PAGE.read_text("utf-8")
    assert len(NAMED.findall(page)) > 60
    assert missing(page) == []


def test_a_wrong_name_is_noticed() -> None:
    here = "tests/docs/test_edge_cases.py"
    page = (
        f"`{here}::test_no_such` `tests/no_such.py::test_x` `{here}::test_a_wrong_name_is_noticed`"
    )
    assert missing(page) == [f"{here}::test_no_such", "tests/no_such.py::test_x"]


def test_every_case_has_a_test_or_a_reason() -> None:
    sections = PAGE.read_text("utf-8").split("## Not in this version")[0]
    rows = [line for line in sections.splitlines() if line.startswith("| ")]
    cases = [row for row in rows if not row.startswith(("| case |", "| what holds |"))]
    assert len(cases) > 40
    assert [
        row for row in cases if not NAMED.search(row) and "not in this version" not in row
    ] == []
