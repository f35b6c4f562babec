"""How the documentation is built. Offline: nothing here asks another host for anything."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
VERSION = re.search(
    r'__version__ = "(.+?)"', (HERE.parent / "src/hongyan/__init__.py").read_text("utf-8")
)
assert VERSION is not None

project = "hongyan"
author = "The hongyan founders"
copyright = "The hongyan founders, Apache-2.0"
release = version = VERSION[1]

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings: list[str] = []
nitpicky = True

exclude_patterns = ["_build", "spec/*.md"]  # the areas of the specification are read by spec.md
html_theme = "furo"
html_title = f"hongyan {release}"
html_show_sourcelink = False
html_copy_source = False

# The rules stand in one file per area, so that a change of an area touches one file; readers get
# one page. Areas come in this order, others after them by name.
SPEC_ORDER = ("durable", "engine", "wire", "receive", "chat", "access", "feed", "transport")
SPEC_MARK = "<!-- areas -->"
RULE = re.compile(r"- \*\*([A-Z]{1,2})\d+\*\*")


def spec_areas() -> list[Path]:
    """The files of the specification in reading order."""

    def rank(path: Path) -> tuple[int, str]:
        known = path.stem in SPEC_ORDER
        return (SPEC_ORDER.index(path.stem) if known else len(SPEC_ORDER), path.stem)

    return sorted((HERE / "spec").glob("*.md"), key=rank)


def spec_letters(texts: list[str]) -> str:
    """A table of the letters: how many rules, and the heading they stand under."""
    about: dict[str, str] = {}
    count: Counter[str] = Counter()
    for text in texts:
        heading = ""
        for line in text.splitlines():
            if line.startswith("#"):
                heading = line.lstrip("# ")
            elif found := RULE.match(line):
                about.setdefault(found[1], heading)
                count[found[1]] += 1
    rows = [f"| {letter} | {count[letter]} | {about[letter]} |" for letter in about]
    return "\n".join(["| letter | rules | about |", "|---|---|---|", *rows])


def assemble_spec(app: Any, docname: str, source: list[str]) -> None:
    """Put the areas into the specification page; their links are relative to docs/spec/."""
    if docname != "spec":
        return
    texts = []
    for path in spec_areas():
        app.env.note_dependency(str(path))
        text = path.read_text("utf-8").strip()
        if text.startswith("# "):
            text = re.sub(r"^#(?=#* )", "##", text, flags=re.MULTILINE)  # one level deeper
        texts.append(text.replace("](../", "]("))
    source[0] = source[0].replace(SPEC_MARK, "\n\n".join([spec_letters(texts), *texts]))


def setup(app: Any) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("source-read", assemble_spec)
    return {"parallel_read_safe": True}
