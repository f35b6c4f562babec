"""The calls of a board, and the limits of what they may say. Times are ms."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

END = r"$(?!\n)"
Title = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"\S")]
BoardName = Annotated[str, msgspec.Meta(pattern=rf"^[A-Za-z0-9_-]{{1,64}}{END}")]
Symbol = Annotated[str, msgspec.Meta(pattern=rf"^[A-Za-z0-9][A-Za-z0-9._:/=^-]{{0,31}}{END}")]
TickMs = Annotated[int, msgspec.Meta(ge=20, le=5_000)]
Symbols = Annotated[int, msgspec.Meta(ge=1, le=2_000)]
# A number, or its digits as text where rounding would be wrong.
Amount = (
    int | float | Annotated[str, msgspec.Meta(pattern=rf"^-?[0-9]{{1,20}}(\.[0-9]{{1,20}})?{END}")]
)


class Create(msgspec.Struct, frozen=True, tag="quotes.create"):
    """Set up a board. Leave the log empty: `name` becomes part of the log id."""

    name: BoardName
    title: Title
    tick_ms: TickMs = 100
    symbols: Symbols = 2_000
    guests: bool = False


class Update(msgspec.Struct, frozen=True, tag="quotes.update"):
    """Change what is given, leave the rest."""

    title: Title | msgspec.UnsetType = msgspec.UNSET
    open: bool | msgspec.UnsetType = msgspec.UNSET
    guests: bool | msgspec.UnsetType = msgspec.UNSET
    tick_ms: TickMs | msgspec.UnsetType = msgspec.UNSET
    symbols: Symbols | msgspec.UnsetType = msgspec.UNSET


class Put(msgspec.Struct, frozen=True, tag="quotes.put"):
    """Quotes by symbol, each the whole of what is to be shown of it; null takes a symbol away."""

    quotes: Annotated[dict[Symbol, msgspec.Raw], msgspec.Meta(min_length=1, max_length=2_000)]


class Fill(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One trade. `id` and `at` are the market's."""

    symbol: Symbol
    price: Amount
    size: Amount
    id: Annotated[str, msgspec.Meta(max_length=64)] = ""
    side: Literal["", "buy", "sell"] = ""
    at: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)] = 0


class Fills(msgspec.Struct, frozen=True, tag="quotes.fill"):
    """Trades in their order: all of them are kept, or none."""

    fills: Annotated[list[Fill], msgspec.Meta(min_length=1, max_length=50)]
