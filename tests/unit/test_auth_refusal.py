"""What is known of a token without waiting."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterator
from typing import Any

import pytest
from auth_rig import OWN_SECRET, SHOP_SECRET, Access, sign
from cryptography.hazmat.primitives.asymmetric import ed25519

from hongyan.engine.tokens import MAX_TOKEN_BYTES, Tokens, TrustedIssuer
from hongyan.model.errors import Unauthenticated


@pytest.fixture
def access() -> Iterator[Access]:
    access = Access()
    yield access
    access.auth.close()


async def test_AD22_a_token_that_is_none_is_known_without_waiting(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = access.shop()
    bad = {
        "": "characters",
        "x" * (MAX_TOKEN_BYTES + 1): "characters",
        "hello": "not a token",
        good[:-8] + "A" * 8: "signature",
        sign(SHOP_SECRET, "HS256", access.claims("nobody")): "issuer",
        access.shop(exp=access.now_s - 3600): "expired",
        "hyk_0123456789ab_secret": "API key",
    }
    for token, words in bad.items():
        why = access.auth.refusal(token)
        assert why is not None and words in why.text, token
        assert why.code == Unauthenticated.code
    assert access.auth.refusal(good) is None
    assert len(access.tokens._verified) == 2, "the good one, and the expired one as it is signed"
    monkeypatch.setattr(access.tokens, "_signed", None)
    assert (await access.auth.authenticate(good)).user == "alice", "not verified again"


async def test_AD22_of_keys_that_are_fetched_nothing_is_said_before() -> None:
    class Fetched:
        generation = 1

        async def find(self, kid: str) -> tuple[Any, ...]:
            raise AssertionError("this may wait")

    tokens = Tokens(OWN_SECRET, [TrustedIssuer(iss="r", alg="EdDSA", keys=Fetched())])
    forged = sign(ed25519.Ed25519PrivateKey.generate(), "EdDSA", {"iss": "r", "sub": "a"})
    assert tokens.refusal(forged, 0) is None
    other = sign(OWN_SECRET, "HS256", {"iss": "r", "sub": "a"})
    why = tokens.refusal(other, 0)
    assert why is not None and "EdDSA" in why.text


@pytest.mark.parametrize(
    ("header", "good"),
    [
        ({}, True),
        ({"typ": "JWT", "x": 1}, True),
        ({"crit": ["exp"]}, False),  # who signed wants more to be understood than we do
        ({"crit": ["nbf"], "nbf": 1}, False),
        ({"crit": []}, False),
        ({"crit": None}, False),
        ({"b64": False}, False),
        ({"b64": False, "crit": ["b64"]}, False),
    ],
)
def test_A1_extensions_that_we_do_not_know_are_refused(
    access: Access, header: dict[str, Any], good: bool
) -> None:
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in ({"alg": "HS256", **header}, access.claims("shop"))
    ]
    mac = hmac.digest(SHOP_SECRET, b".".join(parts), "sha256")
    token = b".".join([*parts, base64.urlsafe_b64encode(mac).rstrip(b"=")]).decode()
    assert (access.auth.refusal(token) is None) is good


@pytest.mark.parametrize("signature", ["", "A", "AAAA", "%%%%", "a b", "=", "A" * 43, "-_" * 30])
def test_A1_no_text_is_a_signature(access: Access, signature: str) -> None:
    token = f"{access.shop().rpartition('.')[0]}.{signature}"
    why = access.auth.refusal(token)
    assert why is not None and "signature" in why.text


async def test_A1_what_is_refused_before_is_what_is_refused_after(access: Access) -> None:
    good = access.shop()
    for at in range(0, len(good), 7):
        changed = good[:at] + ("B" if good[at] != "B" else "C") + good[at + 1 :]
        if access.auth.refusal(changed) is None:
            assert base64.urlsafe_b64decode(changed.rpartition(".")[2] + "=") == (
                base64.urlsafe_b64decode(good.rpartition(".")[2] + "=")
            ), "only bits that base64 does not use"
        else:
            with pytest.raises(Unauthenticated):
                await access.auth.authenticate(changed)
