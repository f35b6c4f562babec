from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hongyan.model.errors import BadArgs, BadState, Forbidden
from hongyan.model.ids import DeviceId, LogId, OpId, Seq, TenantId, UserId
from hongyan.model.kind import Context, Decision
from hongyan.model.log import Role
from hongyan.slices.quotes import commands as c
from hongyan.slices.quotes import rules
from hongyan.slices.quotes.state import Board, spec_of

LOG = LogId("main/q/us")


def ctx(*, admin: bool = False, backend: bool = False, guest: bool = False) -> Context:
    return Context(
        tenant=TenantId("main"),
        log=LOG,
        user=UserId("bob"),
        device=DeviceId("d"),
        op=OpId("1"),
        now_ms=1,
        role=Role.NONE,
        member=None,
        head=Seq(0),
        count=0,
        token="",
        admin=admin,
        backend=backend,
        guest=guest,
        settings={},
    )


def command(kind: Any, **args: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(args), type=kind)


def decide(made: Any, who: Context, state: Board | None) -> Decision:
    return rules.RULES[type(made)].decide(state, made, who)


def test_GT1_only_administrators_and_back_ends_set_up_and_feed_a_board() -> None:
    calls = (
        (command(c.Create, name="us", title="US"), None),
        (command(c.Update, title="EU"), Board()),
        (command(c.Put, quotes={"A": 1}), Board()),
        (command(c.Fills, fills=[{"symbol": "A", "price": 1, "size": 2}]), Board()),
    )
    for made, state in calls:
        with pytest.raises(Forbidden):
            decide(made, ctx(), state)
        for who in (ctx(admin=True), ctx(backend=True)):
            assert decide(made, who, state) != Decision()


def test_GT1_a_board_has_one_name_and_is_set_up_once() -> None:
    made = command(c.Create, name="us", title="US", tick_ms=50, symbols=7, guests=True)
    decision = decide(made, ctx(admin=True), None)
    assert decision.state == Board("US", guests=True, tick_ms=50, symbols=7)
    assert [change.role for change in decision.members] == [Role.OWNER]
    with pytest.raises(BadState):
        decide(made, ctx(admin=True), Board())
    with pytest.raises(BadArgs):
        decide(command(c.Create, name="other", title="x"), ctx(admin=True), None)
    spec = spec_of(decision.state)
    assert spec is not None and (spec.tick_ms, spec.rate, spec.values) == (50, 0, 8)


def test_GT1_a_closed_board_or_one_without_guests_is_not_watched() -> None:
    rules.admit(Board(), ctx())
    rules.admit(Board(guests=True), ctx(guest=True))
    with pytest.raises(Forbidden):
        rules.admit(Board(), ctx(guest=True))
    with pytest.raises(BadState):
        rules.admit(Board(open=False), ctx())
    rules.admit(Board(open=False), ctx(admin=True))


def test_GT1_an_update_says_what_differs() -> None:
    state = Board("US")
    assert decide(command(c.Update, title="US"), ctx(admin=True), state) == Decision()
    decision = decide(command(c.Update, open=False, tick_ms=100), ctx(admin=True), state)
    assert decision.state == Board("US", open=False)
    assert decision.append[0].body == {"changes": {"open": False}}


def test_GT2_a_put_commits_nothing_and_null_takes_a_symbol_away() -> None:
    made = command(c.Put, quotes={"600519.SH": {"last": "1684.50"}, "rb2410": None, "7203": 5})
    decision = decide(made, ctx(backend=True), Board())
    assert decision.passes
    said = {put.key: put.value for put in decision.values}
    assert bytes(said["600519.SH"]) == b'{"last":"1684.50"}'
    assert said["rb2410"] is None and bytes(said["7203"]) == b"5"


@pytest.mark.parametrize("symbol", ["", "a b", "online", "board", "x" * 33, "-A", "A\n"])
def test_GT2_what_is_no_symbol_is_refused(symbol: str) -> None:
    with pytest.raises((BadArgs, msgspec.ValidationError)):
        decide(command(c.Put, quotes={"OK": 1, symbol: 1}), ctx(admin=True), Board())


def test_GT2_a_quote_is_bounded() -> None:
    fits = "x" * (rules.MAX_QUOTE - 2)
    decide(command(c.Put, quotes={"A": fits}), ctx(admin=True), Board())
    with pytest.raises(BadArgs):
        decide(command(c.Put, quotes={"A": fits + "x"}), ctx(admin=True), Board())
    with pytest.raises(msgspec.ValidationError):
        command(c.Put, quotes={})
    with pytest.raises(msgspec.ValidationError):
        command(c.Put, quotes={f"S{n}": n for n in range(2_001)})


def test_GT3_fills_are_entries_one_each_in_their_order() -> None:
    fills = [{"symbol": "A", "price": "10.05", "size": n, "id": f"t{n}"} for n in range(1, 51)]
    decision = decide(command(c.Fills, fills=fills), ctx(backend=True), Board())
    assert not decision.tells
    assert [append.type for append in decision.append] == ["fill"] * 50
    assert msgspec.json.decode(msgspec.json.encode([a.body for a in decision.append])) == fills
    with pytest.raises(msgspec.ValidationError):
        command(c.Fills, fills=[*fills, fills[0]])
    for bad in ({"price": "ten"}, {"size": None}, {"side": "both"}):
        with pytest.raises(msgspec.ValidationError):
            command(c.Fills, fills=[{**fills[0], **bad}])
