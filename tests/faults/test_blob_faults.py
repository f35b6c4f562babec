"""Blobs under kill -9, a full disk and a caller that gives up (rules B)."""

# size: the cases of one subject share their fixtures; parted, each part would repeat them

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from hongyan.adapters import localdisk
from hongyan.adapters.localdisk import LocalDiskBlobs
from hongyan.adapters.memory.clock import ManualClock
from hongyan.model.errors import StoreDown

DATA = os.urandom(1024) * 1024  # 1 MiB
DIGEST = hashlib.sha256(DATA).hexdigest()


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 64 * 1024):
        yield data[at : at + 64 * 1024]


async def whole(blobs: LocalDiskBlobs, digest: str) -> bytes:
    return b"".join([piece async for piece in blobs.open(digest)])


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


KILLED = """
import asyncio, os, signal, sys
from io import FileIO
from pathlib import Path
from hongyan.adapters import localdisk
from hongyan.adapters.memory.clock import SystemClock

point, count, root = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])

def deadly(real):
    def call(*args):
        global count
        count -= 1
        if count == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args)
    return call

if point == "write":
    class Dying(FileIO):
        write = deadly(FileIO.write)
    localdisk.FileIO = Dying
elif point == "rename":
    Path.replace = deadly(Path.replace)
else:
    os.fsync = deadly(os.fsync)

async def pieces(data):
    for at in range(0, len(data), 65536):
        yield data[at : at + 65536]

async def main():
    blobs = localdisk.LocalDiskBlobs(root, SystemClock())
    await blobs.put(pieces(sys.stdin.buffer.read()), "image/png", most=1 << 30)
    print("whole")

asyncio.run(main())
"""

# Each step of a put in turn: the writes of 256 KiB, the fsyncs (the first is of the start: the
# directory, then the bytes, two new directories, the note, the name), the two renames.
POINTS = [("write", n) for n in (1, 2, 4, 5)]
POINTS += [("fsync", n) for n in range(2, 7)]
POINTS += [("rename", 1), ("rename", 2)]


@pytest.mark.parametrize(("point", "count"), POINTS)
def test_B7_killed_in_the_middle_of_a_put_no_half_blob_is_seen(
    tmp_path: Path, point: str, count: int
) -> None:
    root = tmp_path / "blobs"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, point, str(count), str(root)],
        input=DATA,
        stdout=subprocess.PIPE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"")

    async def look() -> None:
        with capture_logs():
            blobs = LocalDiskBlobs(root, ManualClock())
        assert list((root / "tmp").iterdir()) == []
        info = await blobs.info(DIGEST)
        if info is not None:  # killed after the name was given
            assert (point, count) == ("fsync", 6)
            assert (info.size, await whole(blobs, DIGEST)) == (len(DATA), DATA)
        again = await blobs.put(pieces(DATA), "image/gif", most=len(DATA))
        assert again.media_type == ("image/gif" if info is None else "image/png")
        assert await whole(blobs, DIGEST) == DATA
        await blobs.close()

    asyncio.run(look())


def test_B7_what_a_crash_left_is_swept_and_told(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "abc").write_bytes(b"half")

    with capture_logs() as lines:
        LocalDiskBlobs(tmp_path, ManualClock())

    assert files(tmp_path) == []
    assert lines[0]["count"] == 1


def test_B8_bytes_note_and_name_are_forced_to_disk_in_this_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut after the answer finds the blob: each step is durable before the next."""
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def name(path: str | Path) -> str:
        text = str(path).replace(str(tmp_path), "").replace(DIGEST, "D")
        return text.replace(f"{DIGEST[:2]}/{DIGEST[2:4]}", "ab/cd").replace(DIGEST[:2], "ab")

    def noted_fsync(number: int) -> None:
        path = os.readlink(f"/proc/self/fd/{number}")
        steps.append("fsync " + ("temporary" if "/tmp/" in name(path) else name(path)))
        fsync(number)

    def noted_replace(self: Path, target: Path) -> Path:
        steps.append("rename to " + name(target))
        return replace(self, target)

    blobs = LocalDiskBlobs(tmp_path, ManualClock())
    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)

    async def put() -> None:
        await blobs.put(pieces(DATA), "x/y", most=len(DATA))
        await blobs.close()

    asyncio.run(put())
    assert steps == [
        "fsync temporary",
        "fsync ",
        "fsync /ab",
        "fsync temporary",
        "rename to /ab/cd/D.json",
        "rename to /ab/cd/D",
        "fsync /ab/cd",
    ]


FULL = """
import asyncio, os, resource, sys
from pathlib import Path
from hongyan.adapters.localdisk import LocalDiskBlobs
from hongyan.adapters.memory.clock import SystemClock
from hongyan.model.errors import StoreDown

resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))

async def pieces():
    for _ in range(16):
        yield os.urandom(65536)

async def main():
    blobs = LocalDiskBlobs(Path(sys.argv[1]), SystemClock())
    try:
        await blobs.put(pieces(), "x/y", most=1 << 30)
    except StoreDown as exc:
        print(exc.text)
    await blobs.close()

asyncio.run(main())
"""


def test_B9_a_disk_that_takes_no_more_is_storedown_and_leaves_nothing(tmp_path: Path) -> None:
    """The kernel refuses the third write in its middle (file size limit)."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "blobs: File too large\n", "")
    assert files(tmp_path) == []


@pytest.mark.parametrize("point", ["write", "fsync", "rename", "mkdir"])
async def test_B9_no_space_at_any_step_leaves_nothing_and_the_next_put_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    def full(*args: object, **named: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    class Full(FileIO):
        write = full  # type: ignore[assignment]

    blobs = LocalDiskBlobs(tmp_path, ManualClock())
    with monkeypatch.context() as patch:
        if point == "write":
            patch.setattr(localdisk, "FileIO", Full)
        elif point == "fsync":
            patch.setattr(os, "fsync", full)
        else:
            patch.setattr(Path, {"rename": "replace", "mkdir": "mkdir"}[point], full)
        with pytest.raises(StoreDown, match="No space left"):
            await blobs.put(pieces(DATA), "x/y", most=len(DATA))

    assert files(tmp_path) == []
    assert await blobs.info(DIGEST) is None
    await blobs.put(pieces(DATA), "x/y", most=len(DATA))
    assert await whole(blobs, DIGEST) == DATA
    await blobs.close()


async def test_B3_a_put_cancelled_between_pieces_leaves_nothing(tmp_path: Path) -> None:
    blobs = LocalDiskBlobs(tmp_path, ManualClock())
    waiting = asyncio.Event()

    async def stalled() -> AsyncIterator[bytes]:
        yield b"x" * 300_000
        waiting.set()
        await asyncio.Event().wait()

    put = asyncio.create_task(blobs.put(stalled(), "x/y", most=1 << 20))
    await asyncio.wait_for(waiting.wait(), 10)
    assert len(files(tmp_path)) == 1  # it had begun
    put.cancel()
    with pytest.raises(asyncio.CancelledError):
        await put

    assert files(tmp_path) == []
    await blobs.close()


async def test_B3_a_put_cancelled_while_a_thread_writes_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    writing, go_on = asyncio.Event(), threading.Event()

    class Slow(FileIO):
        def write(self, data: bytes, /) -> int:  # type: ignore[override]
            loop.call_soon_threadsafe(writing.set)
            assert go_on.wait(10)
            return super().write(data)

    monkeypatch.setattr(localdisk, "FileIO", Slow)
    blobs = LocalDiskBlobs(tmp_path, ManualClock())
    put = asyncio.create_task(blobs.put(pieces(DATA), "x/y", most=len(DATA)))
    await asyncio.wait_for(writing.wait(), 10)
    put.cancel()
    loop.call_later(0.01, go_on.set)  # the thread is still inside when the put is thrown away
    with pytest.raises(asyncio.CancelledError):
        await put

    assert files(tmp_path) == []
    await blobs.close()


async def test_B3_a_put_cancelled_while_it_gets_its_name_is_whole_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    naming, go_on = asyncio.Event(), threading.Event()
    real = localdisk._make_directories

    def slow(root: Path, folder: Path) -> None:
        loop.call_soon_threadsafe(naming.set)
        assert go_on.wait(10)
        real(root, folder)

    monkeypatch.setattr(localdisk, "_make_directories", slow)
    blobs = LocalDiskBlobs(tmp_path, ManualClock())
    put = asyncio.create_task(blobs.put(pieces(DATA), "x/y", most=len(DATA)))
    await asyncio.wait_for(naming.wait(), 10)
    put.cancel()
    loop.call_later(0.01, go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await put

    place = f"{DIGEST[:2]}/{DIGEST[2:4]}/{DIGEST}"
    assert files(tmp_path) == [place, f"{place}.json"]
    assert await whole(blobs, DIGEST) == DATA
    await blobs.close()


def test_B3_a_thread_that_comes_after_the_end_does_nothing(tmp_path: Path) -> None:
    upload = localdisk._Upload(tmp_path / "upload")
    upload.discard()
    with pytest.raises(OSError, match="given up"):
        upload.write(b"late")
    (tmp_path / "blob").write_bytes(b"bytes")
    reader = localdisk._Reader(tmp_path / "blob", 0, None)
    reader.close()

    assert reader.read() == b""
    assert files(tmp_path) == ["blob"]


async def test_B1_a_kernel_that_writes_little_at_a_time_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Short(FileIO):
        def write(self, data: bytes, /) -> int:  # type: ignore[override]
            return super().write(data[:5000])

    monkeypatch.setattr(localdisk, "FileIO", Short)
    blobs = LocalDiskBlobs(tmp_path, ManualClock())
    info = await blobs.put(pieces(DATA), "x/y", most=len(DATA))

    assert info.size == len(DATA)
    assert await whole(blobs, DIGEST) == DATA
    await blobs.close()


async def test_B6_a_dropped_blob_leaves_no_file(tmp_path: Path) -> None:
    blobs = LocalDiskBlobs(tmp_path, ManualClock())
    await blobs.put(pieces(DATA), "x/y", most=len(DATA))
    await blobs.drop(DIGEST)

    assert files(tmp_path) == []
    await blobs.close()


class NotedLock:
    """A lock that tells how many have come to it."""

    def __init__(self) -> None:
        self.real = threading.Lock()
        self.came = threading.Semaphore(0)

    def __enter__(self) -> None:
        self.came.release()
        self.real.acquire()

    def __exit__(self, *exc: object) -> None:
        self.real.release()


async def test_B2_two_puts_that_meet_while_they_get_their_name_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = LocalDiskBlobs(tmp_path, ManualClock())
    lock, notes = NotedLock(), 0
    blobs._naming = [lock] * 64  # type: ignore[list-item]
    real = localdisk._write_note

    def noted(*args: Any) -> None:
        nonlocal notes
        notes += 1
        assert lock.came.acquire(timeout=10) and lock.came.acquire(timeout=10)  # both are here
        real(*args)

    monkeypatch.setattr(localdisk, "_write_note", noted)
    infos = await asyncio.gather(
        *(blobs.put(pieces(DATA), kind, most=len(DATA)) for kind in ("x/one", "x/two"))
    )

    assert notes == 1
    assert infos[0] == infos[1] == await blobs.info(DIGEST)
    await blobs.close()


async def test_B2_a_damaged_blob_is_healed_by_the_same_bytes(tmp_path: Path) -> None:
    blobs = LocalDiskBlobs(tmp_path, ManualClock())
    await blobs.put(pieces(DATA), "image/png", most=len(DATA))
    path = tmp_path / DIGEST[:2] / DIGEST[2:4] / DIGEST
    path.write_bytes(b"rotten")

    info = await blobs.put(pieces(DATA), "x/y", most=len(DATA))

    assert (info.size, info.media_type) == (len(DATA), "image/png")
    assert await whole(blobs, DIGEST) == DATA
    await blobs.close()


@pytest.mark.parametrize("note", [None, b"", b"{", b'{"media_type": 5}'])
async def test_B1_a_blob_without_its_note_is_still_there(
    tmp_path: Path, note: bytes | None
) -> None:
    blobs = LocalDiskBlobs(tmp_path, ManualClock())
    await blobs.put(pieces(DATA), "image/png", most=len(DATA))
    beside = tmp_path / DIGEST[:2] / DIGEST[2:4] / f"{DIGEST}.json"
    beside.unlink() if note is None else beside.write_bytes(note)

    info = await blobs.info(DIGEST)

    assert info is not None and info.media_type == "application/octet-stream"
    assert info.created_at > 0
    assert await whole(blobs, DIGEST) == DATA
    await blobs.close()


async def test_B9_a_closed_or_unwritable_place_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreDown, match="blobs in"):
        LocalDiskBlobs(tmp_path / "file", ManualClock())
    blobs = LocalDiskBlobs(tmp_path / "blobs", ManualClock())
    await blobs.close()
    with pytest.raises(StoreDown, match="closed"):
        await blobs.info(DIGEST)
