"""The robot that compares rules and tests finds each kind of fault."""

from __future__ import annotations

from pathlib import Path

import pytest

import spec_robot

RULES = "# Durable\n\n- **D1** An ack means disk.\n- **D2** A retry is applied once.\n"
# Put together here, or the robot would take these names for proofs of hongyan's own rules.
BOTH = "async def test" + "_D1_D2_all() -> None: ...\n"


def project(root: Path, *, spec: dict[str, str], tests: str) -> Path:
    (root / "docs/spec").mkdir(parents=True)
    (root / "tests/unit").mkdir(parents=True)
    for name, text in spec.items():
        (root / "docs/spec" / name).write_text(text, "utf-8")
    (root / "tests/unit/test_it.py").write_text(tests, "utf-8")
    return root


def found(root: Path) -> list[str]:
    return spec_robot.faults(spec_robot.read_rules(root), spec_robot.read_tests(root))


def test_nothing_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = project(tmp_path, spec={"durable.md": RULES}, tests=BOTH)
    assert spec_robot.main(root) == 0
    assert capsys.readouterr().out == "2 rules (D), 2 proofs\n"


def test_no_rules_at_all_is_a_fault(tmp_path: Path) -> None:
    assert spec_robot.main(project(tmp_path, spec={}, tests="")) == 1


@pytest.mark.parametrize(
    ("spec", "tests", "fault"),
    [
        ({"a.md": RULES}, BOTH.replace("_D1", ""), "docs/spec/a.md:3: D1 has no test"),
        ({"a.md": RULES}, BOTH.replace("_all", "_D9_all"), "names D9, which is no rule"),
        ({"a.md": "- **D1** One.\n- **D3** Three.\n"}, "", "docs/spec/a.md: D2 is missing"),
        ({"a.md": "- **D1** One.\n- **D1** Again.\n"}, BOTH, "D1 is also at docs/spec/a.md:1"),
        ({"a.md": RULES, "b.md": "- **D3** Three.\n"}, BOTH, "the rules D are in docs/spec/a.md"),
        ({"a.md": "- **D1**\n"}, BOTH, "docs/spec/a.md:1: D1 says nothing"),
    ],
)
def test_each_fault_is_found(tmp_path: Path, spec: dict[str, str], tests: str, fault: str) -> None:
    root = project(tmp_path, spec=spec, tests=tests)
    assert any(fault in line for line in found(root)), found(root)
    assert spec_robot.main(root) == 1


def test_a_word_in_the_middle_of_a_name_is_no_proof(tmp_path: Path) -> None:
    name = "def test" + "_reader_D1() -> None: ...\n"
    root = project(tmp_path, spec={"a.md": "- **D1** One.\n"}, tests=name)
    assert found(root) == ["docs/spec/a.md:1: D1 has no test"]
