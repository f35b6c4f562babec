from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from hongyan.adapters.secret import load_or_create_secret
from hongyan.config import ConfigError


def test_A16_secret_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    old = os.umask(0)  # the widest one
    try:
        secret = load_or_create_secret(path)
    finally:
        os.umask(old)
    assert len(secret) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create_secret(path) == secret
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]
    assert load_or_create_secret(tmp_path / "other") != secret


def test_A16_two_that_start_at_once_use_the_same_bytes(tmp_path: Path) -> None:
    path, got = tmp_path / "secret", []
    barrier = threading.Barrier(8)

    def start() -> None:
        barrier.wait(10)
        got.append(load_or_create_secret(path))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(got) == 8
    assert len(set(got)) == 1


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_A16_wrong_length_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=r"secret: not 32 bytes"):
        load_or_create_secret(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_A16_secret_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret"
    load_or_create_secret(path)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"mode {mode:04o}"):
        load_or_create_secret(path)


def test_A16_nowhere_to_write_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file or directory"):
        load_or_create_secret(tmp_path / "nothing" / "secret")
    with pytest.raises(ConfigError, match="Is a directory"):
        load_or_create_secret(tmp_path)


def test_A16_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(ConfigError, match="No space left"):
        load_or_create_secret(tmp_path / "secret")
    assert list(tmp_path.iterdir()) == []
