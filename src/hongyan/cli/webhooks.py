"""`hongyan webhook`: webhooks of a tenant and their dead letters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import click
import msgspec

from hongyan.cli.access import admin_token, attempt, request, url_option
from hongyan.cli.people import DATA


class Server:
    """Which server, and with whose right."""

    def __init__(self, given: dict[str, Any]) -> None:
        """Takes the options of `_server` out of what a command was given."""
        self._url, self._data = given.pop("url"), given.pop("data")
        self._admin, self._tenant = given.pop("admin"), given.pop("tenant")
        self._as_json = given.pop("as_json")

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request; a refusal is one line and status 1."""

        def work() -> Any:
            token = admin_token(self._url, self._data, self._admin, self._tenant)
            return request(self._url, method, path, token=token, body=body)

        return attempt(work)

    def say(self, answer: Any, text: str) -> None:
        """An answer, for people or as JSON."""
        click.echo(msgspec.json.encode(answer).decode() if self._as_json else text)


def _server(command: Callable[..., None]) -> Callable[..., None]:
    def wrapped(**given: Any) -> None:
        command(Server(given), **given)

    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    wrapped.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    made: Callable[..., None] = wrapped
    for option in (
        click.option("--json", "as_json", is_flag=True, help="One JSON object per line."),
        click.option("--tenant", default="main", show_default=True),
        click.option("--admin", default="admin", show_default=True, help="Whose saved login."),
        DATA,
    ):
        made = option(made)
    return url_option(made)


def _path(webhook: str, rest: str = "") -> str:
    return f"/v1/webhooks/{quote(webhook, safe='')}{rest}"


@click.group()
def webhook() -> None:
    """Post what is committed to a back end. Exit status: 0 done, 1 refused, 2 wrong usage."""


@webhook.command("list")
@_server
def list_webhooks(server: Server) -> None:
    """All webhooks: id, state, delivered, dead letters, held logs, URL."""
    for found in server.ask("GET", "/v1/webhooks")["webhooks"]:
        state = "on" if found["enabled"] else f"off ({found['reason']})"
        numbers = [f"{found[name]} {name}" for name in ("delivered", "dead", "held")]
        server.say(found, "\t".join([found["id"], state, *numbers, found["url"]]))


@webhook.command()
@click.argument("target")
@click.option("--kind", "kinds", multiple=True, help="Only logs of this kind. Repeatable.")
@click.option("--type", "types", multiple=True, help="Only entries of this type. Repeatable.")
@click.option("--about", default="", help="A note.")
@click.option("--beginning", is_flag=True, help="Send also all that was committed before.")
@_server
def add(
    server: Server,
    target: str,
    kinds: tuple[str, ...],
    types: tuple[str, ...],
    about: str,
    beginning: bool,
) -> None:
    """Post entries to the URL TARGET; the signing secret is shown once."""
    body = {
        "url": target,
        "kinds": kinds,
        "types": types,
        "about": about,
        "start": "beginning" if beginning else "now",
    }
    made = server.ask("POST", "/v1/webhooks", body)
    server.say(made, f"{made['webhook']['id']}\t{made['secret']}")


@webhook.command()
@click.argument("webhook_id")
@_server
def remove(server: Server, webhook_id: str) -> None:
    """End a webhook, with its dead letters."""
    server.say(server.ask("DELETE", _path(webhook_id)), "removed")


@webhook.command()
@click.argument("webhook_id")
@_server
def enable(server: Server, webhook_id: str) -> None:
    """Enable a disabled webhook; it goes on where it had ended."""
    server.say(server.ask("PATCH", _path(webhook_id), {"enabled": True}), "enabled")


@webhook.command()
@click.argument("webhook_id")
@_server
def rotate(server: Server, webhook_id: str) -> None:
    """Replace the secret, which is shown once; the old one signs on for a day."""
    answer = server.ask("POST", _path(webhook_id, "/rotate"), {})
    server.say(answer, answer["secret"])


@webhook.command()
@click.argument("webhook_id")
@_server
def dead(server: Server, webhook_id: str) -> None:
    """Entries that were given up: id, log, seq, type, attempts, error."""
    after, more = 0, True
    while more:
        page = server.ask("GET", _path(webhook_id, f"/dead?limit=500&after={after}"))
        for found in page["dead"]:
            shown = [found[name] for name in ("pos", "log", "seq", "type", "tries", "error")]
            server.say(found, "\t".join(map(str, shown)))
            after = found["pos"]
        more = page["more"]


@webhook.command()
@click.argument("webhook_id")
@click.argument("ids", nargs=-1, type=int)
@click.option("--all", "every", is_flag=True, help="All dead letters.")
@_server
def replay(server: Server, webhook_id: str, ids: tuple[int, ...], every: bool) -> None:
    """Send the dead letters IDS again, or --all."""
    if every == bool(ids):
        raise click.UsageError("name ids, or say --all")
    answer = server.ask("POST", _path(webhook_id, "/replay"), {"ids": ids, "all": every})
    server.say(answer, f"{answer['queued']} queued")


@webhook.command()
@click.argument("webhook_id")
@_server
def test(server: Server, webhook_id: str) -> None:
    """Send a test event now. Exit status 1 where the target does not take it."""
    result = server.ask("POST", _path(webhook_id, "/test"))
    said = f"HTTP {result['status']}" if result["status"] else result["error"]
    server.say(result, f"{'taken' if result['ok'] else 'not taken'}: {said}, {result['ms']} ms")
    raise SystemExit(0 if result["ok"] else 1)
