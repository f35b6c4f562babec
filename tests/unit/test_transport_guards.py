"""What we use of picows and uvicorn that their documents do not promise."""

from __future__ import annotations

import asyncio
import inspect
import socket

import picows
import pytest
import uvicorn
from picows.picows import WSProtocol  # type: ignore[attr-defined]
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from hongyan.transport.handshake import Upgrade
from hongyan.transport.websocket import Connection, Terms, picows_protocol, replay


class Wire(asyncio.Transport):
    """Enough of a transport for picows."""

    def __init__(self) -> None:
        super().__init__()
        self.tcp = socket.socket()
        self.sent = bytearray()

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self.tcp if name == "socket" else default

    def get_write_buffer_size(self) -> int:
        return 1  # so that picows does not write to the socket behind our back

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def write(self, data: object) -> None:
        self.sent += bytes(data)  # type: ignore[call-overload]

    def is_closing(self) -> bool:
        return False


def test_T26_picows_is_the_version_that_was_read() -> None:
    """Read picows.pyx again before changing this: its limits, closes and buffers."""
    assert picows.__version__ == "2.3.1"


async def test_T26_picows_takes_a_handshake_from_the_replay() -> None:
    upgrade = Upgrade("/v1/ws", "dGhlIHNhbXBsZSBub25jZQ==", "p", "1.2.3.4")
    terms = Terms()
    connection = Connection("1.2.3.4", terms)
    protocol = picows_protocol(upgrade, connection, terms)
    wire = Wire()
    protocol.connection_made(wire)
    data = replay(upgrade)
    room = protocol.get_buffer(-1)
    assert len(room) >= len(data)
    room[: len(data)] = data
    protocol.buffer_updated(len(data))
    head = bytes(wire.sent).decode()
    assert head.startswith("HTTP/1.1 101 ")
    assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
    assert "Sec-WebSocket-Protocol: p" in head
    assert protocol.listener is connection
    assert isinstance(protocol, asyncio.BufferedProtocol)
    protocol.connection_lost(None)
    wire.tcp.close()


def test_T26_picows_takes_fifteen_arguments() -> None:
    with pytest.raises(TypeError, match="exactly 15"):
        WSProtocol()


def test_T26_uvicorns_protocol_is_made_as_its_server_makes_it() -> None:
    names = list(inspect.signature(HttpToolsProtocol.__init__).parameters)
    assert names == ["self", "config", "server_state", "app_state", "_loop"]
    assert vars(ServerState()) == {
        "total_requests": 0,
        "connections": set(),
        "tasks": set(),
        "default_headers": [],
    }
    for method in (
        "send_400_response",
        "handle_websocket_upgrade",
        "_should_upgrade_to_ws",
        "_unset_keepalive_if_required",
        "on_message_begin",
        "on_headers_complete",
        "on_body",
        "on_message_complete",
        "shutdown",
    ):
        assert callable(getattr(HttpToolsProtocol, method))
    assert uvicorn.Config(lambda: None, ws="none", lifespan="off").ws == "none"
