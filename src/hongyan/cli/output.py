"""How commands speak: answers to stdout, everything else to stderr, one line per failure."""

from __future__ import annotations

import sys
from typing import NoReturn

import click


def fail(text: str, status: int = 1) -> NoReturn:
    """Say why in one line on stderr and end with `status`."""
    click.echo(f"hongyan: {text}", err=True)
    sys.exit(status)
