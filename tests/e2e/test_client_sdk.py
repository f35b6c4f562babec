"""The SDK and the snippets of its page against a real server process."""

from __future__ import annotations

import asyncio
import importlib.util
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hongyan.bench.server import ServerProcess
from hongyan.client import Client, events
from hongyan.model.errors import NotAMember

SNIPPETS = Path(__file__).parents[2] / "docs" / "snippets"
DEADLINE_S = 30.0


def snippet(name: str) -> Any:
    """A snippet of the docs, as a module."""
    spec = importlib.util.spec_from_file_location(name, SNIPPETS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def token_of(server: ServerProcess, user: str) -> Any:
    async def get_token() -> str:
        return server.token(user)

    return get_token


@asynccontextmanager
async def clients(server: ServerProcess, *names: str, **options: Any) -> AsyncIterator[Any]:
    """Connected clients; `alice2` is a second device of alice."""
    made = [
        Client(
            server.url,
            token_of(server, name.rstrip("0123456789")),
            device=name,
            cls="web",
            **options,
        )
        for name in names
    ]
    try:
        for client in made:
            await client.start()
            await client.connected(within=DEADLINE_S)
        yield made if len(made) > 1 else made[0]
    finally:
        for client in made:
            await client.close()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not true():  # noqa: ASYNC110  # many things may make it true
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("codec", ["json", "msgpack"])
async def test_R8_R11_rows_of_all_devices_equal_the_servers(
    server: ServerProcess, codec: str
) -> None:
    """Two people, three devices, a random hour of chat in seconds; then everybody agrees."""
    dice = random.Random(7)
    async with clients(server, "alice1", "alice2", "bob1", codec=codec) as (one, two, bob):
        log = (await one.call("chat.open", {"user": "bob"})).log
        await until(lambda: all(log in c.rows for c in (one, two, bob)))
        await two.open(log)
        mine: dict[Client, list[int]] = {one: [], two: [], bob: []}
        for number in range(120):
            who = dice.choice([one, two, bob])
            match dice.randrange(6):
                case 0 if mine[who]:
                    seq = mine[who].pop(dice.randrange(len(mine[who])))
                    await who.call("chat.recall", {"seq": seq}, log=log)
                case 1 if mine[who]:
                    content = {"type": "text", "text": f"edited {number}"}
                    seq = dice.choice(mine[who])
                    await who.call("chat.edit", {"seq": seq, "content": content}, log=log)
                case 2:
                    await who.mark_read(log, dice.randint(0, who.rows[log].head))
                case _:
                    mine[who].append((await who.send(log, f"message {number}")).seq)
        for client in (one, two, bob):

            async def agrees(client: Client = client) -> bool:
                row, truth = client.rows[log], await client.query("log", log=log)
                return {"head": row.head, "unread": row.unread, "read": row.read} == {
                    key: truth.get(key) for key in ("head", "unread", "read")
                }

            async with asyncio.timeout(DEADLINE_S):
                while not await agrees():  # noqa: ASYNC110  # the other side is asked
                    await asyncio.sleep(0.1)
        live, fresh = two.replica(log), await bob.open(log)
        assert len(fresh.messages()) >= 50
        assert [(m.entry.seq, bytes(m.body), m.erased) for m in live.messages(fresh.first - 1)] == [
            (m.entry.seq, bytes(m.body), m.erased) for m in fresh.messages()
        ]


async def test_R12_X2_a_killed_server_costs_nothing_that_was_acknowledged(
    server: ServerProcess,
) -> None:
    async with clients(server, "alice1", "bob1") as (alice, bob):
        log = (await alice.call("chat.open", {"user": "bob"})).log
        seen: list[Any] = []

        async def listen() -> None:
            async for entry in bob.entries(log, after=0):
                seen.append(entry)  # noqa: PERF401  # it never ends

        listening = asyncio.create_task(listen())
        sending = [asyncio.create_task(alice.send(log, f"{n}")) for n in range(60)]
        await until(lambda: sum(task.done() for task in sending) >= 20)
        await asyncio.to_thread(server.stop, signal.SIGKILL)
        await asyncio.to_thread(server.start)
        alice.wake()
        bob.wake()
        acks = await asyncio.wait_for(asyncio.gather(*sending), DEADLINE_S)
        assert [ack.seq for ack in acks] == list(range(acks[0].seq, acks[0].seq + 60))
        await until(lambda: bool(seen) and seen[-1].seq == acks[-1].seq)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        assert [e.seq for e in seen] == list(range(seen[0].seq, seen[0].seq + len(seen)))
        ops = [e.op for e in seen if e.type == "message"]
        assert len(ops) == len(set(ops)) == 60


KILLED = """
import asyncio, os, sys
from pathlib import Path
from hongyan.client import Client
async def main(url, token, data, log):
    async def get_token():
        return token
    client = await Client(url, get_token, device="laptop", data=Path(data)).start()
    await client.connected(10)
    calls = [asyncio.create_task(client.send(log, f"{n}")) for n in range(20)]
    while sum(c.done() for c in calls) < 5:
        await asyncio.sleep(0)
    os.kill(os.getpid(), 9)
asyncio.run(main(*sys.argv[1:]))
"""


async def test_X3_a_killed_client_sends_the_rest_once(
    server: ServerProcess, tmp_path: Path
) -> None:
    async with clients(server, "alice1", "bob1") as (alice, bob):
        log = (await alice.call("chat.open", {"user": "bob"})).log
        data = tmp_path / "laptop.db"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", KILLED, server.url, server.token("alice"), str(data), log)
        )
        assert await process.wait() == -signal.SIGKILL
        said = await asyncio.wait_for(
            snippet("sdk_survive").send_what_is_left(server.url, token_of(server, "alice"), data),
            DEADLINE_S,
        )
        assert 15 <= len(said) <= 20  # answered ones may come again, as repeats
        assert all(line.startswith("stored at ") for line in said)
        page = await bob.read(log, after=0, limit=100)
        texts = [e.body for e in page.entries if e.type == "message"]
        assert len(texts) == 20
        assert len({bytes(text) for text in texts}) == 20


async def test_R15_unchanged_conversations_cost_nothing(
    server: ServerProcess, tmp_path: Path
) -> None:
    data = tmp_path / "alice.db"
    async with clients(server, "alice1", data=data) as alice:
        for number in range(50):
            await alice.call("chat.create", {"title": f"Group {number}"})
        await until(lambda: len(alice.rows) >= 50)
    async with clients(server, "alice1", data=data):
        pass  # takes the token that says: I have all fifty
    async with clients(server, "alice1", data=data) as alice:
        assert len(alice.rows) >= 50
        assert alice._core.welcome.inbox.rows == []
        assert not alice._core.welcome.inbox.more


async def test_snippet_send(server: ServerProcess) -> None:
    async with clients(server, "bob1"):
        seq = await snippet("sdk_send").say_hello(server.url, token_of(server, "alice"))
        assert seq >= 1


async def test_snippets_read_and_errors(server: ServerProcess) -> None:
    async with clients(server, "alice1", "bob1", "mallory1") as (alice, bob, mallory):
        log = (await alice.call("chat.open", {"user": "bob"})).log
        echo = asyncio.create_task(snippet("sdk_read").echo(bob, log, "stop"))
        for text in ("one", "two", "stop"):
            await alice.send(log, text)
        assert await asyncio.wait_for(echo, DEADLINE_S) == 2
        errors = snippet("sdk_errors")
        assert (await errors.try_to_send(alice, log, "fine")).startswith("stored at ")
        assert (await errors.try_to_send(mallory, log, "let me in")).startswith("you may not")
        assert len(await errors.read_last(bob, log)) >= 6
        with pytest.raises(NotAMember):
            await mallory.open(log)


async def test_snippet_list(server: ServerProcess) -> None:
    async with clients(server, "alice1", "bob1") as (alice, bob):
        log = (await alice.call("chat.open", {"user": "bob"})).log
        watching = asyncio.create_task(snippet("sdk_list").show_unread(bob, log))
        await until(lambda: log in bob.rows)
        for number in range(3):
            await alice.send(log, f"{number}")
        shown = await asyncio.wait_for(watching, DEADLINE_S)
        assert max(shown) >= 3
        assert shown[-1] == 0
        for _ in range(500):  # the cursor is on its way
            if not (truth := await bob.query("log", log=log))["unread"]:
                break
            await asyncio.sleep(0.02)
        assert truth["unread"] == 0


async def test_snippet_replica(server: ServerProcess) -> None:
    async with clients(server, "alice1", "bob1") as (alice, bob):
        log = (await alice.call("chat.open", {"user": "bob"})).log
        seqs = [(await alice.send(log, text)).seq for text in ("one", "two", "three")]
        await bob.call("chat.react", {"seq": seqs[0], "emoji": "👍"}, log=log)
        await alice.call("chat.recall", {"seq": seqs[1]}, log=log)
        await alice.call(
            "chat.edit", {"seq": seqs[2], "content": {"type": "text", "text": "four"}}, log=log
        )
        show = snippet("sdk_replica")
        assert await show.lines(bob, log) == ["alice: one 👍", "(taken back)", "alice: four"]
        assert await show.older(bob, log, seqs[1]) >= 1


async def test_X8_a_newer_login_of_the_class_ends_the_older_client(server: ServerProcess) -> None:
    first = Client(server.url, token_of(server, "alice"), device="desk1", cls="desktop")
    second = Client(server.url, token_of(server, "alice"), device="desk2", cls="desktop")
    async with first:
        happened = first.events()
        await first.connected(within=DEADLINE_S)
        await asyncio.sleep(1.1)  # logins are ordered by seconds in these tokens
        async with second:
            await second.connected(within=DEADLINE_S)
            async with asyncio.timeout(DEADLINE_S):
                ended = [e async for e in happened if isinstance(e, events.Stopped)]
            assert type(ended[0].error).__name__ == "Kicked"
