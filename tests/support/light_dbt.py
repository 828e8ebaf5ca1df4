"""The incremental models without dbt: the SQL that dbt compiled, run in its order as the strategy `replace_units` does.

A build takes milliseconds this way, so that many histories can be tried. Views follow by themselves. What is not tried
here (the naming of days in a deletion, transactions, hooks) the tests that run dbt itself try.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flakeguard_pipeline.bundled import bundled
from flakeguard_pipeline.warehouse.connection import Connection, Warehouse
from tests.support.rolled_up import Project


@dataclass(frozen=True)
class Model:
    """An incremental model: what it selects where there was a build before, and where all is built anew."""

    name: str
    sql: str
    anew: str
    replaces: tuple[dict[str, Any], ...]


def incremental_models(project: Project, warehouse: Warehouse) -> list[Model]:
    """Return the incremental models in their order; `warehouse` has to have been built."""
    # both commands write into the nodes of one manifest, so the text is taken at once
    anew = _compiled(project, warehouse, "--full-refresh")
    again = _compiled(project, warehouse)
    result = project.run(warehouse, "compile")
    known = {each.node.name: each.node for each in result.results if each.node.resource_type == "model"}
    nodes = [node for node in known.values() if node.config.materialized == "incremental"]
    # of two models the one that the other reads has fewer ancestors
    ancestors: dict[str, set[str]] = {}

    def above(name: str) -> set[str]:
        if name not in ancestors:
            parents = {each.rpartition(".")[2] for each in known[name].depends_on.nodes if each.startswith("model.")}
            ancestors[name] = parents.union(*(above(each) for each in parents))
        return ancestors[name]

    nodes.sort(key=lambda node: (len(above(node.name)), node.name))
    catalog = re.compile(r'"[^"]+"\."(\w+)"\."(\w+)"')
    return [
        Model(
            node.name,
            catalog.sub(r"\1.\2", again[node.name]),
            catalog.sub(r"\1.\2", anew[node.name]),
            tuple(node.config.meta["replaces"]),
        )
        for node in nodes
    ]


def _compiled(project: Project, warehouse: Warehouse, *flags: str) -> dict[str, str]:
    result = project.run(warehouse, "compile", *flags, names_days=False)
    return {each.node.name: str(each.node.compiled_code) for each in result.results}


def build(connection: Connection, models: Sequence[Model], *, until: int | None = None, anew: bool = False) -> None:
    """Build the models, or only the first ones, as when a build is killed there."""
    for model in models[:until]:
        target = f"intermediate.{model.name}"
        connection.execute(f"create or replace temp table new_rows as {model.anew if anew else model.sql}")
        for unit in model.replaces:
            columns = ", ".join(unit["columns"])
            changed = unit.get("changed", "")
            changed = changed if changed == "new_rows" else f"intermediate.{changed}"
            where = f" where ({columns}) in (select {columns} from {changed})" if columns and not anew else ""
            connection.execute(f"delete from {target}{where}")
        names = ", ".join(connection.read("select * from new_rows limit 0").columns)
        connection.execute(f"insert into {target} ({names}) select {names} from new_rows")
    if until is None:
        connection.execute(_forget_finished())


def _forget_finished() -> str:
    text = (bundled("dbt") / "macros" / "incremental.sql").read_text(encoding="utf-8")
    body = text.partition("macro forget_finished() -%}")[2].partition("{%- endmacro")[0]
    body = body.partition("-%}")[2]
    body = body.replace("{{ attempt }}", "org, repository_id, run_id, run_attempt")
    body = re.sub(r"\{\{ intermediate_relation\('(\w+)'\) \}\}", r"intermediate.\1", body)
    return re.sub(r"\{\{ ref\('(\w+)'\) \}\}", r"staging.\1", body)
