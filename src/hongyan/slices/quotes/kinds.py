"""The kind `quotes`."""

from __future__ import annotations

from hongyan.model.kind import Kind
from hongyan.model.live import LiveSpec
from hongyan.slices.quotes import rules
from hongyan.slices.quotes.state import Board, spec_of, values_of

QUOTES_KIND = Kind(
    name="quotes",
    code=rules.QUOTES,
    state=Board,
    rules=rules.RULES,
    receipts=False,
    live=LiveSpec(ring=0, rate=0),
    admit=rules.admit,
    shows_all=lambda state, ctx: True,  # one kind of viewer: what is encoded serves all
    live_of=spec_of,
    values=values_of,
)

KINDS = (QUOTES_KIND,)
