"""kill -9 at every step of a life with files (rule FU23)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = Path(__file__).with_name("files_child.py")
SHARES = 4


@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARES))
def test_FU23_killed_at_any_step_nothing_acknowledged_is_lost_and_nothing_is_left(
    tmp_path: Path, share: int
) -> None:
    done = subprocess.run(
        [sys.executable, str(CHILD), str(tmp_path / "lives"), str(share), str(SHARES)],
        stdout=subprocess.PIPE,
        check=True,
        timeout=280,
    )
    lives = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"{")]
    assert len(lives) >= 6
    assert [life for life in lives if not life["died"]] == []
    assert [life for life in lives if life["wrong"]] == []
