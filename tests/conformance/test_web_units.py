"""The pure parts of the pages by their own tests: order of the list, links, dates, the window
that is drawn. vitest runs them; here they become part of the tests."""

from __future__ import annotations

import json
from pathlib import Path

from tests.node_sdk import BIN, ROOT, node, run


def test_BR19_the_parts_of_the_pages_pass_their_tests(tmp_path: Path) -> None:
    node()
    report = tmp_path / "report.json"
    web = ("--root", ROOT / "web")
    run(BIN / "vitest", "run", *map(str, web), "--reporter=json", f"--outputFile={report}")
    files = json.loads(report.read_text("utf-8"))["testResults"]
    written = {path.name for path in (ROOT / "web/src").rglob("*.test.ts")}
    assert {Path(file["name"]).name for file in files} == written and written
    outcomes = [one for file in files for one in file["assertionResults"]]
    assert [one["fullName"] for one in outcomes if one["status"] != "passed"] == []
