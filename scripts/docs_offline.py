"""Say which built pages would fetch something from another host: `docs_offline.py FOLDER`.

Links that a reader may click are fine; what the browser loads by itself (scripts, styles, fonts,
pictures, frames) must come with the pages.

Exit status: 0 nothing is fetched from elsewhere, 1 otherwise.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

REMOTE = re.compile(r"(?:https?:)?//", re.IGNORECASE)
CSS_URL = re.compile(r"(?:url\(\s*|@import\s+)[\"']?((?:https?:)?//[^\"')\s]+)", re.IGNORECASE)
LOADING_RELS = {"stylesheet", "icon", "preload", "modulepreload", "preconnect", "dns-prefetch"}


class Loads(HTMLParser):
    """Collects the addresses that a page loads from elsewhere."""

    def __init__(self) -> None:
        """Start with none."""
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at one tag."""
        values = {name: value or "" for name, value in attrs}
        address = values.get("src", "")
        if tag == "link" and LOADING_RELS & set(values.get("rel", "").lower().split()):
            address = values.get("href", "")
        if REMOTE.match(address):
            self.found.append(address)


def remote_loads(path: Path) -> list[str]:
    """Addresses on other hosts that this page or style sheet loads."""
    text = path.read_text("utf-8")
    if path.suffix == ".css":
        return CSS_URL.findall(text)
    page = Loads()
    page.feed(text)
    return page.found


def main(folder: Path) -> int:
    """Check every page and style sheet below `folder`."""
    found = 0
    for path in sorted([*folder.rglob("*.html"), *folder.rglob("*.css")]):
        for address in remote_loads(path):
            found += 1
            print(f"{path}: loads {address}")
    return min(found, 1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
