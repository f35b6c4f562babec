"""The codecs, case by case: what is refused, with which code, and whose ref."""

from __future__ import annotations

import msgspec
import pytest

from hongyan.model.errors import BadArgs, BadFrame, FrameTooBig, GoingAway
from hongyan.model.ids import LogId, OpId, Seq
from hongyan.wire.codec import CODECS, MAX_FRAMES, MAX_TEXT, Codec, canonical, clip, fail
from hongyan.wire.frames import (
    JSON_SUBPROTOCOL,
    MSGPACK_SUBPROTOCOL,
    Ack,
    Call,
    Deliver,
    Fail,
    Ping,
    Read,
)

JSON, MSGPACK = CODECS[JSON_SUBPROTOCOL], CODECS[MSGPACK_SUBPROTOCOL]
codecs = pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.name)


def packed(codec: Codec, json: str | bytes) -> bytes:
    """The message that means this JSON."""
    data = json.encode() if isinstance(json, str) else json
    return msgspec.msgpack.encode(msgspec.json.decode(data)) if codec.binary else data


def only(codec: Codec, json: str) -> object:
    [frame] = codec.decode_client(packed(codec, json))
    return frame


def code_and_ref(frame: object) -> tuple[int, int]:
    assert isinstance(frame, Fail), frame
    return frame.code, frame.ref


def test_the_subprotocols_name_the_codecs() -> None:
    assert [(c.name, c.binary) for c in CODECS.values()] == [("json", False), ("msgpack", True)]


def test_W3_args_are_canonical() -> None:
    assert canonical(b' { "b" : [1, 2.50, "\\u00e9"], "a" : null } ') == msgspec.Raw(
        '{"a":null,"b":[1,2.5,"é"]}'.encode()
    )


@codecs
def test_W3_absent_args_are_an_empty_object(codec: Codec) -> None:
    call = only(codec, '{"t":"call","ref":1,"name":"x","op":"o"}')
    assert isinstance(call, Call)
    assert bytes(call.args) == b"{}"


def test_W3_what_json_does_not_have_becomes_what_json_has() -> None:
    """Binary is base64, an integer key text, a timestamp RFC 3339, NaN null."""
    stamp = msgspec.msgpack.Ext(-1, (1_000_000_000).to_bytes(4, "big"))
    args = {"b": b"\x00\xff", 7: 1, "t": stamp, "n": float("nan"), "i": float("inf")}
    message = msgspec.msgpack.encode({"t": "call", "ref": 1, "name": "x", "op": "o", "args": args})
    [call] = MSGPACK.decode_client(message)
    assert isinstance(call, Call)
    assert bytes(call.args) == b'{"7":1,"b":"AP8=","i":null,"n":null,"t":"2001-09-09T01:46:40Z"}'


@codecs
def test_W5_an_unknown_tag_leaves_its_neighbours_alone(codec: Codec) -> None:
    message = packed(codec, '[{"t":"ping"},{"t":"nope","ref":7},{"t":"ping","away":true}]')
    first, unknown, last = codec.decode_client(message)
    assert (first, last) == (Ping(), Ping(away=True))
    assert code_and_ref(unknown) == (103, 7)


@codecs
def test_W5_a_servers_frame_is_unknown_from_a_client(codec: Codec) -> None:
    assert code_and_ref(only(codec, '{"t":"ack","ref":3}')) == (103, 3)


@codecs
@pytest.mark.parametrize(
    ("json", "ref"),
    [
        ('{"t":"call","ref":5,"name":"x"}', 5),  # no op
        ('{"t":"call","ref":5,"name":1,"op":"o"}', 5),
        ('{"t":"call","ref":"5","name":"x","op":"o"}', 0),
        ('{"t":"call","ref":0,"name":"x","op":"o"}', 0),
        ('{"t":"call","ref":-1,"name":"x","op":"o"}', 0),
        ('{"t":"call","ref":true,"name":"x","op":"o"}', 0),
        ('{"t":"call","ref":5,"name":"","op":"o"}', 5),
        ('{"t":"read","ref":5,"log":"a/b/c","after":-1}', 5),
        ('{"t":"read","ref":5,"log":"a/b/c","after":9007199254740992}', 5),
        ('{"t":"read","ref":5,"log":"a/b/c","after":1.5}', 5),
        ('{"t":"read","ref":5,"log":"a/b/c","after":1,"limit":0}', 5),
        ('{"t":"ping","inbox":-1}', 0),
        ('{"t":"cursor","log":"a/b/c","mark":-2}', 0),
        ('{"t":7,"ref":5}', 5),
        ('{"ref":5}', 5),
        ("{}", 0),
    ],
)
def test_W6_a_wrong_field_is_refused_with_the_ref(codec: Codec, json: str, ref: int) -> None:
    assert code_and_ref(only(codec, json)) == (101, ref)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"null",
        b"7",
        b'"ping"',
        b'{"t":"ping"',
        b'{"t":"ping"} x',
        b"\xef\xbb\xbf{}",
        b'{"t":"ping","x":"\xff"}',
        b'{"t":"call","ref":1,"name":"x","op":"o","args":{"a":"\xed\xa0\x80"}}',
        b'{"t":"call","ref":1,"name":"x","op":"o","args":{"a":"\\ud800"}}',
        b"[" * 100_000,
        b'{"t":"ping","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=lambda data: repr(data[:20]),
)
def test_W7_what_is_no_json_message_is_refused_whole(data: bytes) -> None:
    with pytest.raises(BadFrame):
        JSON.decode_client(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc0",
        b"\xc1",
        b"\x07",
        b"\xa4ping",
        b"\x81\xa1t\xa4pin",
        b"\x81\xa1t\xa4ping\x00",
        b"\x81\xa1t\xa4\xff\xfe\xfd\xfc",
        b"\x82\xa1t\xa4ping\xa1x\xc7\x01\x05a",
        b"\x82\xa1t\xa4ping\x90\x01",
        b"\x91" * 100_000,
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
    ],
    ids=lambda data: repr(data[:20]),
)
def test_W7_what_is_no_msgpack_message_is_refused_whole(data: bytes) -> None:
    with pytest.raises(BadFrame):
        MSGPACK.decode_client(data)


@codecs
def test_W7_a_piece_that_is_no_object_leaves_its_neighbours_alone(codec: Codec) -> None:
    frames = codec.decode_client(packed(codec, '[7,{"t":"ping"},[{"t":"ping"}],null]'))
    assert frames[1] == Ping()
    assert [code_and_ref(frames[at]) for at in (0, 2, 3)] == [(101, 0)] * 3


@codecs
def test_W8_a_client_sends_at_most_64_frames(codec: Codec) -> None:
    ping = codec.encode(Ping())
    assert codec.decode_client(codec.join([ping] * MAX_FRAMES)) == [Ping()] * MAX_FRAMES
    with pytest.raises(FrameTooBig, match="65 frames"):
        codec.decode_client(codec.join([ping] * (MAX_FRAMES + 1)))


@pytest.mark.parametrize(
    "number", [b"1e999", b"9" * 5000, b"-9223372036854775809", b"1" + b"0" * 20]
)
def test_W9_numbers_that_64_bits_cannot_hold(number: bytes) -> None:
    with pytest.raises(BadArgs):
        canonical(b'{"a":' + number + b"}")
    message = b'{"t":"call","ref":9,"name":"x","op":"o","args":{"a":' + number + b"}}"
    [frame] = JSON.decode_client(message)
    assert code_and_ref(frame) == (106, 9)


@pytest.mark.parametrize("number", ["18446744073709551615", "-9223372036854775808", "1.5e300"])
def test_W9_numbers_that_64_bits_hold(number: str) -> None:
    assert msgspec.json.decode(canonical(number.encode())) == msgspec.json.decode(number)


@codecs
@pytest.mark.parametrize("frame", ["call", "query"])
def test_W9_deep_args_are_refused_with_the_ref(codec: Codec, frame: str) -> None:
    deep = "[" * 33 + "]" * 33
    json = f'{{"t":"{frame}","ref":9,"name":"x","op":"o","args":{deep}}}'
    assert code_and_ref(only(codec, json)) == (106, 9)
    assert code_and_ref(only(codec, f"[{json}]")) == (106, 9)


@codecs
def test_W9_a_deep_signal_has_no_ref_to_answer(codec: Codec) -> None:
    deep = "[" * 33 + "]" * 33
    json = f'{{"t":"signal","log":"a/b/c","name":"x","body":{deep}}}'
    assert code_and_ref(only(codec, json)) == (106, 0)


def test_W9_wide_is_not_deep() -> None:
    wide = b"[" + b",".join([b"[1]"] * 1000) + b"]"
    assert canonical(wide) == msgspec.Raw(wide)


@codecs
def test_W12_a_client_skips_what_it_does_not_know(codec: Codec) -> None:
    message = packed(
        codec, '[{"t":"ack","ref":1,"new":[1]},{"t":"moon","phase":3},{"t":"ack","ref":2}]'
    )
    assert codec.decode_server(message) == [Ack(1), Ack(2)]
    assert codec.decode_server(packed(codec, '{"t":"moon"}')) == []


@codecs
@pytest.mark.parametrize("json", ['{"t":"ack"}', "7", "{}", '[{"t":"ack","ref":1},7]'])
def test_W12_a_client_does_not_skip_what_is_broken(codec: Codec, json: str) -> None:
    with pytest.raises(BadFrame):
        codec.decode_server(packed(codec, json))


@pytest.mark.parametrize("data", [b"{", b'{"t":"ack","ref":1,"x":"\xff"}', b"[" * 100_000])
def test_W12_a_client_refuses_what_is_no_message(data: bytes) -> None:
    with pytest.raises(BadFrame):
        JSON.decode_server(data)


@codecs
def test_W14_a_refusal_quotes_little(codec: Codec) -> None:
    long = "n" * 100_000
    for json in (
        f'{{"t":"{long}","ref":1}}',
        f'{{"t":"call","ref":1,"name":"x","op":"o","args":{{"{long}":{{}}}},"log":7}}',
    ):
        frame = only(codec, json)
        assert isinstance(frame, Fail)
        assert len(frame.text) <= MAX_TEXT


def test_W14_whatever_the_decoder_says() -> None:
    assert clip(ValueError("x" * MAX_TEXT)) == "x" * MAX_TEXT
    assert clip(ValueError("x" * 1000)) == "x" * (MAX_TEXT - 1) + "…"


def test_one_frame_is_a_message_and_several_are_an_array() -> None:
    frames = [JSON.encode(Ack(1)), JSON.encode(Ack(2))]
    assert JSON.join(frames[:1]) == b'{"t":"ack","ref":1}'
    assert JSON.join(frames) == b'[{"t":"ack","ref":1},{"t":"ack","ref":2}]'
    packed_frames = [MSGPACK.encode(Ack(1)), MSGPACK.encode(Ack(2))]
    assert (
        MSGPACK.join(packed_frames)
        == b"\x92" + b"\x82\xa1t\xa3ack\xa3ref\x01\x82\xa1t\xa3ack\xa3ref\x02"
    )


def test_white_space_before_a_frame_is_no_matter() -> None:
    read = Read(1, LogId("main/g/x"), before=Seq(0))
    assert JSON.decode_client(b" \n" + JSON.encode(read)) == [read]
    assert JSON.decode_client(b" [" + JSON.encode(read) + b"] ") == [read]
    assert JSON.decode_client(b"[]") == []


def test_defaults_are_not_sent() -> None:
    assert (
        JSON.encode(Call(1, "chat.open", OpId("o")))
        == b'{"t":"call","ref":1,"name":"chat.open","op":"o"}'
    )
    assert (
        JSON.encode(Deliver(LogId("main/g/x"), []))
        == b'{"t":"deliver","log":"main/g/x","entries":[]}'
    )


def test_a_refusal_as_a_frame_says_all_of_it() -> None:
    assert fail(GoingAway("soon", retry_after_ms=50), 4) == Fail(4, 306, "soon", True, 50)
