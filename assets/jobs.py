"""Jobs: what people and schedules start. Belongs here: which assets belong together."""

import dagster as dg

from assets.groups import CORE, DELIVERY, FLAKINESS, QUARANTINE, RAW

RETRIES = {"dagster/max_retries": "2"}
"""A run that was killed or lost its machine is tried again: every step completes what was begun."""

_INGESTED = dg.AssetSelection.assets(
    ["raw", "raw_artifact"], ["core", "run_attempt"], ["core", "test_execution"], ["core", "rejected_artifact"]
)

ingest = dg.define_asset_job(
    "ingest",
    selection=_INGESTED,
    tags=RETRIES,
    description="Land and load the CI results of a day, or of a range of days, and check what was loaded.",
)

score = dg.define_asset_job(
    "score",
    selection=dg.AssetSelection.groups(RAW, CORE, FLAKINESS, QUARANTINE, DELIVERY) - _INGESTED,
    tags=RETRIES,
    description="Roll up, score, decide and export, from what is loaded.",
)

export = dg.define_asset_job(
    "export",
    selection=dg.AssetSelection.assets(["delivery", "quarantine_export"]),
    tags=RETRIES,
    description="Write the quarantine exports anew, so that they stay valid.",
)

everything = dg.define_asset_job(
    "flakeguard",
    selection=dg.AssetSelection.all(),
    tags=RETRIES,
    description="The main job: ingest the chosen days, then roll up, score, decide and export.",
)

check = dg.define_asset_job(
    "check",
    selection=dg.AssetSelection.checks_for_assets(dg.AssetKey(["core", "test_execution"])),
    description="Check what is loaded, without loading anything.",
)

JOBS = [ingest, score, export, check, everything]

score_idle = dg.define_asset_job("score_idle", selection=dg.AssetSelection.all())
"""What is left of scoring when nothing new was loaded; part of the definitions that import no dbt."""
