"""The kind `self`."""

from __future__ import annotations

from hongyan.model.ids import SELF
from hongyan.model.kind import Kind
from hongyan.slices.own.rules import RULES
from hongyan.slices.own.state import Self

SELF_KIND = Kind(
    name="self",
    code=SELF,
    state=Self,
    rules=RULES,
    defaults={"blocked": 10_000},  # users on a block list
    receipts=False,
)

KINDS = (SELF_KIND,)
