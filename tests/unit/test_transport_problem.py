"""Refusals as problem+json."""

from __future__ import annotations

import json

import pytest

import hongyan.model.errors as errors
from hongyan.model.errors import Refusal
from hongyan.transport.problem import body_of, raw_answer, refusal_problem, status_of

EXPECTED = {
    101: 400, 102: 413, 103: 400, 104: 400, 105: 404, 106: 422, 107: 400, 108: 404, 109: 404,
    110: 409, 111: 422, 112: 422, 113: 422, 114: 404, 115: 400,
    120: 409, 121: 460, 122: 410, 123: 415,
    201: 401, 202: 403, 203: 403, 204: 403, 205: 403, 206: 403, 207: 403, 208: 401, 209: 403,
    210: 403, 211: 403,
    301: 503, 302: 409, 303: 429, 304: 503, 305: 429, 306: 503, 307: 503, 308: 503, 309: 503,
    310: 503, 320: 423,
}  # fmt: skip


def test_T15_every_code_has_a_status() -> None:
    """The table names each code that exists, so a new one asks for a thought here."""
    assert {code: status_of(cls("x")) for code, cls in Refusal.by_code.items()} == EXPECTED


def test_T15_the_body_says_what_the_wire_says() -> None:
    problem, headers = refusal_problem(errors.TooFast("slow down", retry_after_ms=1_001))
    assert json.loads(body_of(problem)) == {
        "type": "urn:hongyan:code:303",
        "title": "TooFast",
        "status": 429,
        "detail": "slow down",
        "code": 303,
        "retry": True,
        "retry_after_ms": 1001,
    }
    assert headers["Retry-After"] == "2"


@pytest.mark.parametrize(
    ("why", "header", "value"),
    [
        (errors.Unauthenticated("x"), "WWW-Authenticate", "Bearer"),
        (errors.StoreDown("x"), "Retry-After", "1"),
        (errors.Overloaded("x", retry_after_ms=60_000), "Retry-After", "60"),
    ],
)
def test_T15_headers_belong_to_the_status(why: Refusal, header: str, value: str) -> None:
    assert refusal_problem(why)[1][header] == value


def test_T15_a_raw_answer_is_whole() -> None:
    head, _, body = raw_answer(426, "so not", {"Sec-WebSocket-Version": "13"}).partition(
        b"\r\n\r\n"
    )
    assert head.startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
    assert f"content-length: {len(body)}".encode() in head
    assert b"\r\nconnection: close" in head
    assert json.loads(body)["detail"] == "so not"
