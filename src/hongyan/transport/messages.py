"""WebSocket frames in, whole messages out: what RFC 6455 asks for beyond parsing a frame.

No socket and no clock. picows parses frames, unmasks them and refuses bad opcodes, unmasked or
oversized frames and long or fragmented control frames; everything that needs to know more than
one frame is judged here.
"""

from __future__ import annotations

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


class Messages:
    """Put the fragments of one connection together; at most `most` bytes are held.

    `data` is copied where it must outlive the call. After a Violation the object is of no more
    use: nothing that follows can be trusted.
    """

    __slots__ = ("_kind", "_most", "_parts")

    def __init__(self, most: int) -> None:
        """`most` bounds a whole message in bytes."""
        self._most = most
        self._kind = 0  # opcode of the message that is being put together, 0 = none
        self._parts = bytearray()

    def feed(self, kind: int, fin: bool, data: bytes) -> tuple[int, bytes] | None:
        """Take a data frame; return (TEXT or BINARY, payload) when it ends a message.

        Raises:
            Violation: 1002 for a fragment out of place, 1007 for text that is not UTF-8, 1009
                for a message over the bound (before its bytes are kept).
        """
        if fin and kind != CONTINUATION and not self._kind:  # hot: the usual, whole message
            if len(data) > self._most:
                raise Violation(TOO_BIG, f"a message has at most {self._most} bytes")
            if kind == TEXT:
                _check_text(data)
            return kind, data
        return self._fragment(kind, fin, data)

    def _fragment(self, kind: int, fin: bool, data: bytes) -> tuple[int, bytes] | None:
        """Any other data frame."""
        if kind == CONTINUATION:
            if not self._kind:
                raise Violation(PROTOCOL_ERROR, "continuation without a message")
        elif self._kind:
            raise Violation(PROTOCOL_ERROR, "new message inside a fragmented one")
        else:
            self._kind = kind
        if len(self._parts) + len(data) > self._most:
            raise Violation(TOO_BIG, f"a message has at most {self._most} bytes")
        self._parts += data
        if not fin:
            return None
        kind, whole = self._kind, bytes(self._parts)
        self._kind, self._parts = 0, bytearray()
        if kind == TEXT:
            _check_text(whole)
        return kind, whole


def _check_text(data: bytes) -> None:
    """Refuse text that is not UTF-8 (strictly: no surrogates, no overlong forms)."""
    if data.isascii():  # hot: several times cheaper than decoding, true for most JSON
        return
    try:
        data.decode()
    except UnicodeDecodeError:
        raise Violation(BAD_TEXT, "text is not UTF-8") from None


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
