"""Messages as lines of a given width: blocks of styled text. Pure, but for the local time zone."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator
from typing import Any, NamedTuple

from rich.segment import Segment
from rich.style import Style

from hongyan.cli.tui.content import Name, clock, day_line, day_of, note, one_line, text_of
from hongyan.cli.tui.thread import FAILED, STORED, Draft, Thread, body_of, pinned, reactions
from hongyan.cli.tui.widths import cell_len, clip, plain, wrap
from hongyan.cli.tui.words import Words
from hongyan.client import Message
from hongyan.model.ids import Seq
from hongyan.model.log import Entry

SAME_MS = 5 * 60_000  # messages of one sender within this stand under one name
NARROW = 44  # cells; below it times are left out

DIM = Style(color="#7d8899")
FAINT = Style(color="#566070")
TEXT = Style(color="#dbe2ec")
NOTE = Style(color="#8b96a8", italic=True)
MINE = Style(color="#7fd1b9", bold=True)
MENTION = Style(color="#ffcb6b", bold=True)
LINK = Style(color="#82aaff", underline=True)
UNREAD = Style(color="#ff8f6b", bold=True)
READ = Style(color="#4fd6be", bold=True)
BAD = Style(color="#ff6b81")
CHIP = Style(color="#dbe2ec", bgcolor="#2a3342")
MY_CHIP = Style(color="#0f1720", bgcolor="#4fd6be")
PEOPLE = tuple(
    Style(color=color, bold=True)
    for color in ("#82aaff", "#c792ea", "#f78c6c", "#ffcb6b", "#89ddff", "#f07178", "#b5d67b")
)
SPECIAL = re.compile(r"(?P<link>https?://[^\s<>\"，。）]+)|(?P<at>@[\w.+-]+)")

Line = list[Segment]


class Block(NamedTuple):
    """What belongs together: a message, a note, a day line. `seq` 0 = it is no entry."""

    key: Hashable
    seq: Seq
    lines: list[Line]


class Mark(NamedTuple):
    """The state of an own message; `readers` like "2/3" in groups."""

    text: str
    style: Style
    readers: str = ""


SENDING_MARK = Mark("◌", DIM)
STORED_MARK = Mark("✓", DIM)
DELIVERED_MARK = Mark("✓✓", DIM)
READ_MARK = Mark("✓✓", READ)
FAILED_MARK = Mark("✗", BAD)


class Painter:
    """Makes blocks for one width; keeps those of messages that did not change."""

    def __init__(self, words: Words, me: str, name: Name, mark: Callable[[Entry], Mark]) -> None:
        """`name` shows a user, `mark` the state of an own message."""
        self.words, self.me, self.name, self.mark = words, me, name, mark
        self.group = False  # names and read counts are shown
        self._cache: dict[Hashable, tuple[Any, Block]] = {}
        self._width = 0

    def forget(self) -> None:
        """Names changed, or another conversation: make all anew."""
        self._cache.clear()

    def paint(self, thread: Thread, width: int, top: str = "") -> list[Block]:
        """All blocks, oldest first. `top` stands above them (loading, beginning)."""
        if width != self._width:
            self.forget()
            self._width = width
        before = self._cache
        self._cache = {}
        blocks = [Block("top", Seq(0), [self._middle(top, FAINT)])] if top else []
        last: tuple[str, int] = ("", 0)
        day = None
        for message in thread:
            entry = message.entry
            if (its := day_of(entry.at)) != day:
                day, last = its, ("", 0)
                line = self._rule(day_line(day, self.words), FAINT)
                blocks.append(Block(("day", its), Seq(0), [[], line] if blocks else [line]))
            if entry.seq == thread.divider:
                last = ("", 0)
                line = self._rule(self.words("new_line"), UNREAD)
                blocks.append(Block("divider", Seq(0), [line]))
            blocks.append(self._kept(before, thread, message, last))
            quiet = not entry.count or message.erased
            last = ("", 0) if quiet else (entry.sender, entry.at)
        for draft in thread.drafts.values():
            blocks.append(self._draft(thread, draft, head=last[0] != self.me))
            last = (self.me, draft.at)
        return blocks

    # --- one message ----------------------------------------------------------------------------

    def _kept(
        self,
        before: dict[Hashable, tuple[Any, Block]],
        thread: Thread,
        message: Message,
        last: tuple[str, int],
    ) -> Block:
        entry = message.entry
        sender, at = last
        head = entry.count and (entry.sender != sender or entry.at - at > SAME_MS)
        mark = self.mark(entry) if entry.count and entry.sender == self.me else None
        answered = self._answered(thread, message)
        stamp = (message, head, mark, answered)
        held = before.get(entry.seq)
        same = (
            held is not None
            and held[0][0] is message
            and held[0][1:3] == stamp[1:3]
            and held[0][3] is answered
        )
        block = held[1] if held is not None and same else self._message(message, *stamp[1:])
        self._cache[entry.seq] = (stamp, block)
        return block

    def _answered(self, thread: Thread, message: Message) -> Message | None:
        reply = body_of(message).get("reply") if b'"reply"' in bytes(message.body) else None
        return thread.get(reply["seq"]) if reply else None

    def _message(
        self, message: Message, head: bool, mark: Mark | None, answered: Message | None
    ) -> Block:
        entry, body = message.entry, body_of(message)
        if message.erased:
            said = self.words("recalled", who=self._who(entry.sender))
            return Block(entry.seq, entry.seq, self._note(said))
        if not entry.count:
            said = note(entry.type, entry.sender, body, self.words, self._who)
            return Block(entry.seq, entry.seq, self._note(said) if said else [])
        lines = self._head(entry.sender) if head else []
        if reply := body.get("reply"):
            lines.append(self._quote(reply, answered))
        text = text_of(body.get("content") or {}, self.words)
        tails = [self.words("edited")] if body.get("edited_at") else []
        if pinned(message):
            tails.append("★ " + self.words("pinned"))
        tail = f" ({', '.join(tails)})" if tails else ""
        called = self.me in body.get("mentions", ()) or bool(body.get("mention_all"))
        lines += self._text(text, tail, self._side(clock(entry.at), mark), called)
        if chips := self._chips(message):
            lines.append(chips)
        return Block(entry.seq, entry.seq, lines)

    def _draft(self, thread: Thread, draft: Draft, *, head: bool) -> Block:
        marks = {STORED: STORED_MARK, FAILED: FAILED_MARK}
        mark = marks.get(draft.state, SENDING_MARK)
        lines = self._head(self.me) if head else []
        if draft.reply_to:
            answered = thread.get(draft.reply_to)
            author = answered.entry.sender if answered else ""
            lines.append(self._quote({"author": author}, answered))
        tail = "" if draft.state in (STORED, FAILED) else f" {self.words('sending')}"
        lines += self._text(plain(draft.text), tail, self._side(clock(draft.at), mark), False)
        if draft.state == FAILED:
            said = self.words("failed", why=draft.why)
            lines += [[Segment("  " + line, BAD)] for line in wrap(said, self._width - 2)]
        return Block(("draft", draft.op), Seq(0), lines)

    # --- parts ----------------------------------------------------------------------------------

    def _who(self, user: str) -> str:
        return self.words("you") if user == self.me else self.name(user)

    def _head(self, user: str) -> list[Line]:
        style = MINE if user == self.me else PEOPLE[sum(user.encode()) % len(PEOPLE)]
        return [[], [Segment(clip(self._who(user), self._width - 2), style)]]

    def _quote(self, reply: dict[str, Any], answered: Message | None) -> Line:
        said = self.words("gone_quote") if answered is None else one_line(answered, self.words)
        said = " ".join(plain(str(reply.get("quote") or said)).split())
        author = self._who(str(reply["author"])) + ": " if reply.get("author") else ""
        return [Segment("  ▎ ", FAINT), Segment(clip(author + said, self._width - 6), DIM)]

    def _side(self, at: str, mark: Mark | None) -> Line:
        """What stands at the right edge of the first line."""
        count = 6 if self.group and self._width >= NARROW else 0
        side = [Segment(f"{at} ", FAINT)] if self._width >= NARROW else [Segment(" ")]
        text, style, number = mark or ("", DIM, "")
        side.append(Segment(f"{text:<2}", style))
        if count:
            side.append(Segment(f"{clip(number, count - 1):>{count - 1}} ", style))
        return side

    def _text(self, text: str, tail: str, side: Line, called: bool) -> list[Line]:
        room = self._width - 2 - sum(cell_len(segment.text) for segment in side) - 1
        found = wrap(text, room)
        lines = [self._styled(line, called) for line in found]
        if tail:
            if cell_len(found[-1]) + cell_len(tail) <= room:
                lines[-1].append(Segment(tail, DIM))
            else:
                lines.append([Segment("  "), Segment(tail.strip(), DIM)])
        used = sum(cell_len(segment.text) for segment in lines[0])
        lines[0] += [Segment(" " * max(1, 3 + room - used)), *side]
        return lines

    def _styled(self, line: str, called: bool) -> Line:
        bar = Segment("▌ ", MENTION) if called else Segment("  ")
        parts, end = [bar], 0
        for match in SPECIAL.finditer(line):
            if match.start() > end:
                parts.append(Segment(line[end : match.start()], TEXT))
            parts.append(Segment(match[0], LINK if match["link"] else MENTION))
            end = match.end()
        if end < len(line) or not line:
            parts.append(Segment(line[end:], TEXT))
        return parts

    def _chips(self, message: Message) -> Line:
        chips: Line = []
        room = self._width - 4
        for emoji, users in reactions(message).items():
            text = f" {plain(emoji)} {len(users)} "
            if (room := room - cell_len(text) - 1) < 0:
                break
            mine = self.me in users
            chips += [Segment(text, MY_CHIP if mine else CHIP), Segment(" ")]
        return [Segment("  "), *chips] if chips else []

    def _note(self, said: str) -> list[Line]:
        return [self._middle(line, NOTE) for line in wrap(said, self._width - 4)]

    def _middle(self, text: str, style: Style) -> Line:
        return [Segment(" " * max(0, (self._width - cell_len(text)) // 2)), Segment(text, style)]

    def _rule(self, text: str, style: Style) -> Line:
        text = f" {clip(text, self._width - 6)} "
        left = max(0, (self._width - cell_len(text)) // 2)
        right = max(0, self._width - cell_len(text) - left)
        return [Segment("─" * left + text + "─" * right, style)]


def plain_lines(block: Block) -> Iterator[str]:
    """The text of a block, for tests and for copying."""
    for line in block.lines:
        yield "".join(segment.text for segment in line).rstrip()
