"""The screen put together, and what is drawn on it when something happened."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from rich.text import Text
from textual import events as ui
from textual.app import App, ComposeResult
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widgets import Static

from hongyan.cli.tui import bars
from hongyan.cli.tui.blocks import Painter
from hongyan.cli.tui.composer import Composer
from hongyan.cli.tui.desk import Desk
from hongyan.cli.tui.pane import Pane
from hongyan.cli.tui.panels import Panel
from hongyan.cli.tui.roll import peer_of
from hongyan.cli.tui.sidebar import Sidebar
from hongyan.cli.tui.words import Words
from hongyan.client import Client, Closed, Message, events
from hongyan.model.errors import Denied, Kicked, Refusal
from hongyan.model.ids import LogId

NARROW = 64  # cells; below it list and messages take turns
DRAW_S = 0.03  # changes within this are drawn together
ASK_S = 0.3  # questions about what is shown are asked this long after the change
TELL_S = 6.0


class Frame(App[int]):
    """The parts of the screen, kept up to date. What is pressed is done by ChatApp."""

    CSS_PATH = "chat.tcss"
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, client: Client, me: str, words: Words) -> None:
        """`me` is the user that the client logs in as."""
        super().__init__()
        self.words = words
        self.desk = Desk(client, me, words, self.redraw)
        self.log_open: LogId | None = None
        self.doing: tuple[str, Message] | None = None  # ("reply" | "edit", message)
        self.ended = ""  # why the session is over
        self.fresh = 0  # messages below the screen
        self.told: tuple[str, bool] = ("", False)
        self.painter = Painter(words, me, self.desk.people.name, self._mark)
        self._names = 0  # version of the names that were painted
        self._due: Timer | None = None
        self._ask: Timer | None = None
        self._tick: Timer | None = None
        self._untell: Timer | None = None
        self._present = True  # the terminal has the focus
        self._typing_stop: Timer | None = None

    # --- parts ----------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """The parts of the screen."""
        with Horizontal(id="body"):
            with Vertical(id="side"):
                yield Static(id="me")
                yield Sidebar(self.words, id="list")
            with Vertical(id="main"):
                yield Static(id="title")
                yield Pane(id="pane")
                yield Static(id="hint")
                yield Composer(self._people, id="composer")
        yield Static(id="status")

    @property
    def pane(self) -> Pane:
        """The messages."""
        return self.screen_stack[0].query_one(Pane)

    @property
    def composer(self) -> Composer:
        """Where one writes."""
        return self.screen_stack[0].query_one(Composer)

    @property
    def sidebar(self) -> Sidebar:
        """The list."""
        return self.screen_stack[0].query_one(Sidebar)

    def on_mount(self) -> None:
        """Begin to listen."""
        self.title = f"hongyan · {self.desk.me}"
        stream = self.desk.client.events()
        self.run_worker(self._listen(stream), exit_on_error=True)
        if self.desk.client.online:
            self.desk.ever_online = True
            self._ask_soon()
        self.on_resize()
        self.composer.focus()
        self.redraw()

    async def _listen(self, stream: events.EventStream) -> None:
        async for event in stream:
            if isinstance(event, events.Stopped):
                self._over(event.error)
            was = self.desk.ever_online
            for log, message in self.desk.take(event):
                self._arrived(log, message)
            match event:
                case events.Connected():
                    self._online_again(repeat=was and event.repeat)
                case events.Disconnected():
                    self._offline()
                case events.RowChanged() | events.Receipted() | events.Synced() | events.Entries():
                    self._ask_soon()
                case events.Signalled():
                    self._tick_on()

    def _people(self) -> list[str]:
        return self.desk.everyone(self.log_open)

    def on_resize(self, event: ui.Resize | None = None) -> None:
        """List and messages beside each other, or in turns."""
        width = event.size.width if event is not None else self.size.width
        base = self.screen_stack[0]
        base.set_class(width < NARROW, "narrow")
        if self.log_open is None:
            base.set_class(width < NARROW, "listing")
        self.redraw()

    # --- what happened --------------------------------------------------------------------------

    def _arrived(self, log: LogId, message: Message) -> None:
        if log == self.log_open and not self.pane.at_end:
            self.fresh += 1
        row = self.desk.row(log)
        if row is not None and row.mentions and not self._present:
            self.bell()

    def _online_again(self, *, repeat: bool) -> None:
        if repeat:
            self.tell(self.words("st_back"))
        self._ask_soon(presence=True)

    def _offline(self) -> None:
        if self.desk.ever_online and not self.told[0]:
            self.tell(self.words("st_lost"), bad=True)
        self._tick_on()

    def cover(self, page: ModalScreen[Any], then: Callable[[Any], None] | None = None) -> None:
        """Lay a page over the screen; `then` gets what it gives. What it covered is not seen
        before it closes."""

        def closed(result: Any) -> None:
            if then is not None:
                then(result)
            self.pane.look()

        self.push_screen(page, closed)

    def _over(self, error: Exception) -> None:
        """No connection will be made any more: say why, end when that was read."""
        if isinstance(error, Closed) or self.ended:
            return
        why = error.text if isinstance(error, Refusal) else str(error)
        if isinstance(error, Kicked):
            self.ended = self.words("bye_kicked")
        elif type(error) is Denied:  # as `hongyan chat` says that there is no token
            self.ended = self.words("bye_login", user=self.desk.me)
        else:
            self.ended = self.words("bye_other", why=why)
        panel = Panel("hongyan", Text(self.ended, "#ff8f6b"), self.words("press"))
        self.cover(panel, lambda _: self.exit(1))

    def _tick_on(self) -> None:
        """Draw each second, while there is something that counts down."""
        if self._tick is None:
            self._tick = self.set_interval(1.0, self._ticked)

    def _ticked(self) -> None:
        typing = self.desk.people.next_stop(time.monotonic())
        if typing is None and self.desk.client.online and self._tick is not None:
            self._tick.stop()
            self._tick = None
        self.redraw()

    # --- asking ---------------------------------------------------------------------------------

    def _ask_soon(self, *, presence: bool = False) -> None:
        if presence:
            self.background(self.desk.ask_presence())
        if self._ask is None:
            self._ask = self.set_timer(ASK_S, self._asked)

    def _asked(self) -> None:
        self._ask = None
        if not self.desk.client.online:
            return
        users = {peer_of(log, self.desk.me) for log in self.desk.client.rows}
        rows = self.desk.client.rows.values()
        users |= {row.last.sender for row in rows if row.last is not None}
        fresh = users - set(self.desk.people.known())
        if self.log_open is not None:
            thread = self.desk.threads.get(self.log_open)
            users |= {m.entry.sender for m in thread or ()}
            self.background(self.desk.ask_receipts(self.log_open))
        self.background(self.desk.ask_names(sorted(users)))
        if fresh:
            self.background(self.desk.ask_presence())

    async def attempt(self, work: Awaitable[Any]) -> None:
        """A refusal is told; what was closed meanwhile is of no interest."""
        try:
            await work
        except Refusal as why:
            self.tell(self.words("e_refused", why=why.text), bad=True)
        except Closed:
            return  # the program ends

    def background(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do it beside the screen; refusals are told."""
        self.run_worker(self.attempt(work), exit_on_error=True)

    # --- drawing --------------------------------------------------------------------------------

    def redraw(self) -> None:
        """Something shown may differ: draw soon, once for many changes."""
        if self._due is None and self.is_running:
            self._due = self.set_timer(DRAW_S, self._draw)

    def _draw(self) -> None:
        self._due = None
        if not self.is_running or not self.screen_stack:
            return
        self.sidebar.show(self.desk.items(), self.log_open)
        base = self.screen_stack[0]
        base.query_one("#me", Static).update(bars.me(self))
        base.query_one("#title", Static).update(bars.title(self))
        base.query_one("#hint", Static).update(bars.hint(self))
        base.query_one("#status", Static).update(bars.status(self))
        self.composer.placeholder = bars.placeholder(self)
        self._draw_thread()

    def _draw_thread(self, *, fresh: bool = False) -> None:
        log = self.log_open
        thread = self.desk.threads.get(log) if log is not None else None
        if log is None or thread is None or not self.pane.size.width:
            return
        if self._names != self.desk.people.version:
            self._names = self.desk.people.version
            self.painter.forget()
        top = self.words("loading" if thread.more else "beginning")
        if not thread.more and not len(thread) and not thread.drafts:
            top = self.words("empty")
        blocks = self.painter.paint(thread, self.pane.inner, top)
        if fresh:
            self.pane.fresh(blocks, start="divider" if thread.divider else None)
        else:
            if self.pane.at_end:
                thread.trim()
            self.pane.show(blocks)

    def _mark(self, entry: Any) -> Any:
        assert self.log_open is not None  # only what is on the screen is painted
        return self.desk.mark(self.log_open, entry)

    def tell(self, text: str, *, bad: bool = False) -> None:
        """A word in the status line, for a while."""
        self.told = (text, bad)
        if self._untell is not None:
            self._untell.stop()
        self._untell = self.set_timer(TELL_S, self._forget_told)
        self.redraw()

    def _forget_told(self) -> None:
        self.told = ("", False)
        self.redraw()
