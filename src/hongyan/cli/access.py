"""Which server, who, with what token: shared by the commands that talk to a server.

What is kept lies under $XDG_DATA_HOME/hongyan/HOST/TENANT/USER/DEVICE, for the owner alone: the
token, and the client's data file (outbox, cache).
"""

from __future__ import annotations

import http.client
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import msgspec

from hongyan.cli.output import fail
from hongyan.client.login import Token
from hongyan.model.errors import BadId, Refusal, Unauthenticated
from hongyan.model.ids import DEVICE, TENANT, USER, check
from hongyan.wire.session import refusal_of

DEFAULT_URL = "http://127.0.0.1:8000"
TIMEOUT_S = 15.0
OPERATOR_TTL_S = 300  # of a token that is signed with the data directory's secret


class Whom(msgspec.Struct, frozen=True):
    """A device of a user on a server."""

    url: str
    user: str
    tenant: str = "main"
    device: str = ""

    def folder(self) -> Path:
        """Where its token and data are kept; made where absent, for the owner alone."""
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
        parts = urlsplit(self.url)
        host = f"{parts.hostname}_{parts.port or (443 if parts.scheme == 'https' else 80)}"
        place = base / "hongyan" / host / self.tenant / self.user / self.device
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        return place

    def saved(self) -> Token | None:
        """The token of the last login, if it is still good for a minute."""
        path = self.folder() / "token.json"
        try:
            token = msgspec.json.decode(path.read_bytes(), type=Token)
        except (OSError, msgspec.DecodeError):
            return None
        return token if token.expires_at > (time.time() + 60) * 1000 else None

    def save(self, token: Token) -> None:
        """Keep a token, readable for the owner alone."""
        path = self.folder() / "token.json"
        beside = path.with_suffix(".new")
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(msgspec.json.encode(token))
        beside.replace(path)

    def forget(self) -> None:
        """Remove the token."""
        (self.folder() / "token.json").unlink(missing_ok=True)


def request(url: str, method: str, path: str, *, token: str = "", body: Any = None) -> Any:
    """One HTTP request; the JSON of the answer.

    Raises:
        Refusal: the server will not do it.
        ConnectionError: it cannot be reached, or is no hongyan; the text says which URL.
    """
    parts = urlsplit(url)
    kind = (
        http.client.HTTPSConnection
        if parts.scheme in ("https", "wss")
        else http.client.HTTPConnection
    )
    connection = kind(parts.hostname or "localhost", parts.port, timeout=TIMEOUT_S)
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        data = None if body is None else msgspec.json.encode(body)
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        found = msgspec.json.decode(answer.read(16 << 20))
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as exc:
        raise ConnectionError(f"{url}: {exc}; is the server running?") from None
    finally:
        connection.close()
    if answer.status >= 400:
        if not found.get("code"):
            raise ConnectionError(f"{url}: HTTP {answer.status} {found.get('detail', '')}")
        raise refusal_of(found["code"], found.get("detail", ""), found.get("retry_after_ms", 0))
    return found


def attempt(work: Callable[[], Any]) -> Any:
    """Do it; a refusal or a server that cannot be reached is one line and status 1."""
    try:
        return work()
    except Refusal as why:
        later = f" (again in {why.retry_after_ms} ms)" if why.retry_after_ms else ""
        fail(f"{why.text}{later} [{why.code}]")
    except (ConnectionError, OSError) as exc:
        fail(str(exc))


def ask_password(prompt: str, from_stdin: bool, *, confirm: bool = False) -> str:
    """A password from --password-stdin, HONGYAN_PASSWORD, or the person at the terminal."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    given = os.environ.get("HONGYAN_PASSWORD")
    if given is not None:
        return given
    if not sys.stdin.isatty():
        fail("no terminal to ask for the password: use --password-stdin or HONGYAN_PASSWORD", 2)
    return str(click.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True))


def log_in(whom: Whom, from_stdin: bool = False, *, fresh: bool = False) -> Token:
    """The saved token, or a new one for a password, which is then saved."""
    saved = None if fresh else whom.saved()
    if saved is not None:
        return saved
    password = ask_password(f"Password of {whom.user}", from_stdin)
    body = {
        "user": whom.user,
        "password": password,
        "tenant": whom.tenant,
        "device": whom.device,
    }
    token: Token = msgspec.convert(request(whom.url, "POST", "/v1/token", body=body), Token)
    whom.save(token)
    return token


def operator_token(
    data: Path, user: str = "", tenant: str = "main", ttl_s: int = OPERATOR_TTL_S
) -> str:
    """A token signed with the secret of a data directory: who can read the directory may.

    Without `user`, one of an administrator. Ends the command with one line where that fails.
    """
    from hongyan.adapters.secret import load_or_create_secret
    from hongyan.adapters.sqlite import StoreFault
    from hongyan.adapters.sqlite.truth import accounts
    from hongyan.config import ConfigError
    from hongyan.engine.tokens import Claims, Tokens

    if not (data / "secret").exists():
        fail(f"{data}: no secret there; is it the data directory of a server?")
    try:
        secret = load_or_create_secret(data / "secret")
        found = [a for a in accounts(data, tenant) if (a.user == user if user else a.admin)]
    except (ConfigError, StoreFault) as exc:
        fail(str(exc))
    if not found:
        fail(f"there is no user {user}" if user else "no administrator yet: hongyan user claim")
    now = int(time.time())
    claims = Claims(
        sub=found[0].user, tnt=tenant, iat=now, exp=now + ttl_s, ep=int(time.time() * 1000)
    )
    return Tokens(secret).sign(claims)


def admin_token(url: str, data: Path | None, admin: str, tenant: str) -> str:
    """What an administrative command presents: signed locally, or of a saved login."""
    if data is not None:
        return operator_token(data, tenant=tenant)
    saved = Whom(url, admin, tenant, device_name("admin")).saved()
    if saved is None:
        raise Unauthenticated(
            f"log in first: hongyan login --user {admin} --admin, or on the server's machine"
            " give --data DIR"
        )
    return saved.token


def device_name(text: str) -> str:
    """A device id of this machine."""
    host = "".join(c if c.isalnum() or c in "-." else "-" for c in socket.gethostname())[:40]
    return f"{text}-{host}" if host else text


def url_option(command: Callable[..., None]) -> Callable[..., None]:
    """`--url`, or HONGYAN_URL."""
    return click.option(
        "--url", envvar="HONGYAN_URL", default=DEFAULT_URL, show_default=True, help="The server."
    )(command)


def whom_options(command: Callable[..., None]) -> Callable[..., None]:
    """`--url --user --tenant --device --password-stdin`."""
    for option in (
        click.option("--password-stdin", is_flag=True, help="Read the password from stdin."),
        click.option("--device", default="", help="Name of this device.  [cli-HOSTNAME]"),
        click.option("--tenant", default="main", show_default=True),
        click.option("--user", envvar="HONGYAN_USER", required=True, help="Who you are."),
    ):
        command = option(command)
    return url_option(command)


def whom(url: str, user: str, tenant: str, device: str) -> Whom:
    """Checked; ends the command with one line where an id is not one."""
    try:
        check(USER, user, "user")
        check(TENANT, tenant, "tenant")
        return Whom(url, user, tenant, check(DEVICE, device or device_name("cli"), "device"))
    except BadId as why:
        fail(why.text, 2)
