"""AD: who is let in now, who waits, who is told when to come back, and what it costs the store."""

from __future__ import annotations

from typing import Any

import pytest

from hongyan.engine.admission import line as admission
from hongyan.engine.admission import opening as admission_opening
from hongyan.model.errors import Overloaded
from hongyan.model.ids import UserId
from hongyan.wire import frames as f
from tests.engine.rig import MAIN, Person, Rig
from tests.engine.test_edge_faults import Gate, rigged, turns

SLOW = {"admission.rate": 10, "admission.burst": 1}


async def comes(rig: Rig, user: str, *, inbox: int = 0) -> Person:
    """A device that has said hello; nobody waits for the answer."""
    person = Person(rig, user, f"{user}-1")
    person.say(f.Hello(token=await rig.token(user), device=person.device, inbox=inbox))
    return person


def welcomed(person: Person) -> bool:
    return any(isinstance(frame, f.Welcome) for frame in person.link.frames)


async def goodbye(person: Person) -> f.Goodbye:
    return await person.closed()


async def go_on(rig: Rig, seconds: float) -> None:
    """Time passes, and the line is looked at as its timer would."""
    rig.clock.advance(seconds)
    rig.node.gateway.admission._again()
    await turns(60)


async def test_AD1_only_so_many_are_opened_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "AT_ONCE", 3)
    async with rigged() as rig:
        gate = Gate(rig.store, "large_logs")
        people = [await comes(rig, f"u{n}") for n in range(10)]
        await turns(60)
        assert gate.inside == 3 and len(rig.node.gateway.admission) == 7
        gate.open.set()
        for person in people:
            await person.until(lambda x: isinstance(x, f.Welcome))
        assert gate.most == 3
        assert rig.node.gateway.admission.inside == 0


async def test_AD1_so_many_a_second_in_the_order_in_which_they_came() -> None:
    async with rigged(options=SLOW) as rig:
        people = [await comes(rig, f"u{n}") for n in range(4)]
        await turns(60)
        order = [[welcomed(person) for person in people]]
        for _ in range(3):
            await go_on(rig, 0.1)
            order.append([welcomed(person) for person in people])
        assert [sum(row) for row in order] == [1, 2, 3, 4]
        assert all(row == sorted(row, reverse=True) for row in order)
        line = rig.node.gateway.admission
        assert line.admitted == 4 and line.waited == 3
        assert line.worst_wait == pytest.approx(0.3) and line.wait_seconds == pytest.approx(0.6)


async def test_AD1_one_who_left_the_line_takes_no_place() -> None:
    async with rigged(options=SLOW) as rig:
        first, gone, last = [await comes(rig, name) for name in ("a", "b", "c")]
        await turns(60)
        gone.lose()
        await go_on(rig, 0.1)
        assert welcomed(first) and welcomed(last)
        assert rig.node.gateway.admission.admitted == 2


async def test_AD2_who_resumes_goes_first_but_newcomers_do_not_starve() -> None:
    async with rigged(options=SLOW) as rig:
        await comes(rig, "zero")
        newcomers = [await comes(rig, f"n{n}") for n in range(3)]
        resuming = [await comes(rig, f"r{n}", inbox=1) for n in range(20)]
        await turns(60)
        for _ in range(10):
            await go_on(rig, 0.1)
        assert sum(map(welcomed, newcomers)) == 1, "one place of eight"
        assert sum(map(welcomed, resuming)) == 9
        assert [welcomed(p) for p in resuming] == [True] * 9 + [False] * 11


async def test_AD3_a_full_line_tells_when_to_come_back() -> None:
    options = {"admission.rate": 10, "admission.burst": 1, "admission.queue": 5}
    async with rigged(options=options) as rig:
        people = [await comes(rig, f"u{n}") for n in range(26)]
        await turns(60)
        away = [p for p in people if p.link.closed]
        assert len(away) == 20 and not any(p.link.closed for p in people[:6])
        told = [await goodbye(p) for p in away]
        assert {frame.code for frame in told} == {Overloaded.code}
        after = [frame.reconnect_after_ms for frame in told]
        # The line needs 0.5 s; the twenty come behind it at 10 a second: to 2.5 s, half more.
        assert min(after) >= admission.LEAST_MS and max(after) <= 2500 * 1.5
        assert len(set(after)) > 15, "not all at once"
        assert sum(after[10:]) > sum(after[:10]), "who was told later comes later"
        assert rig.node.gateway.admission.refused == 20


async def test_AD3_nobody_is_sent_away_for_longer_than_the_setting() -> None:
    options = {**SLOW, "admission.queue": 0, "admission.most_retry_ms": 2000}
    async with rigged(options=options) as rig:
        for n in range(2):
            await comes(rig, f"first{n}")
        people = [await comes(rig, f"u{n}") for n in range(100)]
        after = [(await goodbye(p)).reconnect_after_ms for p in people]
        assert max(after) <= 2000 and len(set(after[50:])) > 20


async def test_AD3_who_would_wait_too_long_is_told_at_once() -> None:
    options = {**SLOW, "admission.wait_ms": 1000}
    async with rigged(options=options) as rig:
        people = [await comes(rig, f"u{n}") for n in range(20)]
        await turns(60)
        kept = [p for p in people if not p.link.closed]
        assert 10 <= len(kept) <= 12, "one second at ten a second, and the first"


async def test_AD3_one_who_resumes_takes_the_place_of_the_newest_newcomer() -> None:
    options = {**SLOW, "admission.queue": 3}
    async with rigged(options=options) as rig:
        await comes(rig, "zero")
        newcomers = [await comes(rig, f"n{n}") for n in range(3)]
        back = await comes(rig, "back", inbox=5)
        await turns(60)
        assert [bool(p.link.closed) for p in newcomers] == [False, False, True]
        assert not back.link.closed
        await go_on(rig, 0.1)
        assert welcomed(back)


async def test_AD4_waiting_in_line_is_no_late_hello_but_has_an_end() -> None:
    options = {**SLOW, "limits.handshake_ms": 1000, "admission.wait_ms": 5000}
    async with rigged(options=options) as rig:
        await comes(rig, "first")
        waits = await comes(rig, "waits")
        await turns(60)
        rig.clock.advance(3)
        # what the sweep of the gateway asks
        assert rig.clock.monotonic() - waits.peer.opened_at < 1
        line = rig.node.gateway.admission
        assert line._timer is not None
        line._timer.cancel()
        rig.clock.advance(2.1)
        line.sweep(rig.clock.monotonic())
        said = await goodbye(waits)
        assert said.code == Overloaded.code and said.reconnect_after_ms >= admission.LEAST_MS
        assert line.expired == 1 and len(line) == 0


class Counting:
    """Counts the questions and writes that reach an object."""

    def __init__(self, owner: Any, names: tuple[str, ...]) -> None:
        self.calls: list[str] = []
        for name in names:
            setattr(owner, name, self._counted(name, getattr(owner, name)))

    def _counted(self, name: str, real: Any) -> Any:
        def counted(*args: Any, **more: Any) -> Any:
            self.calls.append(name)
            return real(*args, **more)

        return counted


STORE = ("sync", "inbox", "rows", "heads", "large_logs", "info", "member", "members", "commit")
DIRECTORY = ("user", "users", "admit", "devices", "put_user", "key")


async def test_AD5_a_resume_with_nothing_changed_costs_two_questions(rig: Rig) -> None:
    token = await rig.token("alice")
    rig.node.authenticator.accounts._directory._users.clear()  # type: ignore[attr-defined]
    store, directory = Counting(rig.store, STORE), Counting(rig.directory, DIRECTORY)
    alice = await rig.person("alice", token=token)
    assert store.calls == ["large_logs", "sync"]
    assert [c for c in directory.calls if c != "user"] == ["users", "admit"]
    store.calls.clear()
    directory.calls.clear()
    upto = max(alice.welcome.inbox.upto, 1)  # type: ignore[attr-defined]
    alice.lose()
    back = Person(rig, "alice", "alice-1")
    welcome = await back.hello(token, inbox=upto)
    assert store.calls == ["large_logs", "sync"]
    assert directory.calls == []
    assert welcome.name == "Alice" and not welcome.inbox.rows


async def test_AD5_what_was_missed_comes_with_the_welcome(rig: Rig) -> None:
    alice, bob = await rig.person("alice"), await rig.person("bob")
    log = (await alice.call("chat.open", {"user": "bob"})).log
    await alice.send(log, "one")
    bob.lose()
    token = await rig.token("bob")
    synced = Person(rig, "bob", "bob-1")
    upto = (await synced.hello(token)).inbox.upto
    synced.lose()
    last = await alice.send(log, "two")
    assert upto > 0
    back = Person(rig, "bob", "bob-1")
    welcome = await back.hello(token, inbox=upto)
    assert [row.head for row in welcome.inbox.rows] == [last.seq]


async def test_AD6_a_disabled_account_is_not_let_in_however_lately_it_was_read(rig: Rig) -> None:
    token = await rig.token("alice")
    alice = await rig.person("alice", token=token)
    alice.lose()
    admin = await rig.node.authenticator.authenticate(await rig.token("boss"))
    admin = type(admin)(tenant=admin.tenant, user=admin.user, epoch=admin.epoch, admin=True)
    await rig.node.authenticator.accounts.set_disabled(admin, "alice", True)
    back = Person(rig, "alice", "alice-1")
    back.say(f.Hello(token=token, device=back.device, inbox=1))
    assert (await goodbye(back)).code == 207
    await rig.node.authenticator.accounts.set_disabled(admin, "alice", False)
    again = Person(rig, "alice", "alice-1")
    assert (await again.hello(await rig.token("alice"))).user == "alice"


async def test_AD6_a_changed_password_ends_earlier_tokens_at_once(rig: Rig) -> None:
    token = await rig.token("alice")
    (await rig.person("alice", token=token)).lose()
    accounts = rig.node.authenticator.accounts
    await accounts._set_password(MAIN, UserId("alice"), "correct horse battery")
    back = Person(rig, "alice", "alice-1")
    back.say(f.Hello(token=token, device=back.device, inbox=1))
    assert (await goodbye(back)).code == 201


async def test_AD7_a_device_that_was_logged_out_is_not_let_in(rig: Rig) -> None:
    token = await rig.token("alice")
    alice = await rig.person("alice", token=token)
    alice.say(f.Bye(logout=True))
    await turns(60)
    back = Person(rig, "alice", "alice-1")
    back.say(f.Hello(token=token, device=back.device, inbox=1))
    assert (await goodbye(back)).code == 206


async def test_AD7_a_device_that_lost_its_place_is_not_let_in(rig: Rig) -> None:
    old = await rig.token("alice")
    first = await rig.person("alice", "phone-1", cls="phone", token=old)
    rig.clock.advance(1)
    await rig.person("alice", "phone-2", cls="phone", token=await rig.token("alice"))
    assert (await goodbye(first)).code == 206
    back = Person(rig, "alice", "phone-1")
    back.say(f.Hello(token=old, device=back.device, cls="phone", inbox=1))
    assert (await goodbye(back)).code == 206


async def test_AD1_a_hello_that_fails_inside_frees_its_place(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **more: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(admission_opening.Opening, "_register", broken)
    alice = await comes(rig, "alice")
    assert (await goodbye(alice)).code == 100
    await turns()
    assert rig.node.gateway.admission.inside == 0


async def test_AD22_forged_tokens_take_no_place_in_a_full_line() -> None:
    options = {**SLOW, "admission.queue": 3}
    async with rigged(options=options) as rig:
        await comes(rig, "zero")
        for n in range(50):
            bot = Person(rig, f"bot{n}", "d")
            bot.say(f.Hello(token="a.b.c", device=bot.device))
            assert (await goodbye(bot)).code == 201
        good = await comes(rig, "good")
        await turns(60)
        assert rig.node.gateway.admission.unknown == 50 and not good.link.closed
        await go_on(rig, 0.1)
        assert welcomed(good)
