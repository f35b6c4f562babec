"""`hongyan bench quotes`."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import click
import msgspec
import uvloop

from hongyan.bench import quotes
from hongyan.bench.crowd import BenchError, allow
from hongyan.bench.server import ServerProcess, cores, on_core
from hongyan.cli.bench_live import Share, Span, write_out
from hongyan.cli.output import fail


@click.command("quotes")
@click.option("--symbols", default=1_000, show_default=True, type=click.IntRange(1, 2_000))
@click.option("--rate", default=20_000.0, show_default=True, help="Quotes put a second.")
@click.option("--viewers", default=500, show_default=True, type=click.IntRange(1))
@click.option("--fills", default=20.0, show_default=True, help="Fills a second.")
@click.option("--seconds", default=10.0, show_default=True)
@click.option("--tick", type=Span(), default="100ms", show_default=True, help="Of the board.")
@click.option("--stalled", type=Share(), default="0", help="Viewers who pause for a third of it.")
@click.option("--burst", default=0.0, help="Then so many times the rate, for as long again.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--out", type=click.Path(path_type=Path), help="Also write the JSON to this file.")
def quotes_command(
    symbols: int,
    rate: float,
    viewers: int,
    fills: float,
    seconds: float,
    tick: int,
    stalled: float,
    burst: float,
    as_json: bool,
    out: Path | None,
) -> None:
    """A board of quotes, with fills.

    Exit status: 0 every promise was kept, 1 one was not (a fill was lost or came twice, a viewer
    does not hold the newest quotes; it is named) or the server failed.
    """
    plan = quotes.Plan(
        symbols=symbols,
        rate=rate,
        viewers=viewers,
        fills=fills,
        seconds=seconds,
        tick_ms=tick,
        stalled=stalled,
        burst=burst,
    )
    server_core, load_core = cores()
    with tempfile.TemporaryDirectory(prefix="hongyan-bench-") as folder:
        data = Path(folder)
        uvloop.run(quotes.fill(data))
        try:
            allow(viewers + 1)
            with on_core(load_core), ServerProcess(data, core=server_core) as server:
                result = quotes.run(server, plan)
        except (BenchError, RuntimeError) as exc:
            fail(str(exc))
    document = {"cores": os.cpu_count(), **msgspec.to_builtins(result)}
    if not as_json:
        click.echo(f"{'cores':>22}  {os.cpu_count()}\n{quotes.table(result)}")
    write_out(document, as_json, out)
    sys.exit(1 if result.broken else 0)
