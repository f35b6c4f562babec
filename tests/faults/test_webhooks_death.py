"""Webhooks and pulls across kill -9, with a back end that fails at random (rules WH)."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from hongyan.bench.server import ServerProcess, free_port

RECEIVER = Path(__file__).with_name("webhook_receiver.py")
QUICK = (
    "webhooks.allow_private=true",
    "webhooks.pause_ms=40",
    "webhooks.most_pause_s=1",
    "webhooks.timeout_ms=1000",
    "webhooks.tries=1000",
)
GROUPS, ROUNDS, SENDS = 6, 3, 40
SECRET = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"


@contextmanager
def receiver(port: int, file: Path, fail: float, seed: int) -> Iterator[None]:
    args = [sys.executable, str(RECEIVER), str(port), str(file), SECRET, str(fail), str(seed)]
    process = subprocess.Popen(args, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def until(true: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.05)


class Client:
    """Calls of one user over HTTP; what is not answered is sent again with the same key."""

    def __init__(self, server: ServerProcess, user: str) -> None:
        self.server, self.token = server, server.token(user)
        self.url = f"http://127.0.0.1:{server.port}"

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        got = httpx.request(
            method,
            self.url + path,
            json=body,
            headers={"Authorization": f"Bearer {self.token}", **headers},
            timeout=10,
        )
        assert got.status_code < 400, got.text
        return got.json()

    def call(self, op: str, name: str, args: Any, log: str = "") -> Any:
        path = f"/v1/logs/{log}/calls" if log else "/v1/calls"
        return self.ask("POST", path, {"name": name, "args": args}, **{"Idempotency-Key": op})

    def say(self, op: str, log: str, text: str) -> int:
        args = {"content": {"type": "text", "text": text}}
        return int(self.call(op, "chat.send", args, log)["seq"])


def admin(server: ServerProcess) -> Client:
    """Claims the server and logs in."""
    client = Client(server, "admin")
    body = {"code": server.code, "password": "correct horse", "user": "admin"}
    got = httpx.post(f"{client.url}/v1/claim", json=body, timeout=10)
    client.token = got.json()["token"]
    return client


def lines(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    whole = file.read_bytes().rpartition(b"\n")[0]
    return [json.loads(line) for line in whole.split(b"\n") if line]


# size: one story of both sides dying, told in order
@pytest.mark.slow
def test_WH1_WH2_WH3_each_event_at_least_once_in_order_signed_over_kill_9(tmp_path: Path) -> None:
    """Both sides die and fail at random; nothing is lost, and no log is out of order."""
    port, out, dice = free_port(), tmp_path / "taken.jsonl", random.Random(5)
    sent: dict[str, list[int]] = defaultdict(list)
    server = ServerProcess(tmp_path / "data", core=None, settings=QUICK)
    with server:
        boss = admin(server)
        url = f"http://127.0.0.1:{port}/in"
        made = boss.ask(
            "POST", "/v1/webhooks", {"url": url, "secret": SECRET, "types": ["message"]}
        )
        webhook = made["webhook"]["id"]
        alice = Client(server, "alice")
        logs = [
            alice.call(f"g{n}", "chat.create", {"title": f"g{n}"})["log"] for n in range(GROUPS)
        ]
        for turn in range(ROUNDS):
            with receiver(port, out, 0.25, turn):
                before = len(lines(out))
                for n in range(SENDS):
                    log = dice.choice(logs)
                    sent[log].append(alice.say(f"{turn}-{n}", log, f"{turn}-{n}"))
                until(lambda before=before: len(lines(out)) > before + 3, "deliveries")
                server.stop(signal.SIGKILL)
                server.start()
        with receiver(port, out, 0.1, 99):
            wanted = {(log, seq) for log, seqs in sent.items() for seq in seqs}

            def done() -> bool:
                got = {
                    (x["event"]["log"], x["event"]["entry"]["seq"])
                    for x in lines(out)
                    if x["taken"]
                }
                return got == wanted

            until(done, "every event")
            until(lambda: boss.ask("GET", f"/v1/webhooks/{webhook}")["held"] == 0, "no log held")
            view = boss.ask("GET", f"/v1/webhooks/{webhook}")
    found = lines(out)
    assert all(line["good"] for line in found)
    assert all(line["header"] == line["event"]["id"] for line in found)
    assert len({line["event"]["id"] for line in found}) == len(wanted)
    for log, seqs in sent.items():
        first = list(
            dict.fromkeys(
                x["event"]["entry"]["seq"] for x in found if x["taken"] and x["event"]["log"] == log
            )
        )
        assert first == seqs, log
    assert (view["enabled"], view["dead"]) == (True, 0)


@pytest.mark.slow
def test_WH22_a_pull_misses_nothing_over_kill_9(tmp_path: Path) -> None:
    """The server dies between fetches and acknowledgements; the puller forgets what it did not
    acknowledge, as one that died too."""
    dice = random.Random(3)
    server = ServerProcess(tmp_path / "data", core=None)
    with server:
        boss = admin(server)
        boss.ask("POST", "/v1/consumers", {"name": "crm", "types": ["message"]})
        alice = Client(server, "alice")
        logs = [alice.call(f"g{n}", "chat.create", {"title": f"g{n}"})["log"] for n in range(3)]
        sent: dict[str, list[int]] = defaultdict(list)
        handled: list[tuple[str, int]] = []  # as far as the puller knows, in this order
        acked = 0
        for turn in range(4):
            for n in range(20):
                log = dice.choice(logs)
                sent[log].append(alice.say(f"{turn}-{n}", log, "x"))
            for _ in range(3):
                page = boss.ask("GET", f"/v1/consumers/crm?limit={dice.randint(1, 9)}")
                assert all(event["pos"] > acked for event in page["events"])
                handled += [(x["event"]["log"], x["event"]["entry"]["seq"]) for x in page["events"]]
                if dice.random() < 0.7:
                    acked = boss.ask("POST", "/v1/consumers/crm/ack", {"pos": page["next"]})["pos"]
            server.stop(signal.SIGKILL)
            server.start()
        while (page := boss.ask("GET", "/v1/consumers/crm?limit=50"))["events"]:
            handled += [(x["event"]["log"], x["event"]["entry"]["seq"]) for x in page["events"]]
            boss.ask("POST", "/v1/consumers/crm/ack", {"pos": page["next"]})
    for log, seqs in sent.items():
        assert list(dict.fromkeys(seq for name, seq in handled if name == log)) == seqs


@pytest.mark.slow
def test_WH6_WH21_dead_letters_and_hooks_are_there_after_kill_9(tmp_path: Path) -> None:
    settings = (*QUICK[:-1], "webhooks.tries=1")
    port = free_port()
    server = ServerProcess(tmp_path / "data", core=None, settings=settings)
    with server:
        boss = admin(server)
        url = f"http://127.0.0.1:{port}/"  # nobody is there yet
        made = boss.ask(
            "POST", "/v1/webhooks", {"url": url, "secret": SECRET, "types": ["message"]}
        )
        webhook = f"/v1/webhooks/{made['webhook']['id']}"
        alice = Client(server, "alice")
        log = alice.call("g", "chat.create", {"title": "g"})["log"]
        seqs = [alice.say(f"m{n}", log, "x") for n in range(3)]
        until(lambda: boss.ask("GET", webhook)["dead"] == 3, "dead letters")
        hook = {"url": url, "calls": ["chat.send"], "deadline_ms": 1000}
        boss.ask("POST", "/v1/hooks", hook)
        server.stop(signal.SIGKILL)
        out = tmp_path / "taken.jsonl"
        with receiver(port, out, 0.0, 1):
            server.start()
            boss.ask("POST", f"{webhook}/replay", {"all": True})
            until(lambda: boss.ask("GET", webhook)["dead"] == 0, "replay")
        found = lines(out)
        assert [x["event"]["entry"]["seq"] for x in found if x["taken"]] == seqs
        with pytest.raises(AssertionError, match='"code":310'):
            alice.say("m9", log, "x")  # the hook is remembered, and nobody answers
