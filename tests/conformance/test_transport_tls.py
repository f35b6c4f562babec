"""TLS on the port: both protocols inside, certificates that change, files that are wrong."""

from __future__ import annotations

import asyncio
import datetime
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from echo_server import echo_front, in_thread
from rawsocket import PING, PONG, TEXT, Client, Frame, close_frame, frame, random_bytes, request

from hongyan.config import Limits, Server
from hongyan.transport.front import Front
from hongyan.transport.tls import BadCertificate, Tls


def make_pair(folder: Path, name: str, *, password: bytes | None = None) -> tuple[Path, Path]:
    """A self-signed certificate for localhost whose subject is `name`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    lock: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        lock = serialization.BestAvailableEncryption(password)
    cert_path, key_path = folder / f"{name}.crt", folder / f"{name}.key"
    cert_path.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
    )
    return cert_path, key_path


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return make_pair(tmp_path, "first")


@pytest.fixture
def front(pair: tuple[Path, Path]) -> Iterator[Front]:
    server = Server(port=0, tls_cert=str(pair[0]), tls_key=str(pair[1]))
    with in_thread(echo_front(server, Limits(handshake_ms=2000))) as running:
        yield running


class TlsClient(Client):
    """The raw client inside TLS; it checks nothing and remembers who answered."""

    def __init__(
        self,
        port: int,
        *,
        name: str | None = "localhost",
        alpn: str = "",
        newest: str = "TLSv1_3",
    ) -> None:
        super().__init__(port)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.maximum_version = ssl.TLSVersion[newest]
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if alpn:
            context.set_alpn_protocols([alpn])
        tls = context.wrap_socket(self.sock, server_hostname=name)
        self.sock = tls
        der = tls.getpeercert(binary_form=True)
        assert der is not None
        self.version, self.alpn = tls.version(), tls.selected_alpn_protocol()
        parts = x509.load_der_x509_certificate(der).subject
        self.subject = parts.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value


def test_T22_both_protocols_travel_in_tls(front: Front) -> None:
    with TlsClient(front.port, alpn="http/1.1") as client:
        assert (client.version, client.alpn) == ("TLSv1.3", "http/1.1")
        client.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.answer()[2] == b"/x"
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
        assert client.answer()[2] == b"hi"
    with TlsClient(front.port) as client:
        data = random_bytes(60_000)
        client.send(request("/v1/ws"), frame(PING, b"p"), frame(2, data))
        assert client.head().startswith("HTTP/1.1 101 ")
        assert client.frame() == Frame(True, PONG, b"p")
        assert client.frame() == Frame(True, 2, data)
        for _ in range(50):
            client.send(frame(TEXT, b"x" * 10_000))
        for _ in range(50):
            assert client.frame().data == b"x" * 10_000
        client.send(close_frame(1000))
        assert client.closed_with() == (1000, "")


def test_T22_a_handshake_head_may_come_in_pieces(front: Front) -> None:
    with TlsClient(front.port) as client:
        for byte in request("/v1/ws"):
            client.send(bytes([byte]))
        assert client.head().startswith("HTTP/1.1 101 ")


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\0" * 100])
def test_T22_nothing_is_answered_without_tls(front: Front, data: bytes) -> None:
    with Client(front.port) as client:
        client.send(data)
        rest = b""
        while more := client.sock.recv(4096):
            rest += more
        assert b"HTTP" not in rest


def test_T22_an_old_version_is_refused(front: Front) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with (
        socket.create_connection(("127.0.0.1", front.port), 10) as sock,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(sock, server_hostname="localhost")


@pytest.mark.parametrize("name", ["localhost", "other.example", None])
def test_T22_a_reload_serves_new_connections_and_keeps_the_old(
    front: Front, pair: tuple[Path, Path], tmp_path: Path, name: str | None
) -> None:
    with TlsClient(front.port, name=name) as old:
        assert old.subject == "first"
        old.open("/v1/ws")
        for path, fresh in zip(pair, make_pair(tmp_path, "second"), strict=True):
            path.write_bytes(fresh.read_bytes())
        front.reload_tls()
        for newest, spoken in (("TLSv1_3", "TLSv1.3"), ("TLSv1_2", "TLSv1.2")):
            with TlsClient(front.port, name=name, newest=newest) as new:
                assert (new.subject, new.version) == ("second", spoken)
                new.open("/v1/ws")
                new.send(frame(TEXT, b"new"))
                assert new.frame().data == b"new"
        old.send(frame(TEXT, b"still"))
        assert old.frame().data == b"still"


SPOILS = {
    "another key": lambda cert, key, other: key.write_bytes(other[1].read_bytes()),
    "no certificate": lambda cert, key, other: cert.write_text("not PEM"),
    "half a key": lambda cert, key, other: key.write_bytes(key.read_bytes()[:50]),
    "no file": lambda cert, key, other: cert.unlink(),
}


@pytest.mark.parametrize("name", SPOILS)
def test_T22_a_pair_that_does_not_load_changes_nothing(
    front: Front, pair: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    SPOILS[name](*pair, make_pair(tmp_path, "second"))
    with pytest.raises(BadCertificate, match="cannot use"):
        front.reload_tls()
    with TlsClient(front.port) as client:
        assert client.subject == "first"
        client.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.answer()[2] == b"/x"


@pytest.mark.parametrize("name", SPOILS)
def test_T22_a_bad_pair_at_the_start_is_one_line(
    pair: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    SPOILS[name](*pair, make_pair(tmp_path, "second"))
    with pytest.raises(BadCertificate) as caught:
        Tls(*pair)
    assert "\n" not in str(caught.value)
    assert str(pair[0]) in str(caught.value)


def test_T22_a_key_with_a_password_does_not_ask_on_the_terminal(tmp_path: Path) -> None:
    with pytest.raises(BadCertificate, match="encrypted"):
        Tls(*make_pair(tmp_path, "locked", password=b"secret"))


async def until(ready: Callable[[], bool]) -> None:
    """At most 10 seconds."""
    for _ in range(1000):
        if ready():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


async def test_T22_a_changed_file_is_seen(pair: tuple[Path, Path], tmp_path: Path) -> None:
    tls = Tls(*pair)
    watch = asyncio.create_task(tls.watch(0.01))
    before = tls.loads
    with structlog.testing.capture_logs() as logs:
        # A half-written pair first: it is refused, and looked at again.
        second = make_pair(tmp_path, "second")
        pair[0].write_bytes(second[0].read_bytes())
        await until(lambda: any(entry["log_level"] == "error" for entry in logs))
        assert tls.loads == before
        pair[1].write_bytes(second[1].read_bytes())
        await until(lambda: tls.loads > before)
    watch.cancel()
    assert tls.loads == before + 1


def test_T22_sighup_reloads(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """In a process of its own: signals go to the main thread."""
    code = (
        "import sys, asyncio, uvloop; sys.path.insert(0, sys.argv[1])\n"
        "from echo_server import echo_front; from hongyan.config import Server\n"
        "from hongyan.transport import front as module; module.TLS_LOOK_S = 3600.0\n"
        "async def main():\n"
        "    front = echo_front(Server(port=0, tls_cert=sys.argv[2], tls_key=sys.argv[3]))\n"
        "    await front.start(); print(front.port, flush=True); await asyncio.sleep(60)\n"
        "uvloop.run(main())\n"
    )
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", code, here, *map(str, pair)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with TlsClient(port) as client:
            assert client.subject == "first"
        for path, fresh in zip(pair, make_pair(tmp_path, "second"), strict=True):
            os.replace(fresh, path)
        os.kill(process.pid, signal.SIGHUP)
        process.stdout.readline()  # the log line of the reload
        with TlsClient(port) as client:
            assert client.subject == "second"
        process.kill()


def test_T2_T22_a_silent_tls_handshake_ends(pair: tuple[Path, Path]) -> None:
    server = Server(port=0, tls_cert=str(pair[0]), tls_key=str(pair[1]))
    with in_thread(echo_front(server, Limits(handshake_ms=200))) as front:
        with Client(front.port) as client:
            client.gone()
        with TlsClient(front.port) as client:  # after the handshake: the same time for the head
            client.gone()
