"""`hongyan serve`: run the server."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import click
import uvloop

from hongyan.adapters.sqlite import StoreFault
from hongyan.app import Server
from hongyan.cli.demo import SETTINGS as DEMO_SETTINGS
from hongyan.cli.demo import check_demo, demo_directory, furnish
from hongyan.cli.output import fail
from hongyan.config import Config, ConfigError, load
from hongyan.telemetry import configure, time_collector
from hongyan.transport.front import CannotListen
from hongyan.transport.tls import BadCertificate

# hot: thresholds of the three generations. A connection brings 25 objects that are looked at once
# in the first and once in the second; small steps keep each pause short while thousands connect
# (docs/hot-path.md). The third looks at all there is, so it is for what should never be.
COLLECTOR = (10_000, 5, 1_000)
SWITCH_S = 0.001  # how long a thread may keep the interpreter while another wants it
FAULTS = (StoreFault, CannotListen, BadCertificate, ConfigError)


@click.command()
@click.option("--data", metavar="DIR", help="Data directory; made where absent.  [./data]")
@click.option("--host", help="Address to listen on.  [127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="TCP port; 0 = any free.  [8000]")
@click.option(
    "--config",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file with settings; see docs/configure.md.",
)
@click.option("--tls-cert", metavar="FILE", help="PEM certificate chain; read again on SIGHUP.")
@click.option("--tls-key", metavar="FILE", help="PEM private key.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any other setting, for example limits.window=64. Repeatable.",
)
@click.option(
    "--demo",
    is_flag=True,
    help="Look around: people, conversations and links that log in; nothing is kept.",
)
def serve(
    data: str | None,
    host: str | None,
    port: int | None,
    file: Path | None,
    tls_cert: str | None,
    tls_key: str | None,
    settings: tuple[str, ...],
    demo: bool,
) -> None:
    """Run the server until SIGINT or SIGTERM.

    Settings come from defaults, the file, HONGYAN_SECTION__KEY variables and options, the later
    ones winning. The first start prints a one-time code for the administrator; there is no
    default password.

    Exit status: 0 stopped as asked, 1 could not start, 2 wrong usage.
    """
    given: dict[str, object] = {
        "data.dir": data,
        "server.host": host,
        "server.port": port,
        "server.tls_cert": tls_cert,
        "server.tls_key": tls_key,
    }
    options = {key: value for key, value in given.items() if value is not None}
    for setting in settings:
        key, sign, value = setting.partition("=")
        if not sign:
            raise click.UsageError(f"--set {setting!r}: expected KEY=VALUE")
        options[key.strip()] = value
    with demo_directory() if demo and data is None else nullcontext() as folder:
        if demo:
            options = {**DEMO_SETTINGS, **({"data.dir": folder} if folder else {}), **options}
        _serve(file, options, demo)


def _serve(file: Path | None, options: Mapping[str, object], demo: bool) -> None:
    try:
        config = load(file, os.environ, options)
        if demo:
            check_demo(config)
    except ConfigError as exc:
        fail(str(exc))
    configure(config.telemetry)
    try:
        uvloop.run(_run(config, demo))
    except FAULTS as exc:
        fail(str(exc))
    except KeyboardInterrupt:
        sys.exit(0)


def _tune_interpreter() -> None:
    """Collect cycles rarely: what the hot paths make dies by reference count. Change threads
    often: the writer needs the interpreter for moments only, between two calls of SQLite, and
    all acks wait for it.

    # hot: bench chat. With the default threshold of 700 allocations the collector ran a hundred
    # times a second over every live object; docs/hot-path.md has the figures.
    """
    gc.collect()
    gc.freeze()  # what the start made lives for ever
    gc.set_threshold(*COLLECTOR)
    sys.setswitchinterval(SWITCH_S)


async def _run(config: Config, demo: bool) -> None:
    server = Server(config)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await server.start()
    try:
        links = await furnish(server) if demo else []
        _tune_interpreter()
        _greet(config, server, links)
        with time_collector(server.node.metrics.gc_pause_seconds):
            await stop.wait()
    finally:
        await server.stop()


def _greet(config: Config, server: Server, links: Sequence[tuple[str, str]]) -> None:
    """What a person needs first; the last line is the one that programs wait for."""
    scheme = "https" if config.server.tls_cert else "http"
    host = config.server.host
    host = f"[{host}]" if ":" in host else host
    url = f"{scheme}://{host}:{server.port}"
    if links:
        width = max(len(name) for name, _ in links)
        click.echo("A demonstration: open both links, side by side. Nothing is kept.\n")
        for name, link in links:
            click.echo(f"  {name:<{width}}  {link}")
        click.echo(f"  {'console':<{width}}  {url}/console\n")
    elif server.first_code is not None:
        click.echo(
            "No administrator yet. Become one within 30 minutes (the code works once):\n\n"
            f"  hongyan user claim --url {url} --code {server.first_code}\n\n"
            f"or in a browser at {url}, where it says: Have a first-start code?\n"
        )
    click.echo(f"hongyan serves {url} from {config.data.dir}")
    sys.stdout.flush()
