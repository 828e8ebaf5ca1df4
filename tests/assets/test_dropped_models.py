"""What dbt made and somebody dropped is made again by the next run: nothing is scored from a part of the history."""

import dagster as dg

from assets.core.dbt import build_dbt_assets, dbt_resource
from assets.dbt_project import prepared_manifest
from assets.resources import ClockResource
from tests.assets.workspaces import DONE_AS_OF, add_blog_run, instance_of, resource_of, run
from tests.support.places import Place

UNROLLED = """
    select count(*) from (select distinct repository_id, run_id, run_attempt from core.test_execution) as executed
    left join (select distinct repository_id, run_id, run_attempt from intermediate.int_reported_test) as rolled
        using (repository_id, run_id, run_attempt)
    where rolled.run_id is null
"""
HEALTH = "select * from marts.test_health order by test_id, repository_id"


def test_what_was_dropped_is_made_again_though_nothing_is_new(done: Place) -> None:
    before = done.rows(HEALTH)
    trend = done.rows("select count(*) from marts.flake_trend")
    with done.warehouse.connect() as connection:
        connection.execute("drop table intermediate.int_reported_test")
        connection.execute("drop view marts.flake_trend")
    assert run(done, as_of=DONE_AS_OF).faults == ()
    assert done.rows(UNROLLED) == [(0,)]
    assert done.rows(HEALTH) == before
    assert done.rows("select count(*) from marts.flake_trend") == trend


def test_a_selection_that_leaves_tables_out_is_made_up_for_by_the_next_run(done: Place) -> None:
    add_blog_run(done.source.path, 107)
    done.ingest()
    rollups, _ = build_dbt_assets(prepared_manifest(done.settings, done.warehouse))
    selected = dg.AssetSelection.assets(["intermediate", "int_changed_attempt"], ["intermediate", "int_rolled_attempt"])
    with instance_of(done) as instance:
        built = dg.materialize(
            [rollups],
            selection=selected,
            resources={"workspace": resource_of(done), "dbt": dbt_resource(), "clock": ClockResource()},
            instance=instance,
        )
    assert built.success
    assert done.rows(UNROLLED) == [(1,)]
    assert run(done, as_of=DONE_AS_OF).faults == ()
    assert done.rows(UNROLLED) == [(0,)]
