"""`hongyan bench peers`: the same room on other servers, beside hongyan."""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path

import click

from hongyan.bench.crowd import BenchError, allow
from hongyan.bench.peers import LOADS, Load, Row, bouts, stamp
from hongyan.bench.peers_servers import servers
from hongyan.bench.server import cores, on_core
from hongyan.cli.bench_live import write_out

NAMES = ("hongyan", "centrifuge", "centrifuge-merged", "websockets", "socketio", "null")


# size: the options and what is done with them
@click.command("peers")
@click.option(
    "--programs",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("bench/peers"),
    show_default=True,
    help="The peers' programs, in a checkout.",
)
@click.option("--server", "names", multiple=True, type=click.Choice(NAMES), help="Only these.")
@click.option("--subscribers", type=int, multiple=True, help="Only with so many.")
@click.option("--rate", "rates", type=int, multiple=True, help="Only these deliveries a second.")
@click.option("--seconds", default=5.0, show_default=True, help="Of each row.")
@click.option("--size", default=128, show_default=True, help="Bytes of a message.")
@click.option("--tick", default=20, show_default=True, help="ms for which peers merge that can.")
@click.option("--json", "as_json", is_flag=True, help='One JSON object: {"rows": […]}.')
@click.option("--out", type=click.Path(path_type=Path), help="Write the JSON to this file.")
def peers_command(
    programs: Path,
    names: tuple[str, ...],
    subscribers: tuple[int, ...],
    rates: tuple[int, ...],
    seconds: float,
    size: int,
    tick: int,
    as_json: bool,
    out: Path | None,
) -> None:
    """One room, the same generator, several servers, each on one core.

    A peer that cannot be built here is left out and named. Exit status: 0 every row was measured,
    1 a server was left out.
    """
    known = servers(programs.resolve(), tick)
    loads = [
        Load(load.subscribers, rates or load.rates)
        for load in ([Load(n, rates or LOADS[0].rates) for n in subscribers] or LOADS)
    ]
    server_core, load_core = cores()
    began, rows, missing = time.time(), list[Row](), dict[str, str]()
    if not as_json:
        click.echo(HEAD)
    with on_core(load_core):
        allow(max(load.subscribers for load in loads))
        for load in loads:
            for name in names or NAMES:
                try:
                    found = bouts(known[name], load, seconds, size, server_core)
                except (BenchError, OSError, RuntimeError) as exc:
                    missing[name] = str(exc)
                    click.echo(f"{name}: {exc}", err=True)
                    continue
                rows += found
                for row in found if not as_json else ():
                    click.echo(line(row))
    document = {
        "rows": rows,
        "missing": missing,
        "cores": os.cpu_count(),
        "cpu": _cpu(),
        "kernel": platform.release(),
        "size": size,
        "seconds": seconds,
        "tick_ms": tick,
        "took_s": round(time.time() - began, 1),
    }
    results = programs.resolve().parent / "results"
    write_out(document, as_json, out or (results / f"peers-{stamp()}.json"))
    if not as_json:
        click.echo(_notes(rows))
    sys.exit(1 if missing else 0)


HEAD = (
    f"{'server':<18}{'subs':>6}{'rate/s':>8}{'us/delivery':>12}{'p50 ms':>8}{'p99 ms':>8}"
    f"{'KB/conn':>9}{'delivered/expected':>22}{'CPU':>6}{'load CPU':>9}{'late ms':>8}"
)


def line(row: Row) -> str:
    """A row for people."""
    return (
        f"{row.server:<18}{row.subscribers:>6}{row.rate:>8}{row.cpu_us_per_delivery:>12.2f}"
        f"{row.p50_ms:>8.1f}{row.p99_ms:>8.1f}{row.kb_per_connection:>9.1f}"
        f"{f'{row.delivered}/{row.expected}':>22}{row.server_cpu:>6.0%}{row.generator_cpu:>9.0%}"
        f"{row.late_p99_ms:>8.1f}"
    )


def _notes(rows: list[Row]) -> str:
    """Versions and settings, and hongyan's CPU against centrifuge's."""
    lines = [""]
    for name in dict.fromkeys(row.server for row in rows):
        row = next(row for row in rows if row.server == name)
        lines.append(f"{name}: {row.version}; {row.settings}")
    cost = {(r.server, r.subscribers, r.rate): r.cpu_us_per_delivery for r in rows}
    for (name, subscribers, rate), ours in cost.items():
        for peer in ("centrifuge", "centrifuge-merged"):
            theirs = cost.get((peer, subscribers, rate))
            if name == "hongyan" and theirs:
                lines.append(f"{subscribers} at {rate}/s: {ours / theirs:.2f} x {peer}")
    return "\n".join(lines)


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    return next((x.split(":")[1].strip() for x in text.splitlines() if "model name" in x), "")
