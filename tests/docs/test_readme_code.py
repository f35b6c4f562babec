"""The Python of the readme runs against a real server and does what its comments say."""

from __future__ import annotations

import asyncio
import re
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hongyan.app import Server
from hongyan.config import load
from hongyan.engine.auth import Identity
from hongyan.model.ids import TenantId, UserId

ROOT = Path(__file__).parents[2]
PASSWORD = "a long password"


class Shown(Exception):
    """The loop of the readme has no end: the first line it prints is enough."""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    server = Server(load(None, {}, {"data.dir": str(tmp_path / "data"), "server.port": "0"}))
    await server.start()
    try:
        admin = Identity(tenant=TenantId("main"), user=UserId("admin"), epoch=1, admin=True)
        for user in ("alice", "bob"):
            await server.node.authenticator.accounts.register("main", user, PASSWORD, by=admin)
        yield server
    finally:
        await server.stop()


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
async def test_the_python_of_the_readme_runs(
    page: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 1
    code = blocks[0].replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
    shown: list[tuple[Any, ...]] = []

    def show(*values: Any) -> None:
        shown.append(values)
        if values[1] == "alice" and b"hello" in bytes(values[2]):
            raise Shown

    space: dict[str, Any] = {"print": show}
    exec(f"async def run():\n{textwrap.indent(code, '    ')}", space)
    with pytest.raises(Shown):
        async with asyncio.timeout(30):
            await space["run"]()
    assert [values[0] for values in shown] == list(range(1, len(shown) + 1))
    assert (tmp_path / "alice.db").exists()
