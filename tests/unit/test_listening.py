"""What every accepted connection inherits from the listening socket."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hongyan.transport import front
from hongyan.transport.front import UNSENT, _listening, more_listeners


@pytest.mark.skipif(not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="this system has no such mark")
def test_of_a_stalled_reader_the_kernel_holds_little() -> None:
    with _listening(socket.AF_INET, ("127.0.0.1", 0)) as listening, socket.socket() as reader:
        listening.listen()
        listening.setblocking(True)
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(listening.getsockname())
        writer, _ = listening.accept()
        with writer:
            writer.setblocking(False)
            taken, piece = 0, b"x" * 2048
            with pytest.raises(BlockingIOError):
                while True:
                    taken += writer.send(piece)
    assert UNSENT <= taken < 4 * UNSENT  # the rest waits in our queue, where it is counted


@contextlib.contextmanager
def shared(backlog: int) -> Iterator[list[socket.socket]]:
    """All sockets of an address, listening with a queue of 8 each."""
    with contextlib.ExitStack() as closing:
        first = closing.enter_context(_listening(socket.AF_INET, ("127.0.0.1", 0)))
        first.listen(8)
        others = more_listeners(first, backlog)
        for sock in others:
            closing.enter_context(sock).listen(8)
        yield [first, *others]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that lets 8 connects wait at a socket."""
    (tmp_path / "somaxconn").write_text("8\n")
    monkeypatch.setattr(front, "_SOMAXCONN", tmp_path / "somaxconn")


@pytest.mark.usefixtures("small")
def test_T29_more_connects_wait_than_one_socket_holds() -> None:
    with shared(64) as listening, contextlib.ExitStack() as closing:
        assert len(listening) == 8
        for _ in range(24):  # one socket holds 9; the rest would come again after a second
            client = closing.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listening[0].getsockname())
        taken, end = 0, time.monotonic() + 10
        while taken < 24 and time.monotonic() < end:
            for sock in listening:
                with contextlib.suppress(BlockingIOError):
                    closing.enter_context(sock.accept()[0])
                    taken += 1
        assert taken == 24
        assert len(listening[0].getsockname()) == 2
        with pytest.raises(OSError, match="in use"):  # to be had by no second server
            _listening(socket.AF_INET, listening[0].getsockname())


@pytest.mark.usefixtures("small")
def test_T29_one_that_bound_the_address_before_cannot_listen_after() -> None:
    with (
        _listening(socket.AF_INET, ("127.0.0.1", 0)) as other,
        _listening(socket.AF_INET, other.getsockname()) as first,
    ):
        first.listen(8)
        for sock in more_listeners(first, 32):
            with sock:
                sock.listen(8)
                with pytest.raises(OSError, match="in use"):
                    other.listen(8)


def test_T29_one_socket_is_enough_where_its_queue_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "_SOMAXCONN", tmp_path / "none")  # not Linux
    with shared(1 << 15) as listening:
        assert len(listening) == 1
    (tmp_path / "none").write_text("4096")
    with shared(4096) as listening:
        assert len(listening) == 1
    (tmp_path / "none").write_text("1")
    with shared(1 << 15) as listening:
        assert len(listening) == 16
