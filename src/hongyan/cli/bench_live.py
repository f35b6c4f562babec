"""`hongyan bench live` and `login`: very many connections against a real server process."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

import click
import msgspec
import uvloop

from hongyan.bench import live, live_account, live_engine, login
from hongyan.bench.crowd import BenchError, allow
from hongyan.bench.live_room import Plan
from hongyan.bench.server import ServerProcess, cores, on_core
from hongyan.cli.output import fail
from hongyan.cli.serve import COLLECTOR


class Span(click.ParamType[int]):
    """A time like 200ms, 1s or 1.5s; a bare number is seconds. Gives ms."""

    name = "time"

    def convert(self, value: object, param: object, ctx: object) -> int:
        """Whole ms."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|)", str(value))
        if not found:
            self.fail(f"{value!r} is not a time like 200ms or 1s")
        return round(float(found[1]) * (1 if found[2] == "ms" else 1000))


class Share(click.ParamType[float]):
    """A share like 5% or 0.05."""

    name = "share"

    def convert(self, value: object, param: object, ctx: object) -> float:
        """Of one."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", str(value))
        share = float(found[1]) / (100 if found[2] else 1) if found else -1.0
        if not 0 <= share <= 0.5:
            self.fail(f"{value!r} is not a share of 0% to 50%")
        return share


def write_out(document: object, as_json: bool, out: Path | None) -> None:
    """The JSON, to the file and, where asked for, to stdout."""
    text = msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text + "\n")
    if as_json:
        click.echo(text)


# size: the options and what is done with them
@click.command("live")
@click.option("--viewers", default=10_000, show_default=True, type=click.IntRange(4))
@click.option("--rate", default=200.0, show_default=True, help="Danmaku a second.")
@click.option("--gifts", default=5.0, show_default=True, help="Gifts a second.")
@click.option("--likes", default=2000.0, show_default=True, help="Calls a second that like.")
@click.option("--stalled", type=Share(), default="5%", show_default=True, help="Stop reading.")
@click.option("--merge", type=Span(), default="200ms", show_default=True, help="The room's tick.")
@click.option("--shown", default=10, show_default=True, help="Items a second before a viewer.")
@click.option("--seconds", default=20.0, show_default=True)
@click.option("--size", default=40, show_default=True, help="Characters of a danmaku.")
@click.option("--engine", is_flag=True, help="The engine alone, in this process, no sockets.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--out", type=click.Path(path_type=Path), help="Also write the JSON to this file.")
def live_command(
    viewers: int,
    rate: float,
    gifts: float,
    likes: float,
    stalled: float,
    merge: int,
    shown: int,
    seconds: float,
    size: int,
    engine: bool,
    as_json: bool,
    out: Path | None,
) -> None:
    """One room, very many viewers.

    Half of the time everybody reads, in the other half the stalled ones do not. With --engine
    there are no gifts, likes and stalls: it shows what the engine costs without the kernel. Exit
    status: 0 every promise was kept, 1 one was not (it is named) or the server failed.
    """
    if engine:
        _engine(viewers, rate, merge, shown, seconds, as_json, out)
        return
    plan = Plan(
        viewers=viewers,
        rate=rate,
        gifts=gifts,
        likes=likes,
        stalled=stalled,
        tick_ms=merge,
        shown=shown,
        seconds=seconds,
        size=size,
    )
    server_core, load_core = cores()
    try:
        allow(viewers)
        with (
            on_core(load_core),
            ServerProcess(core=server_core, settings=live.SETTINGS) as server,
        ):
            result = live.run(server, plan)
    except (BenchError, RuntimeError) as exc:
        fail(str(exc))
    document = {"cores": os.cpu_count(), "seconds": seconds, **msgspec.to_builtins(result)}
    if not as_json:
        click.echo(live_account.table(result, os.cpu_count()))
    write_out(document, as_json, out)
    sys.exit(1 if result.broken else 0)


def _engine(
    viewers: int,
    rate: float,
    merge: int,
    shown: int,
    seconds: float,
    as_json: bool,
    out: Path | None,
) -> None:
    """The room without sockets."""
    work = live_engine.run(
        viewers=viewers,
        rate=rate,
        tick_ms=merge,
        shown=shown,
        seconds=seconds,
        collector=COLLECTOR,
    )
    try:
        with on_core(cores()[0]):
            result = uvloop.run(work)
    except BenchError as exc:
        fail(str(exc))
    document = {"cores": os.cpu_count(), **msgspec.to_builtins(result)}
    for name, value in document.items() if not as_json else ():
        click.echo(f"{name:>20}  {value}")
    write_out(document, as_json, out)
    sys.exit(1 if result.unaccounted_viewers else 0)


@click.command("login")
@click.option("--users", default=20_000, show_default=True, type=click.IntRange(1))
@click.option("--at-once", type=click.IntRange(1), help="On the way at a time; all, if not given.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--out", type=click.Path(path_type=Path), help="Also write the JSON to this file.")
def login_command(users: int, at_once: int | None, as_json: bool, out: Path | None) -> None:
    """Everybody logs in at once; once more right after a kill -9.

    Exit status: 0 all got in with the rows they have, 1 not all did or the server failed.
    """
    server_core, load_core = cores()
    with tempfile.TemporaryDirectory(prefix="hongyan-bench-") as folder:
        data = Path(folder)
        click.echo("filling the store…", err=True)
        uvloop.run(login.fill(data, users))
        try:
            hold = login.prepare(users)
            with on_core(load_core), ServerProcess(data, core=server_core) as server:
                result = uvloop.run(
                    login.run(server, users=users, at_once=at_once or users, hold=hold)
                )
        except (BenchError, RuntimeError) as exc:
            fail(str(exc))
    document = {"cores": os.cpu_count(), **msgspec.to_builtins(result)}
    if not as_json:
        click.echo(login.table(result, os.cpu_count()))
    write_out(document, as_json, out)
    sys.exit(1 if any(storm.failed or storm.wrong for storm in result.storms) else 0)
