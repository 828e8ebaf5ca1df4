"""Group `quarantine`: decisions. Belongs here: applying the policy to the last scoring, repository by repository."""

import time
from collections import Counter
from collections.abc import Iterator

import dagster as dg

from assets import metadata
from assets.checks.faults import told
from assets.flakiness.health_snapshot import HEALTH_SNAPSHOT
from assets.groups import OWNERS, QUARANTINE, WAREHOUSE_POOL
from assets.resources import WorkspaceResource
from flakeguard_pipeline.operations.decisions import decide_repository
from flakeguard_pipeline.operations.repositories import for_each, repositories

QUARANTINE_EVENT = dg.AssetKey(["quarantine", "quarantine_event"])

EVERY_REPOSITORY = dg.AssetCheckSpec(
    "every_repository_was_decided",
    asset=QUARANTINE_EVENT,
    description="No repository's decisions failed; one that did keeps its former state.",
)


@dg.asset(
    key=QUARANTINE_EVENT,
    deps=[HEALTH_SNAPSHOT],
    check_specs=[EVERY_REPOSITORY],
    group_name=QUARANTINE,
    owners=OWNERS,
    kinds={"sql", "python"},
    pool=WAREHOUSE_POOL,
    description="One row per decision ever made, with its evidence, the policy and the code that made it; append-only. "
    "Decisions are made as of the last scoring; none is appended before the newest decision there is.",
)
def quarantine_event(workspace: WorkspaceResource) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Decide for every repository and append what was decided."""
    started = time.monotonic()
    place = workspace.open()
    members = repositories(place.warehouse)
    place.progress.stage("decide", len(members))
    done = for_each(
        members,
        lambda repository: decide_repository(place.warehouse, repository, policy=place.settings.policy),
        place.progress,
    )
    events = [event for decisions in done.results.values() for event in decisions.events]
    transitions = Counter(f"{event.from_state.value or 'none'} to {event.to_state.value}" for event in events)
    yield dg.MaterializeResult(
        asset_key=QUARANTINE_EVENT,
        metadata={
            "decisions": len(events),
            "repositories_reported_only": sum(decisions.is_dry for decisions in done.results.values()),
            "policy_version": place.settings.policy.version,
            "seconds": round(time.monotonic() - started, 3),
            "transitions": metadata.table(sorted(transitions.items()), ("transition", "decisions")),
            "newest": metadata.table(
                ((event.repository, event.test_id, event.to_state.value, event.rationale) for event in events),
                ("repository", "test", "now", "why"),
            ),
        },
    )
    yield told(EVERY_REPOSITORY, done.faults)
