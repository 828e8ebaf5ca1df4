"""What people query and what CI reads, as it was promised: relations, columns, keys, values and the export's shape.

The columns are listed here, not read from the code: a change that breaks somebody's query must break a test.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import polars as pl
import pytest
import yaml

from flakeguard_pipeline import exports
from flakeguard_pipeline.bundled import bundled
from flakeguard_pipeline.policy.events import decision_id
from flakeguard_pipeline.policy.states import QuarantineState
from flakeguard_pipeline.warehouse.connection import Warehouse
from tests.support.drops import add_run, case, flaky_history, report, run_object

AS_OF = datetime(2026, 3, 3, tzinfo=UTC)

IDENTITY = ("org", "repository", "suite", "classname", "name", "file", "variant", "test_key", "test_id")

COLUMNS = {
    "marts.test_health": (
        *IDENTITY, "status", "p_flaky", "p_broken", "flake_rate", "flake_rate_low", "flake_rate_high", "executions",
        "failures", "same_commit_flips", "inferred_passes", "infra_failures", "first_seen_at", "last_seen_at",
        "last_failed_at", "as_of", "prior_version",
    ),
    "marts.quarantine": (
        *IDENTITY, "state", "reason", "flake_rate", "quarantined_at", "expires_at", "owner", "decision_id",
        "policy_version",
    ),
    "marts.quarantine_event": (
        "decision_id", "org", "repository", "test_key", "test_id", "variant", "as_of", "from_state", "to_state",
        "actor", "rationale", "evidence", "policy_version", "code_version",
    ),
    "marts.test_execution": (
        *IDENTITY, "provider", "workflow", "run_id", "run_attempt", "job_id", "outcome", "retry_index", "is_rerun",
        "is_final", "started_at", "duration_us", "event", "pr_number", "head_sha", "branch", "is_default_branch",
        "failure_message", "failure_signature", "artifact_id", "run_url",
    ),
    "marts.report_health": (
        "org", "repository", "workflow", "run_id", "run_attempt", "artifact", "path", "level", "reason_codes",
        "reasons", "dialect", "executions", "run_started_at", "run_url",
    ),
    "marts.flakiness_by_suite": (
        "org", "repository", "suite", "variant", "test_variants", "flaky", "broken", "fixed", "healthy",
        "insufficient_evidence", "executions", "failures", "same_commit_flips", "as_of",
    ),
    "marts.failure_signature": (
        *IDENTITY, "failure_signature", "failure_message", "failures", "flaky_failures", "run_attempts",
        "first_seen_at", "last_seen_at", "last_run_url",
    ),
    "marts.flake_trend": (
        "org", "repository", "week_start", "run_attempts", "failed_run_attempts", "flaked_run_attempts",
        "test_variants", "flaked_test_variants", "executions", "failures", "flaky_failures",
    ),
    "marts.test_duration": (
        *IDENTITY, "recent_executions", "earlier_executions", "recent_median_us", "earlier_median_us", "slowdown_us",
        "recent_total_us", "as_of",
    ),
    "marts.source_freshness": (
        "org", "source", "provider", "repository", "run_attempts", "files", "size_bytes", "rejected_files",
        "oldest_run_started_at", "newest_run_started_at", "newest_known_at",
    ),
    "flakiness.health_snapshot": ("org", "test_key", "variant", "as_of", "status"),
    "core.rejected_artifact": ("org", "run_id", "artifact", "path", "reason_code", "reason", "detail"),
    "core.inferred_pass": ("org", "run_id", "run_attempt", "job_id", "test_key", "variant"),
}  # fmt: skip

KEYS = {
    "marts.test_health": ("org", "repository", "test_key", "variant"),
    "marts.quarantine": ("org", "repository", "test_key", "variant"),
    "marts.quarantine_event": ("decision_id",),
    "marts.test_execution": ("org", "repository_id", "run_id", "run_attempt", "report_id", "ordinal"),
    "marts.report_health": ("org", "repository_id", "run_id", "run_attempt", "artifact", "path", "digest"),
    "marts.flakiness_by_suite": ("org", "repository_id", "suite", "variant"),
    "marts.failure_signature": ("org", "repository_id", "failure_signature", "test_id"),
    "marts.flake_trend": ("org", "repository_id", "week_start"),
    "marts.test_duration": ("org", "repository_id", "test_id"),
    "marts.source_freshness": ("org", "source", "repository_id"),
    "flakiness.health_snapshot": ("org", "repository_id", "as_of", "test_key", "variant"),
}

MARTS = (
    "test_health",
    "quarantine",
    "quarantine_event",
    "test_execution",
    "report_health",
    "flakiness_by_suite",
    "failure_signature",
    "flake_trend",
    "test_duration",
    "source_freshness",
)
STATUSES = {"healthy", "flaky", "broken", "fixed", "insufficient_evidence"}
OUTCOMES = {"passed", "failed", "errored", "skipped"}
STATES = {"", "quarantined", "released", "expired"}


@dataclass(frozen=True)
class Run:
    """What one run of the main job left."""

    folder: Path

    @property
    def out(self) -> Path:
        return self.folder / ".flakeguard" / "quarantine"

    @property
    def export(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.out / "acme" / "shop" / "quarantine.json").read_bytes())
        return document

    def read(self, sql: str) -> pl.DataFrame:
        with Warehouse(str(self.folder / ".flakeguard" / "warehouse.duckdb")).connect(read_only=True) as connection:
            return connection.read(sql)

    def columns(self, relation: str) -> list[str]:
        return self.read(f"select * from {relation} limit 0").columns


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("contract")
    flaky_history(folder / "drop")
    # Retries within a report, a skipped and an errored test, and a report that is none.
    retried = report(case("test_retried", "failed"), case("test_retried"), case("test_skipped", "skipped"))
    files = {
        "test-results-linux/r.xml": retried,
        "test-results-windows/r.xml": report(case("test_retried", "errored")),
        "empty.xml": b"",
    }
    add_run(folder / "drop", run_object(13), files)
    command = [str(Path(sys.executable).with_name("flakeguard")), "run", "--drop", "drop"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FLAKEGUARD_", "DAGSTER_"))}
    done = subprocess.run(
        [*command, "--as-of", AS_OF.isoformat()], cwd=folder, env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return Run(folder)


# -- relations -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("relation", COLUMNS)
def test_the_relation_has_at_least_the_columns_that_were_promised(run: Run, relation: str) -> None:
    assert [column for column in COLUMNS[relation] if column not in run.columns(relation)] == []


@pytest.mark.parametrize("mart", MARTS)
def test_every_column_of_a_mart_is_documented_in_its_place(run: Run, mart: str) -> None:
    page = yaml.safe_load((bundled("dbt") / "models" / "marts" / "marts.yml").read_text(encoding="utf-8"))
    (model,) = [model for model in page["models"] if model["name"] == mart]
    assert [column["name"] for column in model["columns"]] == run.columns(f"marts.{mart}")
    assert all(column["description"].strip() for column in model["columns"])


@pytest.mark.parametrize("relation", KEYS)
def test_the_key_is_unique(run: Run, relation: str) -> None:
    rows = run.read(f"select * from {relation}")
    assert rows.height > 0
    assert rows.select(KEYS[relation]).is_duplicated().sum() == 0


@pytest.mark.parametrize("relation", ["marts.test_health", "marts.quarantine", "marts.test_execution"])
def test_identity_is_text_and_never_null(run: Run, relation: str) -> None:
    rows = run.read(f"select * from {relation}").select(IDENTITY)
    assert set(rows.dtypes) == {pl.String}
    assert rows.null_count().row(0) == (0,) * len(IDENTITY)
    for column in ("org", "repository", "name", "test_key", "test_id"):
        assert (rows[column] != "").all(), column


@pytest.mark.parametrize("mart", MARTS)
def test_text_is_never_null_in_a_mart(run: Run, mart: str) -> None:
    texts = run.read(f"select * from marts.{mart}").select(pl.col(pl.String))
    assert sum(texts.null_count().row(0)) == 0


@pytest.mark.parametrize("relation", [*COLUMNS, "core.test_execution", "core.run_attempt"])
def test_times_have_a_zone(run: Run, relation: str) -> None:
    naive = [
        name
        for name, kind in run.read(f"select * from {relation} limit 0").schema.items()
        if isinstance(kind, pl.Datetime) and kind.time_zone is None
    ]
    assert naive == []


# -- executions ----------------------------------------------------------------------------------------------


def test_outcomes_are_the_four_that_were_promised(run: Run) -> None:
    assert set(run.read("select distinct outcome from marts.test_execution")["outcome"]) == OUTCOMES


def test_a_rerun_is_what_has_a_retry_index(run: Run) -> None:
    rows = run.read("select retry_index, is_rerun from marts.test_execution")
    assert (rows["is_rerun"] == (rows["retry_index"] > 0)).all()
    assert set(rows["retry_index"]) == {0, 1}


def test_exactly_the_last_of_its_retries_is_final(run: Run) -> None:
    rows = run.read(
        "select run_id, run_attempt, report_id, test_id, sum(is_final::int) as finals, "
        "max_by(is_final, retry_index) as is_last_final from marts.test_execution group by all"
    )
    assert set(rows["finals"]) == {1}
    assert rows["is_last_final"].all()


def test_the_variant_is_what_is_left_of_the_artifacts_name(run: Run) -> None:
    rows = run.read("select distinct artifact_id, variant from marts.test_execution order by artifact_id")
    assert rows.rows() == [("test-results", ""), ("test-results-linux", "linux"), ("test-results-windows", "windows")]


def test_a_signature_belongs_to_a_failure_and_only_to_one(run: Run) -> None:
    rows = run.read(
        "select outcome in ('failed', 'errored') as is_failure, failure_signature from marts.test_execution"
    )
    assert (rows["is_failure"] == (rows["failure_signature"] != "")).all()


def test_a_test_variant_is_its_test_and_its_variant(run: Run) -> None:
    rows = run.read("select distinct test_key, variant, test_id from marts.test_execution")
    assert rows.height == rows["test_id"].n_unique() == rows.select("test_key", "variant").unique().height
    assert run.read("select distinct test_id from marts.test_health")["test_id"].is_in(rows["test_id"].implode()).all()


# -- health --------------------------------------------------------------------------------------------------


def test_statuses_are_those_that_were_promised(run: Run) -> None:
    assert set(run.read("select distinct status from marts.test_health")["status"]) <= STATUSES


def test_probabilities_and_rates_are_fractions_and_the_interval_holds_its_mean(run: Run) -> None:
    rows = run.read("select p_flaky, p_broken, flake_rate, flake_rate_low, flake_rate_high from marts.test_health")
    for column in rows.columns:
        assert rows[column].is_between(0, 1).all(), column
    assert (rows["flake_rate_low"] <= rows["flake_rate"]).all()
    assert (rows["flake_rate"] <= rows["flake_rate_high"]).all()


def test_counts_agree_with_the_executions_that_they_count(run: Run) -> None:
    counted = run.read(
        "select test_id, count(*) filter (outcome <> 'skipped') as executions, "
        "count(*) filter (outcome in ('failed', 'errored')) as failures "
        "from marts.test_execution group by test_id order by test_id"
    )
    health = run.read("select test_id, executions, failures from marts.test_health order by test_id")
    assert health.rows() == counted.rows()


def test_what_fails_on_every_execution_is_never_flaky(run: Run) -> None:
    always = run.read("select name, status from marts.test_health where executions > 0 and failures = executions")
    assert "test_always" in set(always["name"])
    assert "flaky" not in set(always["status"])
    assert run.read("select name from marts.quarantine where name = 'test_always'").is_empty()


def test_a_regression_is_not_flaky_and_not_quarantined(run: Run) -> None:
    found = run.read(
        "select status, p_broken > p_flaky, same_commit_flips from marts.test_health where name = 'test_broken'"
    )
    assert found.rows() == [("broken", True, 0)]
    assert run.read("select name from marts.quarantine_event where name = 'test_broken'").is_empty()


def test_the_flaky_test_is_flaky(run: Run) -> None:
    found = run.read(
        "select executions, failures, same_commit_flips, status from marts.test_health where name = 'test_flaky'"
    )
    assert found.rows() == [(24, 4, 4, "flaky")]


def test_health_was_computed_for_the_moment_that_was_asked_for(run: Run) -> None:
    assert run.read("select distinct as_of from marts.test_health").rows() == [(AS_OF,)]


# -- decisions -----------------------------------------------------------------------------------------------


def test_a_decision_id_can_be_computed_anew_from_what_stands_beside_it(run: Run) -> None:
    for row in run.read("select * from marts.quarantine_event").iter_rows(named=True):
        again = decision_id(
            org=row["org"],
            repository_id=row["repository_id"],
            test_id=row["test_id"],
            as_of=row["as_of"],
            from_state=QuarantineState(row["from_state"]),
            to_state=QuarantineState(row["to_state"]),
            policy_version=row["policy_version"],
        )
        assert row["decision_id"] == again


def test_decisions_tell_states_reasons_and_evidence(run: Run) -> None:
    for row in run.read("select * from marts.quarantine_event").iter_rows(named=True):
        assert {row["from_state"], row["to_state"]} <= STATES
        assert row["reason"] in {"flaky", "manual"}
        assert row["actor"] == "policy"
        assert row["rationale"]
        evidence = json.loads(row["evidence"])
        assert {"executions", "failures", "same_commit_flips", "runs"} <= evidence.keys()


def test_what_is_quarantined_follows_from_its_decision(run: Run) -> None:
    rows = run.read(
        "select q.state, e.to_state, q.quarantined_at = e.as_of, q.expires_at > q.as_of, h.status "
        "from marts.quarantine as q join marts.quarantine_event as e using (org, decision_id) "
        "join marts.test_health as h on q.test_id = h.test_id"
    )
    assert rows.rows() == [("quarantined", "quarantined", True, True, "flaky")]


# -- what was rejected and what was inferred -----------------------------------------------------------------


def test_what_was_rejected_has_a_code_and_words(run: Run) -> None:
    rows = run.read("select org, run_id, path, reason_code, reason <> '' from core.rejected_artifact")
    assert rows.rows() == [("acme", "13", "empty.xml", "empty_file", True)]


def test_inferred_passes_are_no_executions(run: Run) -> None:
    both = run.read(
        "select count(*) from core.inferred_pass as p join marts.test_execution as e "
        "using (org, run_id, run_attempt, job_id, test_key, variant)"
    )
    assert both.rows() == [(0,)]


# -- the export ----------------------------------------------------------------------------------------------


def test_the_export_lies_below_its_org_under_the_name_without_the_owner(run: Run) -> None:
    files = [path.relative_to(run.out).as_posix() for path in run.out.rglob("*") if path.is_file()]
    assert files == ["acme/shop/quarantine.json"]


def test_the_export_is_valid(run: Run) -> None:
    schema = json.loads((Path(exports.__file__).parent / "quarantine.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    checker = jsonschema.FormatChecker(())

    @checker.checks("date-time", raises=ValueError)
    def is_moment_in_utc(text: object) -> bool:
        return str(text).endswith("Z") and datetime.fromisoformat(str(text)).tzinfo is not None

    jsonschema.Draft202012Validator(schema, format_checker=checker).validate(run.export)


def test_the_export_is_valid_for_three_days(run: Run) -> None:
    document = run.export
    assert datetime.fromisoformat(document["as_of"]) == AS_OF
    assert datetime.fromisoformat(document["valid_until"]) == AS_OF + timedelta(hours=72)
    assert (document["org"], document["repository"], document["excuse"]) == ("acme", "acme/shop", "known_signatures")


def test_the_export_tells_what_marts_quarantine_tells(run: Run) -> None:
    (row,) = run.read("select * from marts.quarantine").iter_rows(named=True)
    (entry,) = run.export["entries"]
    for column in ("test_key", "test_id", "suite", "classname", "name", "file", "variant", "reason", "decision_id"):
        assert entry[column] == row[column], column
    assert datetime.fromisoformat(entry["quarantined_at"]) == row["quarantined_at"]
    assert datetime.fromisoformat(entry["expires_at"]) == row["expires_at"]
    assert entry["flake_rate"]["mean"] == pytest.approx(row["flake_rate"], abs=1e-6)
    assert run.export["policy_version"] == row["policy_version"]


def test_the_export_knows_the_signatures_of_the_flakes_it_excuses(run: Run) -> None:
    (entry,) = run.export["entries"]
    seen = run.read(
        f"select distinct failure_signature from marts.test_execution "
        f"where test_id = '{entry['test_id']}' and failure_signature <> '' order by 1"
    )
    assert entry["known_signatures"] == seen["failure_signature"].to_list()
    assert entry["known_signatures"]
