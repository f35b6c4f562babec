from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from auth_rig import (
    ALICE,
    EC,
    ED,
    MAIN,
    OWN_SECRET,
    RSA,
    SHOP_SECRET,
    Access,
    forge,
    sign,
)
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from hongyan.engine.auth import Identity
from hongyan.engine.tokens import MAX_TOKEN_BYTES, Claims, Tokens, TrustedIssuer
from hongyan.model.errors import BadId, Disabled, Kicked, Unauthenticated
from hongyan.model.ids import DeviceId, UserId


@pytest.fixture
def access() -> Iterator[Access]:
    access = Access()
    yield access
    access.auth.close()


async def refused(access: Access, token: str, words: str = ".") -> None:
    with pytest.raises(Unauthenticated, match=words):
        await access.auth.authenticate(token)


# --- A1: key and algorithm ----------------------------------------------------------------------


async def test_A1_every_algorithm_of_a_configured_issuer(access: Access) -> None:
    tokens = [
        access.shop(),
        sign(ED, "EdDSA", {**access.claims("desk"), "aud": "hongyan"}),
        sign(EC, "ES256", access.claims("boss")),
        sign(RSA, "RS256", access.claims("bank")),
    ]
    for token in tokens:
        assert (await access.auth.authenticate(token)).user == "alice"
        await refused(access, token[:-8] + ("A" * 8), "signature")


@pytest.mark.parametrize("alg", ["none", "None", "nOnE", "HS384", "", "EdDSA"])
async def test_A1_token_cannot_choose_its_algorithm(access: Access, alg: str) -> None:
    claims = access.claims("shop")
    await refused(access, forge({"alg": alg}, claims, b""), "signed with HS256")
    await refused(access, forge({"alg": alg}, claims, SHOP_SECRET), "signed with HS256")


async def test_A1_public_key_is_no_secret(access: Access) -> None:
    """The classic confusion: an HMAC made with the text of the public key."""
    for issuer, key in (("desk", ED), ("bank", RSA), ("boss", EC)):
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        claims = {**access.claims(issuer), "aud": "hongyan"}
        await refused(access, forge({"alg": "HS256"}, claims, pem), "signed with")
        await refused(access, forge({"alg": "EdDSA"}, claims, pem))


async def test_A1_issuers_do_not_sign_for_each_other(access: Access) -> None:
    await refused(access, sign(OWN_SECRET, "HS256", access.claims("shop")), "signature")
    await refused(
        access, sign(SHOP_SECRET, "HS256", {**access.claims("hongyan"), "aud": "hongyan"})
    )
    await refused(access, sign(ed25519.Ed25519PrivateKey.generate(), "EdDSA", {
        **access.claims("desk"), "aud": "hongyan"}), "signature")  # fmt: skip
    await refused(access, sign(SHOP_SECRET, "HS256", access.claims("nobody")), "issuer")
    await refused(access, sign(SHOP_SECRET, "HS256", {**access.claims("shop"), "iss": None}))


async def test_A1_changed_claims_break_the_signature(access: Access) -> None:
    head, _, tail = access.shop().split(".")
    body = forge({}, {**access.claims("shop"), "sub": "root"}).split(".")[1]
    await refused(access, f"{head}.{body}.{tail}", "signature")


async def test_A1_good_signature_once_does_not_help_another_token(access: Access) -> None:
    """The memory of verified tokens goes by the whole token."""
    good = access.shop()
    assert await access.auth.authenticate(good)
    assert await access.auth.authenticate(good)
    await refused(access, good[:-2] + ("AA" if good[-2:] != "AA" else "BB"))


# --- A2: malformed ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "...", "a.b", "a.b.c", "hyk", "é.é.é", "\ud800", "e30.e30.e30", "bnVsbA.e30.",
     "W10.W10.W10", "eyJhbGciOjF9.e30.", "=.=.=", "eyJhbGciOiJIUzI1NiJ9.bnVsbA.x"],
)  # fmt: skip
async def test_A2_malformed_token_is_refused(access: Access, token: str) -> None:
    await refused(access, token)


@settings(max_examples=200)
@given(text=st.one_of(st.text(), st.from_regex(r"[\w-]{0,40}\.[\w-]{0,40}\.[\w-]{0,40}")))
async def test_A2_no_text_is_an_internal_error(text: str) -> None:
    tokens = Tokens(OWN_SECRET)
    with pytest.raises(Unauthenticated):
        await tokens.verify(text, 0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)


@settings(max_examples=200)
@given(
    claims=st.fixed_dictionaries(
        {"iss": st.just("hongyan")},
        optional=dict.fromkeys(["sub", "exp", "nbf", "iat", "ep", "aud", "tnt", "dev"], JSON),
    ),
    header=st.dictionaries(st.sampled_from(["kid", "crit", "b64", "typ", "jwk"]), JSON),
)
async def test_A2_no_signed_claims_are_an_internal_error(
    claims: dict[str, Any], header: dict[str, Any]
) -> None:
    """Even the right key cannot make the server stumble."""
    token = forge({"alg": "HS256", **header}, claims, OWN_SECRET)
    try:
        verified, _ = await Tokens(OWN_SECRET).verify(token, 0)
    except Unauthenticated:
        return
    assert verified.sub


async def test_A2_too_long_a_token_is_not_looked_at(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = access.shop(pad="x" * 2800)
    assert 3800 < len(fits) <= MAX_TOKEN_BYTES
    assert await access.auth.authenticate(fits)

    def never(*args: object) -> None:
        raise AssertionError("looked at")

    monkeypatch.setattr(Tokens, "_peek", never)
    await refused(access, access.shop(pad="x" * 4096), "4096")


async def test_A2_unusable_names_are_refused(access: Access) -> None:
    for claims in ({"sub": "a b"}, {"sub": "../x"}, {"sub": "a" * 65}, {"dev": "a/b"}):
        with pytest.raises(BadId):
            await access.auth.authenticate(access.shop(**claims))
    with pytest.raises(BadId):
        await access.auth.authenticate(
            sign(ED, "EdDSA", {**access.claims("desk"), "aud": "hongyan", "tnt": "A/B"})
        )
    await refused(access, access.shop(sub=None), "needs sub")
    await refused(access, access.shop(exp=None), "needs sub, exp")
    await refused(access, access.shop(iat=None), "iat or ep")
    assert await access.auth.authenticate(access.shop(iat=None, ep=1))


# --- A3: time -----------------------------------------------------------------------------------


async def test_A3_expiry_with_leeway(access: Access) -> None:
    token = access.shop()  # good for 60 s
    access.clock.advance(60 + 29)
    assert await access.auth.authenticate(token)
    access.clock.advance(1)
    await refused(access, token, "expired")


async def test_A3_not_before_with_leeway(access: Access) -> None:
    await refused(access, access.shop(nbf=access.now_s + 31), "not valid yet")
    assert await access.auth.authenticate(access.shop(nbf=access.now_s + 30))


async def test_A3_clock_set_back_locks_nobody_out(access: Access) -> None:
    await access.user()
    own = await access.auth.grant(MAIN, ALICE)
    other = access.shop()
    access.clock.jump_wall(-3_600_000)
    assert await access.auth.authenticate(own)
    assert await access.auth.authenticate(other)


@pytest.mark.parametrize(
    "claims",
    [{"exp": 1e308}, {"exp": 10**30}, {"exp": -1}, {"exp": 0}, {"exp": "9"}, {"iat": 1e308},
     {"nbf": -(10**40)}, {"ep": 10**30}, {"ep": -1}, {"ep": 1.5}],
)  # fmt: skip
async def test_A3_odd_times_are_refused(access: Access, claims: dict[str, Any]) -> None:
    await refused(access, access.shop(**claims))


# --- A4: tenant, audience, administrators --------------------------------------------------------


async def test_A4_issuer_speaks_for_its_tenant_only(access: Access) -> None:
    assert (await access.auth.authenticate(access.shop())).tenant == "main"
    assert (await access.auth.authenticate(access.shop(tnt="main"))).tenant == "main"
    await refused(access, access.shop(tnt="acme"), "tenant")
    boss = {**access.claims("boss"), "sub": "b"}
    assert (await access.auth.authenticate(sign(EC, "ES256", boss))).tenant == "acme"
    await refused(access, sign(EC, "ES256", {**boss, "tnt": "main"}), "tenant")


async def test_A4_star_issuer_names_the_tenant(access: Access) -> None:
    claims = {**access.claims("desk"), "aud": ["other", "hongyan"]}
    assert (await access.auth.authenticate(sign(ED, "EdDSA", claims))).tenant == "main"
    acme = await access.auth.authenticate(sign(ED, "EdDSA", {**claims, "tnt": "acme"}))
    assert acme.tenant == "acme"


@pytest.mark.parametrize("aud", [None, "", "other", ["other"], []])
async def test_A4_token_for_another_audience(access: Access, aud: Any) -> None:
    await refused(access, sign(ED, "EdDSA", {**access.claims("desk"), "aud": aud}), "audience")


async def test_A4_adm_is_believed_only_where_configured(access: Access) -> None:
    assert (await access.auth.authenticate(access.shop(adm=True))).admin is False
    boss = {**access.claims("boss"), "sub": "b", "adm": True}
    assert (await access.auth.authenticate(sign(EC, "ES256", boss))).admin is True
    boss["adm"] = False
    assert (await access.auth.authenticate(sign(EC, "ES256", boss))).admin is False


# --- A5, A6: the account -------------------------------------------------------------------------


async def test_A5_account_counts_as_of_now(access: Access) -> None:
    account = await access.user(admin=True)
    token = await access.auth.grant(MAIN, ALICE)
    assert (await access.auth.authenticate(token)).admin is True
    await access.directory.put_user(_but(account, admin=False))
    assert (await access.auth.authenticate(token)).admin is False
    await access.directory.put_user(_but(account, disabled=True))
    with pytest.raises(Disabled):
        await access.auth.authenticate(token)
    with pytest.raises(Disabled):
        await access.auth.authenticate(access.shop())


async def test_A5_own_token_saying_adm_makes_no_administrator(access: Access) -> None:
    await access.user()
    alice = Identity(tenant=MAIN, user=ALICE, epoch=1, admin=True)
    assert (await access.auth.authenticate(access.auth.issue(alice, 60))).admin is False


async def test_A6_first_token_of_an_issuer_makes_the_account(access: Access) -> None:
    assert await access.directory.user(MAIN, ALICE) is None
    await access.auth.authenticate(access.shop())
    account = await access.directory.user(MAIN, ALICE)
    assert account is not None
    assert (account.password, account.admin) == ("", False)
    await access.directory.put_user(_but(account, name="Alice"))
    await access.auth.authenticate(access.shop())
    again = await access.directory.user(MAIN, ALICE)
    assert again is not None and again.name == "Alice"


async def test_A6_own_token_without_account_is_refused(access: Access) -> None:
    ghost = Identity(tenant=MAIN, user=UserId("ghost"), epoch=1)
    await refused(access, access.auth.issue(ghost, 60), "gone")
    assert await access.directory.user(MAIN, UserId("ghost")) is None


# --- what an identity says ------------------------------------------------------------------------


async def test_A15_epoch_is_the_age_of_the_login(access: Access) -> None:
    by_iat = await access.auth.authenticate(access.shop(iat=1_600_000_000))
    assert by_iat.epoch == 1_600_000_000_000
    by_ep = await access.auth.authenticate(access.shop(ep=77, dev="d1"))
    assert (by_ep.epoch, by_ep.device) == (77, "d1")
    assert by_ep.expires_at == (access.now_s + 60) * 1000


async def test_A15_renewing_keeps_the_epoch(access: Access) -> None:
    await access.user()
    first = await access.auth.authenticate(await access.auth.grant(MAIN, ALICE, device="d1"))
    access.clock.advance(1000)
    second = await access.auth.authenticate(access.auth.issue(first, 60))
    assert (second.epoch, second.device) == (first.epoch, DeviceId("d1"))
    assert second.expires_at == (access.now_s + 60) * 1000


async def test_A14_token_of_an_evicted_device_is_refused_without_admit(access: Access) -> None:
    await access.user()
    token = await access.auth.grant(MAIN, ALICE, device="d1")
    identity = await access.auth.authenticate(token)
    await access.auth.admit(identity, "d1", "phone")
    assert await access.auth.authenticate(token)
    await access.auth.logout(identity, "d1")
    with pytest.raises(Kicked):
        await access.auth.authenticate(token)
    assert await access.auth.authenticate(token, admits=True)  # admit says it then
    with pytest.raises(Kicked):
        await access.auth.admit(identity, "d1", "phone")


async def test_A14_older_token_of_the_same_device_is_refused(access: Access) -> None:
    await access.user()
    old = await access.auth.grant(MAIN, ALICE, device="d1")
    access.clock.advance(1)
    new = await access.auth.grant(MAIN, ALICE, device="d1")
    await access.auth.admit(await access.auth.authenticate(new), "d1", "phone")
    with pytest.raises(Kicked):
        await access.auth.authenticate(old)


async def test_A1_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Tokens(b"short")


async def test_A17_what_an_older_key_verified_is_checked_again() -> None:
    class Rotating:
        generation = 1
        keys: tuple[Any, ...] = (ED.public_key(),)

        async def find(self, kid: str) -> tuple[Any, ...]:
            return self.keys

    source = Rotating()
    tokens = Tokens(OWN_SECRET, [TrustedIssuer(iss="r", alg="EdDSA", keys=source)])
    token = sign(ED, "EdDSA", {"iss": "r", "sub": "a", "exp": 10, "iat": 1})
    assert (await tokens.verify(token, 0))[0].sub == "a"
    source.keys = ()  # the same generation: what was verified stays so
    assert (await tokens.verify(token, 0))[0].sub == "a"
    source.generation = 2
    with pytest.raises(Unauthenticated, match="signature"):
        await tokens.verify(token, 0)


async def test_verified_tokens_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hongyan.engine.tokens.CACHED", 4)
    tokens = Tokens(OWN_SECRET)
    for n in range(20):
        await tokens.verify(tokens.sign(Claims(sub=f"u{n}", exp=10, iat=1)), 0)
    assert len(tokens._verified) == 4


def _but(account: Any, **changes: Any) -> Any:
    return replace(account, **changes)


def test_json_of_claims_is_what_the_protocol_says() -> None:
    token = Tokens(OWN_SECRET).sign(
        Claims(sub="alice", tnt="main", iat=1, exp=2, ep=3, dev="d", adm=True)
    )
    body = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    assert claims == {"iss": "hongyan", "aud": "hongyan", "sub": "alice", "tnt": "main",
                      "iat": 1, "exp": 2, "ep": 3, "dev": "d", "adm": True}  # fmt: skip
