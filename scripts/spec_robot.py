"""Compare the numbered rules of the specification with the names of the tests.

A rule is a line `- **D3** text.` in `docs/spec/*.md`, with one letter or two; all rules of a letter
stand in one file and are numbered from 1 without a hole. A test proves a rule by its name:
`test_D3_…`, or `test_D3_D4_…` for several. `spec_robot.py [ROOT]` prints every fault, then a count.

Exit status: 0 each rule has a test and each named rule exists, 1 otherwise.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

SPEC = "docs/spec"
TESTS = ("tests", "src/hongyan/slices")
RULE = re.compile(r"- \*\*([A-Z]{1,2})(\d+)\*\*(.*)")
TEST = re.compile(r"test((?:_[A-Z]{1,2}\d+)+)(?:_|$)")


class Rule(NamedTuple):
    """One numbered line of the specification."""

    letter: str
    number: int
    text: str
    path: Path
    line: int

    @property
    def id(self) -> str:
        """For example D3."""
        return f"{self.letter}{self.number}"

    @property
    def place(self) -> str:
        """Where to click."""
        return f"{self.path}:{self.line}"


def read_rules(root: Path) -> list[Rule]:
    """All rules, in the order of the files."""
    rules = []
    for path in sorted((root / SPEC).glob("*.md")):
        for line, text in enumerate(path.read_text("utf-8").splitlines(), start=1):
            if found := RULE.match(text):
                letter, number, rest = found.groups()
                rules.append(Rule(letter, int(number), rest.strip(), path.relative_to(root), line))
    return rules


def read_tests(root: Path) -> dict[str, list[str]]:
    """Rule id to the tests that name it, as `path:line`."""
    tests: dict[str, list[str]] = defaultdict(list)
    for folder in TESTS:
        for path in sorted((root / folder).rglob("*.py")):
            for node in ast.walk(_parse(path)):
                if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    continue
                if found := TEST.match(node.name):
                    for rule in found[1].split("_")[1:]:
                        tests[rule].append(f"{path.relative_to(root)}:{node.lineno}")
    return tests


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text("utf-8"), str(path))
    except SyntaxError as problem:
        sys.exit(f"{path}:{problem.lineno}: cannot be read: {problem.msg}")


def faults(rules: list[Rule], tests: dict[str, list[str]]) -> list[str]:
    """What does not fit together, one line each."""
    found = []
    seen: dict[str, Rule] = {}
    letters: dict[str, list[Rule]] = defaultdict(list)
    for rule in rules:
        if (first := seen.setdefault(rule.id, rule)) is not rule:
            found.append(f"{rule.place}: {rule.id} is also at {first.place}")
        elif rule.path != (home := (letters[rule.letter] or [rule])[0].path):
            found.append(f"{rule.place}: {rule.id}, but the rules {rule.letter} are in {home}")
        if not rule.text:
            found.append(f"{rule.place}: {rule.id} says nothing")
        if rule.id not in tests:
            found.append(f"{rule.place}: {rule.id} has no test")
        letters[rule.letter].append(rule)
    for letter, group in letters.items():
        numbers = {rule.number for rule in group}
        holes = sorted(set(range(1, max(numbers) + 1)) - numbers)
        found += [f"{group[0].path}: {letter}{hole} is missing" for hole in holes]
    for rule_id, places in tests.items():
        if rule_id not in seen:
            found.extend(f"{place}: names {rule_id}, which is no rule" for place in places)
    return found


def main(root: Path) -> int:
    """Print the faults and the count."""
    rules, tests = read_rules(root), read_tests(root)
    found = faults(rules, tests)
    if not rules:
        found.append(f"{SPEC}: no rules found")
    for fault in found:
        print(fault)
    letters = sorted({rule.letter for rule in rules})
    print(f"{len(rules)} rules ({' '.join(letters)}), {sum(map(len, tests.values()))} proofs")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
