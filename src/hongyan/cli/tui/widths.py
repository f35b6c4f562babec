"""Text in terminal cells: cut, padded and wrapped so that wide characters stay whole."""

from __future__ import annotations

from rich.cells import cell_len, split_graphemes

# Not at the start of a line, not at its end (the short list of Chinese typesetting).
NOT_FIRST = frozenset("，。、；：？！）》」』】〕”’…—～·,.;:?!)]}%")
NOT_LAST = frozenset("（《「『【〔“‘([{")

__all__ = ["cell_len", "clip", "fit", "plain", "wrap"]


def plain(text: str) -> str:
    """`text` as one terminal may show it: control characters (escape sequences!) and those that
    turn the writing direction are gone, tabs are spaces, line ends are newlines."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ")
    return "".join(c for c in text if c == "\n" or not _harmful(c))


def _harmful(char: str) -> bool:
    code = ord(char)
    return (
        code < 32
        or 0x7F <= code < 0xA0
        or 0x202A <= code <= 0x202E
        or 0x2066 <= code <= 0x2069
        or code in (0x200E, 0x200F, 0x2028, 0x2029, 0xFEFF)
    )


def clip(text: str, width: int) -> str:
    """At most `width` cells of a single line; "…" tells that something is missing."""
    text = text.replace("\n", " ")
    if cell_len(text) <= width:
        return text
    if width <= 0:
        return ""
    kept, used = [], 0
    for start, end, cells in split_graphemes(text)[0]:
        if used + cells > width - 1:
            break
        kept.append(text[start:end])
        used += cells
    return "".join(kept) + "…"


def fit(text: str, width: int) -> str:
    """Exactly `width` cells: clipped or padded with spaces."""
    text = clip(text, width)
    return text + " " * (width - cell_len(text))


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width` cells, at least one; newlines of `text` are kept.

    A line breaks after a space or hyphen and around wide characters, never inside one. A word
    that is longer than a line is cut. Closing punctuation does not start a line.
    """
    width = max(2, width)
    return [line for part in text.split("\n") for line in _wrap_line(part, width)]


def _wrap_line(text: str, width: int) -> list[str]:
    if cell_len(text) <= width:
        return [text]
    lines: list[str] = []
    line, used = "", 0
    for piece in _pieces(text):
        cells = cell_len(piece)
        if used + cell_len(piece.rstrip(" ")) <= width:
            line, used = line + piece, used + cells
            continue
        if line:
            lines.append(line.rstrip(" "))
        *full, line = _chop(piece, width)
        lines.extend(full)
        used = cell_len(line)
    lines.append(line.rstrip(" "))
    return lines


def _pieces(text: str) -> list[str]:
    """What must stay together: words with the spaces after them, single wide characters."""
    pieces: list[str] = []
    glued = False  # the next character belongs to the piece before it
    for start, end, cells in split_graphemes(text)[0]:
        char = text[start:end]
        last = pieces[-1] if pieces else ""
        joins = glued or char in NOT_FIRST or char == " "
        if last and (joins or (cells < 2 and not _ends(last))):
            pieces[-1] = last + char
        else:
            pieces.append(char)
        glued = char in NOT_LAST
    return pieces


def _ends(piece: str) -> bool:
    return piece[-1] in " -" or cell_len(piece[-1]) > 1 or piece[-1] in "，。、；：？！"


def _chop(piece: str, width: int) -> list[str]:
    parts: list[str] = [""]
    used = 0
    for start, end, cells in split_graphemes(piece)[0]:
        char = piece[start:end]
        if used + cells > width and parts[-1]:
            if char == " ":
                continue
            parts.append("")
            used = 0
        parts[-1] += char
        used += cells
    return parts
