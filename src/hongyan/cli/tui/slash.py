"""Commands that begin with a slash: which there are, what is typed, how it can be completed."""

from __future__ import annotations

from typing import NamedTuple

from hongyan.cli.tui.words import Words


class Slash(NamedTuple):
    """A command. `args` are keys of words ("u_user"), or literal text."""

    name: str
    args: tuple[str, ...] = ()
    least: int = 0  # words that must follow
    here: bool = False  # only inside a conversation

    def usage(self, words: Words) -> str:
        """As help shows it."""
        parts = [words(arg) if arg.startswith("u_") else arg for arg in self.args]
        return " ".join([f"/{self.name}", *parts])


ALL = (
    Slash("open", ("u_user",), 1),
    Slash("group", ("u_title", "u_users"), 1),
    Slash("invite", ("u_users",), 1, True),
    Slash("leave", (), 0, True),
    Slash("members", (), 0, True),
    Slash("reply", ("u_text",), 0, True),
    Slash("edit", ("u_text",), 0, True),
    Slash("recall", (), 0, True),
    Slash("react", ("👍",), 0, True),
    Slash("pin", (), 0, True),
    Slash("search", ("u_text",), 1),
    Slash("mute", (), 0, True),
    Slash("dismiss", (), 0, True),
    Slash("devices"),
    Slash("help"),
    Slash("quit"),
)
BY_NAME = {slash.name: slash for slash in ALL}


class Typed(NamedTuple):
    """A line that is a command: its name, and the text after it."""

    name: str
    rest: str

    @property
    def words(self) -> list[str]:
        """The text after the name, split; quotes keep words together."""
        found: list[str] = []
        quoted, word, open_ = False, "", False
        for char in self.rest:
            if char in '"“”':
                quoted, open_ = not quoted, True
            elif char.isspace() and not quoted:
                if word or open_:
                    found.append(word)
                word, open_ = "", False
            else:
                word += char
        if word or open_:
            found.append(word)
        return found


def parse(text: str) -> Typed | str:
    """A command, or the text to send: "//" at the start is a slash that means itself."""
    if text.startswith("//"):
        return text[1:]
    if not text.startswith("/") or text[1:2].isspace() or text == "/":
        return text
    name, _, rest = text[1:].partition(" ")
    if "\n" in name:
        name, _, more = name.partition("\n")
        rest = f"{more} {rest}"
    if not name.isalpha():
        return text  # a path, a date: "/usr/bin"
    return Typed(name.lower(), rest.strip())


def matching(text: str) -> list[Slash]:
    """The commands that what is typed so far may become; none once its arguments begin."""
    if not text.startswith("/") or " " in text or "\n" in text:
        return []
    return [slash for slash in ALL if slash.name.startswith(text[1:].lower())]


def complete(text: str, people: list[str]) -> str | None:
    """`text` with its last word completed as far as it is certain; None where nothing fits.

    A command at the start; a person after "@", and as an argument of /open, /group, /invite.
    """
    if found := matching(text):
        name = _common([slash.name for slash in found])
        return f"/{name} " if len(found) == 1 else f"/{name}"
    start = max(text.rfind(" "), text.rfind("\n")) + 1
    word = text[start:]
    sign = "@" if word.startswith("@") else ""
    if not sign and not text.startswith(("/open ", "/group ", "/invite ")):
        return None
    fits = [name for name in people if name.lower().startswith(word.removeprefix("@").lower())]
    if not fits or not word.removeprefix("@"):
        return None
    end = " " if len(fits) == 1 else ""
    return text[:start] + sign + _common(fits) + end


def _common(names: list[str]) -> str:
    first, last = min(names), max(names)
    n = 0
    while n < min(len(first), len(last)) and first[n] == last[n]:
        n += 1
    return first[:n]
