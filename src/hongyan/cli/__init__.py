"""The command `hongyan`."""

from __future__ import annotations

import click

import hongyan


@click.group()
@click.version_option(hongyan.__version__, prog_name="hongyan")
def main() -> None:
    """Talk to hongyan, an instant-messaging service, or run it."""
