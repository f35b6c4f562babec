"""The pages that a reader meets first: links lead somewhere, both languages say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs_offline import main as docs_offline

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"(?<!`)\[[^\]]+\]\(([^)#\s]+)[^)]*\)")


@pytest.mark.parametrize("page", [str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    links = [link for link in LINK.findall(path.read_text("utf-8")) if ":" not in link]
    broken = [link for link in links if not (path.parent / link).exists()]
    assert broken == []


def shape(page: str) -> list[str]:
    """Code, headings, table rows and the addresses of links, without prose."""
    found: list[str] = []
    code = False
    for line in (ROOT / page).read_text("utf-8").splitlines():
        if line.startswith("```"):
            code = not code
            found.append(line)
        elif code:
            found.append(re.sub(r"\s*#.*", "", line))
        elif line.startswith("#"):
            found.append(line.split()[0])
        elif line.startswith("|"):
            found.append("row")
        found += [] if code else sorted(LINK.findall(line))
    return [part for part in found if not part.startswith("README")]


def test_the_chinese_readme_has_the_shape_of_the_english_one() -> None:
    assert shape("README.zh-CN.md") == shape("README.md")


def test_the_readme_opens_with_the_commands() -> None:
    code = (ROOT / "README.md").read_text("utf-8").split("```")[1]
    commands = [line.split("#")[0].strip() for line in code.splitlines()[1:]]
    assert commands == ["scripts/serve --demo", "scripts/serve", "scripts/test"]
    assert all((ROOT / command.split()[0]).stat().st_mode & 0o111 for command in commands)


def test_architecture_stays_short() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text("utf-8").splitlines()) <= 150


@pytest.mark.parametrize("page", sorted((ROOT / "docs/adr").glob("*.md")), ids=lambda p: p.stem)
def test_a_decision_stays_short(page: Path) -> None:
    text = page.read_text("utf-8")
    assert len(text.splitlines()) <= 40
    for part in ("**Context.**", "**Decision.**", "**Consequences.**", "change our mind.**"):
        assert part in text


def test_every_dependency_has_its_reason() -> None:
    reasons = (ROOT / "docs/adr/0003-dependencies.md").read_text("utf-8").lower()
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    block = project.split("\ndependencies = [")[1].split("\n]")[0]
    names = re.findall(r'"([a-z0-9-]+)', block)
    assert len(names) > 5
    assert [name for name in names if f"| {name} " not in reasons] == []


@pytest.mark.parametrize(
    ("name", "text", "loads"),
    [
        ("a.html", '<script src="https://cdn.example/x.js"></script>', True),
        ("a.html", '<link rel="stylesheet" href="//cdn.example/x.css">', True),
        ("a.html", '<a href="https://example.com">x</a><img src="x.png">', False),
        ("a.css", "@import 'https://fonts.example/f.css';", True),
        ("a.css", "a { background: url(x.png) }", False),
    ],
)
def test_pages_that_load_from_elsewhere_are_found(
    tmp_path: Path, name: str, text: str, loads: bool
) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    assert docs_offline(tmp_path) == int(loads)
