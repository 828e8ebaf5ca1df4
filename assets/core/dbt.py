"""The dbt models as assets, between the tables that Python writes.

Two definitions, because the roll-ups feed the statistics and the marts show what these say.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliResource, dbt_assets
from packaging.version import Version

from assets.checks.execution_suite import require_sound
from assets.dbt_project import (
    DBT_EXECUTABLE,
    known_to_dbt,
    project_digest,
    tables_digest,
    target_path,
    variables,
)
from assets.groups import CORE, FLAKINESS, OWNERS, WAREHOUSE_POOL
from assets.resources import Workspace, WorkspaceResource
from flakeguard_pipeline.bundled import bundled
from flakeguard_pipeline.warehouse import builds, load
from flakeguard_pipeline.warehouse.migrate import upgrade

SCORES = "tag:scores"
"""Models that read scores and decisions. All others read `core` alone, and are built before these exist."""

GROUP_OF_FOLDER = {"staging": CORE, "intermediate": FLAKINESS}


class Translator(DagsterDbtTranslator):
    """Names groups and owners; keys are `<schema>/<model>`, which is dbt's own default here."""

    def __init__(self) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_duplicate_source_asset_keys=True))

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """Return the group that a model names, else its folder's."""
        return super().get_group_name(dbt_resource_props) or GROUP_OF_FOLDER.get(dbt_resource_props["fqn"][1])

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:  # noqa: ARG002 - dagster-dbt's signature
        """Return who looks after a model."""
        return OWNERS


class DbtCommand(DbtCliResource):
    """dbt's command, without what dagster-dbt does for metadata that we do not ask for.

    That is a second dbt in this process, for sizes and columns of tables, and a process that tells the version: three
    seconds of each run. Where a later dagster-dbt calls these otherwise, it does them again, and nothing else changes.
    """

    @cached_property
    def _cli_version(self) -> Version:
        return Version(version_of("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> Any:  # noqa: ARG002 - dagster-dbt's signature
        return None


def dbt_resource() -> DbtCommand:
    """Return dbt's command on the bundled project."""
    project = str(bundled("dbt"))
    return DbtCommand(project_dir=project, profiles_dir=project, dbt_executable=DBT_EXECUTABLE)


def build_dbt_assets(manifest: Path) -> list[dg.AssetsDefinition]:
    """Return the dbt assets of a parsed project."""

    @dbt_assets(
        manifest=manifest,
        exclude=SCORES,
        name="dbt_rollups",
        pool=WAREHOUSE_POOL,
        dagster_dbt_translator=Translator(),
    )
    def dbt_rollups(
        context: dg.AssetExecutionContext, dbt: DbtCliResource, workspace: WorkspaceResource
    ) -> Iterator[Any]:
        """Build the roll-ups from data that were found sound, and remember from which state of `core`."""
        place = workspace.open()
        upgrade(place.warehouse)
        require_sound(place)
        tables = tables_digest(place.settings)
        incremental = incremental_models(manifest)
        with place.warehouse.connect() as connection:
            version = load.core_version(connection)
            is_kept = builds.is_built(connection, "tables", project_digest=tables, core_version="")
            # Only what has changed goes into them, so one that is missing can be made from everything alone.
            is_whole = is_kept and incremental.isdisjoint(builds.missing_models(connection))
            # What is built may take the marts along, so a build that is killed leaves none of them as built.
            forgotten: list[builds.Part] = ["rollups", "marts"]
            # A selection that builds some of the tables takes what has changed from the others.
            selected = {".".join(key.path) for key in context.selected_asset_keys}
            if not is_whole or (context.is_subset and not incremental.isdisjoint(selected)):
                forgotten.append("tables")
            builds.forget_builds(connection, forgotten)
        yield from _build(context, dbt, place, full_refresh=not is_whole)
        if not context.is_subset:
            digest = project_digest(place.settings, place.warehouse)
            with place.warehouse.connect() as connection:
                builds.record_build(connection, "tables", project_digest=tables, core_version="")
                builds.record_build(connection, "rollups", project_digest=digest, core_version=version)

    @dbt_assets(
        manifest=manifest,
        select=SCORES,
        name="dbt_marts",
        pool=WAREHOUSE_POOL,
        dagster_dbt_translator=Translator(),
    )
    def dbt_marts(
        context: dg.AssetExecutionContext, dbt: DbtCliResource, workspace: WorkspaceResource
    ) -> Iterator[Any]:
        """Build the marts that show scores and decisions; as views, they follow these without a rebuild."""
        place = workspace.open()
        yield from _build(context, dbt, place)
        if not context.is_subset:
            digest = project_digest(place.settings, place.warehouse)
            with place.warehouse.connect() as connection:
                builds.record_build(connection, "marts", project_digest=digest, core_version="")

    return [dbt_rollups, dbt_marts]


def incremental_models(manifest: Path) -> frozenset[str]:
    """Return the models whose rows are kept from build to build, as `schema.name`."""
    nodes = json.loads(manifest.read_text(encoding="utf-8"))["nodes"].values()
    return frozenset(
        f"{node['schema']}.{node['name']}" for node in nodes if node["config"].get("materialized") == "incremental"
    )


def _build(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, place: Workspace, *, full_refresh: bool = False
) -> Iterator[Any]:
    place.progress.stage("build", None)
    # dbt's unit tests are about its models, not about these data: `make test` runs them.
    arguments = ["build", "--exclude-resource-type", "unit_test", "--target", place.warehouse.dialect]
    if full_refresh:
        arguments.append("--full-refresh")
    with place.warehouse.build_alone() as build_session:
        arguments += ["--vars", variables(place.settings, place.warehouse, build_session=build_session)]
        with known_to_dbt(place.warehouse):
            running = dbt.cli(arguments, context=context, target_path=target_path(place.settings))
        yield from running.stream()
