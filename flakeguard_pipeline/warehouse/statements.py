"""A statement as Postgres reads it: where its strings and comments are, and so what is neither.

Belongs here: cutting the text of a statement into pieces. Does not belong here: what a statement means.
"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

Kind = Literal["blank", "end", "name", "word", "other"]

_PIECE = re.compile(
    r"""
      (?P<blank>   \s+ | --[^\r\n]* )
    | (?P<comment> /\* )
    | (?P<end>     ; )
    # a backslash escapes here, also in what goes on in a further line
    | (?P<escaped> [eE]'(?:[^'\\]|\\.|'')*+(?:'|\Z) (?:[ \t\f]*[\r\n]\s*'(?:[^'\\]|\\.|'')*+(?:'|\Z))* )
    | (?P<string>  '(?:[^']|'')*+(?:'|\Z) | "(?:[^"]|"")*+(?:"|\Z) )
    | (?P<dollars> (?P<tag>\$(?:[^\W\d]\w*)?\$) .*? (?:(?P=tag)|\Z) )
    | \$(?P<name>  \w+ )
    # a dollar sign within is part of it
    | (?P<word>    \w[\w$]* )
    | (?P<other>   . )
    """,
    re.VERBOSE | re.DOTALL,
)
"""A string that is not closed reaches to the end, where the server then says that it is not closed."""

_EDGE = re.compile(r"/\*|\*/")


class Piece(NamedTuple):
    """A piece of a statement; of a value that is bound (`name`), `name` is what stands after the dollar sign."""

    kind: Kind
    text: str
    name: str = ""


def pieces(sql: str) -> Iterator[Piece]:
    """Yield the pieces of a text, which together are the text; comments are blanks."""
    place = 0
    while found := _PIECE.match(sql, place):
        end = found.end()
        match found.lastgroup:
            case "comment":
                closed = _end_of_comment(sql, place)
                end = closed or len(sql)
                # what is not closed is no blank: the server is to say so
                yield Piece("blank" if closed else "other", sql[place:end])
            case "name":
                yield Piece("name", found[0], found["name"])
            case "blank" | "end" | "word" as kind:
                yield Piece(kind, found[0])
            case _:
                yield Piece("other", found[0])
        place = end


def without_end(sql: str) -> str:
    """Return a text without the semicolons, blanks and comments that it ends with."""
    place = end = 0
    for piece in pieces(sql):
        place += len(piece.text)
        if piece.kind not in {"blank", "end"}:
            end = place
    return sql[:end]


def first_word(sql: str) -> str:
    """Return the word that a statement begins with, parentheses aside, in lower case; '' where it begins otherwise."""
    for piece in pieces(sql):
        if piece.kind == "word":
            return piece.text.lower()
        if piece.kind != "blank" and piece.text != "(":
            break
    return ""


def _end_of_comment(sql: str, place: int) -> int | None:
    """Return where the comment that begins at `place` ends, with those within it; None: nowhere."""
    depth = 0
    for edge in _EDGE.finditer(sql, place):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return None
