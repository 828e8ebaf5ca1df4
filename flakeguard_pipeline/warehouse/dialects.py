"""The two engines that a warehouse may live in, and what differs in how they are spoken to.

Belongs here: names of dialects and the binding of values. Does not belong here: opening connections.
"""

from collections.abc import Mapping
from typing import Any, Literal

from flakeguard_pipeline.warehouse.statements import pieces

Dialect = Literal["duckdb", "postgres"]

Parameters = Mapping[str, Any]


def positional(sql: str, parameters: Parameters) -> tuple[str, list[Any]]:
    """Return a statement whose values are bound as `$name` with `$1`, `$2`, ... instead, and the values in that order.

    Values that the statement does not name are left out. Strings, quoted names and comments are left alone. As to
    DuckDB, a name is the same in capitals.

    Raises:
        KeyError: the statement names a value that is not given.
    """
    values = {name.lower(): value for name, value in parameters.items()}
    numbers: dict[str, int] = {}
    text: list[str] = []
    for piece in pieces(sql):
        if piece.kind == "name":
            if piece.name.lower() not in values:
                raise KeyError(piece.name)
            text.append(f"${numbers.setdefault(piece.name.lower(), len(numbers) + 1)}")
        else:
            text.append(piece.text)
    return "".join(text), [values[name] for name in numbers]


def unnamed(sql: str, parameters: Parameters) -> list[str]:
    """Return the names of the values that a statement does not name."""
    named = {piece.name.lower() for piece in pieces(sql) if piece.kind == "name"}
    return [name for name in parameters if name.lower() not in named]
