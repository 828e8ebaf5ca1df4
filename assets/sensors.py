"""Sensors: seeing new CI results. They read listings and manifests, never the warehouse."""

import json
from datetime import UTC, datetime

import dagster as dg

from assets import jobs
from assets.partitions import clamped_range, last_day, range_tags
from assets.raw.provider_artifact import NO_SOURCE, TITLES, due_days, pull_config
from assets.resources import WorkspaceResource
from flakeguard_pipeline.domain.digests import stable_id
from flakeguard_pipeline.domain.errors import FlakeGuardError
from flakeguard_pipeline.ingest.landing import find_pending
from flakeguard_pipeline.source_sections import DROP, KINDS

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
    if not place.settings.sources_of(DROP):
        return dg.SensorResult(skip_reason="no drop folder is configured: set `drop` in flakeguard.yml")
    marks, faults = {}, []
    for source in place.drops:
        try:
            pending = find_pending(source, place.zone)
        except FlakeGuardError as error:
            faults.append(str(error))
            continue
        # of `drop` as it always was, so that an older cursor holds
        prefix = [] if source.name == DROP else [source.name]
        marks.update({stable_id([*prefix, each.found.folder, each.found.fingerprint])[:12]: each for each in pending})
    if faults and not marks:
        return dg.SensorResult(skip_reason="; ".join(faults))
    asked = set(json.loads(context.cursor)) if context.cursor else set()
    new = sorted(marks.keys() - asked)
    cursor = json.dumps(sorted(marks))
    if not new:
        return dg.SensorResult(skip_reason=f"{len(marks)} run folders wait for runs asked for before", cursor=cursor)
    days = [marks[mark].day or last_day() for mark in new]
    request = dg.RunRequest(run_key=stable_id(new), tags=range_tags(clamped_range(days)))
    return dg.SensorResult(run_requests=[request], cursor=cursor)


PROVIDER_SENSOR_SECONDS = 600
"""Between two looks at a CI provider: its rate limits are by the hour, and a look costs a run of Dagster."""

UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def _provider_sensor(kind: str) -> dg.SensorDefinition:
    job = jobs.INGEST_PROVIDER[kind]

    @dg.sensor(
        name=f"{kind}_sensor",
        job=job,
        minimum_interval_seconds=PROVIDER_SENSOR_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Asks for the days in which {TITLES[kind]} may have something new: from some days before each "
        "source's last complete listing until now. It asks the provider nothing itself. The cursor holds what was "
        "asked for last.",
    )
    def provider_sensor(context: dg.SensorEvaluationContext, workspace: WorkspaceResource) -> dg.SensorResult:
        """Request one run for the days that are due of all sources of the kind."""
        place = workspace.open()
        sections = place.settings.sources_of(kind)
        if not sections:
            return dg.SensorResult(skip_reason=f"{NO_SOURCE}: add one to `sources` in flakeguard.yml")
        runs = dg.RunsFilter(job_name=job.name, statuses=UNDER_WAY)
        if context.instance.get_runs(runs, limit=1):
            return dg.SensorResult(skip_reason="the run that was asked for before has not ended yet")
        now = datetime.now(UTC)
        days = due_days(place, sections, now)
        slot = int(now.timestamp()) // PROVIDER_SENSOR_SECONDS
        asked = json.dumps({"first_day": days.start, "last_day": days.end, "slot": slot})
        request = dg.RunRequest(
            run_key=stable_id([kind, asked]), tags=range_tags(days), run_config=pull_config(kind, incremental=True)
        )
        return dg.SensorResult(run_requests=[request], cursor=asked)

    return provider_sensor


SENSORS = [drop_folder_sensor, *(_provider_sensor(kind) for kind in KINDS)]
