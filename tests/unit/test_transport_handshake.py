"""Heads, handshakes and addresses, without a socket."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hongyan.transport.handshake import (
    Head,
    Refused,
    Sort,
    client_ip,
    judge,
    origin_allowed,
    parse_head,
    sort_of,
    wants_websocket,
)

GOOD = (
    b"GET /v1/ws?x=1 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.mark.parametrize(
    ("start", "sort"),
    [
        (b"", Sort.UNKNOWN),
        (b"G", Sort.UNKNOWN),
        (b"GET", Sort.UNKNOWN),
        (b"GET ", Sort.HTTP),
        (b"OPTIONS ", Sort.HTTP),
        (b"OPTIONS", Sort.UNKNOWN),
        (b"OPTIONSX", Sort.OTHER),
        (b"get ", Sort.OTHER),
        (b"\x16\x03\x01\x02\x00\x01\x00", Sort.OTHER),  # a TLS hello on the plain port
        (b"PRI * HTTP/2.0\r\n", Sort.OTHER),
        (b"\x10\x0c\x00\x04MQTT", Sort.OTHER),
        (b"SSH-2.0-", Sort.OTHER),
    ],
)
def test_T1_the_first_bytes_say_what_it_is(start: bytes, sort: Sort) -> None:
    assert sort_of(start) is sort


@given(st.binary(max_size=20))
def test_T1_more_bytes_never_change_a_verdict(data: bytes) -> None:
    verdicts = [sort_of(data[:size]) for size in range(len(data) + 1)]
    first = next((n for n, sort in enumerate(verdicts) if sort is not Sort.UNKNOWN), len(data))
    assert len(set(verdicts[first:])) <= 1


@given(st.binary(max_size=300), st.integers(0, len(GOOD)))
def test_T3_no_head_raises_anything_but_a_refusal(noise: bytes, place: int) -> None:
    data = GOOD[:place] + noise + GOOD[place:]
    wants_websocket(data)
    try:
        judge(parse_head(data), subprotocols=["a"], allowed_origins=(), ip="")
    except Refused as why:
        assert 400 <= why.status <= 505


def test_T3_only_an_upgrade_header_asks_for_a_websocket() -> None:
    assert wants_websocket(GOOD)
    assert wants_websocket(GOOD.replace(b"Upgrade: websocket", b"UPGRADE:WebSocket"))
    assert not wants_websocket(b"GET /?websocket HTTP/1.1\r\nHost: a\r\n\r\n")
    assert not wants_websocket(b"GET / HTTP/1.1\r\nHost: a\r\nX-Upgrade: websocket\r\n\r\n")


@pytest.mark.parametrize(
    ("target", "path"),
    [("/v1/ws", "/v1/ws"), ("/v1/ws?a=/b", "/v1/ws"), ("http://h:1/v1/ws?x", "/v1/ws")],
)
def test_T3_the_path_is_found_in_either_form(target: str, path: str) -> None:
    data = GOOD.replace(b"/v1/ws?x=1", target.encode())
    assert judge(parse_head(data), subprotocols=(), allowed_origins=(), ip="").path == path


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [
        ([], ""),
        (["b"], "b"),
        (["x, b, a"], "b"),
        (["x", "a"], "a"),
        (["x"], None),
        (["x, y"], None),
        (["A"], None),
    ],
)
def test_T4_the_clients_first_that_is_spoken_here(offered: list[str], agreed: str | None) -> None:
    lines = "".join(f"Sec-WebSocket-Protocol: {text}\r\n" for text in offered)
    head = parse_head(GOOD.removesuffix(b"\r\n") + lines.encode() + b"\r\n")
    if agreed is None:
        with pytest.raises(Refused, match="a, b") as caught:
            judge(head, subprotocols=["a", "b"], allowed_origins=(), ip="")
        assert caught.value.status == 400
    else:
        got = judge(head, subprotocols=["a", "b"], allowed_origins=(), ip="")
        assert got.subprotocol == agreed


@pytest.mark.parametrize(
    ("host", "origin", "allowed", "ok"),
    [
        ("a.example", "https://a.example", (), True),
        ("a.example:443", "https://a.example", (), True),
        ("a.example", "https://a.example:443", (), True),
        ("a.example:8000", "http://a.example:8000", (), True),
        ("A.example", "https://a.EXAMPLE", (), True),
        ("[::1]:8000", "http://[::1]:8000", (), True),
        ("a.example", "https://a.example:444", (), False),
        ("a.example:80", "https://a.example", (), False),
        ("a.example", "https://b.example", (), False),
        ("a.example", "https://a.example.b.example", (), False),
        ("a.example", "https://b.example/a.example", (), False),
        ("a.example", "null", (), False),
        ("a.example", "", (), False),
        ("", "https://", (), False),
        ("a.example", "file://a.example", (), False),
        ("a.example", "https://b.example", ("https://b.example",), True),
        ("a.example", "https://b.example", ("https://B.example/",), True),
        ("a.example", "http://b.example", ("https://b.example",), False),
        ("a.example", "https://c.b.example", ("https://b.example",), False),
        ("a.example", "null", ("*",), True),
    ],
)
def test_T5_origins(host: str, origin: str, allowed: tuple[str, ...], ok: bool) -> None:
    head = Head("GET", "/", {"host": [host], "origin": [origin]})
    assert origin_allowed(head, allowed) is ok


def test_T5_programs_have_no_origin() -> None:
    assert origin_allowed(Head("GET", "/", {"host": ["a"]}), ())


PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "ip"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # not a proxy: nothing is believed
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),  # the left one is forged
        ("10.0.0.1", "198.51.100.1, 10.2.3.4", "198.51.100.1"),
        ("10.0.0.1", "10.9.9.9", "10.9.9.9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1, nonsense", "10.0.0.1"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
        ("", "198.51.100.1", ""),
    ],
)
def test_T21_the_last_address_that_is_no_proxy(peer: str, forwarded: str, ip: str) -> None:
    assert client_ip(peer, forwarded, PROXIES) == ip


def test_T21_without_proxies_nothing_is_believed() -> None:
    assert client_ip("10.0.0.1", "198.51.100.1", ()) == "10.0.0.1"
