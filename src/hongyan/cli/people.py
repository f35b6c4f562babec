"""`hongyan user`, `key`, `token`, `login`, `logout`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from hongyan.cli.access import (
    admin_token,
    ask_password,
    attempt,
    device_name,
    log_in,
    operator_token,
    request,
    url_option,
    whom,
    whom_options,
)
from hongyan.client.login import Token

DATA = click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="On the server's machine: act as an administrator with this data directory's secret.",
)


def _admin(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="One JSON object."),
        click.option("--tenant", default="main", show_default=True),
        click.option("--admin", default="admin", show_default=True, help="Whose saved login."),
        DATA,
    ):
        command = option(command)
    return url_option(command)


def _do(
    url: str, data: Path | None, admin: str, tenant: str, method: str, path: str, body: Any = None
) -> Any:
    return attempt(
        lambda: request(url, method, path, token=admin_token(url, data, admin, tenant), body=body)
    )


def _say(answer: Any, as_json: bool, text: str) -> None:
    click.echo(msgspec.json.encode(answer).decode() if as_json else text)


@click.group()
def user() -> None:
    """Make and manage accounts. Exit status: 0 done, 1 refused, 2 wrong usage."""


@user.command()
@url_option
@click.option("--code", required=True, help="The one-time code that the server printed.")
@click.option("--user", "name", default="admin", show_default=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from stdin.")
def claim(url: str, code: str, name: str, password_stdin: bool) -> None:
    """Become the first administrator; the login is kept on this machine."""
    password = ask_password(f"New password of {name}", password_stdin, confirm=True)
    me = whom(url, name, "main", device_name("admin"))
    body = {"code": code, "password": password, "user": name, "device": me.device}
    found = attempt(lambda: request(url, "POST", "/v1/claim", body=body))
    me.save(msgspec.convert(found, Token))
    click.echo(f"{name} is the administrator")


@user.command()
@click.argument("name")
@click.option("--name", "shown", default="", help="How others see them.")
@click.option("--make-admin", is_flag=True, help="An administrator too.")
@click.option("--no-password", is_flag=True, help="Logs in by tokens of a back end only.")
@click.option("--password-stdin", is_flag=True, help="Read the password from stdin.")
@_admin
def add(
    name: str,
    shown: str,
    make_admin: bool,
    no_password: bool,
    password_stdin: bool,
    url: str,
    data: Path | None,
    admin: str,
    tenant: str,
    as_json: bool,
) -> None:
    """Make the account NAME."""
    password = (
        "" if no_password else ask_password(f"Password of {name}", password_stdin, confirm=True)
    )
    body = {
        "user": name,
        "password": password,
        "tenant": tenant,
        "name": shown or name,
        "admin": make_admin,
    }
    answer = _do(url, data, admin, tenant, "POST", "/v1/register", body)
    _say(answer, as_json, f"{name} can log in: hongyan chat --user {name}")


@user.command("list")
@_admin
def list_users(url: str, data: Path | None, admin: str, tenant: str, as_json: bool) -> None:
    """All accounts."""
    after, more = "", True
    while more:
        page = _do(url, data, admin, tenant, "GET", f"/v1/users?limit=1000&after={after}")
        for account in page["users"]:
            marks = [mark for mark in ("admin", "disabled") if account[mark]]
            _say(account, as_json, "\t".join([account["user"], account["name"], *marks]))
            after = account["user"]
        more = page["more"]


@user.command()
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from stdin.")
@_admin
def passwd(
    name: str,
    password_stdin: bool,
    url: str,
    data: Path | None,
    admin: str,
    tenant: str,
    as_json: bool,
) -> None:
    """Give NAME a new password; all devices of NAME are logged out."""
    password = ask_password(f"New password of {name}", password_stdin, confirm=True)
    body = {"user": name, "password": password}
    answer = _do(url, data, admin, tenant, "POST", "/v1/users/reset", body)
    _say(answer, as_json, f"{name} has a new password")


@user.command()
@click.argument("name")
@click.option("--enable", is_flag=True, help="Take it back.")
@_admin
def disable(
    name: str,
    enable: bool,
    url: str,
    data: Path | None,
    admin: str,
    tenant: str,
    as_json: bool,
) -> None:
    """Let NAME not log in any more; connections of NAME end."""
    body = {"user": name, "disabled": not enable}
    answer = _do(url, data, admin, tenant, "POST", "/v1/users/disable", body)
    _say(answer, as_json, f"{name} is {'enabled' if enable else 'disabled'}")


@click.group()
def key() -> None:
    """API keys for back ends. Exit status: 0 done, 1 refused, 2 wrong usage."""


@key.command("add")
@click.argument("scopes", nargs=-1, required=True)
@click.option("--user", default="", help="The service user that `send` speaks for.")
@_admin
def add_key(
    scopes: tuple[str, ...],
    user: str,
    url: str,
    data: Path | None,
    admin: str,
    tenant: str,
    as_json: bool,
) -> None:
    """Make a key with SCOPES: users, send, send_as, read, admin, metrics. Shown once."""
    body = {"scopes": scopes, "user": user}
    answer = _do(url, data, admin, tenant, "POST", "/v1/keys", body)
    _say(answer, as_json, answer["key"])


@key.command("list")
@_admin
def list_keys(url: str, data: Path | None, admin: str, tenant: str, as_json: bool) -> None:
    """All keys, without their text."""
    for found in _do(url, data, admin, tenant, "GET", "/v1/keys")["keys"]:
        _say(found, as_json, f"{found['id']}\t{','.join(found['scopes'])}")


@key.command("drop")
@click.argument("key_id")
@_admin
def drop_key(
    key_id: str, url: str, data: Path | None, admin: str, tenant: str, as_json: bool
) -> None:
    """End a key. Exit status 1 where there is none."""
    answer = _do(url, data, admin, tenant, "POST", "/v1/keys/drop", {"id": key_id})
    _say(answer, as_json, "dropped" if answer["dropped"] else "no such key")
    raise SystemExit(0 if answer["dropped"] else 1)


@click.command()
@click.argument("name")
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The server's data directory: its secret signs.",
)
@click.option("--tenant", default="main", show_default=True)
@click.option("--ttl", default=3600, show_default=True, help="Seconds that it is good for.")
def token(name: str, data: Path, tenant: str, ttl: int) -> None:
    """Sign a token for the account NAME, on the server's machine.

    Exit status: 0 printed, 1 no such account or directory, 2 wrong usage.
    """
    click.echo(operator_token(data, name, tenant, ttl))


@click.command()
@whom_options
@click.option("--admin", is_flag=True, help="For the administrative commands of this machine.")
def login(url: str, user: str, tenant: str, device: str, password_stdin: bool, admin: bool) -> None:
    """Log in and keep the token on this machine."""
    me = whom(url, user, tenant, device_name("admin") if admin else device)
    attempt(lambda: log_in(me, password_stdin, fresh=True))
    click.echo(f"logged in as {user} ({me.device})")


@click.command()
@whom_options
def logout(url: str, user: str, tenant: str, device: str, password_stdin: bool) -> None:
    """End this device's login, here and on the server."""
    me = whom(url, user, tenant, device)
    saved = me.saved()
    if saved is None:
        click.echo("was not logged in")
        return
    attempt(lambda: request(url, "POST", "/v1/logout", token=saved.token, body={}))
    me.forget()
    click.echo("logged out")
