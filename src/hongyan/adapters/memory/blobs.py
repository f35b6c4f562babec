"""Blobs in a dict."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

from hongyan.model.errors import FrameTooBig, NoSuchEntry
from hongyan.ports import BlobInfo, Clock

PIECE = 64 * 1024


class MemoryBlobs:
    """The Blobs port, gone with the process."""

    def __init__(self, clock: Clock) -> None:
        """Empty."""
        self._clock = clock
        self._kept: dict[str, tuple[BlobInfo, bytes]] = {}

    async def put(self, data: AsyncIterator[bytes], media_type: str, *, most: int) -> BlobInfo:
        """See the port. The first media type of the same bytes stays."""
        whole = bytearray()
        async for piece in data:
            if len(whole) + len(piece) > most:
                raise FrameTooBig(f"a blob has at most {most} bytes")
            whole += piece
        digest = hashlib.sha256(whole).hexdigest()
        info = BlobInfo(digest, len(whole), media_type, self._clock.now_ms())
        return self._kept.setdefault(digest, (info, bytes(whole)))[0]

    async def adopt(self, path: Path, digest: str, media_type: str) -> BlobInfo:
        """See the port."""
        data = _taken(path)
        info = BlobInfo(digest, len(data), media_type, self._clock.now_ms())
        return self._kept.setdefault(digest, (info, data))[0]

    async def info(self, digest: str) -> BlobInfo | None:
        """See the port."""
        return self._kept[digest][0] if digest in self._kept else None

    async def open(
        self, digest: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """See the port."""
        if digest not in self._kept:
            raise NoSuchEntry("no such blob")
        part = self._kept[digest][1][max(start, 0) : None if end is None else max(end, 0)]
        for at in range(0, len(part), PIECE):
            yield part[at : at + PIECE]

    async def drop(self, digest: str) -> bool:
        """See the port."""
        return self._kept.pop(digest, None) is not None

    async def close(self) -> None:
        """See the port."""


def _taken(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise NoSuchEntry("no such file") from None
    path.unlink()
    return data
