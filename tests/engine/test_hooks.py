"""Before-send hooks: who is asked, what an answer does, what happens without one (rules WH)."""

# size: the cases of one subject share their fixtures; parted, each part would repeat them

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
import standardwebhooks

from hongyan.engine.backends.breaker import FAILURES, PAUSE_S, Breaker
from hongyan.engine.identity import Identity
from hongyan.model.errors import BadArgs, Forbidden, HookDown, NoSuchEntry, RefusedByHook
from hongyan.model.ids import UserId
from hongyan.ports import Reply
from hongyan.wire import frames as f
from tests.engine.rig import MAIN, Person, Rig

ADMIN = Identity(tenant=MAIN, user=UserId("root"), epoch=1, admin=True)
URL = "https://shop.example/ask"
ALLOW = Reply(200, b'{"action":"allow"}')


def refuse(text: str) -> Reply:
    return Reply(200, json.dumps({"action": "refuse", "text": text}).encode())


def rewrite(args: Any) -> Reply:
    return Reply(200, json.dumps({"action": "rewrite", "args": args}).encode())


class Back:
    """The back end that is asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.bodies: list[bytes] = []
        self.timeouts: list[float] = []
        self.reply: Callable[[dict[str, Any]], Reply] = lambda question: ALLOW
        self.gate: asyncio.Event | None = None
        self.arrived = asyncio.Event()

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, timeout_s: float, most: int
    ) -> Reply:
        question = json.loads(body)
        self.asked.append(question)
        self.headers.append(headers)
        self.bodies.append(body)
        self.timeouts.append(timeout_s)
        self.arrived.set()
        if self.gate is not None:
            await self.gate.wait()
        await asyncio.sleep(0)
        return self.reply(question)

    async def close(self) -> None:
        pass


class Hooked:
    """An engine with alice and bob, and the back end."""

    def __init__(self) -> None:
        self.back = Back()
        self.rig = Rig(poster=self.back)
        self.hooks = self.rig.node.back_ends.hooks
        self.secret = ""

    async def start(self) -> None:
        await self.rig.start()
        self.alice = await self.rig.person("alice")
        self.bob = await self.rig.person("bob")
        self.log = (await self.alice.call("chat.open", {"user": "bob"})).log

    async def make(self, *calls: str, **more: Any) -> str:
        view, self.secret = await self.hooks.create(ADMIN, URL, calls or ("chat.send",), **more)
        return view.id

    async def texts(self, person: Person) -> list[str]:
        page = await person.ask(f.Read(ref=0, log=self.log, before=0))
        bodies = [json.loads(bytes(e.body)) for e in page.entries if e.type == "message"]
        return [body["content"]["text"] for body in bodies]


@pytest.fixture
async def on() -> AsyncIterator[Hooked]:
    made = Hooked()
    await made.start()
    yield made
    await made.rig.stop()


async def test_WH15_asked_before_the_decision_with_all_that_is_known(on: Hooked) -> None:
    await on.make()
    on.back.gate = asyncio.Event()
    ref = on.alice.start_call(
        "chat.send", {"content": {"type": "text", "text": "hi"}}, log=on.log, op="op-1"
    )
    async with asyncio.timeout(10):
        await on.back.arrived.wait()
    assert await on.texts(on.bob) == []  # nothing is there before the answer
    on.back.gate.set()
    ack = await on.alice.answer(ref)
    assert isinstance(ack, f.Ack)
    assert await on.texts(on.bob) == ["hi"]
    [question] = on.back.asked
    del question["timestamp"], question["id"]
    assert question == {
        "type": "call.before",
        "tenant": "main",
        "log": on.log,
        "kind": "direct",
        "name": "chat.send",
        "user": "alice",
        "device": "alice-1",
        "op": "op-1",
        "args": {"content": {"type": "text", "text": "hi"}},
    }


async def test_WH15_the_question_is_signed(on: Hooked, monkeypatch: pytest.MonkeyPatch) -> None:
    await on.make()
    monkeypatch.setattr("standardwebhooks.webhooks.Webhook._Webhook__verify_timestamp", _as_given)
    await on.alice.send(on.log, "hi")
    standardwebhooks.Webhook(on.secret).verify(on.back.bodies[0], dict(on.back.headers[0]))
    assert on.back.headers[0]["webhook-id"] == on.back.asked[0]["id"]


def _as_given(self: object, stamp: str) -> Any:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(int(stamp), UTC)  # the rig's clock stands still


async def test_WH15_only_the_named_calls_and_kinds(on: Hooked) -> None:
    await on.make("chat.edit", kinds=("group",))
    ack = await on.alice.send(on.log, "hi")
    edit = {"seq": ack.seq, "content": {"type": "text", "text": "ho"}}
    assert isinstance(await on.alice.call("chat.edit", edit, log=on.log), f.Ack)
    assert on.back.asked == []
    await on.make("chat.edit")
    assert isinstance(await on.alice.call("chat.edit", edit, log=on.log), f.Ack)
    assert [question["name"] for question in on.back.asked] == ["chat.edit"]


async def test_WH15_strangers_are_refused_unasked(on: Hooked) -> None:
    await on.make()
    eve = await on.rig.person("eve")
    fail = await eve.send(on.log, "hi")
    assert (fail.code, on.back.asked) == (202, [])


async def test_WH16_a_refusal_reaches_the_caller_and_nothing_is_stored(on: Hooked) -> None:
    hook = await on.make()
    on.back.reply = lambda question: refuse("no\nadvertising  here" + "x" * 999)
    fail = await on.alice.send(on.log, "buy!")
    assert fail.code == RefusedByHook.code == 210
    assert fail.text.startswith("no advertising here")
    assert len(fail.text) <= 300
    assert await on.texts(on.bob) == []
    assert (await on.hooks.get(ADMIN, hook)).refused == 1


async def test_WH16_new_args_take_the_place_of_the_old(on: Hooked) -> None:
    hook = await on.make()
    on.back.reply = lambda question: rewrite({"content": {"type": "text", "text": "****"}})
    assert isinstance(await on.alice.send(on.log, "damn"), f.Ack)
    assert await on.texts(on.bob) == ["****"]
    assert (await on.hooks.get(ADMIN, hook)).rewritten == 1


async def test_WH16_several_hooks_are_asked_in_turn_about_what_the_one_before_left(
    on: Hooked,
) -> None:
    await on.make()
    on.rig.clock.advance(0.01)
    await on.make()

    def reply(question: dict[str, Any]) -> Reply:
        text = question["args"]["content"]["text"]
        return rewrite({"content": {"type": "text", "text": text + "!"}})

    on.back.reply = reply
    await on.alice.send(on.log, "hi")
    assert await on.texts(on.bob) == ["hi!!"]


@pytest.mark.parametrize(
    "answer",
    [
        Reply(500),
        Reply(302),
        Reply(0, error="cannot connect"),
        Reply(200, b"no json"),
        Reply(200, b'{"action":"explode"}'),
        Reply(200, b'{"action":"rewrite"}'),
        Reply(200, b'{"action":"rewrite","args":[1]}'),
        rewrite({"content": {"type": "text", "text": 7}}),
        rewrite({"content": {"type": "text", "text": ""}}),
        Reply(200, b'{"action":"rewrite","args":' + b'{"a":' * 99 + b"1" + b"}" * 99 + b"}"),
        Reply(200, b'{"text":"' + b"x" * 200_000 + b'"}'),
    ],
    ids=range(11),
)
async def test_WH16_WH17_what_is_no_good_answer_is_none(on: Hooked, answer: Reply) -> None:
    """Open lets the call pass as it was, closed refuses with a code that clients retry."""
    hook = await on.make(when_down="open")
    on.back.reply = lambda question: answer
    assert isinstance(await on.alice.send(on.log, "hi"), f.Ack)
    assert await on.texts(on.bob) == ["hi"]
    view = await on.hooks.change(ADMIN, hook, {"when_down": "closed"})
    fail = await on.alice.send(on.log, "ho")
    assert (fail.code, fail.retry_after_ms > 0) == (HookDown.code, True)
    assert HookDown.retry
    view = await on.hooks.get(ADMIN, hook)
    assert view.failed == 1
    assert view.last_error


async def test_WH16_a_rewrite_cannot_lead_into_another_log(on: Hooked) -> None:
    await on.make("chat.open", when_down="closed")
    await on.rig.user("carol")
    await on.rig.user("dave")
    on.back.reply = lambda question: rewrite({"user": "dave"})
    fail = await on.alice.call("chat.open", {"user": "carol"})
    assert fail.code == HookDown.code


async def test_WH16_an_empty_answer_allows(on: Hooked) -> None:
    await on.make()
    for answer in (Reply(204), Reply(200), Reply(200, b"{}")):
        on.back.reply = lambda question, answer=answer: answer
        assert isinstance(await on.alice.send(on.log, "hi"), f.Ack)


async def test_WH17_a_hook_that_does_not_answer_in_time(on: Hooked) -> None:
    await on.make(when_down="closed", deadline_ms=20)
    on.back.gate = asyncio.Event()
    fail = await on.alice.send(on.log, "hi")
    assert fail.code == HookDown.code
    assert on.back.timeouts == [0.02]


def test_WH18_the_breaker_opens_and_lets_one_through_after_a_pause() -> None:
    breaker, now = Breaker(), 100.0
    for _ in range(FAILURES):
        assert breaker.admit(now)
        breaker.bad(now)
    assert breaker.state(now) == "open"
    assert not breaker.admit(now + PAUSE_S - 0.1)
    assert 0 < breaker.wait_ms(now) <= PAUSE_S * 1000
    now += PAUSE_S
    assert breaker.state(now) == "half-open"
    assert breaker.admit(now)
    assert not breaker.admit(now)  # one at a time
    breaker.bad(now)
    assert not breaker.admit(now + PAUSE_S)  # twice as long now
    now += 2 * PAUSE_S
    assert breaker.admit(now)
    breaker.unknown()
    assert breaker.admit(now)
    breaker.good()
    assert breaker.state(now) == "closed"
    assert breaker.admit(now)
    breaker.bad(now)
    assert breaker.admit(now)  # only failures in a row count


async def test_WH18_an_open_breaker_asks_nobody(on: Hooked) -> None:
    hook = await on.make(when_down="closed")
    on.back.reply = lambda question: Reply(500)
    for n in range(FAILURES + 3):
        assert (await on.alice.send(on.log, f"m{n}")).code == HookDown.code
    assert len(on.back.asked) == FAILURES
    view = await on.hooks.get(ADMIN, hook)
    assert view.state == "open"
    assert on.hooks.stats()[hook]["open"] == 1
    on.back.reply = lambda question: ALLOW
    on.rig.clock.advance(PAUSE_S)
    assert isinstance(await on.alice.send(on.log, "at last"), f.Ack)
    assert (await on.hooks.get(ADMIN, hook)).state == "closed"


@pytest.mark.parametrize("now", [refuse("not any more"), Reply(500)])
async def test_WH19_a_retry_of_a_stored_call_gets_its_first_answer(on: Hooked, now: Reply) -> None:
    await on.make(when_down="closed")
    first = await on.alice.send(on.log, "hi", op="op-1")
    on.back.reply = lambda question: now
    again = await on.alice.send(on.log, "hi", op="op-1")
    assert isinstance(again, f.Ack)
    assert (again.seq, again.repeat) == (first.seq, True)


async def test_WH19_whatever_a_hook_makes_of_the_retry(on: Hooked) -> None:
    await on.make()
    on.back.reply = lambda question: rewrite({"content": {"type": "text", "text": "one"}})
    first = await on.alice.send(on.log, "hi", op="op-1")
    on.back.reply = lambda question: rewrite({"content": {"type": "text", "text": "two"}})
    again = await on.alice.send(on.log, "hi", op="op-1")
    assert (again.seq, again.repeat) == (first.seq, True)
    assert on.back.asked[0]["id"] == on.back.asked[1]["id"]
    assert await on.texts(on.bob) == ["one"]
    clash = await on.alice.send(on.log, "another", op="op-1")
    assert clash.code == 110


async def test_WH20_calls_of_a_caller_keep_their_order(on: Hooked) -> None:
    """Also one that nobody is asked about, and that could be done at once."""
    first = await on.alice.send(on.log, "first")
    await on.make("chat.react")
    on.back.gate = asyncio.Event()
    refs = [
        on.alice.start_call("chat.react", {"seq": first.seq, "emoji": emoji}, log=on.log)
        for emoji in "👍🎉🙂"
    ]
    content = {"type": "text", "text": "last"}
    refs.append(on.alice.start_call("chat.send", {"content": content}, log=on.log))
    async with asyncio.timeout(10):
        await on.back.arrived.wait()
    on.back.gate.set()
    acks = [await on.alice.answer(ref) for ref in refs]
    assert [ack.seq - first.seq for ack in acks] == [1, 2, 3, 4]
    assert [question["args"]["emoji"] for question in on.back.asked] == list("👍🎉🙂")


async def test_WH21_without_a_hook_a_call_takes_the_fast_way(on: Hooked) -> None:
    assert on.hooks.busy is False
    hook = await on.make()
    assert on.hooks.busy
    await on.hooks.drop(ADMIN, hook)
    assert on.hooks.busy is False
    before = on.alice.peer.caller
    assert before is not None
    on.alice.start_call("chat.send", {"content": {"type": "text", "text": "x"}}, log=on.log)
    assert before.runner is None  # no task was made for it
    assert on.back.asked == []


async def test_WH21_nothing_slips_through_before_the_hooks_are_read() -> None:
    """After a restart a call waits until it is known who must be asked."""
    first = Hooked()
    await first.start()
    await first.make()
    second = Hooked()
    second.hooks._outlets = first.hooks._outlets
    read = asyncio.Event()
    real = first.hooks._outlets.hooks

    async def slow(tenant: Any = None) -> Any:
        await read.wait()
        return await real(tenant)

    second.hooks._outlets.hooks = slow  # type: ignore[method-assign]
    await second.rig.start()
    assert second.hooks.busy
    alice = await second.rig.person("alice")
    await second.rig.user("bob")
    ref = alice.start_call("chat.open", {"user": "bob"})
    await asyncio.sleep(0)
    assert not [x for x in alice.link.frames if getattr(x, "ref", 0) == ref]
    read.set()
    log = (await alice.answer(ref)).log
    await alice.send(log, "hi")
    assert len(second.back.asked) == 1
    await first.rig.stop()
    await second.rig.stop()


async def test_WH15_hooks_are_administered_by_administrators_of_the_tenant(on: Hooked) -> None:
    hook = await on.make()
    bob = Identity(tenant=MAIN, user=UserId("bob"), epoch=1)
    other = Identity(tenant=type(MAIN)("acme"), user=UserId("root"), epoch=1, admin=True)
    for who, error in ((bob, Forbidden), (other, NoSuchEntry)):
        with pytest.raises(error):
            await on.hooks.get(who, hook)
        with pytest.raises(error):
            await on.hooks.change(who, hook, {"enabled": False})
        with pytest.raises(error):
            await on.hooks.rotate(who, hook)
    assert not await on.hooks.drop(other, hook)
    with pytest.raises(Forbidden):
        await on.hooks.create(bob, URL, ("chat.send",))
    for wrong in (
        {"calls": ("chat.nothing",)},
        {"calls": ()},
        {"deadline_ms": 5},
        {"when_down": "maybe"},
        {"kinds": ("x",)},
        {"url": "http://10.0.0.1/"},
    ):
        with pytest.raises(BadArgs):
            await on.hooks.change(ADMIN, hook, wrong)
    await on.hooks.change(ADMIN, hook, {"enabled": False})
    assert on.hooks.busy is False
