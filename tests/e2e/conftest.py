"""A real server process for tests that need one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hongyan.bench.server import ServerProcess


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """`hongyan serve` on a directory of its own; tokens for any user."""
    with ServerProcess(tmp_path / "data", core=None) as process:
        yield process


@pytest.fixture
def server_url(server: ServerProcess) -> str:
    """Where SDK clients connect."""
    return server.url
