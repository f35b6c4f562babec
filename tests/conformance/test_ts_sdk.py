"""The TypeScript SDK: the same golden frames and the same scripted cases as the Python SDK."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from scripted_server import Mismatch, ScriptedServer, load

ROOT = Path(__file__).parents[2]
SDK = ROOT / "sdk/ts"
HERE = Path(__file__).parent
CASES = [load(path) for path in sorted((HERE / "cases").glob("*.json"))]
ANSWER_S = 15.0


def node() -> str:
    """Node with the SDK's packages; without it these tests are skipped, and fail in CI."""
    found = shutil.which("node")
    if found is not None and (ROOT / "node_modules/esbuild").exists():
        return found
    why = "Node or node_modules is missing (npm ci): the TypeScript SDK is NOT tested"
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


class NodeDriver:
    """The driver program: one line there, one line back."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, program: Path) -> NodeDriver:
        process = await asyncio.create_subprocess_exec(
            *(node(), str(program)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        return cls(process)

    async def tell(self, line: dict[str, Any]) -> None:
        """Raises Mismatch: the client does not do or show it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(line).encode() + b"\n")
        async with asyncio.timeout(ANSWER_S):
            answer = await self._process.stdout.readline()
        assert answer, "the driver died"
        if problem := answer.decode().strip():
            raise Mismatch(problem)

    async def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The driver as one file that Node runs."""
    node()
    path = tmp_path_factory.mktemp("driver") / "driver.mjs"
    banner = "import{createRequire}from'module';const require=createRequire(import.meta.url);"
    command = [
        *(str(ROOT / "node_modules/.bin/esbuild"), "test/driver.ts", "--bundle"),
        *("--format=esm", "--platform=node", "--log-level=warning", "--target=node20"),
        *(f"--outfile={path}", f"--banner:js={banner}"),
    ]
    done = subprocess.run(command, cwd=SDK, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture
async def driver(program: Path) -> AsyncIterator[NodeDriver]:
    started = await NodeDriver.start(program)
    yield started
    await started.close()


ALL = [
    pytest.param(case, kept, id=f"{case['name']}-{'indexeddb' if kept else 'memory'}")
    for case in CASES
    for kept in (False, True)
    if kept or not case["client"].get("data")
]


@pytest.mark.parametrize("case, kept", ALL)
async def test_G1_every_case(case: dict[str, Any], kept: bool, driver: NodeDriver) -> None:
    async with ScriptedServer() as server:
        await driver.tell({"port": server.port, "client": case["client"], "kept": kept})
        try:
            await server.play(
                case["steps"],
                lambda value: driver.tell({"do": value}),
                lambda value: driver.tell({"check": value}),
            )
        finally:
            await driver.tell({"end": True})
