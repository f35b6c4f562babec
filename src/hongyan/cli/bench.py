"""`hongyan bench`: measure a real server process under open-loop load."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import click
import msgspec
import uvloop

from hongyan.bench import chat as chat_bench
from hongyan.bench import fanout as fanout_bench
from hongyan.bench import supergroup as super_bench
from hongyan.bench import sync as sync_bench
from hongyan.bench.crowd import BenchError
from hongyan.bench.server import ServerProcess, cores, on_core
from hongyan.cli.bench_live import live_command, login_command, write_out
from hongyan.cli.bench_peers import peers_command
from hongyan.cli.bench_quotes import quotes_command
from hongyan.cli.output import fail


@click.group()
def bench() -> None:
    """Measure a server: it runs on one core, the load comes from another.

    Rates are open loop: times count from the moment a message was due. Every rate stands beside
    delivered/expected. Exit status: 0 nothing lost, 1 something lost or the server failed.
    """


bench.add_command(live_command)
bench.add_command(quotes_command)
bench.add_command(login_command)
bench.add_command(peers_command)


def _measure(
    make: Callable[[ServerProcess], Coroutine[Any, Any, Any]],
    as_json: bool,
    out: Path | None,
    data: Path | None = None,
    settings: tuple[str, ...] = (),
) -> Any:
    server_core, load_core = cores()
    with on_core(load_core), ServerProcess(data, core=server_core, settings=settings) as server:
        result: Any = uvloop.run(make(server))
    _print(result, as_json, out, server_core=server_core)
    return result


def _print(result: Any, as_json: bool, out: Path | None, **more: Any) -> None:
    document = {"cores": os.cpu_count(), **more, **msgspec.to_builtins(result)}
    text = msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text + "\n")
    if as_json:
        click.echo(text)
    else:
        for name, value in document.items():
            click.echo(f"{name:>22}  {value}")


def _shared(command: Callable[..., None]) -> Callable[..., None]:
    command = click.option("--json", "as_json", is_flag=True, help="One JSON object.")(command)
    return click.option(
        "--out", type=click.Path(path_type=Path), help="Also write the JSON to this file."
    )(command)


@bench.command("chat")
@click.option("--pairs", default=500, show_default=True, help="Conversations of two.")
@click.option("--rate", default=10_000.0, show_default=True, help="Sends a second.")
@click.option("--seconds", default=10.0, show_default=True)
@click.option("--size", default=128, show_default=True, help="Characters of a message.")
@_shared
def chat(
    pairs: int, rate: float, seconds: float, size: int, as_json: bool, out: Path | None
) -> None:
    """Durable one-to-one sends, fsync before ack."""
    result = _measure(
        lambda server: chat_bench.run(server, pairs=pairs, rate=rate, seconds=seconds, size=size),
        as_json,
        out,
    )
    sys.exit(0 if result.delivered == result.expected and not result.duplicates else 1)


@bench.command("fanout")
@click.option("--members", default=500, show_default=True, help="Members of the group.")
@click.option("--online", default=500, show_default=True, help="Of them, connected.")
@click.option("--rate", default=100.0, show_default=True, help="Messages a second.")
@click.option("--seconds", default=10.0, show_default=True)
@click.option("--size", default=128, show_default=True, help="Characters of a message.")
@_shared
def fanout(
    members: int,
    online: int,
    rate: float,
    seconds: float,
    size: int,
    as_json: bool,
    out: Path | None,
) -> None:
    """One group with many listeners."""
    if online > members:
        raise click.UsageError("--online is at most --members")
    with tempfile.TemporaryDirectory(prefix="hongyan-bench-") as folder:
        data = Path(folder)
        click.echo("filling the store…", err=True)
        uvloop.run(fanout_bench.fill(data, members))
        result = _measure(
            lambda server: fanout_bench.run(
                server, members=members, online=online, rate=rate, seconds=seconds, size=size
            ),
            as_json,
            out,
            data,
        )
    sys.exit(0 if result.delivered == result.expected and not result.duplicates else 1)


@bench.command()
@click.option("--members", default=100_000, show_default=True, help="Of the large group.")
@click.option("--online", default=1000, show_default=True, help="Of them, who listen.")
@click.option("--rate", default=20.0, show_default=True, help="Sends a second.")
@click.option("--seconds", default=15.0, show_default=True, help="Of sending, in each group.")
@click.option("--joins", default=10_000, show_default=True)
@_shared
def supergroup(
    members: int,
    online: int,
    rate: float,
    seconds: float,
    joins: int,
    as_json: bool,
    out: Path | None,
) -> None:
    """A send to very many against one to as many as are online; then many join.

    Exit status: 0 nothing lost and the ratio is at most 1.3.
    """
    if not 2 <= online <= members:
        raise click.UsageError("--online is 2 to --members")
    click.echo("filling two groups…", err=True)
    try:
        with tempfile.TemporaryDirectory(prefix="hongyan-bench-") as folder:
            result = super_bench.run(
                Path(folder),
                members=members,
                online=online,
                rate=rate,
                seconds=seconds,
                joins=joins,
            )
    except (BenchError, RuntimeError) as exc:
        fail(str(exc))
    if not as_json:
        click.echo(super_bench.table(result))
    write_out({"cores": os.cpu_count(), **msgspec.to_builtins(result)}, as_json, out)
    told = result.joins.delivered == result.joins.expected and not result.joins.failed
    sys.exit(0 if told and not result.lost and result.ratio <= 1.3 else 1)


@bench.command("sync")
@click.option("--conversations", default=10_000, show_default=True, help="Of one user.")
@click.option("--entries", default=1_000_000, show_default=True, help="Of one of them.")
@click.option("--reconnects", default=200, show_default=True)
@click.option("--pages", default=1000, show_default=True, help="Pages of 50 read.")
@_shared
def sync(
    conversations: int,
    entries: int,
    reconnects: int,
    pages: int,
    as_json: bool,
    out: Path | None,
) -> None:
    """Reconnect with unchanged conversations; pages of a long history."""
    with tempfile.TemporaryDirectory(prefix="hongyan-bench-") as folder:
        data = Path(folder)
        click.echo("filling the store…", err=True)
        uvloop.run(sync_bench.fill(data, conversations=conversations, entries=entries))
        _measure(
            lambda server: sync_bench.run(
                server,
                conversations=conversations,
                entries=entries,
                reconnects=reconnects,
                pages=pages,
            ),
            as_json,
            out,
            data,
            ("devices.web=0",),
        )
