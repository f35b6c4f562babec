"""Webhooks, hooks and consumers over HTTP and from the command line (rules WH)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from hongyan.bench.server import ServerProcess
from hongyan.cli import main

SETTINGS = ("webhooks.allow_private=true", "webhooks.pause_ms=20", "webhooks.tries=2")


class Back:
    """A back end: takes webhooks, answers hooks."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.status = 204
        self.answer: Any = None
        self.changed = threading.Condition()

    def until(self, count: int, seconds: float = 20.0) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.events) >= count, seconds), self.events


@contextmanager
def back_end() -> Iterator[tuple[Back, str]]:
    back = Back()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            event = json.loads(self.rfile.read(int(self.headers["content-length"])))
            hook = self.path == "/ask"
            body = json.dumps(back.answer).encode() if hook and back.answer else b""
            self.send_response(200 if body else back.status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            with back.changed:
                back.events.append(event)
                back.changed.notify_all()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield back, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def until(found: Callable[[], Any], seconds: float = 20.0) -> Any:
    """What `found` gives once it is something."""
    end = time.monotonic() + seconds
    while not (what := found()):
        assert time.monotonic() < end, "not in time"
        time.sleep(0.01)
    return what


class Web:
    """Requests of an administrator or of somebody else."""

    def __init__(self, server: ServerProcess) -> None:
        self.url = f"http://127.0.0.1:{server.port}"
        body = {"code": server.code, "password": "correct horse", "user": "admin"}
        self.token = httpx.post(f"{self.url}/v1/claim", json=body).json()["token"]
        self.alice = server.token("alice")

    def ask(self, method: str, path: str, body: Any = None, *, token: str = "") -> httpx.Response:
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return httpx.request(method, self.url + path, json=body, headers=headers, timeout=40)

    def ok(self, method: str, path: str, body: Any = None, *, token: str = "") -> Any:
        got = self.ask(method, path, body, token=token)
        assert got.status_code < 300, got.text
        return got.json()

    def call(self, op: str, name: str, args: Any, log: str = "") -> httpx.Response:
        return httpx.post(
            f"{self.url}/v1/logs/{log}/calls" if log else f"{self.url}/v1/calls",
            json={"name": name, "args": args},
            headers={"Authorization": f"Bearer {self.alice}", "Idempotency-Key": op},
        )

    def say(self, op: str, log: str, text: str) -> httpx.Response:
        return self.call(op, "chat.send", {"content": {"type": "text", "text": text}}, log)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    data = tmp_path_factory.mktemp("backends")
    with ServerProcess(data, core=None, settings=SETTINGS) as made:
        yield made


@pytest.fixture(scope="module")
def web(process: ServerProcess) -> Web:
    return Web(process)


@pytest.fixture(scope="module")
def log(web: Web) -> str:
    return str(web.call("make", "chat.create", {"title": "shop"}).json()["log"])


def test_WH11_WH12_WH13_a_webhook_over_http(web: Web, log: str) -> None:
    with back_end() as (back, url):
        made = web.ask("POST", "/v1/webhooks", {"url": f"{url}/in", "types": ["message"]})
        assert made.status_code == 201
        webhook, secret = made.json()["webhook"]["id"], made.json()["secret"]
        one = f"/v1/webhooks/{webhook}"
        assert web.ok("POST", f"{one}/test")["ok"] is True
        assert back.events[0]["type"] == "webhook.test"

        web.say("a", log, "hi")
        back.until(2)
        assert back.events[1]["entry"]["body"]["content"]["text"] == "hi"
        back.status = 500
        web.say("b", log, "ho")
        back.until(4)
        # The second attempt was answered a moment ago.
        dead = until(lambda: web.ok("GET", f"{one}/dead?limit=1")["dead"])
        assert (dead[0]["log"], dead[0]["error"]) == (log, "HTTP 500")

        shown = web.ask("GET", "/v1/webhooks").text + web.ask("GET", one).text
        assert secret not in shown
        assert secret.removeprefix("whsec_") not in shown
        metrics = httpx.get(f"{web.url}/metrics").text
        assert f'hongyan_webhook_dead{{webhook="{webhook}"}} 1.0' in metrics

        back.status = 204
        again = web.ask("POST", f"{one}/replay", {"ids": [dead[0]["pos"]]})
        assert (again.status_code, again.json()) == (202, {"queued": 1})
        back.until(5)
        assert back.events[4]["id"] == back.events[3]["id"]

        fresh = web.ok("POST", f"{one}/rotate", {"keep_s": 60})["secret"]
        assert fresh != secret
        assert web.ok("GET", one)["secrets"] == 2
        assert web.ok("PATCH", one, {"enabled": False})["reason"] == "disabled by an administrator"
        assert web.ok("DELETE", one) == {"dropped": True}
        assert web.ask("GET", one).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/webhooks", {"url": "ftp://x/"}, 422),
        ("POST", "/v1/webhooks", {"url": "http://x/", "kinds": ["x"]}, 422),
        ("POST", "/v1/webhooks", {"url": "http://x/", "secret": "short"}, 422),
        ("POST", "/v1/webhooks", {"url": "http://x/", "start": "later"}, 422),
        ("POST", "/v1/webhooks", {}, 422),
        ("GET", "/v1/webhooks/wh_none", None, 404),
        ("PATCH", "/v1/webhooks/wh_none", {"enabled": True}, 404),
        ("DELETE", "/v1/webhooks/wh_none", None, 404),
        ("POST", "/v1/webhooks/wh_none/test", None, 404),
        ("POST", "/v1/webhooks/wh_none/replay", {"all": True}, 404),
        ("POST", "/v1/webhooks/wh_none/replay", {}, 422),
        ("GET", "/v1/webhooks/wh_none/dead?limit=0", None, 422),
        ("POST", "/v1/hooks", {"url": "http://x/", "calls": ["chat.nothing"]}, 422),
        ("POST", "/v1/hooks", {"url": "http://x/", "calls": []}, 422),
        ("POST", "/v1/hooks", {"url": "http://x/", "calls": ["chat.send"], "deadline_ms": 1}, 422),
        ("GET", "/v1/hooks/hk_none", None, 404),
        ("POST", "/v1/consumers", {"name": "A B"}, 400),
        ("GET", "/v1/consumers/none", None, 404),
        ("GET", "/v1/consumers/none?wait=99", None, 422),
        ("POST", "/v1/consumers/none/ack", {"pos": -1}, 422),
        ("DELETE", "/v1/consumers/none", None, 404),
    ],
)
def test_WH11_requests_that_are_refused(
    web: Web, method: str, path: str, body: Any, status: int
) -> None:
    got = web.ask(method, path, body)
    assert (got.status_code, got.headers["content-type"]) == (status, "application/problem+json")
    assert web.ask(method, path, body, token=web.alice).status_code in (403, 422, 400)


def test_WH16_WH17_a_hook_over_http(web: Web, log: str) -> None:
    with back_end() as (back, url):
        made = web.ok(
            "POST",
            "/v1/hooks",
            {"url": f"{url}/ask", "calls": ["chat.send"], "deadline_ms": 3000},
        )
        hook = f"/v1/hooks/{made['hook']['id']}"
        back.answer = {"action": "refuse", "text": "no links"}
        got = web.say("h1", log, "http://x")
        assert (got.status_code, got.json()["code"]) == (403, 210)
        assert got.json()["detail"] == "no links"
        back.answer = {
            "action": "rewrite",
            "args": {"content": {"type": "text", "text": "[link]"}},
        }
        assert web.say("h2", log, "http://x").status_code == 200
        back.answer, back.status = None, 500
        got = web.say("h3", log, "hi")
        assert (got.status_code, got.json()["code"], got.json()["retry"]) == (503, 310, True)
        assert "retry-after" in got.headers
        assert web.say("h2", log, "http://x").json()["repeat"] is True
        view = web.ok("PATCH", hook, {"when_down": "open"})
        assert view["when_down"] == "open"
        assert web.say("h3", log, "hi").status_code == 200
        assert [x["id"] for x in web.ok("GET", "/v1/hooks")["hooks"]] == [made["hook"]["id"]]
        assert web.ok("POST", f"{hook}/rotate")["secret"] != made["secret"]
        assert web.ok("DELETE", hook) == {"dropped": True}
    page = web.ok("GET", f"/v1/logs/{log}/entries?limit=2", token=web.alice)
    texts = [entry["body"]["content"]["text"] for entry in page["entries"]]
    assert texts == ["[link]", "hi"]


def test_WH22_WH23_WH24_a_consumer_over_http(web: Web, log: str) -> None:
    key = web.ok("POST", "/v1/keys", {"scopes": ["read"]})["key"]
    body = {"name": "crm", "types": ["message"]}
    assert web.ask("POST", "/v1/consumers", body, token=key).status_code == 201
    assert web.ask("POST", "/v1/consumers", body, token=key).status_code == 409
    heard: list[Any] = []
    path = "/v1/consumers/crm?wait=20&limit=5"
    thread = threading.Thread(target=lambda: heard.append(web.ok("GET", path, token=key)))
    thread.start()
    web.say("c1", log, "one")
    thread.join(30)
    assert heard[0]["events"][0]["event"]["entry"]["body"]["content"]["text"] == "one"
    assert web.ok("GET", path, token=key)["events"] == heard[0]["events"]
    acked = web.ok("POST", "/v1/consumers/crm/ack", {"pos": heard[0]["next"]}, token=key)
    assert acked["pos"] == heard[0]["next"]
    assert web.ok("GET", "/v1/consumers/crm", token=key)["events"] == []
    assert web.ask("GET", "/v1/consumers/crm", token=web.alice).status_code == 403
    assert [c["name"] for c in web.ok("GET", "/v1/consumers")["consumers"]] == ["crm"]
    assert web.ok("DELETE", "/v1/consumers/crm", token=key) == {"dropped": True}


def test_WH11_WH12_webhooks_from_the_command_line(
    web: Web, process: ServerProcess, log: str
) -> None:
    def run(*args: str, status: int = 0) -> str:
        given = [*args, "--url", web.url, "--data", str(process.data)]
        got: Result = CliRunner().invoke(main, ["webhook", *given])
        assert got.exit_code == status, got.output
        return str(got.output)

    with back_end() as (back, url):
        webhook, secret = run("add", f"{url}/in", "--type", "message").split()
        assert secret.startswith("whsec_")
        assert webhook in run("list")
        assert run("test", webhook).startswith("taken: HTTP 204")
        back.status = 500
        assert run("test", webhook, status=1).startswith("not taken: HTTP 500")
        web.say("k1", log, "hi")
        back.until(4)
        dead = until(lambda: run("dead", webhook))
        assert "HTTP 500" in dead
        back.status = 204
        run("replay", webhook, status=2)
        assert run("replay", webhook, dead.split("\t")[0]) == "1 queued\n"
        back.until(5)
        assert run("rotate", webhook).startswith("whsec_")
        back.status = 410
        web.say("k2", log, "ho")
        until(lambda: "410" in run("list"))
        back.status = 204
        assert run("enable", webhook) == "enabled\n"
        back.until(7)
        assert json.loads(run("list", "--json"))["enabled"] is True
        assert run("remove", webhook) == "removed\n"
        run("remove", webhook, status=1)


def test_WH11_what_was_done_is_in_the_audit_list(web: Web, tmp_path: Path) -> None:
    with back_end() as (_, url):
        made = web.ok("POST", "/v1/webhooks", {"url": f"{url}/secret-path"})
        web.ok("DELETE", f"/v1/webhooks/{made['webhook']['id']}")
    found = web.ask("GET", "/v1/admin/audit?limit=5").text
    assert "webhooks.create" in found
    assert "webhooks.drop" in found
    assert "secret-path" not in found
    assert made["secret"] not in found


def test_WH23_a_server_that_stops_answers_who_waits(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", core=None, settings=SETTINGS) as process:
        web = Web(process)
        web.ok("POST", "/v1/consumers", {"name": "crm"})
        heard: list[httpx.Response] = []
        path = "/v1/consumers/crm?wait=30"
        thread = threading.Thread(target=lambda: heard.append(web.ask("GET", path)))
        thread.start()
        until(lambda: "hongyan_pulls_waiting 1.0" in httpx.get(f"{web.url}/metrics").text)
        process.stop()
        thread.join(30)
    assert (heard[0].status_code, heard[0].json()["events"]) == (200, [])
