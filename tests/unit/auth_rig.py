"""An authenticator on memory parts, and token makers for the tests of access."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from hongyan.adapters.memory.clock import ManualClock
from hongyan.adapters.memory.directory import MemoryDirectory
from hongyan.config import Config, load
from hongyan.engine.auth import Authenticator, Identity
from hongyan.engine.passwords import Passwords
from hongyan.engine.tokens import FixedKey, Tokens, TrustedIssuer
from hongyan.model.ids import TenantId, UserId
from hongyan.ports import User
from hongyan.telemetry import Metrics

OWN_SECRET = b"own secret, own secret, own secret"
SHOP_SECRET = b"shop secret, shop secret, shop secret"
MAIN, ALICE = TenantId("main"), UserId("alice")
PASSWORD = "correct horse"

ED = ed25519.Ed25519PrivateKey.generate()
EC = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)

SHOP = TrustedIssuer(iss="shop", alg="HS256", keys=FixedKey(SHOP_SECRET))
DESK = TrustedIssuer(
    iss="desk", alg="EdDSA", keys=FixedKey(ED.public_key()), tenant="*", audience="hongyan"
)
BOSS = TrustedIssuer(
    iss="boss", alg="ES256", keys=FixedKey(EC.public_key()), tenant="acme", admin=True
)
BANK = TrustedIssuer(iss="bank", alg="RS256", keys=FixedKey(RSA.public_key()))


class Access:
    """An authenticator with its parts at hand."""

    def __init__(self, *, directory: MemoryDirectory | None = None, **options: object) -> None:
        self.clock = ManualClock()
        self.directory = directory or MemoryDirectory()
        self.config: Config = load(
            None,
            {},
            {"accounts.hash_memory_kib": 8192, "accounts.hash_rounds": 1, **options},
        )
        self.passwords = Passwords(8192, 1)
        self.tokens = Tokens(OWN_SECRET, [SHOP, DESK, BOSS, BANK])
        self.metrics = Metrics()
        self.auth = Authenticator(
            self.config, self.directory, self.clock, self.tokens, self.passwords, self.metrics
        )
        self.accounts = self.auth.accounts

    @property
    def now_s(self) -> int:
        return self.clock.now_ms() // 1000

    async def user(self, user: str = "alice", password: str = PASSWORD, **more: Any) -> User:
        stored = await self.passwords.hash(password) if password else ""
        account = User(tenant=MAIN, user=UserId(user), password=stored, **more)
        await self.directory.put_user(account)
        return account

    async def admin(self) -> Identity:
        await self.user("root", admin=True)
        return Identity(tenant=MAIN, user=UserId("root"), epoch=1, admin=True)

    def shop(self, **claims: Any) -> str:
        """A token of the issuer "shop"; None removes a claim."""
        return sign(SHOP_SECRET, "HS256", {**self.claims("shop"), **claims})

    def claims(self, iss: str) -> dict[str, Any]:
        return {"iss": iss, "sub": "alice", "iat": self.now_s, "exp": self.now_s + 60}


def sign(key: Any, alg: str, claims: dict[str, Any], **header: Any) -> str:
    """A token with these claims; those that are None are left out."""
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.PyJWS().encode(json.dumps(kept).encode(), key, alg, headers=header or None)


def forge(header: dict[str, Any], claims: dict[str, Any], key: bytes = b"") -> str:
    """A token made by hand, as no library would make it."""
    parts = [_base64(json.dumps(part).encode()) for part in (header, claims)]
    mac = hmac.new(key, ".".join(parts).encode(), hashlib.sha256).digest() if key else b""
    return ".".join([*parts, _base64(mac)])


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
