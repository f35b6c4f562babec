from __future__ import annotations

import re
from pathlib import Path

import pytest

from hongyan.config import Config, load
from hongyan.config.reference import BEGIN, END, renew, settings

PAGE = Path(__file__).parents[2] / "docs/configure.md"


def test_reference_on_the_page_is_fresh() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == renew(page), "run: python -m hongyan.config.reference docs/configure.md"


def test_every_setting_is_described() -> None:
    for setting in settings():
        assert setting.text.endswith("."), setting.key


def test_every_setting_can_be_set_by_its_variable() -> None:
    """The variable's name leads back to the setting, and its shown default is read as itself."""
    for setting in settings():
        if setting.variable and setting.key != "kinds":
            text = setting.default.strip("`").strip('"')
            assert load(None, {setting.variable: text}) == Config(), setting.variable


def test_examples_on_the_page_are_read(tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 3
    for number, block in enumerate(blocks):
        path = tmp_path / f"{number}.toml"
        path.write_text(block, encoding="utf-8")
        assert load(path) != Config()


def test_variables_on_the_page_are_read() -> None:
    rows = re.findall(r"`(HONGYAN_\w+)=([^`]*)`", PAGE.read_text(encoding="utf-8"))
    assert len(rows) >= 4
    for name, text in rows:
        text = text.strip("'").replace('"secret": "…"', f'"secret": "{"x" * 32}"')
        assert load(None, {name: text}) != Config()


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="markers"):
        renew(f"text {BEGIN} text")
    assert renew(f"a {BEGIN}old{END} b").startswith(f"a {BEGIN}\n\n### `[server]`")
