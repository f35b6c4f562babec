"""A WebSocket client that can do everything wrong: frames by hand on a blocking socket."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # of KEY, from RFC 6455 section 1.3


class Frame(NamedTuple):
    """As it came; a server's frames are never masked."""

    fin: bool
    kind: int
    data: bytes


class Gone(Exception):
    """The server closed TCP."""


def frame(
    kind: int,
    data: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = b"\x37\xfa\x21\x3d",
    length: int | None = None,
    wide: int = 0,
) -> bytes:
    """Encode a frame, right or wrong. `length` lies about the size, `wide` (2 or 8) takes more
    bytes for it than needed."""
    size = len(data) if length is None else length
    head = bytes([fin << 7 | rsv << 4 | kind])
    bit = 0x80 if mask is not None else 0
    if wide == 2 or (not wide and 126 <= size < 65536):
        head += bytes([bit | 126]) + struct.pack("!H", size)
    elif wide == 8 or size >= 65536:
        head += bytes([bit | 127]) + struct.pack("!Q", size)
    else:
        head += bytes([bit | size])
    if mask is None:
        return head + data
    stream = mask * (len(data) // 4 + 1)
    masked = (int.from_bytes(data, "big") ^ int.from_bytes(stream[: len(data)], "big")).to_bytes(
        len(data), "big"
    )
    return head + mask + masked


def close_frame(code: int | None = None, reason: bytes = b"") -> bytes:
    """A close frame; None: without a code."""
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


def request(path: str = "/v1/ws", *, extra: Sequence[str] = (), **changed: str) -> bytes:
    """An opening handshake; `changed` replaces headers ("_" for "-"), "" leaves one out."""
    headers = {
        "Host": "chat.example",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
    }
    for name, value in changed.items():
        headers[name.replace("_", "-")] = value
    lines = [f"GET {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items() if value]
    return "\r\n".join([*lines, *extra]).encode() + b"\r\n\r\n"


class Client:
    """One connection; every wait ends after 10 seconds with an error."""

    def __init__(self, port: int, *, buffer: int = 0) -> None:
        self.sock = socket.socket()
        if buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.sock.settimeout(10)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._data = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, *pieces: bytes) -> None:
        """All of it, as one write."""
        self.sock.sendall(b"".join(pieces))

    def take(self, size: int) -> bytes:
        """Exactly so many bytes. Raises Gone."""
        while len(self._data) < size:
            try:
                more = self.sock.recv(65536)
            except ConnectionError:
                more = b""
            if not more:
                raise Gone(self._data)
            self._data += more
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def head(self) -> str:
        """The head of an HTTP answer."""
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            data += self.take(1)
        return data.decode()

    def answer(self) -> tuple[int, str, bytes]:
        """Status, head and body of an HTTP answer with Content-Length."""
        head = self.head()
        size = next(
            (int(x.split(":")[1]) for x in head.lower().split("\r\n") if "content-length" in x), 0
        )
        return int(head.split(" ")[1]), head, self.take(size)

    def open(self, path: str = "/v1/ws", **changed: str) -> Client:
        """The opening handshake."""
        self.send(request(path, **changed))
        head = self.head()
        assert head.startswith("HTTP/1.1 101 "), head
        assert f"Sec-WebSocket-Accept: {ACCEPT}" in head, head
        return self

    def frame(self) -> Frame:
        """The next frame of the server. Raises Gone."""
        first, second = self.take(2)
        assert not second & 0x80, "a server does not mask"
        assert not first & 0x70, "no extension was agreed on"
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", self.take(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self.take(8))
        return Frame(bool(first & 0x80), first & 0xF, self.take(size))

    def closed_with(self) -> tuple[int, str]:
        """Skip to the server's close frame: code and reason; then answer it and see TCP end."""
        while (got := self.frame()).kind != CLOSE:
            pass
        code = struct.unpack("!H", got.data[:2])[0] if got.data else 0
        try:
            self.send(close_frame(code or None))
        except ConnectionError:
            return code, got.data[2:].decode()
        self.gone()
        return code, got.data[2:].decode()

    def gone(self) -> None:
        """The server closes TCP, after whatever it still sends."""
        try:
            while self.sock.recv(65536):
                pass
        except ConnectionError:
            return


def random_bytes(size: int) -> bytes:
    """Payload that no compression or text check likes."""
    return os.urandom(size)
