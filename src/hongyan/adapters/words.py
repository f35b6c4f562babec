"""What a word is, the same for every Search adapter.

A word is a run of letters, digits, marks and pictographs; all the rest separates. Text and query
are brought to one form (NFKC, casefold, no invisible characters), and a word matches where it
stands anywhere inside the text's words. So "发票" is found in "请开发票", "INV" in "invoice",
"ａ" in "A"; a query of several words wants all of them, in any order.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from operator import add

from hongyan.model.errors import BadArgs

MAX_QUERY = 256  # characters of a query
MAX_WORDS = 16  # words of a query
_MEMO = 20_000  # characters whose class is remembered; Unicode has 150,000

_SPACE = ord(" ")


class _Classes(dict[int, int | None]):
    """A table for str.translate that learns a character when it first meets it."""

    def __missing__(self, code: int) -> int | None:
        category = unicodedata.category(chr(code))
        to: int | None = _SPACE
        if category == "Cf" or 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF:
            to = None  # joiners, soft hyphens, variation selectors: nobody types them
        elif category[0] in "LNM" or category == "So":
            to = code
        if len(self) < _MEMO:
            self[code] = to
        return to


class _Invisible(dict[int, int | None]):
    """Like _Classes, but drops only what is invisible."""

    def __init__(self, classes: _Classes) -> None:
        self._classes = classes

    def __getitem__(self, code: int) -> int | None:
        return None if self._classes[code] is None else code


_classes = _Classes()
_invisible = _Invisible(_classes)


def normal(text: str) -> str:
    """The words of `text` in their one form, with single spaces between; "" where it has none.

    normal(normal(x)) == normal(x).
    """
    if text.isascii():
        return " ".join(text.lower().translate(_classes).split())
    seen = text.translate(_invisible)  # before NFKC: what stood apart may now compose
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold())
    return " ".join(folded.translate(_classes).split())


def query_words(text: str) -> list[str]:
    """The words every hit must contain, without those that are part of another one.

    Raises:
        BadArgs: no word at all, or more than MAX_QUERY characters or MAX_WORDS words.
    """
    if len(text) > MAX_QUERY:
        raise BadArgs(f"text: {len(text)} characters, at most {MAX_QUERY}")
    words = sorted(set(normal(text).split()), key=lambda word: (-len(word), word))
    if not words:
        raise BadArgs("text: has no word to search for")
    if len(words) > MAX_WORDS:
        raise BadArgs(f"text: {len(words)} words, at most {MAX_WORDS}")
    kept: list[str] = []
    for word in words:  # longest first
        if not any(word in other for other in kept):
            kept.append(word)
    return kept


def _alphabetic(gram: str) -> bool:
    """Three characters of small alphabets, where two would hit too much; Chinese needs two."""
    return gram.isascii() or max(gram) < "\u2e80"  # before the CJK radicals


def grams(words: str) -> set[str]:
    """Every one and two characters of the words, and three of small alphabets.

    `words` must come from `normal`: a gram never spans two words. For 50 characters of English
    about 110 grams, of Chinese about 90.
    """
    # hot: a third of the cost of indexing a message, all of it under the GIL. Short words of
    # ASCII come again and again: remembered, they cost 6 µs instead of 20 for 70 characters.
    known: list[str] = []
    fresh: list[str] = []
    for word in words.split():
        (known if len(word) <= 12 and word.isascii() else fresh).append(word)
    found: set[str] = set().union(*map(_remembered, known))
    return found | _cut(" ".join(fresh)) if fresh else found


def _cut(words: str) -> set[str]:
    two = list(map(add, words, words[1:]))
    three = {gram for gram in map(add, two, words[2:]) if " " not in gram}
    short = {gram for gram in {*words, *two} if " " not in gram}
    return short | (three if words.isascii() else {gram for gram in three if _alphabetic(gram)})


@lru_cache(4096)  # about 6 MB when full
def _remembered(word: str) -> frozenset[str]:
    return frozenset(_cut(word))


def needles(word: str) -> set[str]:
    """Grams of which a text that contains `word` has all; enough alone for 1 or 2 characters
    and for 3 of a small alphabet."""
    if len(word) < 3:
        return {word}
    found: set[str] = set()
    for start in range(len(word) - 2):
        gram = word[start : start + 3]
        found |= {gram} if _alphabetic(gram) else {gram[:2], gram[1:]}
    return found


def needs_look(word: str) -> bool:
    """Its grams alone do not prove a hit: the text must be looked at."""
    return len(word) > 3 or (len(word) == 3 and not _alphabetic(word))
