"""Say what a wheel lacks: `wheel_contents.py WHEEL SRC`.

A wheel must carry every file of the package (migrations and pages too), and none of its tests:
what is missing there is noticed only on the machine of somebody who installed it.

Exit status: 0 sound, 1 otherwise.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path


def differences(packed: set[str], source: set[str]) -> list[str]:
    """One line for each file that is in one of the two only."""
    missing = [f"the wheel lacks {name}" for name in sorted(source - packed)]
    return missing + [f"the wheel has {name}, which it should not" for name in packed - source]


def is_test(path: Path) -> bool:
    """Slices keep their tests beside their rules."""
    return path.match("test_*.py") or path.name == "testkit.py"


def main(wheel: str, src: str) -> int:
    """Compare the wheel with the source tree."""
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    source = {
        str(path.relative_to(src))
        for path in Path(src).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not is_test(path)
    }
    found = differences(packed, source)
    for line in found:
        print(line)
    return min(len(found), 1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
