"""`hongyan doctor`, `migrate`, `completion`: looking after an installation."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import time
from pathlib import Path

import click
import msgspec
from click.shell_completion import get_completion_class

from hongyan.cli.access import DEFAULT_URL, request
from hongyan.cli.output import fail

LEAST_FREE = 1 << 30  # bytes of disk


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at. `level`: ok, warning or fault."""

    level: str
    what: str
    text: str


@click.command()
@click.argument(
    "data", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option("--url", help="Look at a running server instead.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per finding.")
def doctor(data: Path | None, url: str | None, as_json: bool) -> None:
    """Check the data directory DATA thoroughly, or the server at --url. Changes nothing.

    Looks at the database page by page, dense seqs, ordinals, unread counts against a recount,
    files against their bytes, permissions, free disk, limits of files and memory. Works beside a
    running server.

    Exit status: 0 sound, 1 faults found, 2 DATA cannot be read.
    """
    if data is None:
        findings = _server(url or DEFAULT_URL)
    elif url is not None:
        raise click.UsageError("DATA or --url, not both")
    else:
        findings = [*_machine(data), *_directory(data)]
    for finding in findings:
        if as_json:
            click.echo(msgspec.json.encode(finding).decode())
        else:
            click.echo(f"{finding.level:8} {finding.what:12} {finding.text}")
    faults = sum(finding.level == "fault" for finding in findings)
    click.echo(f"{faults} fault(s)", err=True)
    sys.exit(1 if faults else 0)


def _server(url: str) -> list[Finding]:
    try:
        before = time.time()
        request(url, "GET", "/healthz")
        took = (time.time() - before) * 1000
        found = [Finding("ok", "live", f"{url} answered in {took:.0f} ms")]
        ready = request(url, "GET", "/readyz")
    except ConnectionError as exc:
        return [Finding("fault", "live", str(exc))]
    level = "ok" if ready.get("ready") else "fault"
    return [*found, Finding(level, "ready", str(ready))]


def _machine(data: Path) -> list[Finding]:
    import resource

    found = []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    level = "ok" if hard >= 10_000 else "warning"
    found.append(Finding(level, "open files", f"{soft}, can be raised to {hard}: one a connection"))
    free = shutil.disk_usage(data).free
    level = "ok" if free >= LEAST_FREE else "warning"
    found.append(Finding(level, "disk", f"{free >> 20} MiB free"))
    for path in (data, data / "secret", data / "hongyan.db"):
        if path.exists():
            mode = stat.S_IMODE(path.stat().st_mode)
            wrong = mode & 0o077 if path.name == "secret" else mode & 0o002
            level = "fault" if wrong else "ok"
            found.append(Finding(level, "permissions", f"{path} {mode:04o}"))
    return found


def _directory(data: Path) -> list[Finding]:
    from hongyan.adapters.localdisk_check import check_files
    from hongyan.adapters.sqlite import StoreFault
    from hongyan.adapters.sqlite.check import check
    from hongyan.adapters.sqlite.truth import SqliteTruth
    from hongyan.client.checker import Checker

    try:
        truth = SqliteTruth(data)
    except StoreFault as exc:
        fail(str(exc), 2)
    try:
        found = [Finding("ok", "version", f"schema {truth.version()}")]
        bad = [Finding("fault", b.what, f"{b.log}: {b.detail}".lstrip(": ")) for b in check(data)]
        found += bad or [Finding("ok", "database", "every page is sound, the tables agree")]
        found += [Finding(fault.level, "files", fault.text) for fault in check_files(data)]
        checker = Checker()
        with click.progressbar(
            truth.logs(), length=truth.count(), label="checking logs", file=sys.stderr
        ) as logs:
            found += [
                Finding("fault", fault.kind, f"{fault.log} at {fault.seq}: {fault.text}")
                for fault in checker.check(logs)
            ]
        done = checker.summary
        found.append(
            Finding("ok", "logs", f"{done.logs} logs with {done.entries} entries looked at")
        )
    finally:
        truth.close()
    return found


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
def migrate(data: Path, dry_run: bool) -> None:
    """Bring DATA to this version's schema. The server does it by itself at start.

    A copy of the database is written beside it first (hongyan.db.before-N). Forward only: an
    older program refuses the result.

    Exit status: 0 up to date, 1 could not, 2 wrong usage.
    """
    from hongyan.adapters.sqlite import StoreFault
    from hongyan.adapters.sqlite import files as f

    try:
        db = f.open_for_reading(data)
        todo, version = f.pending(db), f.version_of(db)
        if not todo:
            click.echo(f"{data} is up to date (schema {version})")
            return
        click.echo(f"schema {version} → {todo[-1]}: {len(todo)} step(s)")
        if dry_run:
            return
        held = f.take_lock(data)
        copy = data / f"{f.DATABASE}.before-{todo[-1]}"
        db.execute("VACUUM INTO ?", (str(copy),))
        db.close()
        f.open_for_writing(data).close()
        os.close(held)
    except (StoreFault, FileNotFoundError) as exc:
        fail(str(exc))
    click.echo(f"done; the former database is {copy}")


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of SHELL.

    bash: eval "$(hongyan completion bash)"; zsh and fish alike.
    """
    from hongyan.cli import main

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(main, {}, "hongyan", "_HONGYAN_COMPLETE").source())
