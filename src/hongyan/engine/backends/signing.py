"""Signatures after the Standard Webhooks specification, version v1 (symmetric).

    webhook-signature: v1,base64(HMAC-SHA256(secret, "{id}.{timestamp}.{body}")) v1,…

One signature per secret that is good now: while a secret is rotated the receiver may know either.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence

from hongyan.model.errors import BadArgs
from hongyan.model.outlets import Secret

PREFIX = "whsec_"
LEAST_BYTES, MOST_BYTES = 24, 64  # of a secret, as the specification says


def new_secret() -> Secret:
    """32 random bytes, as text."""
    return Secret(PREFIX + base64.b64encode(secrets.token_bytes(32)).decode())


def check_secret(text: str) -> Secret:
    """A secret that somebody brings.

    Raises:
        BadArgs: it is no `whsec_` with the base64 of 24 to 64 bytes.
    """
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except ValueError:
        key = b""
    if not text.startswith(PREFIX) or not LEAST_BYTES <= len(key) <= MOST_BYTES:
        raise BadArgs(f"a secret is {PREFIX} and the base64 of {LEAST_BYTES} to {MOST_BYTES} bytes")
    return Secret(text)


def rotated(
    known: Sequence[Secret], fresh: Secret, *, now_ms: int, keep_ms: int
) -> tuple[Secret, ...]:
    """`fresh` first; the one used so far signs beside it for `keep_ms` more, older ones go."""
    old = [Secret(s.text, now_ms + keep_ms) for s in known[:1] if keep_ms and s.text != fresh.text]
    return (fresh, *old)


def sign(known: Sequence[Secret], message_id: str, now_ms: int, body: bytes) -> dict[str, str]:
    """The three headers for a body that is sent now."""
    now_s = str(now_ms // 1000)
    signed = b"%b.%b.%b" % (message_id.encode(), now_s.encode(), body)
    signatures = []
    for secret in known:
        if not secret.until or secret.until > now_ms:
            key = base64.b64decode(secret.text.removeprefix(PREFIX))
            mac = hmac.new(key, signed, hashlib.sha256).digest()
            signatures.append("v1," + base64.b64encode(mac).decode())
    return {
        "webhook-id": message_id,
        "webhook-timestamp": now_s,
        "webhook-signature": " ".join(signatures),
    }
