"""Ids of things that are made over HTTP: made of the Idempotency-Key, so that a repeated creation
is noticed without anything else to remember."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from hongyan.model.errors import Clash
from hongyan.model.ids import hashed_name


def named(prefix: str, tenant: str, op: str, known: Iterable[str]) -> str:
    """The id `op` gives in this tenant, or a random one without `op`.

    Raises:
        Clash: it is among `known`: made before, and what was shown then cannot be shown again.
    """
    if not op:
        return f"{prefix}_{secrets.token_hex(8)}"
    made = f"{prefix}_{hashed_name(prefix, tenant, op)[:16]}"
    if made in known:
        raise Clash(f"this made {made} before; its secret cannot be shown again")
    return made
