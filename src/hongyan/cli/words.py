"""`hongyan words`: look at lists of unwanted words."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hongyan.adapters.wordlist import BadList, WordList
from hongyan.cli.output import fail
from hongyan.config import ConfigError, load


@click.group()
def words() -> None:
    """Look at lists of unwanted words."""


@words.command()
@click.argument("text")
@click.option(
    "--list",
    "lists",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A list; again for more. Without, those of the configuration.",
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The server's TOML file.",
)
@click.option("--tenant", default="main", show_default=True, help="Whose lists.")
def check(text: str, lists: tuple[Path, ...], config_file: Path | None, tenant: str) -> None:
    """Print the unwanted words in TEXT, one a line, as the server would find them.

    Exit status: 0 none found, 1 some found, 2 a list cannot be used.
    """
    lines: list[str] = []
    try:
        for path in lists or _configured(config_file, tenant):
            lines += path.read_text(encoding="utf-8-sig").splitlines()
        found = WordList(lines).find(text)
    except (BadList, ConfigError, OSError, UnicodeDecodeError) as why:
        fail(str(why), 2)
    for word in found:
        click.echo(word)
    click.echo(f"{len(found)} word(s)", err=True)
    sys.exit(1 if found else 0)


def _configured(config_file: Path | None, tenant: str) -> list[Path]:
    files = load(config_file).words.files
    return [Path(given.file) for given in files if given.tenant in ("*", tenant)]
