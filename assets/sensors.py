"""Sensors: seeing new CI results. They read listings and manifests, never the warehouse."""

import json

import dagster as dg

from assets import jobs
from assets.partitions import clamped_range, last_day, range_tags
from assets.resources import WorkspaceResource
from flakeguard_pipeline.domain.digests import stable_id
from flakeguard_pipeline.domain.errors import FlakeGuardError
from flakeguard_pipeline.ingest.landing import find_pending

SENSOR_SECONDS = 60
"""Between two looks at the drop folder: results count by the hour, and a look at 10,000 folders takes a second."""


@dg.sensor(
    job=jobs.ingest,
    minimum_interval_seconds=SENSOR_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks for run attempts in the drop folder that were not landed yet and asks for their days. The "
    "cursor holds what was asked for, so that nothing is requested twice; what has landed leaves it. What a "
    "failed run (after its retries) has not landed is taken up by re-executing that run, or by `flakeguard run`.",
)
def drop_folder_sensor(context: dg.SensorEvaluationContext, workspace: WorkspaceResource) -> dg.SensorResult:
    """Request one run for the days of everything new."""
    place = workspace.open()
    if place.settings.drop is None:
        return dg.SensorResult(skip_reason="no drop folder is configured: set `drop` in flakeguard.yml")
    try:
        pending = find_pending(place.source, place.zone, provider=place.settings.provider)
    except FlakeGuardError as error:
        return dg.SensorResult(skip_reason=str(error))
    marks = {stable_id([each.found.folder, each.found.fingerprint])[:12]: each for each in pending}
    asked = set(json.loads(context.cursor)) if context.cursor else set()
    new = sorted(marks.keys() - asked)
    cursor = json.dumps(sorted(marks))
    if not new:
        return dg.SensorResult(skip_reason=f"{len(marks)} run folders wait for runs asked for before", cursor=cursor)
    days = [marks[mark].day or last_day() for mark in new]
    request = dg.RunRequest(run_key=stable_id(new), tags=range_tags(clamped_range(days)))
    return dg.SensorResult(run_requests=[request], cursor=cursor)


SENSORS = [drop_folder_sensor]
