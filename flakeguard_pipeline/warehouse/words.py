"""The words of a text, by which failures are found. The macro `words_of` (dbt/macros/search.sql) says the same in SQL.

Both engines have tokenisers of their own, which disagree about hosts, numbers, hyphens and letters beyond ASCII. So
neither is used: a word is the same everywhere, and a search finds the same on each engine.
"""

import re

MAX_CHARACTERS = 4_000
"""Characters of a text that count, as in failure signatures: beyond are dumps of data."""

MAX_WORD = 100
"""Characters of a word that count: longer ones are data, and Postgres indexes none above 2 kB."""

_LETTERS = "0-9a-z\u00c0-\u1fff\u2070-\u2fff\u3040-\U0010ffff"
"""Digits, a to z, and what lies beyond ASCII but for its punctuation: Latin-1's, the general and the ideographic."""

_WORD = re.compile(f"[{_LETTERS}]+")

_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
"""Only these are made small: what the other way is beyond ASCII differs from engine to engine."""


def words_of(text: str) -> list[str]:
    """Return the words of a text in their order."""
    return [each[:MAX_WORD] for each in _WORD.findall(text[:MAX_CHARACTERS].translate(_LOWER))]
