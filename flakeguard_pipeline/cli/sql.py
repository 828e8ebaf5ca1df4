"""`flakeguard sql`: ask the warehouse, in SQL or by one of the questions that come with it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from flakeguard_pipeline.cli.answering import answer_options, require_place, rows_wanted, show_cut
from flakeguard_pipeline.cli.options import config_option, warehouse_option


@click.command(short_help="Ask the warehouse: SQL, or a question by its name.")
@click.argument("statement", required=False, metavar="[SQL]")
@click.option("--query", metavar="NAME", help="Instead of SQL: a question by its name; --list names them.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter; may be repeated.")
@click.option("--list", "show_list", is_flag=True, help="List the questions.")
@answer_options
@warehouse_option
@config_option
def sql(
    *,
    statement: str | None,
    query: str | None,
    params: tuple[str, ...],
    show_list: bool,
    form: str,
    out: Path | None,
    limit: int | None,
    warehouse: str | None,
    config: Path | None,
) -> None:
    """Ask the warehouse one statement that only reads, or one of the questions that come with FlakeGuard.

    While a run writes the warehouse, its read-only copy is asked. A table shows columns in microseconds in units that
    people read; the other forms keep them exact.

    \b
    flakeguard sql --list
    flakeguard sql --query flakiest_tests --param days=14
    flakeguard sql --format csv "select * from marts.test_health"
    """
    if sum((statement is not None, query is not None, show_list)) != 1:
        raise click.UsageError("Give one of: a statement in SQL, --query NAME, or --list.")
    if show_list:
        if params:
            raise click.UsageError("--param goes with a statement or with --query.")
        _list()
        return
    require_place(form, out)

    from flakeguard_pipeline.operations.asked_revision import explained_by_revision
    from flakeguard_pipeline.operations.asking import ask
    from flakeguard_pipeline.settings import load_settings
    from flakeguard_pipeline.warehouse.connection import Warehouse
    from flakeguard_pipeline.warehouse.questions import find_question

    values: Mapping[str, Any] = _given(params)
    text = statement or ""
    if query is not None:
        question = find_question(query)
        text, values = question.sql, question.bind(_given(params))
    place = Warehouse(load_settings(config, {"warehouse": warehouse}).warehouse)
    rows = rows_wanted(form, out, limit)
    with explained_by_revision(place), ask(place, text, values, limit=None if rows is None else rows + 1) as answer:
        show_cut(answer, form, out, rows)


def _list() -> None:
    from flakeguard_pipeline.warehouse.questions import questions

    known = questions()
    longest = max(len(each.name) for each in known)
    for each in known:
        click.echo(f"{each.name:<{longest}}  {each.asks}")
        for parameter in each.parameters:
            said = "needed" if parameter.default is None else f"default {parameter.default}"
            click.echo(
                f"{'':{longest}}    --param {parameter.name}=... ({parameter.kind}, {said}): {parameter.meaning}"
            )


def _given(params: Sequence[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for each in params:
        name, equals, value = each.partition("=")
        if not name or not equals:
            raise click.UsageError(f"{each!r} is no parameter; write it like --param days=14.")
        if name in given:
            raise click.UsageError(f"The parameter {name!r} is given twice.")
        given[name] = value
    return given
