"""How alike two tests are named, as numbers from 0 to 1.

Words are weighted by how much they say: a word that most names hold (`get`, `org`, the project's own name) tells two
tests apart badly, a rare one well. The weight of a word is ln((N + 1) / n), where n of N texts hold it: the inverse
document frequency of Sparck Jones (Journal of Documentation 28, 1972).
"""

import math
import re
from collections import Counter
from collections.abc import Iterable
from difflib import SequenceMatcher
from functools import cache, lru_cache

SILENT_WORDS = frozenset({"test", "tests"})
"""Words that nearly every test's name holds, whatever the repository: a small one could not tell by counting."""

TEXT_CHARACTERS = 200
"""Characters of a name that are compared letter by letter, which takes the square of their number."""

ALIKE_BY_CHANCE = 0.2
"""Share of words that unrelated tests of one class have in common: they are about the same thing."""

LETTERS_BY_CHANCE = 0.6
"""`difflib`'s ratio of unrelated names of one class: words of one language share most of their letters."""

TEXTS_REMEMBERED = 65_536
"""Texts and pairs whose comparison is remembered between calls: the names of a large repository, some megabytes."""

ENDINGS = (
    ("ies", 5, "y"), ("ied", 5, "y"), ("ing", 6, ""), ("sses", 6, "ss"), ("ss", 3, "ss"), ("es", 5, ""), ("ed", 5, ""),
    ("e", 4, ""), ("s", 4, ""),
)  # fmt: skip
"""Endings, the length that a word needs to lose one, and what comes instead; the first that fits."""

_RUNS = re.compile(r"[^\W_]+")
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\x00-\x7f]+")
_PARAMETERS = re.compile(r"(?P<base>[^\[({<]*[^\[({<\s])\s*(?P<values>[\[({<].*[\])}>])")


@lru_cache(TEXTS_REMEMBERED)
def words(text: str) -> tuple[str, ...]:
    """Return the words of a name or a path as stems: `OrderTest.test_addedItems` gives order, add, item."""
    found = (word.lower() for run in _RUNS.findall(text) for word in _WORDS.findall(run))
    return tuple(_stem(word) for word in found if word not in SILENT_WORDS)


def _stem(word: str) -> str:
    """Return an English word without its ending: `applies`, `applied` and `apply` are one word about tests.

    Crude on purpose; what is cut alike need not be a word, and other languages lose little by it.
    """
    for ending, shortest, instead in ENDINGS:
        if word.endswith(ending) and len(word) >= shortest:
            return word.removesuffix(ending) + instead
    return word


@lru_cache(TEXTS_REMEMBERED)
def base_and_values(name: str) -> tuple[str, str]:
    """Split the name of a parametrised test: `test_add[1-2]` gives `test_add` and `[1-2]`; '' where it has none."""
    found = _PARAMETERS.fullmatch(name)
    return (found["base"], found["values"]) if found else (name, "")


class Vocabulary:
    """How much each word of a repository's names says."""

    def __init__(self, texts: Iterable[str]) -> None:
        distinct = set(texts)
        self._size = len(distinct)
        self._holding = Counter(word for text in distinct for word in set(words(text)))
        self._alike = cache(self._compare)

    def alike(self, first: str, second: str) -> float:
        """Return 1 for equal texts, else how many of their words, by weight, both hold: Dice's coefficient."""
        return 1.0 if first == second else self._alike(*sorted((first, second)))

    def _compare(self, first: str, second: str) -> float:
        one, other = Counter(words(first)), Counter(words(second))
        # summed in a fixed order: floats do not add up the same in any
        shared = math.fsum(self._weight(word) * count for word, count in sorted((one & other).items()))
        total = math.fsum(self._weight(word) * count for word, count in sorted((one + other).items()))
        return 2.0 * shared / total if total else 0.0

    def _weight(self, word: str) -> float:
        return math.log((self._size + 1) / max(self._holding[word], 1))


@lru_cache(TEXTS_REMEMBERED)
def letters_alike(first: str, second: str) -> float:
    """Return `difflib`'s ratio of two texts, the same whichever comes first."""
    one, other = sorted((first[:TEXT_CHARACTERS], second[:TEXT_CHARACTERS]))
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def beyond_chance(value: float, chance: float) -> float:
    """Return `value` on a scale from 0 at `chance` to 1."""
    return max(0.0, (value - chance) / (1.0 - chance))
