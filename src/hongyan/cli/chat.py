"""`hongyan chat`: the client in the terminal."""

from __future__ import annotations

import asyncio
import sys

import click

from hongyan.cli.access import Whom, attempt, log_in, whom, whom_options
from hongyan.cli.output import fail

CLASSES = ("phone", "desktop", "web", "pad")


class SavedToken:
    """The token of this machine's login. When the server refused it, the file is looked at
    again: a login in another window may have renewed it."""

    def __init__(self, me: Whom, token: str) -> None:
        """`token` as it was at the start."""
        self._me, self._token = me, token
        self._refused = False

    async def __call__(self) -> str:
        """The token. Raises Denied where the server refused it and there is no newer one."""
        from hongyan.model.errors import Denied

        if self._refused:
            saved = await asyncio.to_thread(self._me.saved)
            if saved is None or saved.token == self._token:
                raise Denied(f"the login has ended: hongyan login --user {self._me.user}")
            self._token, self._refused = saved.token, False
        return self._token

    def forget(self) -> None:
        """The server refused the last one."""
        self._refused = True


@click.command()
@click.option("--class", "cls", type=click.Choice(CLASSES), default="desktop", show_default=True)
@click.option("--lang", type=click.Choice(["zh", "en"]), help="Language.  [as LANG says]")
@whom_options
def chat(
    cls: str,
    lang: str | None,
    url: str,
    user: str,
    tenant: str,
    device: str,
    password_stdin: bool,
) -> None:
    """Chat in the terminal; F1 shows commands and keys.

    One login per class stays: a newer one of the same class ends this one. What is written
    without a connection is kept on this machine and sent later.

    Exit status: 0 left, 1 refused or the session ended, 2 wrong usage.
    """
    me = whom(url, user, tenant, device)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):  # Textual draws on stderr
        fail("chat needs a terminal; for scripts there are send, tail and history", 2)
    token = attempt(lambda: log_in(me, password_stdin))

    from hongyan.cli.tui.app import run
    from hongyan.cli.tui.words import language
    from hongyan.client import Client, DataBroken, DataInUse

    saved = SavedToken(me, token.token)
    data = me.folder() / "client.db"
    client = Client(me.url, saved, device=me.device, cls=cls, data=data, name="hongyan-chat")
    try:
        status, last = asyncio.run(run(client, me.user, lang or language()))
    except DataInUse:
        fail(f"{me.user} is open on device {me.device} already: give another --device")
    except DataBroken as why:
        fail(why.text)
    if last:
        click.echo(last, err=True)
    raise SystemExit(status)
