"""Requests to the outside: what they may reach and what they bear (rules WH)."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hongyan.adapters.webhook import WebhookPoster, _retry_after_ms
from hongyan.engine.backends.target import is_public
from hongyan.ports import Reply

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n"


class Peer:
    """A raw HTTP server."""

    def __init__(self, answer: Answer | bytes) -> None:
        self.answer = answer
        self.heads: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.heads.append(head)
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                body = await reader.readexactly(length)
                if isinstance(self.answer, bytes):
                    writer.write(self.answer)
                else:
                    await self.answer(body, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def peer(answer: Answer | bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    made = Peer(answer)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


@asynccontextmanager
async def poster(allow_private: bool) -> AsyncIterator[WebhookPoster]:
    made = WebhookPoster(allow_private=allow_private)
    yield made
    await made.close()
    await made.close()


async def post(sender: WebhookPoster, url: str, *, timeout_s: float = 5.0, most: int = 99) -> Reply:
    return await sender.post(url, {"webhook-id": "m"}, b"{}", timeout_s=timeout_s, most=most)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.9.9.9",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.0.200",
        "3fff::1",
        "5f00::1",
        "64:ff9b:1::1",
        "2001:1::1",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "2001:0:0:0:0:0:f5ff:fffe",
    ],
)
def test_WH9_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_WH9_addresses_that_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"])
async def test_WH9_nothing_private_is_connected_to(host: str) -> None:
    async with peer(OK) as target, poster(False) as sender:
        reply = await post(sender, f"http://{host}:{target.port}/")
        assert reply.status == 0
        assert "private network" in reply.error
        assert target.heads == []


async def test_WH9_a_name_is_judged_by_the_address_that_is_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that was public when it was looked at first, and leads inside now."""
    asked = 0

    def lookup(host: str, port: int, *more: Any) -> list[Any]:
        nonlocal asked
        asked += 1
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    async with peer(OK) as target, poster(False) as sender:
        monkeypatch.setattr(socket, "getaddrinfo", lookup)
        reply = await post(sender, f"http://rebind.example:{target.port}/")
        assert (reply.status, target.heads) == (0, [])
        assert "private network" in reply.error
        assert asked == 1  # what was judged is what would be used: no second look-up


async def test_WH9_a_private_answer_beside_a_public_one_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from hongyan.adapters.webhook import _Lookup

    def lookup(host: str, port: int, *more: Any) -> list[Any]:
        return [(2, 1, 6, "", (address, port)) for address in ("10.0.0.1", "1.1.1.1", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    lookups = _Lookup(False)
    found = await lookups.resolve("mixed.example", 443)
    await lookups.close()
    assert [result["host"] for result in found] == ["1.1.1.1"]


async def test_WH9_redirects_are_not_followed() -> None:
    async with peer(OK) as inner, poster(True) as sender:
        there = f"http://127.0.0.1:{inner.port}/secret"
        answer = f"HTTP/1.1 307 X\r\nlocation: {there}\r\ncontent-length: 0\r\n\r\n".encode()
        async with peer(answer) as target:
            assert (await post(sender, f"http://127.0.0.1:{target.port}/")).status == 307
        assert inner.heads == []


async def test_WH9_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with peer(OK) as target, peer(OK) as proxy, poster(True) as sender:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert (await post(sender, f"http://127.0.0.1:{target.port}/in")).status == 204
        assert proxy.heads == []
    assert target.heads[0].startswith(b"POST /in HTTP/1.1\r\n")


async def test_WH9_certificates_are_verified(tmp_path: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*self_signed(tmp_path))
    async with peer(OK, tls) as target, poster(True) as sender:
        reply = await post(sender, f"https://localhost:{target.port}/")
        assert reply.status == 0
        assert "certificate" in reply.error.lower()
        assert target.heads == []


def self_signed(folder: Path) -> tuple[Path, Path]:
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_file, key_file


async def test_WH10_an_answer_that_never_ends_is_read_to_its_bound() -> None:
    async def flood(body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
            await writer.drain()

    async with peer(flood) as target, poster(True) as sender:
        reply = await post(sender, f"http://127.0.0.1:{target.port}/", most=5000)
        assert (reply.status, len(reply.body)) == (200, 5000)


async def test_WH10_an_answer_that_does_not_come_ends_the_attempt() -> None:
    async def silence(body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nx")
        await asyncio.sleep(3600)

    async with peer(silence) as target, poster(True) as sender:
        async with asyncio.timeout(10):
            reply = await post(sender, f"http://127.0.0.1:{target.port}/", timeout_s=0.2)
        assert (reply.status, reply.error) == (0, "no answer within 0.2 s")


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\nx" + b"y" * 99999]
)
async def test_WH10_what_is_no_http_is_one_line(answer: bytes) -> None:
    async def odd(body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    async with peer(odd) as target, poster(True) as sender:
        reply = await post(sender, f"http://127.0.0.1:{target.port}/")
    assert reply.status == 0
    assert reply.error
    assert "\n" not in reply.error
    assert len(reply.error) <= 200


async def test_WH10_a_compressed_answer_is_not_unpacked() -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc"
    async with peer(answer) as target, poster(True) as sender:
        assert (await post(sender, f"http://127.0.0.1:{target.port}/")).body == b"abc"


async def test_WH5_retry_after_is_read_as_seconds_or_a_date() -> None:
    assert _retry_after_ms("7", 0) == 7000
    assert _retry_after_ms("Thu, 01 Jan 1970 00:01:00 GMT", 20) == 40_000
    assert _retry_after_ms("Thu, 01 Jan 1970 00:00:01 GMT", 20) == 0
    assert _retry_after_ms("99999999", 0) == 24 * 3600 * 1000
    for odd in ("", "soon", "-1", "1e9", "9" * 50, "²"):
        assert _retry_after_ms(odd, 0) == 0
    answer = b"HTTP/1.1 503 X\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n"
    async with peer(answer) as target, poster(True) as sender:
        reply = await post(sender, f"http://127.0.0.1:{target.port}/")
        assert (reply.status, reply.retry_after_ms) == (503, 3000)
