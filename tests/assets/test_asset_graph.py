"""The asset graph as people see it in the UI. A change here is a change of the product: make it on purpose."""

from dataclasses import dataclass

import dagster as dg
import pytest

from assets.groups import GROUPS
from assets.partitions import daily

TEAM = ("team:test-infrastructure",)


@dataclass(frozen=True)
class Shown:
    group: str
    deps: tuple[str, ...]
    daily: bool = False
    pool: str = "warehouse"
    owners: tuple[str, ...] = TEAM


ASSETS = {
    "core/alias_proposal": Shown("core", ("core/test_execution", "staging/stg_run_attempt")),
    "core/inferred_pass": Shown("core", ("core/rejected_artifact", "core/run_attempt", "core/test_execution")),
    "core/rejected_artifact": Shown("core", ("raw/raw_artifact",), daily=True),
    "core/run_attempt": Shown("core", ("raw/raw_artifact",), daily=True),
    "core/test_execution": Shown("core", ("raw/raw_artifact",), daily=True),
    "delivery/quarantine_export": Shown("delivery", ("quarantine/quarantine_event",)),
    "flakiness/health_snapshot": Shown(
        "flakiness", ("intermediate/int_inferred_pass", "intermediate/int_test_attempt")
    ),
    "intermediate/int_inferred_pass": Shown(
        "flakiness",
        (
            "core/inferred_pass",
            "intermediate/int_shared_variant",
            "staging/stg_run_attempt",
            "staging/stg_test_alias",
        ),
    ),
    "intermediate/int_shared_variant": Shown(
        "flakiness", ("core/test_execution", "staging/stg_run_attempt", "staging/stg_test_alias")
    ),
    "intermediate/int_test_attempt": Shown("flakiness", ("staging/stg_test_execution",)),
    "marts/quarantine": Shown(
        "quarantine", ("core/run_attempt", "flakiness/health_snapshot", "quarantine/quarantine_event")
    ),
    "marts/quarantine_event": Shown("quarantine", ("core/run_attempt", "quarantine/quarantine_event")),
    "marts/report_health": Shown("core", ("core/rejected_artifact", "core/test_execution", "staging/stg_run_attempt")),
    "marts/test_execution": Shown("core", ("staging/stg_test_execution",)),
    "marts/test_health": Shown("flakiness", ("core/run_attempt", "flakiness/health_snapshot")),
    "quarantine/quarantine_event": Shown("quarantine", ("flakiness/health_snapshot",)),
    "raw/raw_artifact": Shown("raw", (), daily=True),
    "staging/stg_run_attempt": Shown("core", ("core/run_attempt",)),
    "staging/stg_test_alias": Shown("core", ("core/test_execution",)),
    "staging/stg_test_execution": Shown(
        "core",
        (
            "core/test_execution",
            "intermediate/int_shared_variant",
            "staging/stg_run_attempt",
            "staging/stg_test_alias",
        ),
    ),
}

OWN_CHECKS = {
    "core/alias_proposal:every_repository_was_compared": False,
    "core/inferred_pass:every_repository_was_inferred": False,
    "core/run_attempt:every_attempt_was_read": False,
    "core/test_execution:executions_are_sound": True,
    "delivery/quarantine_export:every_repository_was_exported": False,
    "flakiness/health_snapshot:every_repository_was_scored": False,
    "quarantine/quarantine_event:every_repository_was_decided": False,
}
"""The checks that are not dbt's, and whether they block what is downstream."""

JOBS = {
    "check": set(),
    "export": {"delivery/quarantine_export"},
    "flakeguard": set(ASSETS),
    "ingest": {"core/rejected_artifact", "core/run_attempt", "core/test_execution", "raw/raw_artifact"},
    "score": set(ASSETS) - {"core/rejected_artifact", "core/run_attempt", "core/test_execution", "raw/raw_artifact"},
}
"""The assets that each job makes."""


def test_the_graph_is_as_committed(definitions: dg.Definitions):
    nodes = definitions.resolve_asset_graph().asset_nodes
    shown = {
        name(node.key): Shown(
            node.group_name,
            tuple(sorted(name(key) for key in node.parent_keys)),
            node.partitions_def == daily,
            "/".join(sorted(node.pools or ())),
            tuple(node.owners),
        )
        for node in nodes
    }
    assert shown == ASSETS
    assert list(ASSETS) == sorted(ASSETS)
    assert all(node.is_materializable for node in nodes)
    assert {each.group for each in shown.values()} == set(GROUPS)


def test_every_asset_says_what_it_is(definitions: dg.Definitions):
    graph = definitions.resolve_asset_graph()
    silent = [name(node.key) for node in graph.asset_nodes if not node.description]
    assert silent == []


def test_partitioned_assets_take_a_range_of_days_in_one_run(definitions: dg.Definitions):
    graph = definitions.resolve_asset_graph()
    policies = {name(node.key): node.backfill_policy for node in graph.asset_nodes if node.partitions_def}
    assert policies == {key: dg.BackfillPolicy.single_run() for key, each in ASSETS.items() if each.daily}


def test_the_lineage_is_whole(definitions: dg.Definitions):
    upstream = _ancestors(definitions)
    chain = [
        "raw/raw_artifact",
        "core/test_execution",
        "staging/stg_test_execution",
        "intermediate/int_test_attempt",
        "flakiness/health_snapshot",
        "quarantine/quarantine_event",
        "delivery/quarantine_export",
    ]
    for index, asset in enumerate(chain):
        assert upstream[asset] >= set(chain[:index])
    assert [key for key in ASSETS if "raw/raw_artifact" not in upstream[key]] == ["raw/raw_artifact"]
    for mart in ("marts/quarantine", "marts/quarantine_event"):
        assert upstream[mart] >= set(chain[:6])
    assert upstream["marts/test_health"] >= set(chain[:5])
    assert upstream["flakiness/health_snapshot"] >= {"core/inferred_pass", "intermediate/int_inferred_pass"}
    assert "core/inferred_pass" not in upstream["marts/test_execution"]
    assert upstream["marts/test_execution"] >= set(chain[:3])


def test_checks_block_where_they_must(definitions: dg.Definitions):
    graph = definitions.resolve_asset_graph()
    checks = {f"{name(key.asset_key)}:{key.name}": graph.get(key) for key in graph.asset_check_keys}
    assert {key: checks[key].blocking for key in OWN_CHECKS} == OWN_CHECKS
    assert all(checks[key].description for key in OWN_CHECKS)
    dbt = [key for key in checks if key not in OWN_CHECKS]
    assert dbt
    assert {key.partition("/")[0] for key in dbt} <= {"staging", "intermediate", "marts"}


@pytest.mark.parametrize("job", sorted(JOBS))
def test_jobs_make_what_they_say_and_every_step_opens_the_warehouse_alone(definitions: dg.Definitions, job: str):
    resolved = definitions.resolve_job_def(job)
    made = {name(key) for key in resolved.asset_layer.executable_asset_keys} if JOBS[job] else set()
    assert made == JOBS[job]
    pools = {op.name: op.pool for op in resolved.graph.iterate_op_defs()}
    assert pools
    assert set(pools.values()) == {"warehouse"}


def test_no_job_is_forgotten(definitions: dg.Definitions):
    assert {job.name for job in definitions.resolve_all_job_defs() if not job.name.startswith("__")} == set(JOBS)


def test_what_starts_by_itself(definitions: dg.Definitions):
    repository = definitions.get_repository_def()
    assert {each.name: (each.job_name, each.cron_schedule) for each in repository.schedule_defs} == {
        "score_hourly": ("score", "20 * * * *"),
        "export_every_six_hours": ("export", "50 */6 * * *"),
    }
    assert {each.default_status for each in repository.schedule_defs} == {dg.DefaultScheduleStatus.RUNNING}
    (sensor,) = repository.sensor_defs
    assert (sensor.name, sensor.job_name) == ("drop_folder_sensor", "ingest")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING


def name(key: dg.AssetKey) -> str:
    return "/".join(key.path)


def _ancestors(definitions: dg.Definitions) -> dict[str, set[str]]:
    graph = definitions.resolve_asset_graph()
    known: dict[str, set[str]] = {}
    for key in graph.toposorted_asset_keys:
        parents = {name(parent) for parent in graph.get(key).parent_keys}
        known[name(key)] = parents.union(*(known[parent] for parent in parents))
    return known
