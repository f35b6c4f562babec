"""Pictures without what the camera wrote beside them: place, device, time, words.

The pixels stay as they are, byte for byte. Only what shows the picture is copied (colours, size,
animation, how it must be turned); everything else, and whatever hangs behind the end, is left out.
Runs in the picture process only. Raises ValueError where the structure cannot be followed.
"""

from __future__ import annotations

import re

from hongyan.adapters.images_iso import clean_iso

_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_PNG_KEPT = frozenset(
    b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP cICP sBIT pHYs bKGD acTL fcTL fdAT".split()
)
_WEBP_KEPT = frozenset((b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP"))
_GIF_KEPT = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
_WEBP_EXIF, _WEBP_XMP = 0x08, 0x04


def clean(data: bytes, media_type: str, turn: int) -> bytes:
    """The picture without its metadata; `turn` is its EXIF orientation (1 = as it is)."""
    match media_type:
        case "image/jpeg":
            return _jpeg(data, turn)
        case "image/png":
            return _png(data)
        case "image/webp":
            return _webp(data, turn)
        case "image/gif":
            return _gif(data)
        case _:
            return clean_iso(data)


def _tiff(turn: int) -> bytes:
    """An EXIF block that says how to turn, and nothing else."""
    entry = b"\x12\x01\x03\x00\x01\x00\x00\x00" + bytes((turn, 0, 0, 0))
    return b"II*\x00\x08\x00\x00\x00\x01\x00" + entry + b"\x00\x00\x00\x00"


def _jpeg(data: bytes, turn: int) -> bytes:
    if data[:2] != b"\xff\xd8":
        raise ValueError("not a JPEG")
    out = bytearray(data[:2])
    if 1 < turn <= 8:
        block = b"Exif\x00\x00" + _tiff(turn)
        out += b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block
    at = 2
    while True:
        if data[at : at + 1] != b"\xff":
            raise ValueError("a marker is missing")
        while data[at + 1 : at + 2] == b"\xff":  # fill bytes
            at += 1
        marker = data[at + 1 : at + 2]
        if marker == b"\xd9":
            return bytes(out + b"\xff\xd9")
        if not marker or marker == b"\x00" or 0xD0 <= marker[0] <= 0xD8 or marker == b"\x01":
            raise ValueError("a marker out of place")
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if end < at + 4 or end > len(data):
            raise ValueError("a segment is cut")
        if _jpeg_keeps(marker[0], data[at + 4 : end]):
            out += data[at:end]
        at = end
        if marker == b"\xda":
            found = _SCAN_END.search(data, at)
            if found is None:
                raise ValueError("the end is missing")
            out += data[at : found.start()]
            at = found.start()


def _jpeg_keeps(marker: int, body: bytes) -> bool:
    if marker == 0xFE:  # comment
        return False
    if not 0xE0 <= marker <= 0xEF:
        return True
    return (
        (marker == 0xE0 and body.startswith(b"JFIF\x00"))
        or (marker == 0xE2 and body.startswith(b"ICC_PROFILE\x00"))
        or (marker == 0xEE and body.startswith(b"Adobe"))
    )


def _png(data: bytes) -> bytes:
    out = bytearray(data[:8])
    at, last = 8, b""
    while last != b"IEND":
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if end > len(data) or at + 12 > len(data):
            raise ValueError("a chunk is cut")
        last = data[at + 4 : at + 8]
        if last in _PNG_KEPT:
            out += data[at:end]
        elif not last[0] & 0x20:
            raise ValueError("an unknown chunk that matters")
        at = end
    return bytes(out)


def _webp(data: bytes, turn: int) -> bytes:
    size = min(int.from_bytes(data[4:8], "little") + 8, len(data))
    parts: list[tuple[bytes, bytes]] = []
    at = 12
    while at + 8 <= size:
        name, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + length > size:
            raise ValueError("a chunk is cut")
        if name in _WEBP_KEPT:
            parts.append((name, data[at + 8 : at + 8 + length]))
        at += 8 + length + (length & 1)
    if not parts:
        raise ValueError("no picture in it")
    if parts[0][0] == b"VP8X":
        turned = 1 < turn <= 8
        flags = parts[0][1][0] & ~(_WEBP_EXIF | _WEBP_XMP) | (_WEBP_EXIF if turned else 0)
        parts[0] = (b"VP8X", bytes((flags,)) + parts[0][1][1:])
        if turned:
            parts.append((b"EXIF", _tiff(turn)))
    body = b"".join(
        name + len(part).to_bytes(4, "little") + part + b"\0" * (len(part) & 1)
        for name, part in parts
    )
    return b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body


def _gif(data: bytes) -> bytes:
    at = 13 + _colours(data[10])
    out = bytearray(data[:at])
    while (kind := data[at : at + 1]) != b";":
        start = at
        if kind == b",":
            at = _blocks(data, at + 11 + _colours(data[at + 9]))
            out += data[start:at]
        elif kind == b"!":
            label = data[at + 1]
            at = _blocks(data, at + 2)
            if label == 0xF9 or (label == 0xFF and data[start + 3 : start + 14] in _GIF_KEPT):
                out += data[start:at]
        else:
            raise ValueError("a block out of place")
    return bytes(out + b";")


def _colours(flags: int) -> int:
    """Bytes of a colour table."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _blocks(data: bytes, at: int) -> int:
    """Where the blocks that begin at `at` end."""
    while True:
        if at >= len(data):
            raise ValueError("a block is cut")
        length = data[at]
        at += 1 + length
        if not length:
            return at
