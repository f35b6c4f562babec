"""R, E: the real SDK against a whole service whose bus loses, repeats and reorders; and the law
that a fresh snapshot equals the old one with everything since applied, for every type of entry."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from tests.e2e.http_rig import Service

from hongyan.client import Client, Replica
from hongyan.model.errors import Refusal
from hongyan.ports import Appended, CursorMoved, Hint, RowsChanged
from hongyan.wire import frames as f

DEADLINE_S = 30.0
FREE = {"rate": 0, "burst": 1}
LOOSE: dict[str, object] = {
    "limits.message_bytes": 131_072,
    "limits.heartbeat_ms": 1000,
    "presence.ttl_ms": 4000,
    **{f"limits.rates.{of}": FREE for of in ("connection", "user", "log", "ip", "asks")},
    "limits.rates.login_ip": FREE,
}


@asynccontextmanager
async def clients(service: Service, *names: str) -> AsyncIterator[list[Client]]:
    """Connected clients; `alice2` is another device of alice."""
    made = [await client(service, name) for name in names]
    try:
        yield made
    finally:
        for one in made:
            await one.close()


async def client(service: Service, name: str) -> Client:
    user = name.rstrip("0123456789")
    if user not in service.tokens:  # type: ignore[attr-defined]
        service.tokens[user] = await service.join(user)  # type: ignore[attr-defined]

    async def get_token() -> str:
        return str(service.tokens[user])  # type: ignore[attr-defined]

    url = f"ws://127.0.0.1:{service.front.port}/v1/ws"
    one = Client(url, get_token, device=name, cls="web")
    await one.start()
    await one.connected(within=DEADLINE_S)
    return one


def service_of(**options: Any) -> Service:
    service = Service(**{**LOOSE, **options})
    service.tokens = {}  # type: ignore[attr-defined]
    return service


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not true():  # noqa: ASYNC110  # many things may make it true
            await asyncio.sleep(0.02)


def shown(replica: Replica, after: int) -> list[Any]:
    return [
        (
            m.entry.seq,
            m.entry.type,
            bytes(m.body),
            m.erased,
            {k: v.seq for k, v in m.amends.items()},
        )
        for m in replica.messages(after)  # type: ignore[arg-type]
    ]


# --- a bus that loses, repeats and reorders -------------------------------------------------------


class Weather:
    """Stands between publishers and the bus. The last hint of a log is always lost."""

    def __init__(self, service: Service, seed: int) -> None:
        self.dice = random.Random(seed)
        self.real = service.bus.publish
        self.held: list[Hint] = []
        self.calm = False
        self.did: Counter[str] = Counter()
        service.bus.publish = self.publish  # type: ignore[method-assign]

    def publish(self, hint: Hint) -> None:
        if self.calm or not isinstance(hint, Appended | CursorMoved | RowsChanged):
            self.real(hint)
            return
        what = self.dice.choice(["pass", "pass", "lose", "twice", "hold", "release"])
        self.did[what] += 1
        if what in ("pass", "twice"):
            self.real(hint)
        if what in ("twice", "hold"):
            self.held.append(hint)
        if what == "release":
            self.held.append(hint)
            self.dice.shuffle(self.held)
            for late in self.held:
                self.real(late)
            self.held.clear()


# size: one story from the first call to the last comparison
@pytest.mark.parametrize("seed", range(3))
async def test_R4_E17_pushes_lost_repeated_and_reordered_are_mended_within_one_heartbeat(
    seed: int,
) -> None:
    async with (
        service_of() as service,
        clients(service, "alice1", "alice2", "bob1") as (alice, other, bob),
    ):
        log = (await alice.call("chat.open", {"user": "bob"})).log
        await until(lambda: all(log in c.rows for c in (alice, other, bob)))
        replicas = [await c.open(log) for c in (alice, other, bob)]
        weather, dice = Weather(service, seed), random.Random(seed)
        mine: list[int] = []
        for n in range(150):
            match dice.randrange(8):
                case 0 if mine:
                    seq = mine.pop(dice.randrange(len(mine)))
                    await alice.call("chat.recall", {"seq": seq}, log=log)
                case 1 if mine:
                    content = {"type": "text", "text": f"edited {n}"}
                    edit = {"seq": dice.choice(mine), "content": content}
                    await alice.call("chat.edit", edit, log=log)
                case 2:
                    await bob.mark_read(log, dice.randint(0, bob.rows[log].head))
                case 3:
                    await bob.send(log, f"bob {n}")
                case _:
                    mine.append((await alice.send(log, f"alice {n}")).seq)
        head = mine[-1] if mine else 0
        weather.calm = True
        await until(lambda: all(r.last == r.head >= head for r in replicas))
        last = await alice.send(log, "nobody is told of the next one")
        await until(lambda: all(r.last == last.seq for r in replicas))
        weather.real, real = (lambda hint: None), weather.real
        last = await alice.send(log, "the last one")
        weather.real = real
        assert min(weather.did[what] for what in ("lose", "twice", "hold", "release")) > 5
        pings: Counter[str] = Counter()
        frames = service.node.gateway._frames
        answer = frames[f.Ping]

        def counted(peer: Any, ping: Any) -> None:
            pings[peer.session.device] += 1
            answer(peer, ping)

        frames[f.Ping] = counted

        def level(one: Client, replica: Replica) -> bool:
            return replica.last == last.seq == one.rows[log].head

        three = list(zip((alice, other, bob), replicas, strict=True))
        late = {}

        async def watch(name: str, one: Client, replica: Replica) -> None:
            await until(lambda: level(one, replica))
            late[name] = pings[name]

        await asyncio.gather(
            *(watch(n, *pair) for n, pair in zip(("alice1", "alice2", "bob1"), three, strict=True))
        )
        # The first ping after the loss finds it; a ping that was on its way then does not count.
        assert all(count <= 2 for count in late.values()), late
        assert late["bob1"] >= 1  # nothing else could tell
        async with clients(service, "bob2") as (fresh,):
            whole = await fresh.open(log)
            for replica in replicas:
                assert shown(replica, whole.first - 1) == shown(whole, 0)
                assert [e.seq for e in replica.entries()] == list(range(1, last.seq + 1))
        for one, _ in three:

            async def agrees(one: Client = one) -> bool:
                truth = await one.query("log", log=log)
                return one.rows[log].unread == truth["unread"] if "unread" in truth else True

            async with asyncio.timeout(DEADLINE_S):
                while not await agrees():  # noqa: ASYNC110  # the other side is asked
                    await asyncio.sleep(0.1)


# --- fresh snapshot == old snapshot + what came since ---------------------------------------------


class Chatter:
    """Random calls of four people in one group; refusals are part of life."""

    def __init__(self, seed: int, people: dict[str, Client], log: str) -> None:
        self.dice, self.people, self.log = random.Random(seed), people, log
        self.said: list[int] = []

    # size: a list of what people do
    async def step(self) -> None:
        dice = self.dice
        who = self.people[dice.choice([*self.people, "alice1", "bob1"])]
        other = dice.choice(["alice", "bob", "carol", "dave"])
        some = dice.choice(self.said[-12:]) if self.said else 1
        content = {"type": "text", "text": f"words {dice.randrange(10**6)}"}
        on = dice.random() < 0.6
        title = f"team {dice.randrange(100)}"
        choices: list[tuple[str, dict[str, Any]]] = [
            *[("chat.send", {"content": content})] * 6,
            ("chat.send", {"content": content, "mentions": [other]}),
            ("chat.send", {"content": content, "mention_all": True}),
            ("chat.send", {"content": content, "reply_to": some}),
            ("chat.forward", {"sources": [{"log": self.log, "seq": some}], "merged": on}),
            ("chat.edit", {"seq": some, "content": content}),
            ("chat.edit", {"seq": some, "content": content}),
            ("chat.recall", {"seq": some}),
            ("chat.react", {"seq": some, "emoji": dice.choice("👍🎉"), "on": on}),
            ("chat.pin", {"seq": some, "on": on}),
            ("chat.mark_unread", {"on": on}),
            ("chat.settings", {"pinned": on, "draft": title}),
            ("chat.settings", {"nickname": title}),
            ("chat.mute", {"user": other, "seconds": 3600 if on else 0}),
            ("chat.mute_all", {"on": dice.random() < 0.2}),
            ("chat.mute_all", {"on": False}),
            ("chat.set_role", {"user": other, "role": "admin" if on else "member"}),
            ("chat.update", {"title": title, "notice": title}),
            ("chat.link", {"on": on}),
            ("chat.invite", {"users": [other]}),
            ("chat.invite", {"users": ["carol", "dave"]}),
            ("chat.remove", {"users": [other]}),
            ("chat.leave", {}),
            ("read", {}),
            ("read", {}),
        ]
        if dice.random() < 0.02:
            choices = [("chat.clear", {})]
        name, args = dice.choice(choices)
        try:
            if name == "read":
                if self.log in who.rows:
                    await who.mark_read(self.log, dice.randint(0, who.rows[self.log].head))
                return
            ack = await who.call(name, args, log=self.log)
        except Refusal:
            return
        if name in ("chat.send", "chat.forward") and ack.seq:
            self.said.append(ack.seq)


def told(row: Any) -> dict[str, Any]:
    """A row without what says when it was asked for."""
    fields: dict[str, Any] = msgspec.structs.asdict(row)
    for passing in ("useq", "delivered", "peer_delivered", "peer_read"):
        fields.pop(passing, None)
    for raw in ("settings", "state"):
        fields[raw] = msgspec.json.decode(bytes(getattr(row, raw)))
    if row.last is not None:
        fields["last"] = (row.last.seq, row.last.sender, bytes(row.last.body))
    if not row.role:  # who left is not told what changes later
        for later in ("state", "last"):
            fields.pop(later)
    return fields


def seen_of(row: Any, replica: Replica, after: int) -> list[Any]:
    """What is shown; of who left, only which entries: a recall since blanks what is read anew."""
    whole = shown(replica, after)
    return whole if row.role else [entry[0] for entry in whole]


# size: one story from the first call to the last comparison
@pytest.mark.parametrize("seed", range(4))
async def test_E29_U16_R6_R8_a_fresh_snapshot_is_the_old_one_and_what_came_since(
    seed: int,
) -> None:
    names = ("alice1", "bob1", "carol1", "dave1", "alice2")
    async with service_of() as service, clients(service, *names) as made:
        people = dict(zip(names, made, strict=True))
        users = {"title": "team", "members": ["bob", "carol", "dave"]}
        log = (await people["alice1"].call("chat.create", users)).log
        await until(lambda: all(log in one.rows for one in made))
        for one in made:
            await one.open(log)

        def live(name: str) -> Replica:
            replica = people[name].replica(log)
            assert replica is not None, name
            return replica

        chatter = Chatter(seed, {n: people[n] for n in names[:4]}, log)
        for _ in range(160):
            await chatter.step()
        for name, one in people.items():
            user = name.rstrip("12")
            async with clients(service, f"{user}9") as (fresh,):
                await until(lambda fresh=fresh: log in fresh.rows)  # type: ignore[misc]
                whole = await fresh.open(log)

                def same(
                    one: Client = one, fresh: Client = fresh, whole: Replica = whole, n: str = name
                ) -> bool:
                    after = max(whole.first, live(n).first) - 1
                    return told(one.rows[log]) == told(fresh.rows[log]) and (
                        seen_of(one.rows[log], live(n), after)
                        == seen_of(one.rows[log], whole, after)
                    )

                try:
                    await until(same)
                except TimeoutError:
                    after = max(whole.first, live(name).first) - 1
                    assert told(one.rows[log]) == told(fresh.rows[log]), name
                    assert seen_of(one.rows[log], live(name), after) == seen_of(
                        one.rows[log], whole, after
                    ), name
                assert len(shown(whole, 0)) or name != "alice1"
        feed = await service.node.gateway._p.store.feed(after=0, limit=1000)
        kinds = {item.entry.type for item in feed if item.log == log}
        assert len(kinds) >= 8, kinds
