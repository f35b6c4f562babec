"""AVIF and HEIC without what the camera wrote beside the picture.

Both are boxes in boxes, and boxes point at bytes by their place in the file: nothing may move. So
what does not belong to the picture is overwritten: EXIF and XMP, boxes that are not known, and all
bytes that no part of the picture points at. Raises ValueError where the structure cannot be
followed.
"""

from __future__ import annotations

from collections.abc import Iterator

_KEPT = frozenset((b"ftyp", b"meta", b"mdat", b"moov", b"free", b"skip"))
_NEEDED = frozenset((b"ftyp", b"meta", b"mdat"))
_SHOWN = frozenset(
    (b"av01", b"hvc1", b"lhv1", b"grid", b"iovl", b"iden", b"tmap")
)  # kinds of items
_EMPTY_EXIF = bytes(4) + b"II*\0\x08\0\0\0" + bytes(6)  # decoders refuse one that is no EXIF

Box = tuple[bytes, int, int, int]  # name, where it stands, where its content begins and ends
Piece = tuple[int, int]  # where bytes begin and end


def clean_iso(data: bytes) -> bytes:
    """The picture without its notes, as long as before; what hangs behind it is left out."""
    outer = _whole_boxes(data)
    names = {name for name, *_ in outer}
    if not names.issuperset(_NEEDED):
        raise ValueError("a part is missing")
    out = bytearray(data[: outer[-1][3]])
    for name, place, begin, end in outer:
        if name == b"meta":
            _clean_items(data, out, outer, begin + 4, end, moves=b"moov" in names)
        elif name == b"moov":
            _blank_notes(out, begin, end)
        elif name not in _KEPT or name in (b"free", b"skip"):
            _blank(out, place, begin, end)
    return bytes(out)


def _whole_boxes(data: bytes) -> list[Box]:
    """The outer boxes; behind a whole picture there may be anything."""
    found: list[Box] = []
    try:
        for box in boxes(data, 0, len(data)):
            found.append(box)  # noqa: PERF402 - those before the broken one are wanted too
    except ValueError:
        if not {name for name, *_ in found}.issuperset(_NEEDED):
            raise
    return found


def boxes(data: bytes | bytearray, at: int, end: int) -> Iterator[Box]:
    """The boxes in a range."""
    while at + 8 <= end:
        size, begin = int.from_bytes(data[at : at + 4], "big"), at + 8
        if size == 1:
            size, begin = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        elif size == 0:
            size = end - at
        if at + size > end or at + size < begin:
            raise ValueError("a box is cut")
        yield bytes(data[at + 4 : at + 8]), at + 4, begin, at + size
        at += size


def _blank_notes(out: bytearray, begin: int, end: int) -> None:
    """Of a picture that moves: what stands beside its tracks."""
    for name, place, low, high in list(boxes(out, begin, end)):
        if name in (b"trak", b"mdia", b"minf"):
            _blank_notes(out, low, high)
        elif name in (b"udta", b"meta", b"uuid"):
            _blank(out, place, low, high)


def _blank(out: bytearray, place: int, begin: int, end: int) -> None:
    out[place : place + 4] = b"free"
    out[begin:end] = bytes(end - begin)


def _clean_items(
    data: bytes, out: bytearray, outer: list[Box], begin: int, end: int, *, moves: bool
) -> None:
    """Blank all bytes of items that are no part of the picture, and those of no item at all. The
    tracks of one that `moves` point into the same bytes, so there only the notes are blanked."""
    kinds: dict[int, bytes] = {}
    places: dict[int, list[tuple[int, Piece]]] = {}
    stores = [(low, high) for name, _, low, high in outer if name == b"mdat"]
    inner = 0
    for name, _, low, high in boxes(data, begin, end):
        if name == b"iinf":
            kinds |= _kinds(data, low, high)
        elif name == b"iloc":
            places |= _places(data, low, high)
        elif name == b"idat":
            inner = low
            stores.append((low, high))
    kept: list[Piece] = []
    notes: list[tuple[Piece, bytes]] = []
    for item, pieces in places.items():
        kind = kinds.get(item, b"")
        for method, (low, high) in pieces:
            piece = (low + inner, high + inner) if method == 1 else (low, high)
            if method > 1 or piece[1] > len(data):
                raise ValueError("a piece is out of reach")
            if kind in _SHOWN:
                kept.append(piece)
            else:
                notes.append((piece, _EMPTY_EXIF if kind == b"Exif" else b""))
    _overwrite(data, out, [] if moves else stores, kept, notes)


def _overwrite(
    data: bytes,
    out: bytearray,
    stores: list[Piece],
    kept: list[Piece],
    notes: list[tuple[Piece, bytes]],
) -> None:
    if any(start < high and low < stop for (low, high), _ in notes for start, stop in kept):
        raise ValueError("notes and picture are the same bytes")
    for low, high in stores:
        out[low:high] = bytes(high - low)
        for start, stop in kept:
            first, last = max(start, low), min(stop, high)
            if first < last:
                out[first:last] = data[first:last]
    for (start, stop), fill in notes:
        if stop > len(out):
            raise ValueError("a piece is out of reach")
        out[start:stop] = fill[: stop - start].ljust(stop - start, b"\0")


def _kinds(data: bytes, low: int, high: int) -> dict[int, bytes]:
    """What each item is."""
    first = low + (6 if data[low] == 0 else 8)
    found = {}
    for name, _, at, _ in boxes(data, first, high):
        if name != b"infe" or data[at] < 2:
            continue
        wide = 4 if data[at] == 3 else 2
        item = int.from_bytes(data[at + 4 : at + 4 + wide], "big")
        found[item] = data[at + 6 + wide : at + 10 + wide]
    return found


def _places(data: bytes, low: int, high: int) -> dict[int, list[tuple[int, Piece]]]:
    """How and where the pieces of each item lie."""
    version = data[low]
    sizes = data[low + 4], data[low + 5]
    offset_size, length_size = sizes[0] >> 4, sizes[0] & 15
    base_size, index_size = sizes[1] >> 4, (sizes[1] & 15 if version else 0)
    at = low + 6
    wide = 4 if version == 2 else 2

    def number(size: int) -> int:
        nonlocal at
        if at + size > high:
            raise ValueError("a table is cut")
        at += size
        return int.from_bytes(data[at - size : at], "big")

    found: dict[int, list[tuple[int, Piece]]] = {}
    for _ in range(number(wide)):
        item = number(wide)
        method = number(2) & 15 if version else 0
        number(2)  # of which file
        base = number(base_size)
        pieces = found.setdefault(item, [])
        for _ in range(number(2)):
            number(index_size)
            offset = base + number(offset_size)
            length = number(length_size)
            if not length:
                raise ValueError("a piece without an end")
            pieces.append((method, (offset, offset + length)))
    return found
