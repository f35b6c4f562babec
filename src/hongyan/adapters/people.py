"""By what a person is found, the same for every Directory adapter.

A person is found by the beginning of the user id, or of any word of the name with what follows
it: "an", "ann le" and "lee" find "Ann Lee". Letters match without case, in one form (NFKC).
"""

from __future__ import annotations

from hongyan.adapters.words import normal

MOST_STARTS = 9  # of one person: the id, and the first words of the name
MOST_LENGTH = 80  # characters of a start
LAST = "\U0010ffff"  # sorts behind every character that a start can hold


def starts(user: str, name: str) -> list[str]:
    """What a person may be found by the beginning of; no two are the same."""
    words = normal(name).split(" ")[: MOST_STARTS - 1]
    rests = (" ".join(words[at:])[:MOST_LENGTH] for at in range(len(words)))
    return list(dict.fromkeys([user.casefold(), *(rest for rest in rests if rest)]))


def asked(text: str) -> list[str]:
    """The beginnings that `text` asks for; [] where it has nothing to look for."""
    whole = text.strip().casefold()[:MOST_LENGTH]
    return [wanted for wanted in dict.fromkeys([whole, normal(text)[:MOST_LENGTH]]) if wanted]
