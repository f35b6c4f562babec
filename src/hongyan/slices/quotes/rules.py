"""Who may set up and feed a board, and who may watch it."""

from __future__ import annotations

import msgspec

from hongyan.model.errors import BadArgs, BadState, Forbidden
from hongyan.model.ids import LogId, log_id
from hongyan.model.kind import Append, Context, Decision, Rule
from hongyan.model.live import Put
from hongyan.model.log import MemberChange, Role
from hongyan.slices.quotes import commands as c
from hongyan.slices.quotes.state import OWN_VALUES, Board

QUOTES = "q"  # kind code
MAX_QUOTE = 1024  # bytes of JSON


def admit(state: Board | None, ctx: Context) -> None:
    """Raises why the caller may not watch."""
    if state is None or ctx.admin:
        return
    if not state.open:
        raise BadState("the board is closed")
    if ctx.guest and not state.guests:
        raise Forbidden("this board is for those who are logged in")


def _feeds(ctx: Context) -> None:
    """Prices come from who answers for them, never from a user's device."""
    if not (ctx.admin or ctx.backend):
        raise Forbidden("boards are for administrators and back ends")


def place(command: c.Create, ctx: Context) -> LogId:
    """By its name."""
    return log_id(ctx.tenant, QUOTES, command.name)


def create(state: Board | None, command: c.Create, ctx: Context) -> Decision:
    """The caller's is the only membership there is: who watches is no member."""
    _feeds(ctx)
    if ctx.log != place(command, ctx):
        raise BadArgs("leave the log empty")
    if state is not None:
        raise BadState("there is a board of this name")
    board = Board(
        title=command.title,
        guests=command.guests,
        tick_ms=command.tick_ms,
        symbols=command.symbols,
    )
    return Decision(
        append=(Append("created", {"title": command.title}),),
        state=board,
        members=(MemberChange(user=ctx.user, join=True, role=Role.OWNER, history=True),),
    )


def update(state: Board | None, command: c.Update, ctx: Context) -> Decision:
    """Change what differs. Fewer symbols than are shown: they stay, new ones are refused."""
    _feeds(ctx)
    assert state is not None
    given = {
        name: value
        for name in c.Update.__struct_fields__
        if (value := getattr(command, name)) is not msgspec.UNSET and value != getattr(state, name)
    }
    if not given:
        return Decision()
    return Decision(
        append=(Append("changed", {"changes": given}),),
        state=msgspec.structs.replace(state, **given),
    )


def put(state: Board | None, command: c.Put, ctx: Context) -> Decision:
    """Values are absolute, so one that is put twice, or after a gap, is right all the same."""
    _feeds(ctx)
    for symbol, quote in command.quotes.items():
        if symbol in OWN_VALUES:
            raise BadArgs(f"{symbol} is the name of something else here")
        if len(memoryview(quote)) > MAX_QUOTE:
            raise BadArgs(f"{symbol}: a quote has at most {MAX_QUOTE} bytes of JSON")
    return Decision(
        values=tuple(
            Put(symbol, None if bytes(quote) == b"null" else quote)
            for symbol, quote in command.quotes.items()
        )
    )


def fill(state: Board | None, command: c.Fills, ctx: Context) -> Decision:
    """Entries: a newer trade does not make an older one void, so none is conflated, and who was
    slow or away reads what it lacks."""
    _feeds(ctx)
    return Decision(append=tuple(Append("fill", one) for one in command.fills))


# Role NONE: a back end publishes in any user's name.
RULES: dict[type, Rule] = {
    c.Create: Rule(decide=create, role=Role.NONE, creates=True, place=place),
    c.Update: Rule(decide=update, role=Role.NONE),
    c.Put: Rule(decide=put, role=Role.NONE, passing=True),
    c.Fills: Rule(decide=fill, role=Role.NONE),
}
