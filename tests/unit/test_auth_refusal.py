"""What is known of a token without waiting."""

from __future__ import annotations

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


async def test_AD22_a_token_that_is_none_is_known_without_waiting(access: Access) -> None:
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
    monkey = access.tokens._signed
    access.tokens._signed = None  # type: ignore[assignment, method-assign]
    try:
        assert (await access.auth.authenticate(good)).user == "alice", "not verified again"
    finally:
        access.tokens._signed = monkey  # type: ignore[method-assign]


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
