"""`hongyan send`, `tail`, `history`: one conversation from the shell."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

import click
import msgspec

from hongyan.cli.access import Whom, attempt, log_in, whom, whom_options
from hongyan.cli.output import fail
from hongyan.client import Client, LogCut, Message, Offline, fold_page
from hongyan.model.errors import Refusal
from hongyan.model.ids import log_id, pair_name
from hongyan.model.log import Entry
from hongyan.wire.frames import Ack

WAIT_S = 30.0


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end; Ctrl-C, a closed pipe, a refusal and no server end cleanly."""
    try:
        asyncio.run(work)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()  # nobody reads any more; say nothing
        sys.exit(0)
    except Refusal as why:
        fail(f"{why.text} [{why.code}]")
    except (Offline, LogCut, TimeoutError) as why:
        fail(str(why) or "the server did not answer in time")


def client_of(me: Whom, password_stdin: bool, *, keep: bool) -> Client:
    """A client that logs in with the saved token or a password. `keep`: with its data file."""
    token = attempt(lambda: log_in(me, password_stdin))

    async def get_token() -> str:
        return str(token.token)

    data = me.folder() / "client.db" if keep else None
    return Client(me.url, get_token, device=me.device, data=data, name="hongyan-cli")


def conversation(me: Whom, text: str) -> str:
    """The log of `@USER`, or the id itself."""
    if text.startswith("@"):
        return log_id(me.tenant, "d", pair_name(me.user, text[1:]))
    return text


def line_of(entry: Entry, body: msgspec.Raw, erased: bool = False) -> str:
    """An entry as a person reads it."""
    at = datetime.fromtimestamp(entry.at / 1000).strftime("%Y-%m-%d %H:%M:%S")
    return f"{entry.seq}\t{at}\t{entry.sender}\t{words(entry.type, body, erased)}"


def words(entry_type: str, body: msgspec.Raw, erased: bool = False) -> str:
    """The content in one line."""
    if erased:
        return "(recalled)"
    found = msgspec.json.decode(body)
    content = found.get("content") if isinstance(found, dict) else None
    if isinstance(content, dict):
        text = content.get("text") or content.get("name") or content.get("title") or ""
        shown = text if content.get("type") == "text" else f"[{content.get('type')}] {text}"
        return str(shown).replace("\n", " ⏎ ").strip()
    return f"({entry_type}) {msgspec.json.encode(found).decode()}"


def _whole(ack: Ack) -> str:
    """All fields, also those that the wire leaves out because they hold their default."""
    return msgspec.json.encode(msgspec.structs.asdict(ack)).decode()


def _json(log: str, entry: Entry) -> str:
    return msgspec.json.encode(
        {"log": log, **msgspec.json.decode(msgspec.json.encode(entry))}
    ).decode()


@click.command()
@click.argument("to")
@click.argument("text")
@click.option("--op", default=None, help="Idempotency key: the same one is stored once.")
@click.option("--json", "as_json", is_flag=True, help="The ack as one JSON object.")
@whom_options
def send(
    to: str,
    text: str,
    op: str | None,
    as_json: bool,
    url: str,
    user: str,
    tenant: str,
    device: str,
    password_stdin: bool,
) -> None:
    """Say TEXT (- = stdin) in the log TO, or to @USER; return once it is stored.

    Prints the seq. Exit status: 0 stored, 1 refused or no server, 2 wrong usage.
    """
    me = whom(url, user, tenant, device)
    text = sys.stdin.read().rstrip("\n") if text == "-" else text

    async def work() -> None:
        async with client_of(me, password_stdin, keep=False) as client:
            await client.connected(WAIT_S)
            log = conversation(me, to)
            if to.startswith("@"):
                log = (await client.call("chat.open", {"user": to[1:]})).log
            args = {"content": {"type": "text", "text": text}}
            ack = await asyncio.wait_for(client.call("chat.send", args, log=log, op=op), WAIT_S)
            click.echo(_whole(ack) if as_json else ack.seq)

    run(work())


def _range(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True),
        click.option("--after", type=int, help="The entries after this seq."),
        click.option("--before", type=int, help="The entries before this seq.  [the newest]"),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("log")
@_range
@click.option("--json", "as_json", is_flag=True, help="One entry per line, as stored.")
@whom_options
def history(
    log: str,
    before: int | None,
    after: int | None,
    limit: int,
    as_json: bool,
    url: str,
    user: str,
    tenant: str,
    device: str,
    password_stdin: bool,
) -> None:
    """Print a page of LOG (or @USER), oldest first.

    Exit status: 0 printed, 1 refused or no server, 2 wrong usage.
    """
    if before is not None and after is not None:
        raise click.UsageError("--before or --after, not both")
    me = whom(url, user, tenant, device)

    async def work() -> None:
        async with client_of(me, password_stdin, keep=False) as client:
            await client.connected(WAIT_S)
            given = {"after": after} if after is not None else {"before": before or 0}
            name = conversation(me, log)
            page = await client.read(name, limit=limit, **given)
            if as_json:
                for entry in page.entries:
                    click.echo(_json(name, entry))
            else:
                for message in fold_page(page):
                    _print(message)
            if page.more:
                click.echo(f"more: --{next(iter(given))} {_edge(page.entries, after)}", err=True)

    run(work())


def _edge(entries: list[Entry], after: int | None) -> int:
    return entries[-1].seq if after is not None else entries[0].seq


def _print(message: Message) -> None:
    click.echo(line_of(message.entry, message.body, message.erased))


@click.command()
@click.argument("log")
@click.option("--from", "start", type=int, help="Begin after this seq.  [now]")
@click.option("--count", type=int, help="End after so many entries.")
@click.option("--json", "as_json", is_flag=True, help="One entry per line, as stored.")
@whom_options
def tail(
    log: str,
    start: int | None,
    count: int | None,
    as_json: bool,
    url: str,
    user: str,
    tenant: str,
    device: str,
    password_stdin: bool,
) -> None:
    """Follow LOG (or @USER): each entry once, in order, over reconnects, until Ctrl-C.

    Exit status: 0 --count reached, 1 refused, 2 wrong usage, 130 interrupted.
    """
    me = whom(url, user, tenant, device)

    async def work() -> None:
        async with client_of(me, password_stdin, keep=False) as client:
            await client.connected(WAIT_S)
            seen = 0
            name = conversation(me, log)
            async for entry in client.entries(name, after=start):
                click.echo(_json(name, entry) if as_json else line_of(entry, entry.body))
                sys.stdout.flush()
                seen += 1
                if seen == count:
                    return

    run(work())
