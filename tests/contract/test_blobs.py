"""What every Blobs adapter promises (rules B)."""

from __future__ import annotations

import asyncio
import errno
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hongyan.adapters.localdisk import LocalDiskBlobs
from hongyan.adapters.memory.blobs import MemoryBlobs
from hongyan.adapters.memory.clock import ManualClock
from hongyan.model.errors import FrameTooBig, NoSuchEntry
from hongyan.ports import Blobs

NOW = 1_700_000_000_000
PICTURE = bytes(range(256)) * 1024  # 256 KiB


@pytest.fixture(params=["memory", "localdisk"])
async def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Blobs]:
    clock = ManualClock(NOW)
    adapter: Blobs = (
        MemoryBlobs(clock)
        if request.param == "memory"
        else LocalDiskBlobs(tmp_path / "blobs", clock)
    )
    yield adapter
    await adapter.close()


async def pieces(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def whole(blobs: Blobs, digest: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([piece async for piece in blobs.open(digest, start=start, end=end)])


async def test_B1_bytes_come_back_under_their_digest(blobs: Blobs) -> None:
    info = await blobs.put(pieces(PICTURE), "image/png", most=len(PICTURE))

    assert info.digest == hashlib.sha256(PICTURE).hexdigest()
    assert (info.size, info.media_type, info.created_at) == (len(PICTURE), "image/png", NOW)
    assert await blobs.info(info.digest) == info
    assert await whole(blobs, info.digest) == PICTURE


async def test_B1_an_empty_blob_is_a_blob(blobs: Blobs) -> None:
    info = await blobs.put(pieces(b""), "text/plain", most=0)

    assert info.digest == hashlib.sha256(b"").hexdigest()
    assert await blobs.info(info.digest) == info
    assert await whole(blobs, info.digest) == b""


async def test_B2_same_bytes_are_kept_once_with_the_first_type(blobs: Blobs) -> None:
    first = await blobs.put(pieces(b"same"), "text/plain", most=10)
    again = await blobs.put(pieces(b"same", 1), "text/html", most=10)

    assert again == first
    assert await blobs.drop(first.digest)
    assert await blobs.info(first.digest) is None


async def test_B2_two_puts_at_once_agree(blobs: Blobs) -> None:
    puts = [blobs.put(pieces(PICTURE), f"x/{n}", most=len(PICTURE)) for n in range(8)]
    infos = await asyncio.gather(*puts)

    assert len(set(infos)) == 1
    assert await blobs.info(infos[0].digest) == infos[0]
    assert await whole(blobs, infos[0].digest) == PICTURE


@pytest.mark.parametrize("over", [1, 5000])
async def test_B3_too_many_bytes_leave_nothing(blobs: Blobs, over: int) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1000
            yield b"x" * 1000

    with pytest.raises(FrameTooBig):
        await blobs.put(pieces(PICTURE), "x/y", most=len(PICTURE) - over)
    with pytest.raises(FrameTooBig):
        await blobs.put(endless(), "x/y", most=10_000)

    assert taken <= 11_000  # stopped while streaming, not at the end
    assert await blobs.info(hashlib.sha256(PICTURE).hexdigest()) is None


async def test_B3_an_upload_that_breaks_off_leaves_nothing(blobs: Blobs) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionResetError("the peer went away")

    with pytest.raises(ConnectionResetError):
        await blobs.put(broken(), "x/y", most=100)

    assert await blobs.info(hashlib.sha256(b"half").hexdigest()) is None


async def test_B10_a_file_is_taken_over(blobs: Blobs, tmp_path: Path) -> None:
    digest = hashlib.sha256(PICTURE).hexdigest()
    for _ in range(2):  # the second time it is there
        source = tmp_path / "source"
        source.write_bytes(PICTURE)
        info = await blobs.adopt(source, digest, "image/png")
        assert (info.digest, info.size, info.media_type) == (digest, len(PICTURE), "image/png")
        assert not source.exists()
        assert await blobs.info(digest) == info
        assert await whole(blobs, digest) == PICTURE
    with pytest.raises(NoSuchEntry):
        await blobs.adopt(source, digest, "image/png")


async def test_B10_a_file_of_another_file_system_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = LocalDiskBlobs(tmp_path / "blobs", ManualClock(NOW))
    source, real = tmp_path / "source", Path.replace
    source.write_bytes(PICTURE)

    def replace(path: Path, target: Path) -> Path:
        if path == source:
            raise OSError(errno.EXDEV, "another file system")
        return real(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    info = await blobs.adopt(source, hashlib.sha256(PICTURE).hexdigest(), "image/png")
    assert await whole(blobs, info.digest) == PICTURE
    assert not source.exists() and list((tmp_path / "blobs" / "tmp").iterdir()) == []
    await blobs.close()


SIZE = len(PICTURE)
RANGES = [
    (0, None),
    (0, 0),
    (0, 1),
    (1, 2),
    (5, SIZE),
    (65_535, 65_537),
    (SIZE - 1, None),
    (SIZE, None),
    (SIZE + 9, None),
    (10, 5),
    (0, SIZE * 9),
]


@pytest.mark.parametrize(("start", "end"), RANGES)
async def test_B4_a_range_is_a_slice(blobs: Blobs, start: int, end: int | None) -> None:
    digest = (await blobs.put(pieces(PICTURE), "x/y", most=SIZE)).digest

    assert await whole(blobs, digest, start, end) == PICTURE[start:end]


async def test_B4_pieces_are_at_most_64_kib(blobs: Blobs) -> None:
    digest = (await blobs.put(pieces(PICTURE), "x/y", most=SIZE)).digest

    sizes = [len(piece) async for piece in blobs.open(digest)]

    assert max(sizes) <= 65_536 and min(sizes) > 0 and sum(sizes) == SIZE


BAD_DIGESTS = [
    "",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "a" * 63,
    "A" * 64,
    "g" * 64,
    "a" * 64 + "\n",
    "a" * 64 + ".json",
    "../" + "a" * 61,
    "ab/cd/" + "a" * 58,
    "٠" * 64,
    "\0" * 64,
]


@pytest.mark.parametrize("digest", [*BAD_DIGESTS, "0" * 64])
async def test_B5_what_is_no_digest_is_simply_absent(blobs: Blobs, digest: str) -> None:
    await blobs.put(pieces(b"something"), "x/y", most=100)

    assert await blobs.info(digest) is None
    assert not await blobs.drop(digest)
    with pytest.raises(NoSuchEntry):
        await whole(blobs, digest)


async def test_B5_more_than_a_digest_is_no_digest(blobs: Blobs) -> None:
    digest = (await blobs.put(pieces(b"something"), "x/y", most=100)).digest

    for name in (
        digest + ".json",
        digest + "/",
        digest + "\n",
        f"{digest}/../{digest}",
        f" {digest}",
    ):
        assert await blobs.info(name) is None
        assert not await blobs.drop(name)
        with pytest.raises(NoSuchEntry):
            await whole(blobs, name)


async def test_B6_a_dropped_blob_is_gone_and_may_come_again(blobs: Blobs) -> None:
    digest = (await blobs.put(pieces(b"bytes"), "x/one", most=10)).digest

    assert await blobs.drop(digest)
    assert not await blobs.drop(digest)
    assert await blobs.info(digest) is None
    with pytest.raises(NoSuchEntry):
        await whole(blobs, digest)
    assert (await blobs.put(pieces(b"bytes"), "x/two", most=10)).media_type == "x/two"
    assert await whole(blobs, digest) == b"bytes"


async def test_B6_a_reader_finishes_a_blob_that_is_dropped_meanwhile(blobs: Blobs) -> None:
    digest = (await blobs.put(pieces(PICTURE), "x/y", most=SIZE)).digest

    reading = blobs.open(digest)
    got = await anext(reading)
    await blobs.drop(digest)
    async for piece in reading:
        got += piece

    assert got == PICTURE


async def test_close_twice(blobs: Blobs) -> None:
    await blobs.close()
    await blobs.close()
