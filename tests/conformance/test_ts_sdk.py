"""The TypeScript SDK: the same scripted cases as the Python SDK, and what it proves by itself."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from scripted_server import Mismatch, ScriptedServer, load
from tests.node_sdk import BIN, ROOT, SDK, Program, bundle, node, run

from hongyan.model.errors import Refusal

CASES = [load(path) for path in sorted((Path(__file__).parent / "cases").glob("*.json"))]
ANSWER_S = 15.0
MOST_BYTES = 20 * 1024  # of the SDK, minified and gzipped, without the MessagePack codec


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The driver as one file that Node runs."""
    node()
    return bundle("driver", tmp_path_factory.mktemp("driver"))


@pytest.fixture
async def driver(program: Path) -> AsyncIterator[Program]:
    started = await Program.start(program)
    yield started
    await started.close()


async def tell(driver: Program, line: dict[str, Any]) -> None:
    """Raises Mismatch: the client does not do or show it."""
    driver.write(json.dumps(line))
    if problem := await driver.line(ANSWER_S):
        raise Mismatch(problem)


ALL = [
    pytest.param(case, kept, id=f"{case['name']}-{'indexeddb' if kept else 'memory'}")
    for case in CASES
    for kept in (False, True)
    if kept or not case["client"].get("data")
]


@pytest.mark.parametrize("case, kept", ALL)
async def test_G1_every_case(case: dict[str, Any], kept: bool, driver: Program) -> None:
    async with ScriptedServer() as server:
        await tell(driver, {"port": server.port, "client": case["client"], "kept": kept})
        try:
            await server.play(
                case["steps"],
                lambda value: tell(driver, {"do": value}),
                lambda value: tell(driver, {"check": value}),
            )
        finally:
            await tell(driver, {"end": True})


async def test_G1_a_wrong_answer_is_noticed(driver: Program) -> None:
    """The driver can say no."""
    case = next(case for case in CASES if case["name"] == "ack_resolves")
    async with ScriptedServer() as server:
        await tell(driver, {"port": server.port, "client": case["client"], "kept": False})
        with pytest.raises(Mismatch, match="shows 0"):
            await server.play(
                [*case["steps"][:-1], {"check": {"pending": 7}}],
                lambda value: tell(driver, {"do": value}),
                lambda value: tell(driver, {"check": value}),
            )


# --- what vitest proves -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[str, str]]]:
    """Names and outcomes of the SDK's own tests, by the rule that their name ends with."""
    node()
    report = tmp_path_factory.mktemp("vitest") / "report.json"
    run(BIN / "vitest", "run", "--reporter=json", f"--outputFile={report}", timeout=300)
    found: dict[str, list[tuple[str, str]]] = {}
    for file in json.loads(report.read_text("utf-8"))["testResults"]:
        for test in file["assertionResults"]:
            for title in (test["title"], *test["ancestorTitles"]):
                _, colon, rule = title.rpartition(": ")
                if colon and rule.startswith("G"):
                    found.setdefault(rule, []).append((test["fullName"], test["status"]))
    return found


def all_passed(proven: dict[str, list[tuple[str, str]]], rule: str, least: int) -> None:
    outcomes = proven[rule]
    assert len(outcomes) >= least
    assert [outcome for outcome in outcomes if outcome[1] != "passed"] == []


def test_G2_golden_frames(proven: dict[str, list[tuple[str, str]]]) -> None:
    all_passed(proven, "G2", 40)


def test_G3_calls_survive_the_page(proven: dict[str, list[tuple[str, str]]]) -> None:
    all_passed(proven, "G3", 7)


def test_G4_tabs_share_a_connection(proven: dict[str, list[tuple[str, str]]]) -> None:
    all_passed(proven, "G4", 4)


def test_G5_a_change_of_leader_costs_nothing(proven: dict[str, list[tuple[str, str]]]) -> None:
    all_passed(proven, "G5", 2)


def test_G6_the_end_is_that_of_all_tabs(proven: dict[str, list[tuple[str, str]]]) -> None:
    all_passed(proven, "G6", 2)


def test_G7_the_ladder(proven: dict[str, list[tuple[str, str]]]) -> None:
    all_passed(proven, "G7", 4)


def test_G8_errors_are_classes(proven: dict[str, list[tuple[str, str]]]) -> None:
    all_passed(proven, "G8", 3)
    written = (SDK / "src/errors.gen.ts").read_text("utf-8")
    for code, kind in Refusal.by_code.items():
        assert f"{code} {kind.__name__}" in written
        base = kind.__bases__[0].__name__
        assert f'KINDS.get("{kind.__name__}") as typeof {base};' in written
        assert base == {1: "BadRequest", 2: "Denied", 3: "Transient"}[code // 100]


def test_G10_replicas(proven: dict[str, list[tuple[str, str]]]) -> None:
    all_passed(proven, "G10", 6)


def test_G11_failed_calls_wait(proven: dict[str, list[tuple[str, str]]]) -> None:
    all_passed(proven, "G11", 3)


def test_G12_deleted_for_oneself(proven: dict[str, list[tuple[str, str]]]) -> None:
    all_passed(proven, "G12", 1)


# --- the package ------------------------------------------------------------------------------


def minified(source: str, outside: str, made: Path) -> int:
    """Bytes of a bundle as an application would load it, gzipped."""
    entry = SDK / f"size-{made.stem}.ts"
    entry.write_text(source, "utf-8")
    try:
        run(
            *(BIN / "esbuild", entry, "--bundle", "--minify", "--format=esm", "--target=es2022"),
            *(f"--external:{outside}", f"--outfile={made}", "--log-level=warning"),
        )
    finally:
        entry.unlink()
    return len(gzip.compress(made.read_bytes(), 9, mtime=0))


def test_G9_size_and_dependencies(tmp_path: Path) -> None:
    """What an application loads: the client, and the codec only where it is used. Prints both."""
    node()
    sdk, codec = tmp_path / "sdk.js", tmp_path / "codec.js"
    client = 'import { createClient } from "./src/index.js"; globalThis.app = createClient;'
    packed = 'import { msgpackCodec } from "./src/msgpack.js"; globalThis.app = msgpackCodec;'
    size, more = minified(client, "./msgpack.js", sdk), minified(packed, "./codec.js", codec)
    print(f"SDK {size} bytes, MessagePack codec {more} bytes more, minified and gzipped")
    assert size <= MOST_BYTES
    assert more <= MOST_BYTES // 2
    assert "msgpack/msgpack" not in sdk.read_text("utf-8")
    package = json.loads((SDK / "package.json").read_text("utf-8"))
    assert list(package["dependencies"]) == ["@msgpack/msgpack"]


def test_G13_generated_files_are_fresh() -> None:
    import frames_ts

    assert frames_ts.main(["--check"]) == 0
    assert ROOT / "sdk/ts/src" == frames_ts.SOURCE
