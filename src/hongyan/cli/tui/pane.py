"""The messages on the screen: scrolls without jumps, whatever is put in front or changed above."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable
from itertools import accumulate

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.message import Message as Told
from textual.scroll_view import ScrollView
from textual.strip import Strip

from hongyan.cli.tui.blocks import Block, Line
from hongyan.model.ids import Seq

CHOSEN = Style(bgcolor="#263247")
NEAR = 15  # lines from the top at which older messages are asked for


class Pane(ScrollView, can_focus=True):
    """Blocks in a column. The lines that are seen stay where they are when blocks change above
    them; at the end it stays at the end."""

    DEFAULT_CSS = "Pane { scrollbar-size-vertical: 1; overflow-x: hidden; overflow-y: scroll; }"

    class Older(Told):
        """The top is near."""

    class Seen(Told):
        """The lowest line on the screen belongs to the entry `seq`; `end`: it is the last."""

        def __init__(self, seq: Seq, end: bool) -> None:
            """See the class."""
            super().__init__()
            self.seq, self.end = seq, end

    class Resized(Told):
        """The width changed: paint again."""

    class Chosen(Told):
        """Another message is chosen, or none."""

    def __init__(self, *, id: str) -> None:
        """Empty."""
        super().__init__(id=id)
        self.chosen = Seq(0)  # 0 = none
        self._blocks: list[Block] = []
        self._starts: list[int] = []  # first line of each block
        self._lines: list[Line] = []
        self._owner: list[int] = []  # block of each line
        self._stick = True  # at the end, and to stay there
        self._settling = False
        self._drawn = 0

    # --- content --------------------------------------------------------------------------------

    @property
    def inner(self) -> int:
        """Cells of a line."""
        return max(10, self.size.width - 1)

    @property
    def at_end(self) -> bool:
        """Whether the last line is seen, or will be."""
        return self._stick

    def show(self, blocks: list[Block]) -> None:
        """These blocks from now on."""
        anchor = None if self._stick else self._anchor()
        self._take(blocks)
        if anchor is not None:
            self._hold(*anchor)
        elif self._stick:
            self._go(self._most())
        self._told()

    def fresh(self, blocks: list[Block], *, start: Hashable = None) -> None:
        """Another conversation: begin at its end, or at the block `start` if that is higher."""
        self.chosen = Seq(0)
        self._take(blocks)
        line = self._line_of(start) if start is not None else None
        goal = self._most() if line is None else min(self._most(), max(0, line - 2))
        self._stick = goal >= self._most()
        self._go(goal)
        self._told()

    def go_end(self) -> None:
        """To the newest."""
        self._stick = True
        self._go(self._most())
        self._told()

    def go_to(self, key: Hashable) -> bool:
        """Bring a block to the middle of the screen; False where it is not here."""
        line = self._line_of(key)
        if line is None:
            return False
        goal = max(0, min(self._most(), line - self.size.height // 3))
        self._stick = goal >= self._most()
        self._go(goal)
        self._told()
        return True

    def look(self) -> None:
        """The pane is uncovered: what it shows is seen now."""
        self.call_after_refresh(self._told)

    def page(self, by: int) -> None:
        """A page up or down; two lines stay in sight."""
        self._scroll(self.scroll_offset.y + by * max(1, self.size.height - 2))

    def action_page_up(self) -> None:
        """As while writing."""
        self.page(-1)

    def action_page_down(self) -> None:
        """As while writing."""
        self.page(1)

    def choose(self, seq: Seq) -> None:
        """Mark a message; 0 = none. It is brought into view."""
        self.chosen = seq
        line = self._line_of(seq) if seq else None
        if line is not None:
            height = self._height_of(seq)
            top = self.scroll_offset.y
            if line < top:
                self._scroll(line)
            elif line + height > top + self.size.height:
                self._scroll(line + height - self.size.height)
        self._drawn += 1
        self.refresh()
        self.post_message(self.Chosen())

    def step(self, by: int) -> None:
        """Choose the next message above (-1) or below (1)."""
        able = [b.seq for b in self._blocks if b.seq and b.lines]
        if not able:
            return
        if self.chosen not in able:
            low = self._bottom()
            seen = [seq for seq in able if seq <= low] or able
            self.choose(seen[-1])
            return
        at = able.index(self.chosen) + by
        if at >= len(able):
            self.choose(Seq(0))
            self.go_end()
        else:
            self.choose(able[max(0, at)])

    # --- lines ----------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        width = self.size.width
        at = self.scroll_offset.y + y
        lift = max(0, self.size.height - len(self._lines))  # few messages stand at the bottom
        at -= lift
        style = self.rich_style
        if not 0 <= at < len(self._lines):
            return Strip.blank(width, style)
        if self.chosen and self._blocks[self._owner[at]].seq == self.chosen and self._lines[at]:
            style += CHOSEN
        segments = [Segment(s.text, style + s.style if s.style else style) for s in self._lines[at]]
        return Strip(segments).adjust_cell_length(width, style)

    def watch_scroll_y(self, old: float, new: float) -> None:
        """The view moved, by a key, the wheel or the bar."""
        super().watch_scroll_y(old, new)
        if not self._settling:
            self._stick = round(new) >= self._most()
            self._told()

    def on_resize(self, event: events.Resize) -> None:
        """Lines have another width or number now."""
        self.post_message(self.Resized())

    def on_click(self, event: events.Click) -> None:
        """Choose what was clicked."""
        lift = max(0, self.size.height - len(self._lines))
        at = self.scroll_offset.y + event.y - lift
        if 0 <= at < len(self._lines):
            seq = self._blocks[self._owner[at]].seq
            self.choose(Seq(0) if seq == self.chosen else seq)

    # --- inside ---------------------------------------------------------------------------------

    def _take(self, blocks: list[Block]) -> None:
        self._blocks = blocks
        self._starts = [0, *accumulate(len(block.lines) for block in blocks)][:-1]
        self._lines = [line for block in blocks for line in block.lines]
        self._owner = [n for n, block in enumerate(blocks) for _ in block.lines]
        self._settling = True
        self.virtual_size = Size(self.size.width, len(self._lines))
        self._settling = False
        self.refresh()

    def _most(self) -> int:
        return max(0, len(self._lines) - self.size.height)

    def _anchor(self) -> tuple[Hashable, int] | None:
        """The first block on the screen that is an entry, and where on the screen it begins."""
        top = self.scroll_offset.y
        for n in range(max(0, bisect_right(self._starts, top) - 1), len(self._blocks)):
            if self._blocks[n].seq and self._blocks[n].lines:
                return self._blocks[n].key, self._starts[n] - top
        return None

    def _hold(self, key: Hashable, at: int) -> None:
        line = self._line_of(key)
        if line is not None:
            self._go(max(0, min(self._most(), line - at)))

    def _line_of(self, key: Hashable) -> int | None:
        for block, start in zip(self._blocks, self._starts, strict=True):
            if block.key == key:
                return start
        return None

    def _height_of(self, key: Hashable) -> int:
        return next((len(b.lines) for b in self._blocks if b.key == key), 0)

    def _go(self, line: int) -> None:
        self._settling = True
        self.scroll_to(y=line, animate=False, immediate=True, force=True)
        self._settling = False

    def _scroll(self, line: int) -> None:
        self._stick = line >= self._most()
        self._go(max(0, min(self._most(), line)))
        self._told()

    def _bottom(self) -> Seq:
        """The lowest entry of which the last line is on the screen."""
        low = self.scroll_offset.y + self.size.height
        seen = [
            block.seq
            for block, start in zip(self._blocks, self._starts, strict=True)
            if block.seq and start + len(block.lines) <= low
        ]
        return seen[-1] if seen else Seq(0)

    def _told(self) -> None:
        if self.size.height and self._blocks:
            self.post_message(self.Seen(self._bottom(), self._stick))
        if self.scroll_offset.y < NEAR:
            self.post_message(self.Older())
