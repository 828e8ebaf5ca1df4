"""Puts the code location together. Tests and the command line pass their own resources and patch nothing."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from assets.checks.execution_suite import execution_suite
from assets.core.alias_proposal import alias_proposal
from assets.core.inferred_pass import inferred_pass
from assets.core.loaded import core_tables
from assets.delivery.quarantine_export import quarantine_export
from assets.delivery.read_copy import read_copy
from assets.flakiness.health_snapshot import health_snapshot
from assets.jobs import JOBS, score_idle
from assets.quarantine.quarantine_event import quarantine_event
from assets.raw.provider_artifact import PROVIDER_ASSETS
from assets.raw.raw_artifact import raw_artifact
from assets.resources import ClockResource, WorkspaceResource
from assets.run_launcher import watched_in_process_executor
from assets.schedules import SCHEDULES
from assets.sensors import SENSORS

PYTHON_ASSETS = [
    raw_artifact,
    *PROVIDER_ASSETS.values(),
    core_tables,
    inferred_pass,
    alias_proposal,
    health_snapshot,
    quarantine_event,
    quarantine_export,
    read_copy,
]


def build_defs(resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """Return the whole code location; it imports dbt and, where needed, parses the dbt project."""
    from assets.core.dbt import build_dbt_assets, dbt_resource
    from assets.dbt_project import prepared_manifest

    overrides = dict(resource_overrides or {})
    workspace = overrides.get("workspace", WorkspaceResource())
    place = workspace.open()
    manifest = prepared_manifest(place.settings, place.warehouse)
    return dg.Definitions(
        assets=[*PYTHON_ASSETS, *build_dbt_assets(manifest)],
        asset_checks=[execution_suite],
        jobs=JOBS,
        schedules=SCHEDULES,
        sensors=SENSORS,
        resources={
            "workspace": workspace,
            "clock": ClockResource.configure_at_launch(),
            "dbt": dbt_resource(),
            **overrides,
        },
        executor=watched_in_process_executor,
    )


def build_idle_defs(resource_overrides: Mapping[str, Any]) -> dg.Definitions:
    """Return what a run with nothing new needs: the assets that depend on the moment, and no dbt."""
    return dg.Definitions(
        assets=[health_snapshot, quarantine_event, quarantine_export, read_copy],
        jobs=[score_idle],
        resources=resource_overrides,
        executor=dg.in_process_executor,
    )
