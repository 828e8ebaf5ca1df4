"""Schedules: scoring every hour, exports more often than they expire."""

import dagster as dg

from assets import jobs

score_hourly = dg.ScheduleDefinition(
    name="score_hourly",
    job=jobs.score,
    cron_schedule="20 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Rolls up, scores, decides and exports every hour.",
)

export_every_six_hours = dg.ScheduleDefinition(
    name="export_every_six_hours",
    job=jobs.export,
    cron_schedule="50 */6 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Writes the exports anew every six hours, also while scoring fails: they are valid for 72 hours.",
)

SCHEDULES = [score_hourly, export_every_six_hours]
