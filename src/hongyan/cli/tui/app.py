"""What is pressed, chosen and written is done."""

from __future__ import annotations

import asyncio
import time
from typing import ClassVar

from textual import events as ui
from textual.binding import Binding, BindingType
from textual.widgets import TextArea

from hongyan.cli.tui.actions import Actions
from hongyan.cli.tui.composer import MOST_LINES, Composer
from hongyan.cli.tui.frame import Frame
from hongyan.cli.tui.pane import Pane
from hongyan.cli.tui.sidebar import Sidebar
from hongyan.cli.tui.slash import Typed, parse
from hongyan.cli.tui.words import Words
from hongyan.client import Client, Closed, Message
from hongyan.model.ids import LogId, Seq, kind_of

MOST_TEXT = 8_000
OFFLINE_S = 1.0  # without a connection only what is cached can be shown


class ChatApp(Frame):
    """See the package. The client is started and closed by who makes the app."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "leave", show=False, priority=True),
        Binding("ctrl+c", "leave", show=False),
        Binding("ctrl+n", "near(1)", show=False, priority=True),
        Binding("ctrl+p", "near(-1)", show=False, priority=True),
        Binding("f2", "unread", show=False, priority=True),
        Binding("ctrl+l", "list", show=False, priority=True),
        Binding("ctrl+r", "retry", show=False, priority=True),
        Binding("f1", "help", show=False),
        Binding("escape", "cancel", show=False),
        Binding("ctrl+end", "newest", show=False, priority=True),
    ]

    def __init__(self, client: Client, me: str, words: Words) -> None:
        """`me` is the user that the client logs in as."""
        super().__init__(client, me, words)
        self.actions = Actions(self)
        self._wanted: LogId | None = None  # the conversation that was chosen last

    # --- conversations --------------------------------------------------------------------------

    async def enter(self, log: LogId, *, lift: bool = False) -> None:
        """Show a conversation. `lift`: to the top of the list, it was asked for by name."""
        if lift:
            self.desk.touched[log] = time.time_ns() // 1_000_000
        self._wanted = log
        row = self.desk.row(log)
        try:
            async with asyncio.timeout(None if self.desk.client.online else OFFLINE_S):
                thread = await self.desk.open(log)
        except TimeoutError:
            self.tell(self.words("e_offline"), bad=True)
            return
        if row is not None and log != self.log_open:
            await self.desk.reach_unread(row)
            thread.mark_unread(row.read)
        if self._wanted != log:
            return  # another one was chosen meanwhile
        if log != self.log_open:
            self._put_away()
        self.log_open, self.fresh, self.doing = log, 0, None
        self.screen_stack[0].remove_class("listing")
        self.painter.forget()
        self.painter.group = kind_of(log) == "g"
        self.composer.load(self.desk.drafts.pop(log, ""))
        self.composer.focus()
        self._draw_thread(fresh=True)
        self.redraw()
        if kind_of(log) == "g" and log not in self.desk.members:
            self.background(self.desk.ask_members(log))
        self._ask_soon()

    def _put_away(self) -> None:
        """Leave the conversation on the screen; keep the text that was begun."""
        log = self.log_open
        if log is None:
            return
        text = self.composer.text
        if text.strip() and not text.startswith("/") and self.doing is None:
            self.desk.drafts[log] = text
        self.desk.announce(log, on=False)

    async def _jump(self, log: LogId, seq: Seq) -> None:
        await self.enter(log)
        if not await self.desk.reach(log, seq):
            self.tell(self.words("too_far"), bad=True)
            return
        self._draw_thread()
        self.pane.go_to(seq)
        self.pane.choose(seq)
        self.pane.focus()

    def jump(self, where: tuple[LogId, Seq] | None) -> None:
        """Go to a message that was found."""
        if where is not None:
            self.background(self._jump(*where))

    # --- writing --------------------------------------------------------------------------------

    def say(self, text: str, reply_to: Seq = Seq(0)) -> None:
        """Send it in the conversation on the screen."""
        log = self.log_open
        if log is None:
            self.tell(self.words("e_no_log"), bad=True)
            return
        if len(text) > MOST_TEXT:
            self.tell(self.words("e_long", n=len(text)), bad=True)
            self.composer.load(text)
            return
        self.desk.announce(log, on=False)
        self.desk.threads[log].divider = Seq(0)
        self.pane.go_end()
        self.run_worker(self._say(log, text, reply_to), exit_on_error=True)

    async def _say(self, log: LogId, text: str, reply_to: Seq) -> None:
        try:
            failed = await self.desk.send(log, text, reply_to)
        except Closed:
            return  # it is in the outbox; the next start sends it
        if failed is not None:
            self.tell(self.words("failed", why=failed.why), bad=True)

    def begin(self, what: str, message: Message) -> None:
        """Reply to a message or edit it: the next text that is sent."""
        self.doing = (what, message)
        if what == "edit":
            from hongyan.cli.tui.content import said

            self.composer.load(said(message, self.words))
        self.composer.focus()
        self.redraw()

    def on_composer_submitted(self, event: Composer.Submitted) -> None:
        """Enter was pressed."""
        text = event.text.strip()
        if not text:
            return
        doing, self.doing = self.doing, None
        self.composer.load("")
        typed = parse(text)
        if doing is not None and doing[0] == "edit":
            self.background(self.actions.change(doing[1].entry.seq, text))
        elif isinstance(typed, Typed):
            self.run_worker(self.actions.run(typed), exit_on_error=True)
        else:
            self.say(typed, doing[1].entry.seq if doing is not None else Seq(0))
        self.pane.choose(Seq(0))
        self.redraw()

    def on_composer_above(self, event: Composer.Above) -> None:
        """Up from an empty line: choose a message."""
        if self.log_open is not None:
            self.pane.focus()
            self.pane.step(-1)

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        """Grow with the text; tell the others that one types."""
        lines = self.composer.wrapped_document.height
        self.composer.styles.height = min(MOST_LINES, max(1, lines))
        text = self.composer.text
        if self.log_open is not None and self.doing is None:
            self.desk.announce(self.log_open, on=bool(text) and not text.startswith("/"))
        self.redraw()

    # --- what the parts say ---------------------------------------------------------------------

    async def on_sidebar_wanted(self, event: Sidebar.Wanted) -> None:
        """A conversation was chosen."""
        self.background(self.enter(event.log))

    def on_pane_older(self, event: Pane.Older) -> None:
        """The top is near."""
        log = self.log_open
        thread = self.desk.threads.get(log) if log else None
        if log is not None and thread is not None and thread.more:
            self.background(self.desk.older(log))

    def on_pane_seen(self, event: Pane.Seen) -> None:
        """The read cursor moves with what is really shown."""
        if event.end:
            self.fresh = 0
        log = self.log_open
        thread = self.desk.threads.get(log) if log else None
        if log is None or thread is None or not self._shown():
            return
        seq = thread.last if event.end else event.seq
        row = self.desk.row(log)
        if seq and row is not None and (seq > row.read or (event.end and row.marked)):
            self.background(self.desk.client.mark_read(log, seq))

    def _shown(self) -> bool:
        listing = self.screen_stack[0].has_class("listing")
        return self._present and len(self.screen_stack) == 1 and not listing

    def on_pane_resized(self, event: Pane.Resized) -> None:
        """Lines have another width."""
        self._draw_thread()

    def on_pane_chosen(self, event: Pane.Chosen) -> None:
        """Show what can be done with it."""
        self.redraw()

    def on_app_focus(self) -> None:
        """Somebody looks at it."""
        self._present = True
        self.desk.client.away(False)
        self._draw_thread()

    def on_app_blur(self) -> None:
        """Nobody does."""
        self._present = False
        self.desk.client.away(True)

    # --- keys -----------------------------------------------------------------------------------

    def action_leave(self) -> None:
        """End the program."""
        self._put_away()
        self.exit(1 if self.ended else 0)

    def action_near(self, by: int) -> None:
        """The conversation below or above in the list."""
        logs = [item.log for item in self.desk.items()]
        if logs and len(self.screen_stack) == 1:
            at = logs.index(self.log_open) + by if self.log_open in logs else 0
            self.background(self.enter(logs[at % len(logs)]))

    def action_unread(self) -> None:
        """The next conversation with something unread."""
        logs = [i.log for i in self.desk.items() if (i.unread or i.marked)]
        logs = [log for log in logs if log != self.log_open]
        if logs and len(self.screen_stack) == 1:
            self.background(self.enter(logs[0]))

    def action_list(self) -> None:
        """To the list."""
        base = self.screen_stack[0]
        if base.has_class("narrow"):
            base.add_class("listing")
        self.sidebar.focus()

    def action_retry(self) -> None:
        """Try to connect now."""
        self.desk.client.wake()

    def action_help(self) -> None:
        """The help page."""
        self.run_worker(self.actions.run(Typed("help", "")), exit_on_error=True)

    def action_cancel(self) -> None:
        """Cancel what is half done, one thing at a time; at last, back to writing."""
        if self.doing is not None:
            if self.doing[0] == "edit":
                self.composer.load("")
            self.doing = None
        elif self.pane.chosen:
            self.pane.choose(Seq(0))
        elif self.log_open is not None:
            self.screen_stack[0].remove_class("listing")
        self.composer.focus()
        self.redraw()

    def on_composer_paged(self, event: Composer.Paged) -> None:
        """A page up or down in the messages while one writes."""
        self.pane.page(event.by)

    def action_newest(self) -> None:
        """To the end."""
        self.pane.go_end()

    async def on_key(self, event: ui.Key) -> None:
        """Keys on a chosen message."""
        if self.focused is not self.pane:
            return
        keys = {"r": "reply", "e": "edit", "x": "recall", "delete": "recall", "p": "pin"}
        if event.key in ("up", "k"):
            self.pane.step(-1)
        elif event.key in ("down", "j"):
            self.pane.step(1)
            if not self.pane.chosen:
                self.composer.focus()
        elif event.key in keys:
            self.run_worker(self.actions.run(Typed(keys[event.key], "")), exit_on_error=True)
        elif event.key == "c":
            self.actions.copy()
        elif event.character == "+":
            self.composer.load("/react ")
            self.composer.focus()
        elif event.key == "enter":
            self.run_worker(self.actions.run(Typed("reply", "")), exit_on_error=True)
        else:
            return
        event.stop()
        event.prevent_default()


async def run(client: Client, me: str, lang: str) -> tuple[int, str]:
    """Show the client until the person leaves; the exit status and the last words."""
    app = ChatApp(client, me, Words(lang))
    async with client:
        status = await app.run_async()
    await asyncio.sleep(0)  # what was closed tells its tasks
    return (status if status is not None else 1), app.ended
