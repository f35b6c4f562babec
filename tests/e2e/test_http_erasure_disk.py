"""HA: what an erasure leaves on the disk of a real server."""

from __future__ import annotations

import time
from typing import Any

import httpx
from click.testing import CliRunner

from hongyan.adapters.sqlite.truth import SqliteTruth
from hongyan.bench.server import ServerProcess
from hongyan.cli import main

SECRET = "quokka"  # what the person said and is called


# size: one life of a person, from the first word to the last row
def test_HA17_no_row_holds_what_an_erased_person_said(server: ServerProcess) -> None:
    base = f"http://127.0.0.1:{server.port}"
    ops = iter(range(10**6))

    def ask(method: str, path: str, token: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"op{next(ops)}"}
        answer = httpx.request(method, base + path, headers=headers, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    claim = {"code": server.code, "password": "correct horse battery"}
    admin = httpx.post(f"{base}/v1/claim", json=claim).json()["token"]
    ann, bob = server.token("ann"), server.token("bob")
    ask("GET", "/v1/me", ann)
    ask("PATCH", "/v1/me", bob, {"name": f"Bob {SECRET}"})
    create = {"name": "chat.create", "args": {"title": "Geese", "members": ["ann"]}}
    log = ask("POST", "/v1/calls", bob, create)["log"]

    def say(token: str, words: str) -> int:
        content = {"content": {"type": "text", "text": words}}
        call = {"name": "chat.send", "args": content}
        return int(ask("POST", f"/v1/logs/{log}/calls", token, call)["seq"])

    seqs = [say(bob, f"{SECRET} {n}") for n in range(130)]
    edit = {"seq": seqs[0], "content": {"type": "text", "text": f"{SECRET} edited"}}
    ask("POST", f"/v1/logs/{log}/calls", bob, {"name": "chat.edit", "args": edit})
    ask("POST", f"/v1/logs/{log}/calls", bob, {
        "name": "chat.settings", "args": {"draft": SECRET, "nickname": SECRET}})  # fmt: skip
    ask("POST", "/v1/calls", bob, {"name": "own.set", "args": {"settings": {"k": SECRET}}})
    say(ann, "goodbye")

    def found() -> int:
        return len(ask("GET", f"/v1/search?text={SECRET}", ann)["hits"])

    def until(wanted: bool) -> None:
        deadline = time.monotonic() + 20
        while bool(found()) is not wanted:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    until(True)
    state = ask("DELETE", "/v1/users/bob", admin)
    assert state == {"user": "bob", "done": True, "logs": 2, "entries": 132}
    until(False)  # the index follows
    page = ask("GET", f"/v1/logs/{log}/entries?limit=1", ann)
    assert page["entries"][-1]["type"] == "left"
    server.stop()

    truth = SqliteTruth(server.data)
    try:
        tables = [row[0] for row in truth._db.execute(
            "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite%'"
        )]  # fmt: skip
        for table in tables:
            for row in truth._db.execute(f"SELECT * FROM {table}"):
                cells = [bytes(c) if isinstance(c, bytes) else str(c).encode() for c in row]
                assert not any(SECRET.encode() in cell.lower() for cell in cells), (table, cells)
    finally:
        truth.close()
    checked = CliRunner().invoke(main, ["doctor", str(server.data)])
    assert checked.exit_code == 0, checked.output
