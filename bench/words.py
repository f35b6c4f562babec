"""How long the word filter takes: `python bench/words.py [words]`. One process, no server."""

from __future__ import annotations

import random
import sys
import time

from hongyan.adapters.wordlist import WordList

LETTERS = "abcdefghijklmnopqrstuvwxyz"
HAN = [chr(code) for code in range(0x4E00, 0x9FA5)]
ROUNDS, EACH = 30, 100


def main(count: int) -> None:
    """Half of the words Chinese, half of an alphabet; texts of 200 characters."""
    dice = random.Random(1)
    words: set[str] = set()
    while len(words) < count:
        letters, sizes = dice.choice([(HAN, (2, 5)), (LETTERS, (4, 9))])
        words.add("".join(dice.choices(letters, k=dice.randint(*sizes))))
    began = time.perf_counter()
    made = WordList(words)
    print(f"{len(made):>8} words read in {time.perf_counter() - began:.2f} s")
    texts = {
        "Chinese": "".join(dice.choices(HAN, k=200)),
        "English": "".join(dice.choices(LETTERS + "   ", k=200)),
        "mixed": "".join(dice.choices([*HAN[:200], *LETTERS, "．", " "], k=200)),
    }
    for name, text in texts.items():
        took = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            for _ in range(EACH):
                made.find(text)
            took.append((time.perf_counter() - began) / EACH * 1e6)
        took.sort()
        print(f"{name:>8}  median {took[ROUNDS // 2]:6.1f} µs, best {took[0]:6.1f} µs")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
