"""Find failures by the words of their messages, on either engine.

Belongs here: what is searched for, and the statement. Does not belong here: what a word is (warehouse/words.py), how an
answer is shown.
"""

from contextlib import AbstractContextManager
from datetime import date

from flakeguard_pipeline.domain.errors import UsageError
from flakeguard_pipeline.operations.answers import Answer
from flakeguard_pipeline.operations.asking import ask
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.dialects import Dialect
from flakeguard_pipeline.warehouse.queries import query
from flakeguard_pipeline.warehouse.words import words_of


def search_failures(
    warehouse: Warehouse, text: str, *, repository: str = "", since: date | None = None, limit: int | None = None
) -> AbstractContextManager[Answer]:
    """Ask for the failure signatures whose message has all words of a text, the most relevant first.

    Args:
        warehouse: the warehouse; its copy is read while another process holds it.
        text: what is searched for, as a person wrote or pasted it.
        repository: only this repository, by its full name; '' for all.
        since: only failures that were seen on this UTC day or later.
        limit: rows after which the answer ends; None: all.

    Raises:
        UsageError: the text has no words; there is no warehouse.
        WarehouseError: neither the warehouse nor a copy can be read.
    """
    words = words_of(text.encode(errors="replace").decode())
    if not words:
        raise UsageError('there is no word to search for; write letters or digits, such as "connection refused"')
    values = {
        "phrase": " ".join(words),
        "words": " ".join(sorted(set(words))),
        "repository": repository.replace("\0", ""),
        "since": since,
    }
    return ask(warehouse, search_statement(warehouse.dialect), values, limit=limit)


def search_statement(dialect: Dialect) -> str:
    """Return the statement, which names the values `phrase`, `words`, `repository` and `since`.

    How an engine finds messages is a query of its own, which the common one reads as `search_match`.
    """
    header, _, body = query("search_failures").partition("\nwith ")
    match = query("search_match", dialect)
    return f"{header}\nwith search_match as (\n{match}\n),\n\n{body}"
