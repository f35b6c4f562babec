"""M: the command line as a person and a script use it, against a real server."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hongyan.bench.server import ServerProcess

PASSWORD = "correct horse battery"


class Shell:
    """Runs `hongyan …` with a home of its own."""

    def __init__(self, server: ServerProcess, home: Path) -> None:
        self.server = server
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("HONGYAN")},
            "XDG_DATA_HOME": str(home),
            "HONGYAN_URL": f"http://127.0.0.1:{server.port}",
            "HONGYAN_PASSWORD": PASSWORD,
        }

    def __call__(
        self, *args: str, status: int = 0, stdin: str = "", password: bool = True
    ) -> subprocess.CompletedProcess[str]:
        env = self.env if password else {**self.env, "HONGYAN_PASSWORD": ""}
        if not password:
            del env["HONGYAN_PASSWORD"]
        done = subprocess.run(
            [sys.executable, "-m", "hongyan", *args],
            env=env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, (args, done.stdout, done.stderr)
        return done


@pytest.fixture
def shell(server: ServerProcess, tmp_path: Path) -> Shell:
    return Shell(server, tmp_path / "home")


def people(shell: Shell, *names: str) -> None:
    shell("user", "claim", "--code", shell.server.code)
    for name in names:
        shell("user", "add", name)


def test_M1_first_admin_accounts_and_logins(shell: Shell, server: ServerProcess) -> None:
    people(shell, "alice")
    shell("user", "claim", "--code", server.code, status=1)
    listed = shell("user", "list").stdout.splitlines()
    assert [line.split("\t")[0] for line in listed] == ["admin", "alice"]
    shell("login", "--user", "alice")
    tokens = list(Path(shell.env["XDG_DATA_HOME"]).rglob("token.json"))
    assert len(tokens) == 2 and all(path.stat().st_mode & 0o777 == 0o600 for path in tokens)
    assert all(path.parent.stat().st_mode & 0o077 == 0 for path in tokens)
    assert "logged out" in shell("logout", "--user", "alice").stdout
    assert "was not" in shell("logout", "--user", "alice").stdout
    shell("user", "disable", "alice")
    done = shell("login", "--user", "alice", status=1)
    assert "[207]" in done.stderr and done.stderr.count("\n") == 1
    shell("user", "disable", "alice", "--enable")
    shell("login", "--user", "alice")


def test_M2_operator_on_the_servers_machine_needs_no_password(
    shell: Shell, server: ServerProcess
) -> None:
    data = str(server.data)
    refused = shell("user", "list", "--data", data, status=1)
    assert "no administrator" in refused.stderr
    people(shell)
    for path in Path(shell.env["XDG_DATA_HOME"]).rglob("token.json"):
        path.unlink()
    assert "log in first" in shell("user", "list", status=1).stderr
    shell("user", "add", "bob", "--data", data)
    assert "bob" in shell("user", "list", "--data", data).stdout
    token = shell("token", "bob", "--data", data).stdout.strip()
    assert token.count(".") == 2
    shell("token", "nobody", "--data", data, status=1)
    made = shell("key", "add", "users", "--data", data).stdout.strip()
    assert made.startswith("hyk_")
    key_id = shell("key", "list", "--data", data).stdout.split("\t")[0]
    shell("key", "drop", key_id, "--data", data)
    shell("key", "drop", key_id, "--data", data, status=1)


def test_M3_send_history_tail_and_idempotent_op(shell: Shell) -> None:
    people(shell, "alice", "bob")
    first = shell("send", "@bob", "你好 bob", "--user", "alice", "--op", "one")
    assert first.stdout == "1\n"
    assert shell("send", "@bob", "你好 bob", "--user", "alice", "--op", "one").stdout == "1\n"
    clash = shell("send", "@bob", "other", "--user", "alice", "--op", "one", status=1)
    assert "[110]" in clash.stderr
    ack = json.loads(shell("send", "@alice", "-", "--user", "bob", "--json", stdin="hi\n").stdout)
    assert (ack["log"], ack["seq"], ack["stage"]) == ("main/d/alice~bob", 2, "stored")
    lines = shell("history", "@bob", "--user", "alice").stdout.splitlines()
    assert [line.split("\t")[2:] for line in lines] == [["alice", "你好 bob"], ["bob", "hi"]]
    page = shell("history", "main/d/alice~bob", "--user", "bob", "--limit", "1", "--json")
    assert json.loads(page.stdout)["seq"] == 2 and "--before 2" in page.stderr
    tailed = shell("tail", "@bob", "--user", "alice", "--from", "0", "--count", "2", "--json")
    assert [json.loads(line)["seq"] for line in tailed.stdout.splitlines()] == [1, 2]
    assert "[108]" in shell("history", "main/d/bob~zed", "--user", "alice", status=1).stderr


def test_M4_what_is_wrong_is_one_line(shell: Shell, server: ServerProcess, tmp_path: Path) -> None:
    people(shell, "alice")
    wrong = shell("history", "main/d/none~such", "--user", "alice", status=1)
    assert re.fullmatch(r"hongyan: .* \[\d+\]\n", wrong.stderr)
    ask = shell("login", "--user", "zed", status=2, password=False)
    assert "--password-stdin" in ask.stderr
    bad = shell("login", "--user", "zed", "--password-stdin", status=1, stdin="nope nope\n")
    assert "[208]" in bad.stderr
    shell("send", "@a", "x", "--user", "bad user", status=2)
    server.stop(signal.SIGKILL)
    gone = shell("login", "--user", "alice", status=1)
    assert "is the server running?" in gone.stderr and gone.stderr.count("\n") == 1
    assert "fault" in shell("doctor", "--url", shell.env["HONGYAN_URL"], status=1).stdout


def test_M5_doctor_and_migrate(shell: Shell, server: ServerProcess, tmp_path: Path) -> None:
    people(shell, "alice", "bob")
    shell("send", "@bob", "hello", "--user", "alice")
    data = str(server.data)
    sound = shell("doctor", data)
    assert "every page is sound" in sound.stdout and "0 fault(s)" in sound.stderr
    assert "ready" in shell("doctor", "--url", shell.env["HONGYAN_URL"]).stdout
    assert "up to date" in shell("migrate", data).stdout
    levels = {json.loads(x)["level"] for x in shell("doctor", data, "--json").stdout.splitlines()}
    assert levels <= {"ok", "warning"}
    server.stop()
    (server.data / "secret").chmod(0o644)
    assert "fault    permissions" in shell("doctor", data, status=1).stdout
    empty = tmp_path / "empty"
    empty.mkdir()
    shell("doctor", str(empty), status=2)
    shell("migrate", str(empty), status=1)


def test_M6_help_completion_and_exit_codes(shell: Shell) -> None:
    names = shell("--help").stdout
    for command in ("serve", "chat", "send", "tail", "history", "user", "token", "verify"):
        assert f"  {command}" in names
    for command in ("serve", "verify", "doctor", "migrate", "send", "tail", "history"):
        assert "Exit status" in shell(command, "--help").stdout
    for kind in ("bash", "zsh", "fish"):
        assert "_HONGYAN_COMPLETE" in shell("completion", kind).stdout
    assert "No such command" in shell("nonsense", status=2).stderr
