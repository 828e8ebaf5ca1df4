"""The two engines that a warehouse may live in, and what differs in how they are spoken to.

Belongs here: names of dialects and the binding of values. Does not belong here: opening connections.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

Dialect = Literal["duckdb", "postgres"]

Parameters = Mapping[str, Any]

_NAMED = re.compile(
    r"""
    '(?:[^']|'')*'          # a string
    | "(?:[^"]|"")*"        # a quoted name
    | --[^\n]*              # a comment
    | \$(?P<name>[a-z_]\w*) # a value that is bound
    """,
    re.VERBOSE,
)


def positional(sql: str, parameters: Parameters) -> tuple[str, list[Any]]:
    """Return a statement whose values are bound as `$name` with `$1`, `$2`, ... instead, and the values in that order.

    Values that the statement does not name are left out. Strings, quoted names and comments are left alone.

    Raises:
        KeyError: the statement names a value that is not given.
    """
    numbers: dict[str, int] = {}

    def numbered(found: re.Match[str]) -> str:
        name = found["name"]
        if name is None:
            return found[0]
        return f"${numbers.setdefault(name, len(numbers) + 1)}"

    text = _NAMED.sub(numbered, sql)
    return text, [parameters[name] for name in numbers]
