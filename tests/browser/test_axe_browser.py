"""What keeps people out: axe over every page of the chat app, in both looks and languages."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from site_rig import DemoServer, chromium
from tests.node_sdk import node

AXE = Path(__file__).parents[2] / "web/test/axe.mjs"
PATIENCE_S = 240.0
LOOKS = {"en": [], "dark-zh": ["--dark", "--zh"], "phone": ["--phone"]}


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[DemoServer]:
    chromium()  # skip before anything is started
    with DemoServer(tmp_path / "data") as server:
        yield server


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_BR10_axe_finds_nothing_serious(demo: DemoServer, look: list[str]) -> None:
    ran = subprocess.run(
        [node(), str(AXE), demo.links[0], *look],
        env={**os.environ, "CHROMIUM": chromium()},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count("ok  ") > 20, ran.stdout  # it went everywhere
