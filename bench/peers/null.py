"""The least that a server can do: what one says, all are sent, with one write each per tick.

Nothing is read but the handshake and whole frames, and nothing is checked. What the generator makes
of it is the most that it could measure of any server.
Prints "serves PORT VERSION" when it listens.
"""

from __future__ import annotations

import base64
import hashlib
import select
import socket
import sys
import time

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def switched(request: bytes) -> bytes:
    """The answer to a handshake."""
    headers = (line.partition(b":") for line in request.split(b"\r\n"))
    key = next(value.strip() for name, _, value in headers if name.lower() == b"sec-websocket-key")
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def text_frame(payload: bytes) -> bytes:
    """Unmasked, as a server sends it."""
    size = len(payload)
    head = bytes((0x81, size)) if size < 126 else b"\x81\x7e" + size.to_bytes(2, "big")
    return head + payload


def spoken(data: bytes) -> tuple[list[bytes], bytes]:
    """The payloads of whole client frames, masked with zeros as the generator masks, and what
    is left."""
    found, at = [], 0
    while len(data) - at >= 6:
        size, start = data[at + 1] & 0x7F, at + 6
        if size == 126:
            size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 8
        if start + size > len(data):
            break
        found.append(data[start : start + size])
        at = start + size
    return found, data[at:]


class Peer:
    """A connection."""

    def __init__(self, sock: socket.socket) -> None:
        """Nothing has come yet."""
        self.sock = sock
        self.opened = False
        self.rest = b""
        self.late = b""  # what the kernel did not take

    def write(self, data: bytes) -> None:
        """As much as the kernel takes; the rest with the next tick."""
        data = self.late + data
        try:
            sent = self.sock.send(data) if data else 0
        except OSError:
            sent = 0
        self.late = data[sent:]


class Room:
    """All connections, and what is said in a tick."""

    def __init__(self) -> None:
        """Listen."""
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.listening.setblocking(False)
        self.poll = select.epoll()
        self.poll.register(self.listening.fileno(), select.EPOLLIN)
        self.peers: dict[int, Peer] = {}
        self.room: dict[int, Peer] = {}
        self.pending: list[bytes] = []

    def accept(self) -> None:
        """All that wait."""
        while True:
            try:
                sock, _ = self.listening.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.peers[sock.fileno()] = Peer(sock)
            self.poll.register(sock.fileno(), select.EPOLLIN)

    def read(self, fd: int) -> None:
        """What a connection says."""
        peer = self.peers[fd]
        try:
            data = peer.sock.recv(64 * 1024)
        except OSError:
            data = b""
        if not data:
            self.room.pop(fd, None)
            self.peers.pop(fd).sock.close()
            return
        peer.rest += data
        if not peer.opened:
            if b"\r\n\r\n" not in peer.rest:
                return
            peer.write(switched(peer.rest))
            peer.opened, peer.rest = True, b""
        payloads, peer.rest = spoken(peer.rest)
        for payload in payloads:
            if payload == b"join":
                self.room[fd] = peer
                peer.write(text_frame(b"joined"))
            else:
                self.pending.append(text_frame(payload))

    def tick(self) -> None:
        """One write for each."""
        together = b"".join(self.pending)
        self.pending.clear()
        for peer in self.room.values():
            peer.write(together)

    def serve(self, tick_s: float) -> None:
        """Until it is killed."""
        print("serves", self.listening.getsockname()[1], f"Python {sys.version.split()[0]}")
        sys.stdout.flush()
        next_tick = 0.0
        while True:
            for fd, _ in self.poll.poll(tick_s):
                if fd == self.listening.fileno():
                    self.accept()
                else:
                    self.read(fd)
            now = time.perf_counter()
            if now >= next_tick:
                next_tick = now + tick_s
                self.tick()


if __name__ == "__main__":
    Room().serve(float(sys.argv[1]) if len(sys.argv) > 1 else 0.002)
