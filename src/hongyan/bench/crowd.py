"""Very many client connections in one thread, cheap enough to measure a server with.

One epoll for all, a socket and a few fields per connection, no frame taken apart that need not
be: a connection is handed raw bytes as they came. Everything blocks at most for the `turn` of the
poll. Linux only.
"""

from __future__ import annotations

import resource
import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator

# Connections from one loopback address, a port each. Linux looks for a free port in steps of two:
# once half of them are taken each connect walks over all those, milliseconds for each.
PER_ADDRESS = 10_000
READ_BYTES = 256 * 1024
SPARE_FILES = 600  # beside connections, of either process
BIND_ADDRESS_NO_PORT = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24)

TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9
_HEADERS_END = b"\r\n\r\n"
_READ = select.EPOLLIN | select.EPOLLRDHUP if hasattr(select, "EPOLLIN") else 0
_WRITE = getattr(select, "EPOLLOUT", 0)
_NO_MASK = b"\0\0\0\0"  # a mask of zeros leaves the payload as it is


class BenchError(Exception):
    """The bench cannot go on; the text says why."""


def files_allowed(wanted: int) -> int:
    """Raise the limit of open files of this process, and of those it will start, as far as the
    system lets us; what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted or soft == resource.RLIM_INFINITY:
        return wanted
    for most in (max(hard, wanted), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, most), most))
        except (ValueError, OSError):
            continue
        return min(wanted, most)
    return soft


def allow(connections: int) -> None:
    """Let this process, and the server it starts, hold that many connections.

    Raises:
        BenchError: the system does not let us.
    """
    found = files_allowed(connections + SPARE_FILES)
    if found < connections + SPARE_FILES:
        raise BenchError(
            f"{connections} connections need {connections + SPARE_FILES} open files, the limit is"
            f" {found}; raise it (ulimit -Hn, as root), or take {found - SPARE_FILES} at most"
        )


def text_frame(message: bytes) -> bytes:
    """A masked text frame, as a client sends it."""
    return client_frame(TEXT, message)


def client_frame(kind: int, payload: bytes) -> bytes:
    """A masked frame."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | kind, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((0x80 | kind, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | kind, 0x80 | 127)) + size.to_bytes(8, "big")
    return head + _NO_MASK + payload


def server_frames(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The whole frames in `data` as (kind, payload), and the bytes after them.

    Raises:
        BenchError: a fragment: none of the servers measured here sends any.
    """
    frames = []
    at, end = 0, len(data)
    while end - at >= 2:
        if not data[at] & 0x80 or not data[at] & 0x0F:
            raise BenchError("the server sent a fragment")
        size, start = data[at + 1] & 0x7F, at + 2
        if size == 126:
            size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
        elif size == 127:
            size, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
        if start > end or start + size > end:
            break
        frames.append((data[at] & 0x0F, data[start : start + size]))
        at = start + size
    return frames, data[at:]


class Client:
    """One connection; a subclass says what becomes of the bytes."""

    __slots__ = ("crowd", "number", "opened", "out", "rest", "sock")

    receive_buffer = 0  # bytes of the kernel for what it has not read; 0 = as the system says

    def __init__(self, crowd: Crowd, number: int) -> None:
        """Nothing happens before `crowd.open`. The number picks its address."""
        self.crowd, self.number = crowd, number
        self.sock: socket.socket | None = None
        self.opened = False  # the handshake is done
        self.rest = b""  # the start of a frame whose end has not come
        self.out = b""  # what the kernel did not take

    # --- for a subclass -------------------------------------------------------------------------

    def begin(self) -> None:
        """The handshake is done."""

    def received(self, data: bytes) -> None:
        """Bytes as they came; here: frame by frame, a message each to `message`."""
        frames, self.rest = server_frames(self.rest + data if self.rest else data)
        for kind, payload in frames:
            if kind in (TEXT, BINARY):
                self.message(payload)
            elif kind == PING:
                self.write(client_frame(10, payload))
            elif kind == CLOSE:
                self.crowd.drop(self)
                return

    def message(self, payload: bytes) -> None:
        """One whole message."""

    def lost(self) -> None:
        """The connection is gone, by whatever side, but for `crowd.close`."""

    # --- for all --------------------------------------------------------------------------------

    def send(self, message: bytes) -> None:
        """One text message."""
        self.write(text_frame(message))

    def write(self, data: bytes) -> None:
        """Bytes as they are; what the kernel does not take now goes later. A lost connection
        takes nothing."""
        if self.sock is None:
            return
        if self.out:
            self.out += data
            return
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.crowd.drop(self)
            return
        if sent < len(data):
            self.out = data[sent:]
            self.crowd.watch(self, _READ | _WRITE)

    def pause(self, stop: bool) -> None:
        """Read nothing any more, or read on: so a stalled reader is made."""
        self.crowd.watch(self, 0 if stop else _READ)


class Crowd:
    """The connections to one server. `turn` does what there is to do."""

    def __init__(self, port: int, path: str, protocol: str = "", *, headers: str = "") -> None:
        """`path` of the WebSocket; `protocol` is the subprotocol, if any."""
        self.port = port
        asked = f"Sec-WebSocket-Protocol: {protocol}\r\n" if protocol else ""
        self._hello = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Sec-WebSocket-Version: 13\r\n{asked}{headers}\r\n"
        ).encode()
        self._poll = select.epoll()
        self._clients: dict[int, Client] = {}
        self._buffer = bytearray(READ_BYTES)
        self._view = memoryview(self._buffer)

    def __len__(self) -> int:
        """Connections, also those on the way."""
        return len(self._clients)

    def open(self, client: Client) -> None:
        """Begin to connect.

        Raises:
            BenchError: the system refuses another socket.
        """
        try:
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if client.receive_buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, client.receive_buffer)
            sock.setsockopt(socket.IPPROTO_IP, BIND_ADDRESS_NO_PORT, 1)
            sock.bind((f"127.0.0.{2 + client.number // PER_ADDRESS}", 0))
            sock.connect_ex(("127.0.0.1", self.port))
        except OSError as exc:
            raise BenchError(f"no socket for connection {client.number}: {exc}") from None
        client.sock, client.opened, client.rest = sock, False, b""
        client.out = self._hello
        self._clients[sock.fileno()] = client
        self._poll.register(sock.fileno(), _READ | _WRITE)

    def watch(self, client: Client, events: int) -> None:
        """Say what a connection waits for."""
        if client.sock is not None:
            self._poll.modify(client.sock.fileno(), events)

    def turn(self, seconds: float) -> int:
        """Wait at most so long for something to come, and deal with all that has; how many
        connections had something."""
        events = self._poll.poll(seconds, 4096)
        clients, buffer, view = self._clients, self._buffer, self._view
        for fd, event in events:
            client = clients.get(fd)
            if client is None or client.sock is None:
                continue
            if event & _WRITE:
                self._flush(client)
                if client.sock is None:
                    continue
            if event & ~_WRITE:
                try:
                    size = client.sock.recv_into(buffer)
                except BlockingIOError:
                    continue
                except OSError:
                    size = 0
                if not size:
                    self.drop(client)
                elif client.opened:
                    client.received(bytes(view[:size]))
                else:
                    self._answered(client, bytes(view[:size]))
        return len(events)

    def _flush(self, client: Client) -> None:
        assert client.sock is not None
        try:
            sent = client.sock.send(client.out)
        except BlockingIOError:
            return
        except OSError:
            self.drop(client)
            return
        client.out = client.out[sent:]
        if not client.out:
            self.watch(client, _READ)

    def _answered(self, client: Client, data: bytes) -> None:
        """What came before the handshake was done."""
        head, end, rest = (client.rest + data).partition(_HEADERS_END)
        if not end:
            client.rest = head
            return
        client.rest = b""
        if b" 101 " not in head.split(b"\r\n", 1)[0]:
            self.drop(client)
            return
        client.opened = True
        client.begin()
        if rest and client.sock is not None:
            client.received(rest)

    def drop(self, client: Client) -> None:
        """Close a connection and tell it. Idempotent."""
        if self._remove(client):
            client.lost()

    def leave(self, client: Client) -> None:
        """Close a connection and tell nobody. Idempotent."""
        self._remove(client)

    def _remove(self, client: Client) -> bool:
        sock, client.sock = client.sock, None
        if sock is None:
            return False
        del self._clients[sock.fileno()]
        client.opened, client.out = False, b""
        sock.close()
        return True

    def close(self) -> None:
        """Close all, telling nobody."""
        for client in list(self._clients.values()):
            self._remove(client)
        self._poll.close()

    def until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Turn until it is done; False: it was not within `seconds`."""
        end = time.perf_counter() + seconds
        while not done():
            if time.perf_counter() > end:
                return False
            self.turn(0.02)
        return True


def open_all(
    crowd: Crowd,
    clients: Iterable[Client],
    ready: Callable[[], int],
    *,
    turn: Callable[[float], object] | None = None,
    at_once: int = 256,
    patience_s: float = 60.0,
) -> None:
    """Connect all, at most `at_once` of them on the way; `ready` says how many are done, `turn`
    is called instead of the crowd's.

    Raises:
        BenchError: nothing moved for `patience_s`.
    """
    turn = turn or crowd.turn
    waiting: Iterator[Client] = iter(clients)
    begun, seen, since = 0, -1, time.perf_counter()
    more = True
    while True:
        done = ready()
        if not more and done >= begun:
            return
        while more and begun - done < at_once:
            client = next(waiting, None)
            if client is None:
                more = False
            else:
                crowd.open(client)
                begun += 1
        turn(0.02)
        now = time.perf_counter()
        if done != seen:
            seen, since = done, now
        elif now - since > patience_s:
            raise BenchError(f"{begun - done} connections are not ready after {patience_s:.0f} s")
