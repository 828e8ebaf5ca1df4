"""The asset graph as people see it in the UI. A change here is a change of the product: make it on purpose."""

from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from assets.build import build_defs
from assets.groups import GROUPS
from assets.partitions import daily
from tests.assets.workspaces import resource_of
from tests.support.places import make_place

TEAM = ("team:test-infrastructure",)


@dataclass(frozen=True)
class Shown:
    group: str
    deps: tuple[str, ...]
    daily: bool = False
    pool: str = "warehouse"
    owners: tuple[str, ...] = TEAM


PROVIDERS = ("buildkite", "circleci", "github", "gitlab", "jenkins")
RAW = tuple(sorted(["raw/raw_artifact", *(f"raw/{each}_artifact" for each in PROVIDERS)]))
LOADED = {"core/rejected_artifact", "core/run_attempt", "core/test_execution"}

ASSETS = {
    "core/alias_proposal": Shown("core", ("core/test_execution", "staging/stg_run_attempt")),
    "core/inferred_pass": Shown("core", ("core/rejected_artifact", "core/run_attempt", "core/test_execution")),
    "core/rejected_artifact": Shown("core", RAW, daily=True),
    "core/run_attempt": Shown("core", RAW, daily=True),
    "core/test_execution": Shown("core", RAW, daily=True),
    "delivery/quarantine_export": Shown("delivery", ("quarantine/quarantine_event",)),
    "delivery/read_copy": Shown(
        "delivery",
        (
            "delivery/quarantine_export",
            "marts/failure_signature",
            "marts/flake_trend",
            "marts/flakiness_by_suite",
            "marts/quarantine",
            "marts/quarantine_event",
            "marts/report_health",
            "marts/source_freshness",
            "marts/test_duration",
            "marts/test_execution",
            "marts/test_health",
        ),
    ),
    "flakiness/health_snapshot": Shown(
        "flakiness", ("intermediate/int_inferred_pass", "intermediate/int_test_attempt")
    ),
    "intermediate/int_changed_attempt": Shown("flakiness", ("staging/stg_run_attempt",)),
    "intermediate/int_changed_code": Shown(
        "flakiness",
        (
            "intermediate/int_changed_attempt",
            "intermediate/int_first_sighting",
            "intermediate/int_test_name",
            "staging/stg_run_attempt",
        ),
    ),
    "intermediate/int_changed_week": Shown(
        "flakiness", ("intermediate/int_changed_attempt", "intermediate/int_changed_code", "staging/stg_run_attempt")
    ),
    "intermediate/int_failed_code": Shown(
        "flakiness",
        (
            "intermediate/int_changed_code",
            "intermediate/int_reported_test",
            "intermediate/int_test_name",
            "staging/stg_run_attempt",
        ),
    ),
    "intermediate/int_first_sighting": Shown(
        "flakiness", ("intermediate/int_changed_attempt", "intermediate/int_reported_test", "staging/stg_run_attempt")
    ),
    "intermediate/int_flaky_code": Shown("flakiness", ("intermediate/int_failed_code", "intermediate/int_test_name")),
    "intermediate/int_inferred_pass": Shown(
        "flakiness", ("core/inferred_pass", "intermediate/int_test_name", "staging/stg_run_attempt")
    ),
    "intermediate/int_reported_failure": Shown(
        "flakiness", ("core/test_execution", "intermediate/int_changed_attempt", "staging/stg_run_attempt")
    ),
    "intermediate/int_reported_test": Shown(
        "flakiness", ("core/test_execution", "intermediate/int_changed_attempt", "staging/stg_run_attempt")
    ),
    "intermediate/int_rolled_attempt": Shown(
        "flakiness",
        (
            "intermediate/int_changed_attempt",
            "intermediate/int_reported_failure",
            "intermediate/int_rolled_name",
            "staging/stg_run_attempt",
        ),
    ),
    "intermediate/int_rolled_name": Shown(
        "flakiness", ("intermediate/int_failed_code", "intermediate/int_test_name", "intermediate/int_test_week")
    ),
    "intermediate/int_test_attempt": Shown(
        "flakiness",
        (
            "intermediate/int_reported_test",
            "intermediate/int_test_name",
            "staging/stg_run_attempt",
            "staging/stg_test_alias",
        ),
    ),
    "intermediate/int_test_failure": Shown(
        "flakiness", ("intermediate/int_reported_failure", "intermediate/int_test_name", "staging/stg_run_attempt")
    ),
    "intermediate/int_test_name": Shown("flakiness", ("intermediate/int_first_sighting", "staging/stg_test_alias")),
    "intermediate/int_test_week": Shown(
        "flakiness",
        (
            "intermediate/int_changed_week",
            "intermediate/int_flaky_code",
            "intermediate/int_test_attempt",
            "staging/stg_run_attempt",
        ),
    ),
    "marts/failure_signature": Shown("core", ("intermediate/int_flaky_code", "intermediate/int_test_failure")),
    "marts/flake_trend": Shown("core", ("intermediate/int_test_week", "staging/stg_run_attempt")),
    "marts/flakiness_by_repository": Shown("flakiness", ("marts/test_health",)),
    "marts/flakiness_by_suite": Shown("flakiness", ("marts/test_health",)),
    "marts/flakiness_by_variant": Shown("flakiness", ("marts/test_health",)),
    "marts/quarantine": Shown(
        "quarantine", ("core/run_attempt", "flakiness/health_snapshot", "quarantine/quarantine_event")
    ),
    "marts/quarantine_event": Shown("quarantine", ("core/run_attempt", "quarantine/quarantine_event")),
    "marts/report_health": Shown("core", ("core/rejected_artifact", "core/test_execution", "staging/stg_run_attempt")),
    "marts/slowed_test": Shown("flakiness", ("marts/test_duration",)),
    "marts/slowest_test": Shown("flakiness", ("marts/test_duration",)),
    "marts/source_freshness": Shown("core", ("core/rejected_artifact", "core/run_attempt", "staging/stg_run_attempt")),
    "marts/test_duration": Shown("flakiness", ("flakiness/health_snapshot", "staging/stg_test_execution")),
    "marts/test_execution": Shown("core", ("staging/stg_test_execution",)),
    "marts/test_health": Shown("flakiness", ("core/run_attempt", "flakiness/health_snapshot")),
    "quarantine/quarantine_event": Shown("quarantine", ("flakiness/health_snapshot",)),
    **{each: Shown("raw", (), daily=True, pool="landing") for each in RAW},
    "staging/stg_run_attempt": Shown("core", ("core/run_attempt",)),
    "staging/stg_test_alias": Shown("core", ("core/test_execution",)),
    "staging/stg_test_execution": Shown(
        "core", ("core/test_execution", "intermediate/int_test_name", "staging/stg_run_attempt")
    ),
}

OWN_CHECKS = {
    "core/alias_proposal:every_repository_was_compared": False,
    "core/inferred_pass:every_repository_was_inferred": False,
    "core/run_attempt:every_attempt_was_read": False,
    "core/test_execution:executions_are_sound": True,
    "delivery/quarantine_export:every_repository_was_exported": False,
    "delivery/read_copy:the_copy_is_current": False,
    "flakiness/health_snapshot:every_repository_was_scored": False,
    "quarantine/quarantine_event:every_repository_was_decided": False,
    **{f"{each}:every_source_was_landed": False for each in RAW},
}
"""The checks that are not dbt's, and whether they block what is downstream."""

JOBS = {
    "check": set(),
    "export": {"delivery/quarantine_export"},
    "flakeguard": set(ASSETS),
    "ingest": {*LOADED, "raw/raw_artifact"},
    **{f"ingest_{each}": {*LOADED, f"raw/{each}_artifact"} for each in PROVIDERS},
    "score": set(ASSETS) - LOADED - set(RAW),
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
        "intermediate/int_reported_test",
        "intermediate/int_test_attempt",
        "flakiness/health_snapshot",
        "quarantine/quarantine_event",
        "delivery/quarantine_export",
    ]
    for index, asset in enumerate(chain):
        assert upstream[asset] >= set(chain[:index])
    assert [key for key in ASSETS if "raw/raw_artifact" not in upstream[key]] == list(RAW)
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
def test_jobs_make_what_they_say_and_each_step_has_its_pool(definitions: dg.Definitions, job: str):
    resolved = definitions.resolve_job_def(job)
    made = {name(key) for key in resolved.asset_layer.executable_asset_keys} if JOBS[job] else set()
    assert made == JOBS[job]
    pools = {op.name: op.pool for op in resolved.graph.iterate_op_defs()}
    assert pools
    assert {name: pool for name, pool in pools.items() if pool != "warehouse"} == {
        name: "landing" for name in pools if name.startswith("raw__")
    }


def test_no_job_is_forgotten(definitions: dg.Definitions):
    assert {job.name for job in definitions.resolve_all_job_defs() if not job.name.startswith("__")} == set(JOBS)


def test_what_starts_by_itself(definitions: dg.Definitions):
    repository = definitions.get_repository_def()
    assert {each.name: (each.job_name, each.cron_schedule) for each in repository.schedule_defs} == {
        "score_hourly": ("score", "20 * * * *"),
        "export_every_six_hours": ("export", "50 */6 * * *"),
    }
    assert {each.default_status for each in repository.schedule_defs} == {dg.DefaultScheduleStatus.RUNNING}
    assert {each.name: each.job_name for each in repository.sensor_defs} == {
        "drop_folder_sensor": "ingest",
        **{f"{each}_sensor": f"ingest_{each}" for each in PROVIDERS},
    }
    assert {each.default_status for each in repository.sensor_defs} == {dg.DefaultSensorStatus.RUNNING}


def test_the_graph_is_the_same_whatever_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, definitions: dg.Definitions
):
    config = tmp_path / "flakeguard.yml"
    config.write_text("sources: [{kind: gitlab, name: lab, projects: [acme/shop]}]")
    monkeypatch.setenv("FLAKEGUARD_CONFIG", str(config))
    place = make_place(tmp_path, config.read_text())
    other = build_defs({"workspace": resource_of(place)})
    assert _ancestors(other) == _ancestors(definitions)


def name(key: dg.AssetKey) -> str:
    return "/".join(key.path)


def _ancestors(definitions: dg.Definitions) -> dict[str, set[str]]:
    graph = definitions.resolve_asset_graph()
    known: dict[str, set[str]] = {}
    for key in graph.toposorted_asset_keys:
        parents = {name(parent) for parent in graph.get(key).parent_keys}
        known[name(key)] = parents.union(*(known[parent] for parent in parents))
    return known
