"""The list of conversations on the screen: two lines each."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from hongyan.cli.tui.blocks import DIM, FAINT, MENTION, TEXT
from hongyan.cli.tui.content import when
from hongyan.cli.tui.roll import Item
from hongyan.cli.tui.widths import cell_len, clip, fit
from hongyan.cli.tui.words import Words
from hongyan.model.ids import LogId

ACTIVE = Style(bgcolor="#223047")
CURSOR = Style(bgcolor="#2d4263")
HEAVY = Style(color="#ffffff", bold=True)
BADGE = Style(color="#0f1720", bgcolor="#ff8f6b", bold=True)
QUIET_BADGE = Style(color="#dbe2ec", bgcolor="#3a4557")
TYPES = Style(color="#7fd1b9", italic=True)
STATES = {
    "online": ("●", Style(color="#4fd67a")),
    "away": ("●", Style(color="#ffcb6b")),
    "offline": ("○", Style(color="#566070")),
}
TALL = 2  # lines of an item


class Sidebar(ScrollView, can_focus=True):
    """Shows items; says which one is wanted."""

    DEFAULT_CSS = "Sidebar { scrollbar-size-vertical: 1; overflow-x: hidden; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "step(-1)", show=False),
        Binding("down,j", "step(1)", show=False),
        Binding("home", "step(-9999)", show=False),
        Binding("end", "step(9999)", show=False),
        Binding("pageup", "step(-5)", show=False),
        Binding("pagedown", "step(5)", show=False),
        Binding("enter,space,right", "want", show=False),
    ]

    class Wanted(Message):
        """A conversation was chosen."""

        def __init__(self, log: LogId) -> None:
            """By its log."""
            super().__init__()
            self.log = log

    def __init__(self, words: Words, *, id: str) -> None:
        """Empty."""
        super().__init__(id=id)
        self.items: list[Item] = []
        self.active: LogId | None = None
        self._words = words
        self._cursor: LogId | None = None

    def show(self, items: list[Item], active: LogId | None) -> None:
        """These from now on."""
        if items == self.items and active == self.active:
            return
        if active != self.active:
            self._cursor = active
        self.items, self.active = items, active
        self.virtual_size = Size(self.size.width, TALL * len(items))
        self.refresh()
        self.call_after_refresh(self._reveal)

    def action_step(self, by: int) -> None:
        """Move the cursor."""
        if self.items:
            at = min(len(self.items) - 1, max(0, self._at() + by))
            self._cursor = self.items[at].log
            self._reveal()
            self.refresh()

    def action_want(self) -> None:
        """Open what is under the cursor."""
        if self.items:
            self.post_message(self.Wanted(self.items[max(0, self._at())].log))

    def on_click(self, event: events.Click) -> None:
        """Open what was clicked."""
        at = (self.scroll_offset.y + event.y) // TALL
        if 0 <= at < len(self.items):
            self._cursor = self.items[at].log
            self.post_message(self.Wanted(self.items[at].log))

    def on_focus(self) -> None:
        """Show the cursor."""
        self.refresh()

    def on_blur(self) -> None:
        """Hide it."""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        width, style = self.size.width, self.rich_style
        at, part = divmod(self.scroll_offset.y + y, TALL)
        if not self.items and y in (1, 2):
            text = self._words("none_yet" if y == 1 else "start_one")
            return Strip([Segment(fit("  " + text, width), style + DIM)])
        if not 0 <= at < len(self.items):
            return Strip.blank(width, style)
        item = self.items[at]
        if self.has_focus and at == max(0, self._at()):
            style += CURSOR
        elif item.log == self.active:
            style += ACTIVE
        segments = self._title(item, width) if part == 0 else self._below(item, width)
        styled = [Segment(s.text, style + s.style if s.style else style) for s in segments]
        return Strip(styled).adjust_cell_length(width, style)

    # --- inside ---------------------------------------------------------------------------------

    def _at(self) -> int:
        return next((n for n, item in enumerate(self.items) if item.log == self._cursor), -1)

    def _reveal(self) -> None:
        at = self._at()
        if at < 0:
            return
        top = self.scroll_offset.y
        if TALL * at < top:
            self.scroll_to(y=TALL * at, animate=False, immediate=True)
        elif TALL * (at + 1) > top + self.size.height:
            low = TALL * (at + 1) - self.size.height
            self.scroll_to(y=low, animate=False, immediate=True)

    def _title(self, item: Item, width: int) -> list[Segment]:
        mark, mark_style = STATES.get(item.presence, (" ", DIM))
        if not item.presence and item.log.split("/")[1] == "g":
            mark, mark_style = "#", FAINT
        at = when(item.at, self._words) if item.at else ""
        if item.pinned:
            at = f"★ {at}"
        room = width - 4 - cell_len(at)
        style = HEAVY if item.unread or item.marked else TEXT
        return [
            Segment(f" {mark} ", mark_style),
            Segment(fit(item.title, room), style),
            Segment(f"{at} ", FAINT),
        ]

    def _below(self, item: Item, width: int) -> list[Segment]:
        badge = ""
        if item.unread or item.marked:
            badge = f" {'99+' if item.unread > 99 else item.unread or '•'} "
        called = self._words("at_you") if item.called else ""
        room = width - 4 - cell_len(badge) - cell_len(called)
        if item.typing:
            text, style = self._words("typing_1", who="").strip(), TYPES
        else:
            text, style = item.preview, DIM
        segments = [Segment("   "), Segment(called, MENTION), Segment(fit(text, room), style)]
        if badge:
            segments.append(Segment(badge, QUIET_BADGE if item.muted else BADGE))
        elif item.muted:
            note = clip(self._words("muted_mark"), 8)
            segments[-1] = Segment(fit(text, room - cell_len(note)), style)
            segments.append(Segment(note, FAINT))
        return segments
