"""UTF-8 as RFC 3629 has it, written from its grammar: an own judge, and sequences to judge."""

from __future__ import annotations

# RFC 3629 section 4: first byte, then the range of each byte that follows.
_TAIL = (0x80, 0xBF)
_ROWS: list[tuple[range, list[tuple[int, int]]]] = [
    (range(0x80), []),
    (range(0xC2, 0xE0), [_TAIL]),
    (range(0xE0, 0xE1), [(0xA0, 0xBF), _TAIL]),
    (range(0xE1, 0xED), [_TAIL, _TAIL]),
    (range(0xED, 0xEE), [(0x80, 0x9F), _TAIL]),
    (range(0xEE, 0xF0), [_TAIL, _TAIL]),
    (range(0xF0, 0xF1), [(0x90, 0xBF), _TAIL, _TAIL]),
    (range(0xF1, 0xF4), [_TAIL, _TAIL, _TAIL]),
    (range(0xF4, 0xF5), [(0x80, 0x8F), _TAIL, _TAIL]),
]
_FIRST = {byte: rest for bytes_, rest in _ROWS for byte in bytes_}


def first_fault(data: bytes) -> int | None:
    """Where no continuation can mend `data` any more; its length when it ends inside a
    character; None when it is UTF-8."""
    at = 0
    while at < len(data):
        if data[at] not in _FIRST:
            return at
        for low, high in _FIRST[data[at]]:
            at += 1
            if at == len(data):
                return at
            if not low <= data[at] <= high:
                return at
        at += 1
    return None


def numbered(point: int, size: int) -> bytes:
    """`point` in the scheme of UTF-8 with `size` bytes, whether it is allowed or not."""
    if size == 1:
        return bytes([point])
    tail = [0x80 | point >> 6 * n & 0x3F for n in reversed(range(size - 1))]
    return bytes([(0xFF00 >> size & 0xFF) | point >> 6 * (size - 1), *tail])


GOOD = {
    "empty": b"",
    "Greek": "κόσμε".encode(),
    "a greeting": "Hello-µ@ßöäüàá-UTF-8!!".encode(),
    "Chinese": "鸿雁传书".encode(),
    **{
        f"U+{point:04X}": numbered(point, size)
        for size, points in {
            1: (0, 0x7F),
            2: (0x80, 0x7FF),
            3: (0x800, 0xD7FF, 0xE000, 0xFFFD, 0xFFFE, 0xFFFF, 0xFDD0, 0xFEFF),
            4: (0x10000, 0x3FFFF, 0x40000, 0xFFFFF, 0x100000, 0x10FFFF, 0x1FFFE),
        }.items()
        for point in points
    },
}
_LONG = {size: numbered(0x3FFFFFF if size == 5 else 0x7FFFFFFF, size) for size in (5, 6)}
BAD = {
    "above the last": numbered(0x110000, 4),
    "the last of four bytes": numbered(0x1FFFFF, 4),
    **{f"first of {size} bytes": numbered(1 << (5 * size - 4), size) for size in (5, 6)},
    **{f"last of {size} bytes": data for size, data in _LONG.items()},
    **{f"{n} continuations": (b"\x80\xbf" * 4)[:n] for n in range(1, 8)},
    "every continuation": bytes(range(0x80, 0xC0)),
    **{
        f"starts {low:02X} alone": b"".join(bytes([n, 0x20]) for n in range(low, high))
        for low, high in ((0xC0, 0xE0), (0xE0, 0xF0), (0xF0, 0xF8), (0xF8, 0xFC), (0xFC, 0xFE))
    },
    **{f"{data.hex()} without its last": data[:-1] for data in (b"\xc3\xbf", b"\xef\xbf\xbf")},
    "F7BFBF without its last": b"\xf7\xbf\xbf",
    "FE": b"\xfe",
    "FF": b"\xff",
    "FEFEFFFF": b"\xfe\xfe\xff\xff",
    **{
        f"{point:X} overlong in {size}": numbered(point, size)
        for point, sizes in {
            0x2F: (2, 3, 4, 5, 6),
            0x7F: (2,),
            0x7FF: (3,),
            0xFFFF: (4,),
            0: (2, 3, 4, 5, 6),
        }.items()
        for size in sizes
    },
    **{f"surrogate {n:X}": numbered(n, 3) for n in (0xD800, 0xDB7F, 0xDBFF, 0xDC00, 0xDFFF)},
    **{
        f"surrogates {high:X} {low:X}": numbered(high, 3) + numbered(low, 3)
        for high in (0xD800, 0xDBFF)
        for low in (0xDC00, 0xDFFF)
    },
    "bad after good": "κόσμε".encode() + b"\xf4\x90\x80\x80" + b"edited",
}
