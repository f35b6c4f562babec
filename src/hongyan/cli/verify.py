"""`hongyan verify`: hold what clients saw against what the server kept."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from hongyan.adapters.sqlite import StoreFault
from hongyan.adapters.sqlite.truth import SqliteTruth
from hongyan.cli.output import fail
from hongyan.client.checker import Checker
from hongyan.client.ledger import read_ledger


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("ledgers", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--complete", is_flag=True, help="Clients had time to catch up: each must hold all it may see."
)
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON object per fault, then the summary."
)
def verify(data: Path, ledgers: tuple[Path, ...], complete: bool, as_json: bool) -> None:
    """Check the logs under DATA, and the clients' LEDGERS against them. Changes nothing.

    Finds entries that were lost, came twice, came in another order or differ between clients;
    acknowledged calls that are not stored; refused ones that are; unread counts that are not the
    recount; holes in a log. Works beside a running server.

    Exit status: 0 no fault, 1 faults found, 2 DATA or a ledger cannot be read.
    """
    checker = Checker(complete=complete)
    try:
        for path in ledgers:
            checker.ledger(path.name, read_ledger(path))
        truth = SqliteTruth(data)
    except (StoreFault, OSError, msgspec.DecodeError) as exc:
        fail(str(exc), 2)
    try:
        with click.progressbar(
            truth.logs(), length=truth.count(), label="checking logs", file=sys.stderr
        ) as logs:
            for fault in checker.check(logs):
                if as_json:
                    click.echo(msgspec.json.encode(fault).decode())
                else:
                    click.echo(
                        f"{fault.kind}: {fault.log} at {fault.seq} ({fault.where}): {fault.text}"
                    )
    finally:
        truth.close()
    summary = checker.summary
    if as_json:
        click.echo(msgspec.json.encode(summary).decode())
    else:
        counts = msgspec.to_builtins(summary)
        click.echo(", ".join(f"{count} {name}" for name, count in counts.items()), err=True)
    sys.exit(1 if summary.faults else 0)
