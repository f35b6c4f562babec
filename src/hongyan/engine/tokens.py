"""Signed tokens (JWT): this server's own, and those of back ends it was told to trust.

The issuer is looked up by the token's `iss`; key and algorithm come from the issuer's settings,
never from the token. So a token cannot choose `none`, nor have a public key used as a secret.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import urlsafe_b64decode
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from typing import Annotated, Any, Protocol

import jwt
import msgspec

from hongyan.model.errors import Unauthenticated

OWN = "hongyan"  # the `iss` of this server's tokens
MAX_TOKEN_BYTES = 4096
MAX_KEYS_TRIED = 8  # of an issuer, for a token that names none
CACHED = 16_384  # verified tokens; about 600 bytes each, so 10 MB


class KeySource(Protocol):
    """The verification keys of one issuer; they may change while the server runs."""

    generation: int  # grows when the keys change: what older ones verified is checked again

    async def find(self, kid: str) -> Sequence[Any]:
        """The key named `kid`, or all keys for "". May wait for a refresh, at most 5 seconds;
        empty where there is none, never an error."""
        ...


class FixedKey:
    """One key for ever."""

    generation = 0

    def __init__(self, key: Any) -> None:
        """`key`: bytes for HS256, else a public key object of `cryptography`."""
        self.keys = (key,)

    async def find(self, kid: str) -> Sequence[Any]:
        """That key, whatever the token calls it."""
        return self.keys


class TrustedIssuer(msgspec.Struct, frozen=True, kw_only=True):
    """An issuer with its keys at hand. `tenant` "*": the token's `tnt` says."""

    iss: str
    alg: str
    keys: KeySource
    tenant: str = "main"
    audience: str = ""
    admin: bool = False


# Up to the year 9999, so that no number overflows what it is stored in later.
Seconds = Annotated[float, msgspec.Meta(ge=0, le=253_402_300_799)]
Epoch = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_000)]


class Claims(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a token says. Seconds for iat, exp and nbf; ms for the login epoch `ep`."""

    iss: str = ""
    sub: str = ""
    tnt: str = ""  # "" = the issuer's tenant
    iat: Seconds = 0
    exp: Seconds = 0
    nbf: Seconds = 0
    ep: Epoch = 0
    dev: str = ""
    adm: bool = False
    gst: str = ""  # the one live log that a guest may watch
    aud: str | list[str] = ""


class Header(msgspec.Struct, frozen=True):
    """What is read of a token's header before anything is verified."""

    alg: str
    kid: str = ""
    crit: Any = msgspec.UNSET  # extensions, of which we know none
    b64: Any = msgspec.UNSET


class _Cached(msgspec.Struct, frozen=True):
    claims: Claims
    generation: int


class Tokens:
    """Sign and verify. `secret` is this server's own HS256 key, 32 bytes or more."""

    def __init__(
        self, secret: bytes, issuers: Sequence[TrustedIssuer] = (), *, leeway_s: int = 30
    ) -> None:
        """`issuers` have different names, none of them "hongyan"."""
        if len(secret) < 32:
            raise ValueError("the secret is shorter than 32 bytes")
        own = TrustedIssuer(
            iss=OWN, alg="HS256", keys=FixedKey(secret), tenant="*", audience=OWN, admin=True
        )
        self._secret = secret
        self._issuers = {issuer.iss: issuer for issuer in (own, *issuers)}
        self._leeway_s = leeway_s
        self._jws = jwt.PyJWS(algorithms=["HS256", "EdDSA", "RS256", "ES256"])
        self._header: msgspec.json.Decoder[Header] = msgspec.json.Decoder(Header)
        self._claims: msgspec.json.Decoder[Claims] = msgspec.json.Decoder(Claims)
        self._verified: OrderedDict[bytes, _Cached] = OrderedDict()

    def sign(self, claims: Claims) -> str:
        """A token of this server."""
        own = msgspec.structs.replace(claims, iss=OWN, aud=OWN)
        return self._jws.encode(msgspec.json.encode(own), self._secret, "HS256")

    async def verify(self, token: str, now_ms: int) -> tuple[Claims, TrustedIssuer]:
        """What a token says and who says it; its `tnt` and `ep` are filled in.

        The result is remembered until the token or its key goes, so that a reconnect costs a
        hash. `iat` is not compared with the clock: a server whose clock was set back would
        refuse everybody.

        Raises:
            Unauthenticated: too big, malformed, unknown issuer, wrong signature, expired …
        """
        _fits(token)
        header, issuer = self._peek(token)
        keys = await issuer.keys.find(header.kid)  # first: this notices changed keys
        return self._judge(token, header, keys, issuer, now_ms), issuer

    def refusal(self, token: str, now_ms: int) -> Unauthenticated | None:
        """Why `verify` would refuse a token, as far as that is known without waiting: of issuers
        whose keys are fetched only the form is judged. What was found good is remembered."""
        try:
            _fits(token)
            header, issuer = self._peek(token)
            if isinstance(issuer.keys, FixedKey):
                self._judge(token, header, issuer.keys.keys, issuer, now_ms)
        except Unauthenticated as why:
            return why
        return None

    def _judge(
        self,
        token: str,
        header: Header,
        keys: Sequence[Any],
        issuer: TrustedIssuer,
        now_ms: int,
    ) -> Claims:
        """What a token says that one of the issuer's keys has signed."""
        generation = issuer.keys.generation
        digest = blake2b(token.encode(), digest_size=32).digest()
        known = self._verified.get(digest)
        if known is not None and known.generation == generation:
            self._verified.move_to_end(digest)
            claims = known.claims
        else:
            claims = self._check_tenant(self._signed(token, header, keys, issuer), issuer)
            self._verified[digest] = _Cached(claims, generation)
            if len(self._verified) > CACHED:
                self._verified.popitem(last=False)
        self._check_time(claims, now_ms / 1000)
        return claims

    def _peek(self, token: str) -> tuple[Header, TrustedIssuer]:
        """Read who claims to have signed, to know by which key to check; trust nothing of it."""
        parts = token.split(".")
        if len(parts) != 3:
            raise Unauthenticated("this is not a token")
        try:
            header = self._header.decode(_unbase64(parts[0]))
            iss = self._claims.decode(_unbase64(parts[1])).iss
        except (binascii.Error, msgspec.MsgspecError, UnicodeDecodeError) as exc:
            raise Unauthenticated(f"this is not a token: {exc}") from None
        issuer = self._issuers.get(iss)
        if issuer is None:
            raise Unauthenticated("no such issuer of tokens is trusted here")
        if header.alg != issuer.alg:
            raise Unauthenticated(f"tokens of this issuer are signed with {issuer.alg}")
        return header, issuer

    def _signed(
        self, token: str, header: Header, keys: Sequence[Any], issuer: TrustedIssuer
    ) -> Claims:
        usual = issuer.alg == "HS256" and header.crit is header.b64 is msgspec.UNSET
        for key in keys[:MAX_KEYS_TRIED]:
            try:
                if usual and isinstance(key, bytes):
                    payload = _of_secret(token, key)
                else:
                    payload = self._jws.decode(token, key, algorithms=[issuer.alg])
            except (jwt.PyJWTError, binascii.Error):
                continue  # the next key; if none fits, the refusal below
            claims = self._claims.decode(payload)
            audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
            if issuer.audience and issuer.audience not in audiences:
                raise Unauthenticated("this token is for another audience")
            if not (claims.sub and claims.exp and (claims.ep or claims.iat >= 1)):
                raise Unauthenticated("a token needs sub, exp, and iat or ep")
            return claims
        raise Unauthenticated("the token's signature is wrong or its key is not known")

    def _check_tenant(self, claims: Claims, issuer: TrustedIssuer) -> Claims:
        tenant = (claims.tnt or "main") if issuer.tenant == "*" else issuer.tenant
        if claims.tnt not in ("", tenant):
            raise Unauthenticated("this issuer does not speak for that tenant")
        return msgspec.structs.replace(claims, tnt=tenant, ep=claims.ep or int(claims.iat * 1000))

    def _check_time(self, claims: Claims, now: float) -> None:
        if now >= claims.exp + self._leeway_s:
            raise Unauthenticated("the token has expired")
        if now < claims.nbf - self._leeway_s:
            raise Unauthenticated("the token is not valid yet")


def _of_secret(token: str, secret: bytes) -> bytes:
    """The payload of a token that was signed with HS256: 3 us where PyJWT takes 27, and after a
    restart all tokens are new to us. Raises what PyJWT does for a wrong signature."""
    signed, _, given = token.rpartition(".")
    if not hmac.compare_digest(hmac.digest(secret, signed.encode(), "sha256"), _unbase64(given)):
        raise jwt.InvalidSignatureError
    return _unbase64(signed.partition(".")[2])


def _fits(token: str) -> None:
    if not token or len(token) > MAX_TOKEN_BYTES or not token.isascii():
        raise Unauthenticated(f"a token has 1 to {MAX_TOKEN_BYTES} ASCII characters")


def _unbase64(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))
