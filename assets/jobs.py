"""Jobs: what people and schedules start. Belongs here: which assets belong together."""

import dagster as dg

from assets.groups import CORE, DELIVERY, FLAKINESS, QUARANTINE
from assets.raw.provider_artifact import TITLES, key_of
from flakeguard_pipeline.source_sections import KINDS

RETRIES = {"dagster/max_retries": "2"}
"""A run that was killed or lost its machine is tried again: every step completes what was begun."""

PULLED = {**RETRIES, "dagster/retry_on_asset_or_op_failure": "false"}
"""For runs that ask a provider: what may help was tried again by then, and the sensor asks again soon. Only a run that
was killed is tried again."""

_LOADED = dg.AssetSelection.assets(["core", "run_attempt"], ["core", "test_execution"], ["core", "rejected_artifact"])

ingest = dg.define_asset_job(
    "ingest",
    selection=dg.AssetSelection.assets(["raw", "raw_artifact"]) | _LOADED,
    tags=RETRIES,
    description="Land and load the CI results of a day, or of a range of days, from drop folders, and check what was "
    "loaded.",
)

INGEST_PROVIDER = {
    kind: dg.define_asset_job(
        f"ingest_{kind}",
        selection=dg.AssetSelection.assets(key_of(kind)) | _LOADED,
        tags=PULLED,
        description=f"Land and load what {TITLES[kind]} has of a day, or of a range of days. A failure of this "
        "provider stops no other's job.",
    )
    for kind in KINDS
}
"""A job for each kind of provider, so that none waits for another or fails with it."""

score = dg.define_asset_job(
    "score",
    selection=dg.AssetSelection.groups(CORE, FLAKINESS, QUARANTINE, DELIVERY) - _LOADED,
    tags=RETRIES,
    description="Roll up, score, decide, export and refresh the read-only copy, from what is loaded.",
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

JOBS = [ingest, *INGEST_PROVIDER.values(), score, export, check, everything]

score_idle = dg.define_asset_job("score_idle", selection=dg.AssetSelection.all())
"""What is left of scoring when nothing new was loaded; part of the definitions that import no dbt."""
