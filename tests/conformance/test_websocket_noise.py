"""Ten thousand malformed beginnings and frames: none is answered wrongly, none disturbs others."""

from __future__ import annotations

import random
import socket

import structlog
from echo_server import echo_front, in_thread
from rawsocket import BINARY, CLOSE, CONT, PING, TEXT, Client, Frame, Gone, frame, request

from hongyan.transport.websocket import Terms

CONNECTIONS = 400
FRAMES = 25


def noise(random: random.Random) -> bytes:
    """A frame with anything in it, more often than not a good one."""
    if random.random() < 0.7:
        return frame(random.choice([TEXT, BINARY, PING]), b"x" * random.randrange(100))
    data = random.randbytes(random.choice([0, 1, 2, 5, 125, 126, 300]))
    length = random.choice([None, None, None, random.randrange(1 << 20), 1 << 63])
    made = frame(
        random.choice([random.randrange(16), TEXT, BINARY, CONT, PING, CLOSE]),
        data,
        fin=random.random() < 0.8,
        rsv=random.choice([0, 0, 0, 0, random.randrange(8)]),
        mask=random.choice([b"abcd", b"abcd", b"\0\0\0\0", None]),
        length=length,
        wide=random.choice([0, 0, 0, 2, 8]) if length is None else 0,
    )
    if random.random() < 0.3:
        spoiled = bytearray(made)
        spoiled[random.randrange(len(spoiled))] ^= 1 << random.randrange(8)
        made = bytes(spoiled)
    return made[: random.choice([len(made), len(made), random.randrange(len(made) + 1)])]


def test_T8_ten_thousand_malformed_frames_disturb_nobody() -> None:
    seed, answered, closed = random.Random(6455), 0, 0
    with (
        structlog.testing.capture_logs() as logs,
        in_thread(echo_front(terms=Terms(message_bytes=4096, close_timeout_s=0.2))) as front,
        Client(front.port) as healthy,
    ):
        healthy.open()
        for number in range(CONNECTIONS):
            with Client(front.port) as client:
                opening = request()
                if seed.random() < 0.2:
                    spoiled = bytearray(opening)
                    for _ in range(seed.randrange(1, 4)):
                        spoiled[seed.randrange(len(spoiled))] = seed.randrange(256)
                    opening = bytes(spoiled)
                try:
                    client.send(opening, *(noise(seed) for _ in range(FRAMES)))
                    client.sock.shutdown(socket.SHUT_WR)  # it may be a valid beginning
                    if opening == request():
                        assert client.head().startswith("HTTP/1.1 101 ")
                        while client.frame().kind != CLOSE:  # what it sends is well formed
                            answered += 1
                        closed += 1
                    client.gone()
                except (Gone, ConnectionError):
                    pass
            if number % 20 == 0:
                healthy.send(frame(TEXT, b"fine"))
                assert healthy.frame() == Frame(True, TEXT, b"fine")
    assert not [entry for entry in logs if entry["log_level"] in ("error", "critical")]
    assert front.stats()["open"] == 0
    assert answered > 20 and closed > 200  # the noise is not all of one sort
