"""The size limits count what they say, and a reason lifts them."""

from __future__ import annotations

import pytest

from size_limits import FUNCTION_LINES, MODULE_LINES, too_long

BODY = "    x = 1\n" * FUNCTION_LINES  # with its `def` line one too many


def faults(source: str) -> list[tuple[int, str]]:
    return list(too_long(source))


def test_a_function_of_the_limit_fits() -> None:
    assert faults("def f():\n" + BODY.removesuffix("    x = 1\n")) == []


def test_one_line_more_does_not() -> None:
    assert faults("\ndef f():\n" + BODY) == [(2, "f has 41 lines, limit 40")]


def test_a_docstring_is_not_counted() -> None:
    lines = '    """Says much.\n\n' + "    More.\n" * 60 + '    """\n'
    assert faults("async def f():\n" + lines + BODY.removesuffix("    x = 1\n")) == []


@pytest.mark.parametrize(
    ("above", "fits"),
    [
        ("# size: a table of states\n", True),
        ("# size: a table of states\n@cache\n", True),
        ("# size:\n", False),
        ("# size: too far away\n\n", False),
    ],
)
def test_a_reason_stands_right_above(above: str, fits: bool) -> None:
    assert (faults("import x\n" + above + "def f():\n" + BODY) == []) is fits


def test_a_long_module_gives_its_reason_at_the_top() -> None:
    tail = "x = 1\n" * MODULE_LINES
    assert faults("import x\n" + tail) == [(1, "module has 401 lines, limit 400")]
    assert faults("# size: one table\nimport x\n" + tail) == []


def test_a_functions_reason_is_not_the_modules() -> None:
    source = "# size: one function\ndef f(): ...\n" + "x = 1\n" * MODULE_LINES
    assert len(faults(source)) == 1


def test_a_module_that_cannot_be_read_is_a_fault() -> None:
    assert faults("x = 1\ndef f(:\n") == [(2, "cannot be read: invalid syntax")]
