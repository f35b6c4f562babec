"""The benches with very many connections, with few: do they run, and do they notice."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hongyan.bench import fanout, supergroup
from hongyan.bench.server import ServerProcess

ROOT = Path(__file__).parents[2]


def bench(*args: str) -> tuple[int, Any, str]:
    """(status, the JSON, stderr)."""
    done = subprocess.run(
        [sys.executable, "-m", "hongyan", "bench", *args, "--json"],
        capture_output=True,
        text=True,
        timeout=240,
    )
    document = json.loads(done.stdout) if done.stdout.startswith("{") else None
    return done.returncode, document, done.stderr


def test_LR14_a_small_room_keeps_every_promise() -> None:
    status, found, errors = bench(
        *("live", "--viewers", "60", "--rate", "60", "--gifts", "8", "--likes", "60"),
        *("--stalled", "10%", "--merge", "50ms", "--seconds", "3"),
    )
    assert status == 0, (found, errors)
    assert not found["broken"]
    assert found["gifts_sent"] > 10 and found["likes_sent"] > 100 and found["danmaku_said"] > 100
    assert found["gifts_delivered"] == found["gifts_expected"] == found["gifts_sent"] * 60
    assert found["likes_right"] == 60
    gone = sum(found["gaps"].values())
    assert found["danmaku_delivered"] + gone == found["danmaku_expected"]
    assert gone > 0  # else nothing was sampled, and nothing of that was looked at
    assert [phase["stalled"] for phase in found["phases"]] == [0, 6]


@pytest.mark.parametrize(("option", "value"), [("--merge", "soon"), ("--stalled", "80%")])
def test_a_wrong_option_is_told(option: str, value: str) -> None:
    status, _, errors = bench("live", option, value)
    assert status == 2
    assert value in errors


def test_everybody_gets_in_before_and_after_a_kill() -> None:
    status, found, errors = bench("login", "--users", "60")
    assert status == 0, (found, errors)
    assert [storm["failed"] for storm in found["storms"]] == [0, 0, 0]
    assert [storm["wrong"] for storm in found["storms"]] == [0, 0, 0]
    assert found["conversations"] == 20


def test_all_who_listen_are_told_of_every_join(tmp_path: Path) -> None:
    asyncio.run(fanout.fill(tmp_path, 50, join_mode="open"))
    with ServerProcess(tmp_path, core=None, settings=supergroup.SETTINGS) as server:
        found = supergroup.join_all(server, joins=60, online=20)
    assert (found.failed, found.duplicates, found.gaps) == (0, 0, 0)
    assert found.delivered == found.expected == 60 * 20
    assert found.per_minute > 0 and found.p50_ms > 0


def test_servers_stand_side_by_side(tmp_path: Path) -> None:
    status, found, errors = bench(
        *("peers", "--programs", str(ROOT / "bench" / "peers"), "--subscribers", "20"),
        *("--server", "hongyan", "--server", "websockets", "--server", "null"),
        *("--rate", "1000", "--seconds", "1", "--out", str(tmp_path / "peers.json")),
    )
    assert status == 0, (found, errors)
    rows = found["rows"]
    assert [row["server"] for row in rows] == ["hongyan", "websockets", "null"]
    for row in rows:
        assert row["delivered"] == row["expected"] == 1000, row
        assert row["p50_ms"] > 0
    assert json.loads((tmp_path / "peers.json").read_text()) == found


def test_a_peer_that_cannot_be_built_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # neither Go nor Node
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # nothing was built before
    assert shutil.which("go") is None
    status, found, _ = bench(
        *("peers", "--programs", str(ROOT / "bench" / "peers"), "--subscribers", "5"),
        *("--server", "centrifuge", "--server", "socketio", "--rate", "100"),
        *("--out", str(tmp_path / "peers.json")),
    )
    assert status == 1
    assert found["rows"] == []
    assert {name: text.split()[0] for name, text in found["missing"].items()} == {
        "centrifuge": "go",
        "socketio": "npm",
    }


def test_the_engine_alone_accounts_for_every_viewer() -> None:
    status, found, errors = bench(
        *("live", "--engine", "--viewers", "600", "--rate", "40", "--merge", "50ms"),
        *("--seconds", "2"),
    )
    assert status == 0, (found, errors)
    assert found["unaccounted_viewers"] == 0
    assert found["delivered"] + found["told"] == found["expected"] == found["said"] * 600
    assert found["told"] > 0 and found["said"] >= 79
