from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import jwt
import pytest
from auth_rig import EC, ED, OWN_SECRET, RSA, sign
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hongyan.adapters import jwks as adapter
from hongyan.adapters.jwks import FILE_EVERY_S, Jwks, issuers
from hongyan.config import ConfigError, Issuer
from hongyan.config import Tokens as Settings
from hongyan.engine.tokens import Tokens, TrustedIssuer
from hongyan.model.errors import Unauthenticated

A = jwt.algorithms
ALGS = {
    "EdDSA": (ED, A.OKPAlgorithm()),
    "ES256": (EC, A.ECAlgorithm(A.ECAlgorithm.SHA256)),
    "RS256": (RSA, A.RSAAlgorithm(A.RSAAlgorithm.SHA256)),
}


def jwk(key: Any, alg: str, **more: Any) -> dict[str, Any]:
    return {**ALGS[alg][1].to_jwk(key.public_key(), as_dict=True), **more}


def document(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


class Time:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Source:
    """A key set somewhere: what the next fetches give, and how many there were."""

    def __init__(self, first: bytes | Exception) -> None:
        self.answer: bytes | Exception | None = first
        self.fetches = 0
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self) -> bytes | None:
        assert self.gate.wait(10)
        self.fetches += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def at() -> Time:
    return Time()


@pytest.fixture
async def make(at: Time) -> AsyncIterator[Callable[..., Jwks]]:
    made: list[Jwks] = []

    def build(source: Source, alg: str = "EdDSA", every_s: float = 600) -> Jwks:
        made.append(Jwks(source, alg, every_s=every_s, monotonic=at))
        return made[-1]

    yield build
    for one in made:
        await one.close()


def token(kid: str | None = None, key: Any = ED, alg: str = "EdDSA") -> str:
    header = {} if kid is None else {"kid": kid}
    return sign(key, alg, {"iss": "r", "sub": "a", "iat": 1, "exp": 10**9}, **header)


# --- the set ------------------------------------------------------------------------------------


async def test_A17_key_is_found_by_its_id_or_among_all(make: Callable[..., Jwks]) -> None:
    other = ed25519.Ed25519PrivateKey.generate()
    set_ = make(Source(document(jwk(ED, "EdDSA", kid="one"), jwk(other, "EdDSA", kid="two"))))
    assert len(await set_.find("one")) == 1
    assert len(await set_.find("")) == 2
    assert await set_.find("three") == ()


async def test_A17_rotated_keys_are_used_and_removed_ones_are_not(
    make: Callable[..., Jwks], at: Time
) -> None:
    new = ed25519.Ed25519PrivateKey.generate()
    source = Source(document(jwk(ED, "EdDSA", kid="old")))
    set_ = make(source)
    tokens = Tokens(OWN_SECRET, adapter_issuer(set_))
    assert await tokens.verify(token("old"), 0)
    source.answer = document(jwk(new, "EdDSA", kid="new"))
    with pytest.raises(Unauthenticated):  # just fetched: too early to ask again
        await tokens.verify(token("new", new), 0)
    at.now += 10
    assert await tokens.verify(token("new", new), 0)  # an unknown id causes a fetch
    with pytest.raises(Unauthenticated):  # verified before, but its key is gone
        await tokens.verify(token("old"), 0)


async def test_A17_removed_key_ends_with_the_next_refresh(
    make: Callable[..., Jwks], at: Time
) -> None:
    source = Source(document(jwk(ED, "EdDSA", kid="old")))
    set_ = make(source)
    assert await set_.find("old")
    source.answer = document()
    at.now += 600
    assert await set_.find("old")  # given at once; the refresh goes on beside
    await set_.close()
    assert await set_.find("old") == ()


async def test_A17_unknown_ids_cause_one_fetch_in_ten_seconds(
    make: Callable[..., Jwks], at: Time
) -> None:
    source = Source(document(jwk(ED, "EdDSA", kid="one")))
    set_ = make(source)
    await asyncio.gather(*(set_.find(f"x{n}") for n in range(100)))
    assert source.fetches == 1
    for n in range(100):
        at.now += 0.2
        await set_.find(f"y{n}")
    assert source.fetches <= 1 + 2


async def test_A17_unreachable_set_keeps_the_known_keys_and_backs_off(
    make: Callable[..., Jwks], at: Time
) -> None:
    source = Source(document(jwk(ED, "EdDSA", kid="one")))
    set_ = make(source)
    assert await set_.find("one")
    source.answer = OSError("unreachable")
    tried = []
    for _ in range(20_000):
        at.now += 1
        before = source.fetches
        assert await set_.find("one")
        await set_.close()
        if source.fetches > before:
            tried.append(at.now)
    pauses = [b - a for a, b in pairwise(tried)]
    assert pauses[0] <= 20
    assert all(200 <= pause <= 400 for pause in pauses[8:])
    assert set_.failures == len(tried)
    source.answer = document(jwk(ED, "EdDSA", kid="two"))
    at.now += 400
    await set_.find("one")
    await set_.close()
    assert set_.failures == 0
    assert await set_.find("two")


@pytest.mark.parametrize("bad", [b"", b"{", b"[]", b'{"keys": 1}', b'{"keys": [1]}', b"\xff"])
async def test_A17_what_is_no_key_set_changes_nothing(
    make: Callable[..., Jwks], at: Time, bad: bytes
) -> None:
    source = Source(document(jwk(ED, "EdDSA", kid="one")))
    set_ = make(source)
    assert await set_.find("one")
    source.answer = bad
    at.now += 600
    await set_.find("one")
    await set_.close()
    assert set_.failures == 1
    assert await set_.find("one")


async def test_A17_a_fetch_that_hangs_holds_up_nobody_with_a_known_key(
    make: Callable[..., Jwks], at: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "FETCH_S", 0.05)
    source = Source(document(jwk(ED, "EdDSA", kid="one")))
    set_ = make(source)
    assert await set_.find("one")
    source.gate.clear()
    at.now += 600
    async with asyncio.timeout(5):
        assert await set_.find("one")
        assert await set_.find("unknown") == ()  # waits for its own short time only
    assert source.fetches == 1
    source.gate.set()


@pytest.mark.parametrize("alg", list(ALGS))
async def test_A1_only_fit_keys_of_a_set_are_used(make: Callable[..., Jwks], alg: str) -> None:
    key = ALGS[alg][0]
    foreign = [jwk(ALGS[other][0], other, kid=other) for other in ALGS if other != alg]
    private = ALGS[alg][1].to_jwk(key, as_dict=True)
    set_ = make(
        Source(
            document(
                jwk(key, alg, kid="good"),
                jwk(key, alg, kid="enc", use="enc"),
                {**jwk(key, alg), "kid": "alg", "alg": "HS256"},
                {**private, "kid": "private"},
                {"kty": "oct", "k": "c2VjcmV0", "kid": "oct"},
                {"kty": "weird", "kid": "weird"},
                {"kid": "empty"},
                *foreign,
            )
        ),
        alg,
    )
    assert len(await set_.find("")) == 1
    assert await Tokens(OWN_SECRET, adapter_issuer(set_, alg)).verify(token("good", key, alg), 0)


async def test_A1_weak_keys_are_not_used(make: Callable[..., Jwks]) -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    assert await make(Source(document(jwk(weak, "RS256", kid="w"))), "RS256").find("w") == ()
    curve = ec.generate_private_key(ec.SECP384R1())
    algorithm = A.ECAlgorithm(A.ECAlgorithm.SHA384)
    entry = algorithm.to_jwk(curve.public_key(), as_dict=True)
    assert await make(Source(document({**entry, "kid": "c"})), "ES256").find("c") == ()


def adapter_issuer(source: Jwks, alg: str = "EdDSA") -> list[Any]:
    return [TrustedIssuer(iss="r", alg=alg, keys=source)]


# --- files --------------------------------------------------------------------------------------


def settings(**fields: Any) -> Settings:
    return Settings(issuers=(Issuer(iss="r", **fields),))


async def test_A17_changed_file_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(document(jwk(ED, "EdDSA", kid="one")))
    keys = issuers(settings(alg="EdDSA", jwks_file=str(path)))[0].keys
    assert isinstance(keys, Jwks)
    assert await keys.find("one")
    new = ed25519.Ed25519PrivateKey.generate()
    fresh = tmp_path / "keys.new"
    fresh.write_bytes(document(jwk(new, "EdDSA", kid="two")))
    os.replace(fresh, path)
    monkeypatch.setattr(keys, "_monotonic", lambda: time.monotonic() + FILE_EVERY_S)
    assert await keys.find("two")
    assert await keys.find("one") == ()
    path.unlink()
    monkeypatch.setattr(keys, "_monotonic", lambda: time.monotonic() + 10 * FILE_EVERY_S)
    assert await keys.find("two")
    await keys.close()
    assert keys.failures == 1
    assert await keys.find("two")


async def test_A17_unchanged_file_is_not_parsed_again(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(document(jwk(ED, "EdDSA", kid="one")))
    reader = adapter.FileReader(path)
    assert reader() is not None
    assert reader() is None
    path.write_bytes(document())
    assert reader() == document()
    path.write_bytes(b" " * (adapter.MAX_BYTES + 1))
    with pytest.raises(ValueError, match="more than"):
        reader()


async def test_A1_public_key_file_of_each_algorithm(tmp_path: Path) -> None:
    for alg, (key, _) in ALGS.items():
        path = tmp_path / f"{alg}.pem"
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        path.write_bytes(pem)
        trusted = issuers(settings(alg=alg, public_key_file=str(path)))
        assert await Tokens(OWN_SECRET, trusted).verify(token("any", key, alg), 0)
        for other in ALGS:
            if other != alg:
                with pytest.raises(ConfigError, match=f"r: .*: not a key for {other}"):
                    issuers(settings(alg=other, public_key_file=str(path)))


async def test_A1_shared_secret_of_an_issuer() -> None:
    secret = "s" * 32
    trusted = issuers(settings(alg="HS256", secret=secret, tenant="*", audience="x", admin=True))
    claims = {"iss": "r", "sub": "a", "iat": 1, "exp": 10**9, "tnt": "acme", "aud": "x"}
    said, issuer = await Tokens(OWN_SECRET, trusted).verify(sign(secret, "HS256", claims), 0)
    assert (said.tnt, issuer.admin) == ("acme", True)


@pytest.mark.parametrize("content", [None, b"", b"nonsense", b"{}"])
def test_unusable_key_files_stop_the_start_with_one_line(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    for fields in ({"public_key_file": str(path)}, {"jwks_file": str(path)}):
        with pytest.raises(ConfigError) as why:
            issuers(settings(alg="EdDSA", **fields))
        assert str(why.value).startswith("tokens.issuers r: ")
        assert "\n" not in str(why.value)


# --- over the network ---------------------------------------------------------------------------


class Answer(BaseHTTPRequestHandler):
    body = b""
    status = 200

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/elsewhere" else self.status)
        if self.status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *args: object) -> None:
        """Silent."""


@pytest.fixture
def web() -> Iterator[tuple[str, type[Answer]]]:
    handler = type("Handler", (Answer,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/keys", handler
    server.shutdown()
    thread.join(10)
    server.server_close()


async def test_A17_set_is_fetched_over_http(web: tuple[str, type[Answer]]) -> None:
    url, handler = web
    handler.body = document(jwk(ED, "EdDSA", kid="one"))
    keys = issuers(settings(alg="EdDSA", jwks_url=url))[0].keys
    assert isinstance(keys, Jwks)
    assert keys.generation == 0  # nothing is fetched before it is needed
    assert await keys.find("one")
    await keys.close()


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_A17_other_answers_are_failures(web: tuple[str, type[Answer]], status: int) -> None:
    url, handler = web
    handler.body, handler.status = document(jwk(ED, "EdDSA", kid="one")), status
    keys = issuers(settings(alg="EdDSA", jwks_url=url))[0].keys
    assert isinstance(keys, Jwks)
    assert await keys.find("one") == ()
    assert keys.failures == 1
    await keys.close()


async def test_A17_a_set_that_is_too_big_is_a_failure(web: tuple[str, type[Answer]]) -> None:
    url, handler = web
    handler.body = b" " * (adapter.MAX_BYTES + 1)
    with pytest.raises(ValueError, match="more than"):
        await asyncio.to_thread(adapter._download, url)
    handler.body = b" " * adapter.MAX_BYTES
    assert len(await asyncio.to_thread(adapter._download, url)) == adapter.MAX_BYTES


async def test_A17_nobody_there_is_a_failure() -> None:
    keys = issuers(settings(alg="EdDSA", jwks_url="http://127.0.0.1:1/keys"))[0].keys
    assert isinstance(keys, Jwks)
    assert await keys.find("one") == ()
    assert keys.failures == 1
    await keys.close()
