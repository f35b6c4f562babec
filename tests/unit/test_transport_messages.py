"""The assembler of WebSocket messages, without a socket."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hongyan.transport.messages import (
    BINARY,
    CONTINUATION,
    NO_STATUS,
    TEXT,
    Messages,
    Violation,
    close_code,
    reason_bytes,
)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def feed(messages: Messages, kind: int, parts: list[bytes]) -> tuple[int, bytes] | None:
    got = None
    for number, part in enumerate(parts):
        assert got is None
        got = messages.feed(kind if number == 0 else CONTINUATION, number == len(parts) - 1, part)
    return got


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_T6_any_fragments_of_binary_are_the_message(data: bytes, places: list[int]) -> None:
    messages = Messages(200)
    for _ in range(2):  # nothing of the first is left in the second
        assert feed(messages, BINARY, cut(data, places)) == (BINARY, data)


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=4))
def test_T7_text_is_taken_exactly_when_python_decodes_it(data: bytes, places: list[int]) -> None:
    try:
        data.decode("utf-8", "strict")
        good = True
    except UnicodeDecodeError:
        good = False
    try:
        got = feed(Messages(60), TEXT, cut(data, places))
    except Violation as why:
        assert (why.code, good) == (1007, False)
    else:
        assert (got, good) == ((TEXT, data), True)


@pytest.mark.parametrize("places", [[], [50], [99], [100]])
def test_T6_the_bound_is_exact(places: list[int]) -> None:
    assert feed(Messages(100), BINARY, cut(b"x" * 100, places)) == (BINARY, b"x" * 100)
    with pytest.raises(Violation) as caught:
        feed(Messages(100), BINARY, cut(b"x" * 101, places))
    assert caught.value.code == 1009


def test_T8_order_of_fragments() -> None:
    for bad in ([(CONTINUATION, True)], [(TEXT, False), (BINARY, True)], [(TEXT, False)] * 2):
        messages = Messages(10)
        with pytest.raises(Violation) as caught:
            for kind, fin in bad:
                messages.feed(kind, fin, b"")
        assert caught.value.code == 1002


def test_T8_exactly_the_registered_and_private_codes_are_taken() -> None:
    taken = set()
    for code in range(65536):
        try:
            assert close_code(code.to_bytes(2, "big") + "é".encode()) == code
            taken.add(code)
        except Violation as why:
            assert why.code == 1002
    assert taken == {1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)}


def test_T8_a_reason_is_text() -> None:
    with pytest.raises(Violation) as caught:
        close_code(b"\x03\xe8\xed\xa0\x80")
    assert caught.value.code == 1007


def test_T10_a_close_may_carry_no_code() -> None:
    assert close_code(b"") == NO_STATUS


@given(st.text(max_size=200))
def test_T10_a_reason_fits_and_is_text(text: str) -> None:
    data = reason_bytes(text)
    assert len(data) <= 123
    assert text.encode("utf-8", "replace").startswith(data)
    data.decode()
