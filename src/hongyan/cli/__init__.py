"""The command `hongyan`. Each subcommand is loaded when it is used: `--help` stays quick."""

from __future__ import annotations

from importlib import import_module

import click

import hongyan

COMMANDS = {
    "serve": ("hongyan.cli.serve", "serve", "Run the server."),
    "chat": ("hongyan.cli.chat", "chat", "Chat in the terminal."),
    "send": ("hongyan.cli.talk", "send", "Say something, wait until it is stored."),
    "tail": ("hongyan.cli.talk", "tail", "Follow a conversation."),
    "history": ("hongyan.cli.talk", "history", "Print a page of a conversation."),
    "user": ("hongyan.cli.people", "user", "Make and manage accounts."),
    "key": ("hongyan.cli.people", "key", "Make and end API keys."),
    "webhook": ("hongyan.cli.webhooks", "webhook", "Post what is committed to a back end."),
    "token": ("hongyan.cli.people", "token", "Sign a token on the server's machine."),
    "login": ("hongyan.cli.people", "login", "Log in and keep the token."),
    "logout": ("hongyan.cli.people", "logout", "End this device's login."),
    "words": ("hongyan.cli.words", "words", "Look at lists of unwanted words."),
    "doctor": ("hongyan.cli.care", "doctor", "Check a data directory or a server."),
    "migrate": ("hongyan.cli.care", "migrate", "Bring a data directory to this version."),
    "completion": ("hongyan.cli.care", "completion", "Print a shell completion script."),
    "verify": ("hongyan.cli.verify", "verify", "Check clients' ledgers against a data directory."),
    "bench": ("hongyan.cli.bench", "bench", "Measure a server under load."),
}


class Lazy(click.Group):
    """A group that imports a command's module only to run it or to show its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and give the command; None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, name, _ = COMMANDS[cmd_name]
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `--help`, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


@click.group(cls=Lazy)
@click.version_option(hongyan.__version__, prog_name="hongyan")
def main() -> None:
    """Talk to hongyan, an instant-messaging service, or run it."""
