"""What every accepted connection inherits from the listening socket."""

from __future__ import annotations

import socket

import pytest

from hongyan.transport.front import UNSENT, _listening


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
