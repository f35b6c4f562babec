"""Say which modules and functions are too long: `size_limits.py FOLDER...`.

A module has at most 400 lines, a function at most 40 without its docstring. A longer one gives
its reason in a comment `# size: reason`: for a function on the line above it (or above its
decorators), for a module among its first lines, before the first class or function.

Exit status: 0 all fit, 1 something is too long.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

MODULE_LINES = 400
FUNCTION_LINES = 40
REASON = re.compile(r"\s*# size: \S")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def too_long(source: str) -> Iterator[tuple[int, str]]:
    """Yield (line, what is wrong) for one module."""
    lines = source.splitlines()
    try:
        tree = ast.parse(source)
    except SyntaxError as problem:
        yield problem.lineno or 1, f"cannot be read: {problem.msg}"
        return
    if len(lines) > MODULE_LINES and not _module_reason(tree, lines):
        yield 1, f"module has {len(lines)} lines, limit {MODULE_LINES}"
    for node in ast.walk(tree):
        if isinstance(node, Function) and (length := _length(node)) > FUNCTION_LINES:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if first < 2 or not REASON.match(lines[first - 2]):
                yield node.lineno, f"{node.name} has {length} lines, limit {FUNCTION_LINES}"


def _length(node: Function) -> int:
    """Lines from `def` to the end, without the docstring."""
    length = (node.end_lineno or node.lineno) - node.lineno + 1
    if ast.get_docstring(node, clean=False) is not None:
        text = node.body[0]
        length -= (text.end_lineno or text.lineno) - text.lineno + 1
    return length


def _module_reason(tree: ast.Module, lines: list[str]) -> bool:
    """Whether a reason stands above the first class or function (but not as its own reason)."""
    first = len(lines)
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)]) - 2
            break
    return any(REASON.match(line) for line in lines[: max(first, 0)])


def main(folders: list[str]) -> int:
    """Check every module below `folders`."""
    faults = 0
    for folder in folders:
        for path in sorted(Path(folder).rglob("*.py")):
            for line, fault in too_long(path.read_text("utf-8")):
                faults += 1
                print(f"{path}:{line}: {fault} (shorten it, or say why: # size: …)")
    return min(faults, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
