"""Every case of `cases/` against the Python SDK, under the name of its first rule."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from client_driver import Driver
from scripted_server import ScriptedServer, load

HERE = Path(__file__).parent
CASES = [load(path) for path in sorted((HERE / "cases").glob("*.json"))]


def cases(rule: str) -> pytest.MarkDecorator:
    """The cases whose first rule this is, each in memory and with a data file."""
    found = [
        pytest.param(case, kept, id=f"{case['name']}-{'file' if kept else 'memory'}")
        for case in CASES
        if case["rules"][0] == rule
        for kept in (False, True)
        if kept or not case["client"].get("data")
    ]
    return pytest.mark.parametrize("case, kept", found)


async def play(case: dict[str, Any], kept: bool, folder: Path) -> None:
    before = asyncio.all_tasks()
    async with ScriptedServer() as server:
        driver = Driver(server, folder / "client.db" if kept else None, case["client"])
        await driver.start()
        try:
            await server.play(case["steps"], driver.do, driver.check)
        finally:
            await driver.stop()
    await asyncio.sleep(0)
    left = asyncio.all_tasks() - before
    assert not left, f"tasks left behind: {left}"


@cases("R1")
async def test_R1_applied_once_in_order(case: dict[str, Any], kept: bool, tmp_path: Path) -> None:
    await play(case, kept, tmp_path)


@cases("R2")
async def test_R2_holes_are_read(case: dict[str, Any], kept: bool, tmp_path: Path) -> None:
    await play(case, kept, tmp_path)


@cases("R3")
async def test_R3_behind_is_read(case: dict[str, Any], kept: bool, tmp_path: Path) -> None:
    await play(case, kept, tmp_path)


@cases("R4")
async def test_R4_tail_loss_is_found(case: dict[str, Any], kept: bool, tmp_path: Path) -> None:
    await play(case, kept, tmp_path)


@cases("R5")
async def test_R5_cuts_are_told(case: dict[str, Any], kept: bool, tmp_path: Path) -> None:
    await play(case, kept, tmp_path)


@cases("R6")
async def test_R6_changes_are_folded(case: dict[str, Any], kept: bool, tmp_path: Path) -> None:
    await play(case, kept, tmp_path)


@cases("R7")
async def test_R7_rows_come_in_pages(case: dict[str, Any], kept: bool, tmp_path: Path) -> None:
    await play(case, kept, tmp_path)


@cases("R8")
async def test_R8_rows_are_live(case: dict[str, Any], kept: bool, tmp_path: Path) -> None:
    await play(case, kept, tmp_path)


@cases("R9")
async def test_R9_unknown_is_ignored(case: dict[str, Any], kept: bool, tmp_path: Path) -> None:
    await play(case, kept, tmp_path)


@cases("R10")
async def test_R10_delivered_by_itself(case: dict[str, Any], kept: bool, tmp_path: Path) -> None:
    await play(case, kept, tmp_path)


@cases("R11")
async def test_R11_reading_is_durable(case: dict[str, Any], kept: bool, tmp_path: Path) -> None:
    await play(case, kept, tmp_path)


@cases("R12")
async def test_R12_readers_miss_nothing(case: dict[str, Any], kept: bool, tmp_path: Path) -> None:
    await play(case, kept, tmp_path)


@cases("R14")
async def test_R14_far_holes_are_skipped(case: dict[str, Any], kept: bool, tmp_path: Path) -> None:
    await play(case, kept, tmp_path)


@cases("R15")
async def test_R15_a_restart_resumes(case: dict[str, Any], kept: bool, tmp_path: Path) -> None:
    await play(case, kept, tmp_path)


@cases("R16")
async def test_R16_a_server_went_back(case: dict[str, Any], kept: bool, tmp_path: Path) -> None:
    await play(case, kept, tmp_path)


@cases("X1")
async def test_X1_an_ack_ends_a_call(case: dict[str, Any], kept: bool, tmp_path: Path) -> None:
    await play(case, kept, tmp_path)


@cases("X2")
async def test_X2_the_same_op_again(case: dict[str, Any], kept: bool, tmp_path: Path) -> None:
    await play(case, kept, tmp_path)


@cases("X3")
async def test_X3_a_restart_resends(case: dict[str, Any], kept: bool, tmp_path: Path) -> None:
    await play(case, kept, tmp_path)


@cases("X4")
async def test_X4_order_in_a_log(case: dict[str, Any], kept: bool, tmp_path: Path) -> None:
    await play(case, kept, tmp_path)


@cases("X5")
async def test_X5_refused_for_now(case: dict[str, Any], kept: bool, tmp_path: Path) -> None:
    await play(case, kept, tmp_path)


@cases("X6")
async def test_X6_refused_for_good(case: dict[str, Any], kept: bool, tmp_path: Path) -> None:
    await play(case, kept, tmp_path)


@cases("X7")
async def test_X7_bounds_are_kept(case: dict[str, Any], kept: bool, tmp_path: Path) -> None:
    await play(case, kept, tmp_path)


@cases("X8")
async def test_X8_comes_back_or_not(case: dict[str, Any], kept: bool, tmp_path: Path) -> None:
    await play(case, kept, tmp_path)


@cases("X10")
async def test_X10_other_user(case: dict[str, Any], kept: bool, tmp_path: Path) -> None:
    await play(case, kept, tmp_path)


async def test_a_case_as_a_program_for_other_languages() -> None:
    """The same over stdin and stdout, and a wrong answer ends in status 1."""
    for answer, status in (("", 0), ("nothing is pending", 1)):
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, str(HERE / "scripted_server.py")),
            str(HERE / "cases" / "ack_resolves.json"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert program.stdin is not None
        assert program.stdout is not None
        first = json.loads(await program.stdout.readline())
        driver = Driver(SimpleNamespace(port=first["port"]), None, first["client"])
        await driver.start()
        async for line in program.stdout:
            [(verb, value)] = json.loads(line).items()
            await (driver.do(value) if verb == "do" else driver.check(value))
            program.stdin.write(f"{answer if 'pending' in value else ''}\n".encode())
        assert await program.wait() == status
        await driver.stop()


def test_no_case_is_left_out() -> None:
    played = {name.split("_")[1] for name in dir(sys.modules[__name__]) if name.startswith("test_")}
    assert {case["rules"][0] for case in CASES} <= played
    assert len(CASES) >= 40
