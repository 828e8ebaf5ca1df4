"""What fails in one repository or one run attempt stops no other; data that are not sound stop everything."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.core.loaded import NOTHING_FAILED, core_tables
from assets.metadata import texts_of
from assets.partitions import clamped_range, range_tags
from assets.raw.raw_artifact import raw_artifact
from flakeguard_pipeline.domain.errors import DataCheckFailedError
from flakeguard_pipeline.operations import scoring
from flakeguard_pipeline.stats.frames import Scoring
from tests.assets.workspaces import DONE_AS_OF, add_blog_run, instance_of, resource_of, run
from tests.support.places import Place

NEXT_DAY = DONE_AS_OF + timedelta(days=1)
SCORED = "select repository_id, as_of from flakiness.current_scoring order by 1"
SHOP, BLOG = "github:7", "github:8"


@pytest.fixture
def shop_cannot_be_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    score: Callable[..., Scoring] = scoring.score

    def score_or_raise(rollup: pl.DataFrame, **options: Any) -> Scoring:
        if SHOP in rollup["repository_id"]:
            raise ArithmeticError("no such number")
        return score(rollup, **options)

    monkeypatch.setattr(scoring, "score", score_or_raise)


def test_a_repository_that_cannot_be_scored_stops_no_other(done: Place, shop_cannot_be_scored: None):
    exports = {path: path.read_bytes() for path in done.settings.out.rglob("*.json")}
    launched = run(done, as_of=NEXT_DAY)
    (fault,) = launched.faults
    assert fault == "flakiness/health_snapshot: acme: acme/shop: no such number"
    assert launched.metadata["flakiness/health_snapshot"]["repositories"] == 1
    assert done.rows(SCORED) == [(SHOP, DONE_AS_OF), (BLOG, NEXT_DAY)]
    snapshots = "select count(*) from flakiness.health_snapshot where repository_id = $id and as_of = $as_of"
    with done.warehouse.connect() as connection:
        assert connection.value(snapshots, {"id": BLOG, "as_of": NEXT_DAY}) == 2
        assert connection.value(snapshots, {"id": SHOP, "as_of": NEXT_DAY}) == 0
        assert connection.value(snapshots, {"id": SHOP, "as_of": DONE_AS_OF}) == 4
    # both are exported anew: what is quarantined stays so until it expires
    assert len(exports) == 2
    assert launched.metadata["delivery/quarantine_export"]["repositories"] == 2
    for path, before in exports.items():
        assert path.read_bytes() != before


def test_the_check_names_the_repository_that_could_not_be_scored(done: Place, shop_cannot_be_scored: None):
    run(done, as_of=NEXT_DAY)
    with instance_of(done) as instance:
        key = dg.AssetCheckKey(dg.AssetKey(["flakiness", "health_snapshot"]), "every_repository_was_scored")
        record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
        evaluation = record.event.asset_check_evaluation if record.event else None
        assert evaluation is not None
        assert not evaluation.passed
        assert evaluation.metadata["faults"].value == "- acme: acme/shop: no such number"
        (last,) = instance.get_runs(limit=1)
        assert last.status is dg.DagsterRunStatus.SUCCESS


def test_the_next_run_makes_up_for_it(done: Place):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "score", _raise)
        assert len(run(done, as_of=NEXT_DAY).faults) == 2
    assert run(done, as_of=NEXT_DAY).faults == ()
    assert done.rows(SCORED) == [(SHOP, NEXT_DAY), (BLOG, NEXT_DAY)]


def test_a_run_attempt_that_cannot_be_read_stops_no_other(done: Place):
    _lose_report_of(done, add_blog_run(done.source.path, 201, classname="tests.blog.test_lost"))
    add_blog_run(done.source.path, 202)
    for _ in range(2):  # it is tried again each time, and said each time
        result = _ingest(done, ["2026-03-10"])
        (evaluation,) = [each for each in result.get_asset_check_evaluations() if each.asset_check_key == _read_check()]
        assert not evaluation.passed
        (fault,) = texts_of(str(evaluation.metadata["faults"].value))
        assert fault.startswith("github:8 run 201/1: the landing zone ")
        assert fault.endswith("so that it is fetched again")
        loaded = done.rows("select run_id from core.run_attempt where run_id::int > 200 order by run_id")
        assert loaded == [("202",)]


def test_unsound_executions_stop_everything_that_rests_on_them(done: Place):
    before = done.rows(SCORED)
    exports = {path: path.read_bytes() for path in done.settings.out.rglob("*.json")}
    plant = (
        "insert into core.test_execution by name "
        "select * replace ('perhaps' as outcome, 999 as ordinal) from core.test_execution where ordinal = 0 limit 1"
    )
    with done.warehouse.connect() as connection:
        connection.execute(plant)
        connection.execute("delete from core.checked_attempt")  # as if they had come so, and nobody had looked yet
    add_blog_run(done.source.path, 203)
    for _ in range(2):  # also where the ingestion has nothing left to do
        with pytest.raises(DataCheckFailedError, match="perhaps") as caught:
            run(done, as_of=NEXT_DAY)
        assert "nothing was scored" in str(caught.value)
        assert done.rows(SCORED) == before
        assert {path: path.read_bytes() for path in done.settings.out.rglob("*.json")} == exports
    with done.warehouse.connect() as connection:
        connection.execute("delete from core.test_execution where outcome = 'perhaps'")
    launched = run(done, as_of=NEXT_DAY)
    assert launched.faults == ()
    assert done.rows(SCORED) == [(SHOP, NEXT_DAY), (BLOG, NEXT_DAY)]


def _raise(*_: Any, **__: Any) -> Scoring:
    raise ArithmeticError("no such number")


def _read_check() -> dg.AssetCheckKey:
    return dg.AssetCheckKey(dg.AssetKey(["core", "run_attempt"]), NOTHING_FAILED.name)


def _lose_report_of(place: Place, run_folder: Path) -> None:
    """Land everything, then delete the report archive of one run folder from the landing zone."""
    place.land()
    (folder,) = [each for each in place.zone.all_folders() if each.folder == run_folder.name]
    (digest,) = [file.digest for file in folder.files if file.kind == "zip"]
    (Path(place.settings.landing) / "objects" / digest[:2] / digest).unlink()


def _ingest(place: Place, days: list[str]) -> dg.ExecuteInProcessResult:
    with instance_of(place) as instance:
        return dg.materialize(
            [raw_artifact, core_tables],
            resources={"workspace": resource_of(place)},
            tags=range_tags(clamped_range(days)),
            instance=instance,
        )
