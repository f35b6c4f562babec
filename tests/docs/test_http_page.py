"""What the HTTP page shows can be typed, and answers what it says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hongyan.bench.server import ServerProcess

PAGE = Path(__file__).parents[2] / "docs/http-api.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
MARK = "---next---"

pytestmark = pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("jq") and shutil.which("bash")),
    reason="needs bash, curl and jq",
)


def examples(page: str) -> list[tuple[str, Any]]:
    """Each shell block, and the JSON that is shown below it (None where there is none)."""
    found: list[tuple[str, Any]] = []
    for kind, body in FENCE.findall(page):
        if kind == "sh":
            found.append((body, None))
        elif kind == "json":
            found[-1] = (found[-1][0], json.loads(body))
    return found


def differences(shown: Any, got: Any, at: str = "") -> list[str]:
    """What is shown and not so: a key that is missing, a value of another type."""
    if isinstance(shown, dict) and isinstance(got, dict):
        return [
            line
            for key, value in shown.items()
            for line in (
                differences(value, got[key], f"{at}.{key}")
                if key in got
                else [f"{at}.{key} absent"]
            )
        ]
    if isinstance(shown, list) and isinstance(got, list):
        if len(got) < len(shown):
            return [f"{at} has {len(got)} of {len(shown)}"]
        pairs = zip(shown, got, strict=False)
        return [line for n, (a, b) in enumerate(pairs) for line in differences(a, b, f"{at}[{n}]")]
    free = isinstance(shown, str) and ("…" in shown or at.endswith(".id"))
    if type(shown) is not type(got):
        return [f"{at} is {got!r}, not {shown!r}"]
    if isinstance(shown, int) and not isinstance(shown, bool) and shown > 10**12:
        return []  # a moment
    return [] if free or shown == got else [f"{at} is {got!r}, not {shown!r}"]


def test_the_examples_answer_what_is_shown(tmp_path: Path) -> None:
    blocks = examples(PAGE.read_text("utf-8"))
    assert len(blocks) >= 15 and sum(shown is not None for _, shown in blocks) >= 10
    script = "set -eu -o pipefail\n" + "".join(f"{body}\necho; echo {MARK}\n" for body, _ in blocks)
    with ServerProcess(tmp_path / "data", core=None) as server:
        done = subprocess.run(
            ["bash", "-c", script],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
            env={
                "PATH": "/usr/bin:/bin:/usr/local/bin",
                "HONGYAN": f"http://127.0.0.1:{server.port}",
                "CODE": server.code,
            },
        )
    parts = done.stdout.split(MARK)
    assert done.returncode == 0, (len(parts), done.stderr, done.stdout[-500:])
    wrong = []
    for (body, shown), part in zip(blocks, parts, strict=False):
        if shown is not None:
            last = part.strip().replace("}{", "}\n{")
            try:
                got = json.loads(last)  # one answer, maybe over several lines
            except ValueError:
                got = json.loads(last.splitlines()[-1])
            wrong += [f"{body.strip()[:80]}: {line}" for line in differences(shown, got)]
    assert wrong == []


def test_a_wrong_answer_is_noticed() -> None:
    assert differences({"a": 1, "b": [1]}, {"a": 1, "b": [1]}) == []
    assert differences({"a": 1}, {}) == [".a absent"]
    assert differences({"a": {"b": True}}, {"a": {"b": False}}) == [".a.b is False, not True"]
    assert differences([1, 2], [1]) == [" has 1 of 2"]
    assert differences({"a": 1}, {"a": "1"}) == [".a is '1', not 1"]
