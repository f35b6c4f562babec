"""Where a message is written: grows with its lines, Enter sends, Tab completes."""

from __future__ import annotations

from collections.abc import Callable

from textual import events
from textual.message import Message
from textual.widgets import TextArea

from hongyan.cli.tui.slash import complete

MOST_LINES = 8
NEWLINE = ("shift+enter", "alt+enter", "ctrl+j")  # not every terminal can tell them all apart


class Composer(TextArea):
    """A text area that sends."""

    class Submitted(Message):
        """The person wants this sent."""

        def __init__(self, text: str) -> None:
            """The whole text."""
            super().__init__()
            self.text = text

    class Above(Message):
        """Up was pressed where there is no line above: choose a message."""

    class Paged(Message):
        """The messages are to be scrolled a page up (-1) or down (1)."""

        def __init__(self, by: int) -> None:
            """See the class."""
            super().__init__()
            self.by = by

    def __init__(self, people: Callable[[], list[str]], *, id: str) -> None:
        """`people` are the user ids that can be completed."""
        super().__init__(
            id=id, soft_wrap=True, show_line_numbers=False, tab_behavior="focus", compact=True
        )
        self.cursor_blink = False  # an idle screen costs nothing
        self.highlight_cursor_line = False
        self._people = people

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            self.post_message(self.Submitted(self.text))
        elif event.key in NEWLINE:
            event.stop()
            event.prevent_default()
            self.insert("\n")
        elif event.key == "up" and not self.text:
            event.stop()
            event.prevent_default()
            self.post_message(self.Above())
        elif event.key in ("pageup", "pagedown"):
            event.stop()
            event.prevent_default()
            self.post_message(self.Paged(-1 if event.key == "pageup" else 1))
        elif event.key == "tab" and (done := self._completed()) is not None:
            event.stop()
            event.prevent_default()
            self.load(done)
        else:
            await super()._on_key(event)

    def load(self, text: str) -> None:
        """Replace the text; the cursor stands behind it."""
        self.text = text
        self.move_cursor(self.document.end)

    def _completed(self) -> str | None:
        if self.cursor_location != self.document.end:
            return None
        done = complete(self.text, self._people())
        return None if done == self.text else done
