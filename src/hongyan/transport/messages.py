"""WebSocket frames in, whole messages out: what RFC 6455 asks for, judged.

No socket and no clock. picows only finds the payload of a frame and unmasks it: what a frame's
first bytes may say is judged here before picows sees them, and so is everything that needs to
know more than one frame.
"""

from __future__ import annotations

import codecs

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

NORMAL = 1000
AWAY = 1001
PROTOCOL_ERROR = 1002
WRONG_KIND = 1003
NO_STATUS = 1005
BAD_TEXT = 1007
POLICY = 1008
TOO_BIG = 1009
INTERNAL = 1011
TRY_LATER = 1013

# RFC 6455 section 7.4 and IANA's registry: those that may stand in a close frame.
_REGISTERED = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})

_UTF8 = codecs.getincrementaldecoder("utf-8")
_KINDS = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})
LONGEST_HEAD = 14  # bytes before a client's payload: kind, size in 8 bytes, mask


class Violation(Exception):
    """The peer broke the protocol or a limit: close with `code`, the text is the reason."""

    def __init__(self, code: int, reason: str) -> None:
        """`reason` is sent to the peer: at most 123 bytes."""
        super().__init__(reason)
        self.code = code
        self.reason = reason


def header(kind: int, size: int) -> bytes:
    """What stands before the `size` bytes of a whole message that a server sends."""
    if size < 126:
        return bytes((0x80 | kind, size))
    if size < 1 << 16:
        return bytes((0x80 | kind, 126)) + size.to_bytes(2, "big")
    return bytes((0x80 | kind, 127)) + size.to_bytes(8, "big")


def frame_size(start: bytes, most: int) -> int | None:
    """Bytes of the client's frame that begins with `start`, its head included.

    None: its head is not whole; LONGEST_HEAD bytes always hold one. What is wrong is told as
    soon as it is there, often with the first two bytes.

    Raises:
        Violation: 1002 for a reserved bit or opcode, no mask, a long or fragmented control frame,
            a size in more bytes than it needs; 1009 for a payload of more than `most` bytes.
    """
    if len(start) < 2:
        return None
    first, second = start[0], start[1]
    kind, size = first & 0xF, second & 0x7F
    if first & 0x70:
        raise Violation(PROTOCOL_ERROR, "no extension was agreed on: reserved bit")
    if kind not in _KINDS:
        raise Violation(PROTOCOL_ERROR, f"opcode {kind:#x} is reserved")
    if not second & 0x80:
        raise Violation(PROTOCOL_ERROR, "a client's frames are masked")
    if kind >= CLOSE and (size > 125 or not first & 0x80):
        raise Violation(PROTOCOL_ERROR, "a control frame is whole and has at most 125 bytes")
    wide = head_size(start) - 6
    if wide:
        if len(start) < 2 + wide:
            return None
        size = int.from_bytes(start[2 : 2 + wide], "big")
        if size >> 63 or size < (126 if wide == 2 else 1 << 16):
            raise Violation(PROTOCOL_ERROR, "a size is written in as few bytes as it needs")
    if size > most and kind < CLOSE:
        raise Violation(TOO_BIG, f"a message has at most {most} bytes")
    head = head_size(start)
    return head + size if len(start) >= head else None


def head_size(start: bytes) -> int:
    """Bytes before the payload of a client's frame that begins with `start`; two are enough."""
    return {126: 8, 127: LONGEST_HEAD}.get(start[1] & 0x7F, 6)


class Messages:
    """Put the fragments of one connection together; at most `most` bytes are held.

    `data` is copied where it must outlive the call. After a Violation the object is of no more
    use: nothing that follows can be trusted.
    """

    __slots__ = ("_kind", "_most", "_parts", "_text")

    def __init__(self, most: int) -> None:
        """`most` bounds a whole message in bytes."""
        self._most = most
        self._kind = 0  # opcode of the message that is being put together, 0 = none
        self._parts = bytearray()
        self._text: codecs.IncrementalDecoder | None = None  # of a fragmented text

    def feed(self, kind: int, fin: bool, data: bytes) -> tuple[int, bytes] | None:
        """Take a data frame; return (TEXT or BINARY, payload) when it ends a message.

        Raises:
            Violation: 1002 for a fragment out of place, 1007 for text that is not UTF-8 (with
                the fragment in which no end could mend it), 1009 for a message over the bound
                (before its bytes are kept).
        """
        if fin and kind != CONTINUATION and not self._kind:  # hot: the usual, whole message
            if len(data) > self._most:
                raise Violation(TOO_BIG, f"a message has at most {self._most} bytes")
            if kind == TEXT:
                _check_text(data)
            return kind, data
        return self._fragment(kind, fin, data)

    def ahead(self, start: bytes) -> TextAhead | None:
        """What judges the frame that begins with `start` while it comes; None: it is no text."""
        kind = start[0] & 0xF
        if kind == TEXT:
            return TextAhead(start, _UTF8())
        if kind != CONTINUATION or self._text is None:
            return None
        text = _UTF8()
        text.setstate(self._text.getstate())
        return TextAhead(start, text)

    def _fragment(self, kind: int, fin: bool, data: bytes) -> tuple[int, bytes] | None:
        """Any other data frame."""
        if kind == CONTINUATION:
            if not self._kind:
                raise Violation(PROTOCOL_ERROR, "continuation without a message")
        elif self._kind:
            raise Violation(PROTOCOL_ERROR, "new message inside a fragmented one")
        else:
            self._kind = kind
            self._text = _UTF8() if kind == TEXT else None
        if len(self._parts) + len(data) > self._most:
            raise Violation(TOO_BIG, f"a message has at most {self._most} bytes")
        if self._text is not None:
            _check_piece(self._text, data, fin)
        self._parts += data
        if not fin:
            return None
        kind, whole = self._kind, bytes(self._parts)
        self._kind, self._parts, self._text = 0, bytearray(), None
        return kind, whole


class TextAhead:
    """Judges the text of a frame whose end has not come yet."""

    __slots__ = ("_mask", "_text")

    def __init__(self, start: bytes, text: codecs.IncrementalDecoder) -> None:
        """`start` begins with the frame's whole head; `text` is as it was before the frame."""
        end = head_size(start)
        self._mask = start[end - 4 : end]
        self._text = text

    def read(self, data: bytes) -> None:
        """The next bytes of the payload, masked as they came.

        Raises:
            Violation: 1007, no more bytes could mend it.
        """
        size, mask = len(data), self._mask
        stream = (mask * (size // 4 + 1))[:size]
        plain = int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")
        self._mask = (mask + mask)[size % 4 : size % 4 + 4]
        _check_piece(self._text, plain.to_bytes(size, "big"), False)


def _check_text(data: bytes) -> None:
    """Refuse text that is not UTF-8 (strictly: no surrogates, no overlong forms)."""
    if data.isascii():  # hot: several times cheaper than decoding, true for most JSON
        return
    try:
        data.decode()
    except UnicodeDecodeError:
        raise Violation(BAD_TEXT, "text is not UTF-8") from None


def _check_piece(text: codecs.IncrementalDecoder, data: bytes, last: bool) -> None:
    """Refuse the next piece of a text that can no longer become UTF-8."""
    try:
        text.decode(data, last)
    except UnicodeDecodeError:
        raise Violation(BAD_TEXT, "text is not UTF-8") from None
    open_end: bytes = text.getstate()[0]
    if open_end[:1] == b"\xed" and open_end[1:] >= b"\xa0":  # Python waits for the third byte
        raise Violation(BAD_TEXT, "text is not UTF-8")


def close_code(payload: bytes) -> int:
    """The status of a close frame, NO_STATUS where it carries none.

    Raises:
        Violation: 1002 for one byte, or a code that may not be sent; 1007 for a reason that is
            not UTF-8.
    """
    if not payload:
        return NO_STATUS
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not (code in _REGISTERED or 3000 <= code <= 4999):
        raise Violation(PROTOCOL_ERROR, "invalid close code")
    _check_text(payload[2:])
    return code


def reason_bytes(text: str) -> bytes:
    """`text` as a close reason: UTF-8, cut at a character to the 123 bytes that fit."""
    data = text.encode("utf-8", "replace")
    return data if len(data) <= 123 else data[:123].decode("utf-8", "ignore").encode()
