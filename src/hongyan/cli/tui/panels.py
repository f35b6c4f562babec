"""Pages over the screen: help, lists, search hits, the end."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from hongyan.cli.tui.slash import ALL
from hongyan.cli.tui.widths import fit
from hongyan.cli.tui.words import Words


class Panel(ModalScreen[None]):
    """A page of text."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter,f1", "leave", show=False)]

    def __init__(self, title: str, text: Text, foot: str) -> None:
        """`foot` says how it closes."""
        super().__init__()
        self._title, self.text, self._foot = title, text, foot

    def compose(self) -> ComposeResult:
        """The parts."""
        box = Vertical(VerticalScroll(Static(self.text)), classes="box")
        box.border_title, box.border_subtitle = self._title, self._foot
        yield box

    def action_leave(self) -> None:
        """Close."""
        self.dismiss(None)


class Picker(ModalScreen[Any]):
    """Lines to choose from; gives the value of the chosen one, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False)]

    def __init__(self, title: str, lines: list[tuple[Text, Any]], foot: str) -> None:
        """Each line with its value."""
        super().__init__()
        self._title, self.lines, self._foot = title, lines, foot

    def compose(self) -> ComposeResult:
        """The parts."""
        box = Vertical(OptionList(*(Option(text) for text, _ in self.lines)), classes="box")
        box.border_title, box.border_subtitle = self._title, self._foot
        yield box

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """One was chosen."""
        self.dismiss(self.lines[event.option_index][1])

    def action_leave(self) -> None:
        """None was."""
        self.dismiss(None)


KEYS = (
    ("Enter", "k_enter"),
    ("Ctrl+J  Alt+Enter", "k_newline"),
    ("Ctrl+N / Ctrl+P", "k_np"),
    ("F2", "k_unread"),
    ("Ctrl+L", "k_list"),
    ("Tab", "k_focus"),
    ("PgUp / PgDn", "k_page"),
    ("Ctrl+End", "k_end"),
    ("↑ ↓", "k_choose"),
    ("Ctrl+R", "k_retry"),
    ("Esc", "k_esc"),
)


def help_text(words: Words) -> Text:
    """Commands, keys and marks."""
    text = Text()
    for slash in ALL:
        text.append(fit(slash.usage(words), 24), "bold #7fd1b9")
        text.append(f" {words('h_' + slash.name)}\n", "#dbe2ec")
    text.append(f"\n{words('k_title')}\n", "bold #ffcb6b")
    for keys, key in KEYS:
        text.append(fit(keys, 20), "bold #82aaff")
        text.append(f" {words(key)}\n", "#dbe2ec")
    text.append(f"\n{words('marks_title')}\n", "bold #ffcb6b")
    text.append(words("marks"), "#dbe2ec")
    return text
