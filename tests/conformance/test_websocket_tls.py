"""The table of websocket_cases.py inside TLS, which has no half of a connection to close."""

from __future__ import annotations

import contextlib
import ssl
import struct
from collections.abc import Iterator

import pytest
from echo_server import echo_front, in_thread
from rawsocket import CLOSE, Client, Gone, close_frame
from test_transport_tls import TlsClient, make_pair
from websocket_cases import GROUPS, Case

from hongyan.config import Server
from hongyan.transport.front import Front
from hongyan.transport.websocket import Terms

CASES = {
    f"{number}: {name}": case
    for number in "3457"
    for name, case in GROUPS[number]()
    if case.code is not None and max(map(len, case.sends)) < 65536
}
SOON = 6.0  # seconds, less than the patience of the server


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    cert, key = make_pair(tmp_path_factory.mktemp("tls"), "first")
    server = Server(port=0, tls_cert=str(cert), tls_key=str(key))
    with in_thread(echo_front(server, terms=Terms(close_timeout_s=10.0))) as running:
        yield running


def is_told(client: Client, case: Case) -> None:
    """The answers, the close frame; after an answer to it the end."""
    assert [client.frame() for _ in case.answers] == list(case.answers)
    got = client.frame()
    assert (got.kind, got.data[:2]) == (CLOSE, struct.pack("!H", case.code))


@pytest.mark.parametrize("name", CASES)
def test_T10_inside_tls_a_connection_ends_the_same_way(front: Front, name: str) -> None:
    case = CASES[name]
    with TlsClient(front.port) as client:
        client.open()
        client.send(*case.sends)
        is_told(client, case)
        with contextlib.suppress(OSError):  # the server may have been faster
            client.send(close_frame(case.code))
        client.sock.settimeout(SOON)
        with pytest.raises((Gone, ssl.SSLError)):
            client.frame()
