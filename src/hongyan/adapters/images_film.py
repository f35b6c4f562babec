"""MP4 and MOV without what the camera wrote beside the tracks: place, device, words.

Done in the file itself, since a film is large and its tables point at bytes by place: the boxes of
notes become free space of the same length. Doing it again changes nothing. Also tells, because it
is cheap here, how large and how long the film is. Raises ValueError where the boxes cannot be
followed.
"""

from __future__ import annotations

import os
from typing import BinaryIO

import msgspec

from hongyan.adapters.images_iso import boxes

MOST = 64 << 20  # bytes of the table of contents
NOTES = frozenset((b"udta", b"meta", b"uuid"))


class Film(msgspec.Struct, frozen=True):
    """Pixels as shown, 0 where unknown; ms, 0 where unknown."""

    width: int = 0
    height: int = 0
    duration_ms: int = 0


def clean_film(file: BinaryIO) -> Film:
    """Blank the notes of a film that is open for reading and writing; durable on return."""
    size = file.seek(0, os.SEEK_END)
    at, found = 0, Film()
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, skip = int.from_bytes(head[:4], "big"), 8
        if length == 1:
            length, skip = int.from_bytes(head[8:16], "big"), 16
        elif length == 0:
            length = size - at
        if length < skip or at + length > size:
            raise ValueError("a box is cut")
        if head[4:8] in NOTES:
            _blank(file, at + 4, at + skip, at + length)
        elif head[4:8] == b"moov":
            if length > MOST:
                raise ValueError("the table of contents is too long")
            file.seek(at + skip)
            found = _contents(file, at + skip, file.read(length - skip))
        at += length
    file.flush()
    os.fsync(file.fileno())
    return found


def _blank(file: BinaryIO, place: int, begin: int, end: int) -> None:
    file.seek(place)
    file.write(b"free")
    file.seek(begin)
    while begin < end:
        begin += file.write(bytes(min(end - begin, 1 << 20)))


def _contents(file: BinaryIO, base: int, data: bytes) -> Film:
    width = height = duration = 0
    waiting = [(0, len(data))]
    while waiting:
        for name, place, begin, end in boxes(data, *waiting.pop()):
            if name in NOTES:
                _blank(file, base + place, base + begin, base + end)
            elif name == b"trak":
                waiting.append((begin, end))
            elif name == b"mvhd":
                duration = _duration(data[begin:end])
            elif name == b"tkhd":
                width, height = max((width, height), _size(data[begin:end]))
    return Film(width, height, duration)


def _duration(data: bytes) -> int:
    """Of a movie header, in ms."""
    wide = data[:1] == b"\1"
    at = 20 if wide else 12
    scale = int.from_bytes(data[at : at + 4], "big")
    long = int.from_bytes(data[at + 4 : at + (12 if wide else 8)], "big")
    unknown = long == (1 << (64 if wide else 32)) - 1
    return 0 if not scale or unknown else min(long * 1000 // scale, 86_400_000)


def _size(data: bytes) -> tuple[int, int]:
    """Of a track header, turned as its matrix says."""
    at = 52 if data[:1] == b"\1" else 40
    matrix, size = data[at : at + 36], data[at + 36 : at + 44]
    if len(size) < 8:
        return 0, 0
    width, height = (int.from_bytes(size[n : n + 2], "big") for n in (0, 4))
    turned = matrix[:4] == bytes(4) and matrix[4:8] != bytes(4)
    return (height, width) if turned else (width, height)
