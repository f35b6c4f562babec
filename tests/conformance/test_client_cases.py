"""Every case of `cases/` against the Python SDK."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from client_driver import Driver
from scripted_server import ScriptedServer, load

CASES = sorted((Path(__file__).parent / "cases").glob("*.json"))


async def play(case: dict[str, Any], data: Path | None) -> None:
    before = asyncio.all_tasks()
    async with ScriptedServer() as server:
        driver = Driver(server, data, case.get("client", {}))
        await driver.start()
        try:
            await server.play(case["steps"], driver.do, driver.check)
        finally:
            await driver.stop()
    await asyncio.sleep(0)
    left = asyncio.all_tasks() - before
    assert not left, f"tasks left behind: {left}"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
@pytest.mark.parametrize("kept", [False, True], ids=["memory", "file"])
async def test_case(path: Path, kept: bool, tmp_path: Path) -> None:
    case = load(path)
    if case.get("client", {}).get("data") and not kept:
        pytest.skip("needs a data file")
    await play(case, tmp_path / "client.db" if kept else None)
