"""Unwanted words: what a list says, and finding its words in a text however they are dressed up.

List and text are brought to one form: full and half width, case, accents, look-alikes of NFKC,
characters that nobody sees, and what stands between letters ("f.u.c.k", "发 票"). Words of an
alphabet are found as words, not inside others ("ass" is not in "class"); words of Chinese anywhere.

An index of beginnings instead of an automaton: see ADR 105 for the figures.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from itertools import product
from operator import add

MOST_CHARACTERS = 64  # of a word
MOST_SYLLABLES = 6  # of a word whose mixed spellings (发piao) are all found
MOST_FORMS = 1_000_000  # of a list, pinyin included

_PREFIX = 4  # characters by which longer words are found
_BETWEEN = frozenset(" \t\r\n\u00a0\u3000.-_*'\"`~^|/\\+=·•…’‘“”#@&%$()[]{}<>")


class BadList(ValueError):
    """A list that cannot be used; its text is one line for the operator."""


class _Folding(dict[int, int | None]):
    """A table for str.translate that learns a character when it first meets it."""

    def __missing__(self, code: int) -> int | None:
        char = chr(code)
        hidden = unicodedata.category(char) == "Cf" or 0x300 <= code <= 0x36F
        hidden |= 0xFE00 <= code <= 0xFE0F or 0x20D0 <= code <= 0x20FF
        to = self[code] = None if hidden or char in _BETWEEN else code
        return to


class _Hidden(_Folding):
    """Drops only what nobody sees: the place of a word among others is left."""

    def __missing__(self, code: int) -> int | None:
        to = self[code] = code if chr(code) in _BETWEEN else _FOLDED[code]
        return to


_FOLDED, _SEEN = _Folding(), _Hidden()


def seen(text: str) -> str:
    """A text in its one form, with what stands between."""
    if text.isascii():
        return text.lower()
    flat = unicodedata.normalize("NFKD", text).casefold()
    bare = unicodedata.normalize("NFKD", flat).translate(_SEEN)  # é is e
    return unicodedata.normalize("NFKC", bare)


def folded(text: str) -> str:
    """A text in its one form, with nothing between. folded(folded(x)) == folded(x)."""
    return seen(text).translate(_FOLDED)


class WordList:
    """Words to find. Immutable once made; making it takes about 1 s for 100,000 words, and holds
    no lock: a thread can do it beside the loop."""

    def __init__(self, lines: Iterable[str] = (), name: str = "list") -> None:
        """`lines` as `docs/room.md` says: a word each, `#` begins a comment, `*` at an end of a
        word finds it inside others there, `=` gives its pinyin.

        Raises:
            BadList: a line that cannot be, or too many; `name` is where they come from.
        """
        self._words: dict[str, tuple[str, bool, bool]] = {}  # as listed; whole at its two ends
        self._short: tuple[set[str], ...] = (set(), set(), set())  # of one, two, three characters
        self._long: dict[str, tuple[int, ...]] = {}  # lengths by the first _PREFIX characters
        self._starts: set[str] = set()  # the keys of _long
        for number, line in enumerate(lines, 1):
            try:
                for form, listed in _forms(line):
                    self._add(form, listed)
            except BadList as why:
                raise BadList(f"{name}, line {number}: {why}") from None

    def __len__(self) -> int:
        """Forms that are looked for."""
        return len(self._words)

    def _add(self, form: str, listed: str) -> None:
        word = folded(form)
        if not word:
            raise BadList("no letter is left of this word")
        if len(word) > MOST_CHARACTERS:
            raise BadList(f"a word has at most {MOST_CHARACTERS} characters")
        if len(self._words) >= MOST_FORMS:
            raise BadList(f"more than {MOST_FORMS} words and spellings")
        alphabetic = max(word) < "\u2e80"
        left = alphabetic and not form.startswith("*")
        right = alphabetic and not form.endswith("*")
        if (known := self._words.get(word)) is not None:
            left, right, listed = left and known[1], right and known[2], known[0]
        self._words[word] = (listed, left, right)
        if len(word) < _PREFIX:
            self._short[len(word) - 1].add(word)
            return
        start = word[:_PREFIX]
        held = self._long.get(start, ())
        if len(word) not in held:
            self._long[start] = (*held, len(word))
        self._starts.add(start)

    def find(self, text: str) -> tuple[str, ...]:
        """The listed words that are in `text`, each once, in order of appearance; never waits.

        # hot: runs for each message in a room; 200 characters against 100,000 words take about
        # 0.1 ms (`bench/words.py`). All grams of the text are met with those of the list in C;
        # only what is in both is looked at.
        """
        flat = seen(text)
        bare = flat.translate(_FOLDED)
        two = list(map(add, bare, bare[1:]))
        three, four = set(map(add, two, bare[2:])), set(map(add, two, two[2:]))
        hits: list[tuple[int, str]] = []
        for grams, known in zip((set(bare), set(two), three), self._short, strict=True):
            for word in grams & known:
                hits += ((at, word) for at in _places(bare, word))
        for start in four & self._starts:
            for at in _places(bare, start):
                ends = (bare[at : at + size] for size in self._long[start])
                hits += ((at, word) for word in ends if word in self._words)
        if not hits:
            return ()
        found: dict[str, None] = {}
        for at, word in sorted(set(hits)):
            listed, left, right = self._words[word]
            if not (left or right) or _stands(flat, at, len(word), left, right):
                found[listed] = None
        return tuple(found)


def _places(text: str, part: str) -> Iterator[int]:
    """Where it is, overlapping ones too."""
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + 1)


def _stands(flat: str, at: int, size: int, left: bool, right: bool) -> bool:
    """Whether the word that fills places `at` … of the bare text stands alone in `flat`."""
    places = [place for place, char in enumerate(flat) if char not in _BETWEEN]
    first, last = places[at], places[at + size - 1]
    before = flat[first - 1] if first else " "
    after = flat[last + 1] if last + 1 < len(flat) else " "
    return not (left and _letter(before)) and not (right and _letter(after))


def _letter(char: str) -> bool:
    return char.isalnum() and char < "\u2e80"


def _forms(line: str) -> Iterator[tuple[str, str]]:
    """What to look for because of a line, and the word as listed. Nothing for a comment."""
    line = line.split("#", 1)[0].strip()
    if not line:
        return
    word, sign, pinyin = (part.strip() for part in line.partition("="))
    yield word, word.strip("*")
    if not sign:
        return
    syllables = pinyin.split()
    characters = [char for char in word if char not in _BETWEEN]
    if len(syllables) != len(characters):
        raise BadList(f"{len(syllables)} syllables for {len(characters)} characters")
    if len(characters) > MOST_SYLLABLES:
        yield "".join(syllables), word
        return
    for mixed in product(*zip(characters, syllables, strict=True)):
        yield "".join(mixed), word
