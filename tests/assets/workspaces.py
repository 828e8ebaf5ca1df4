"""Workspaces for the code location, and a history of two repositories to run it on."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from assets.instance import exclusive
from assets.launch import Launched, run_main_job
from assets.resources import WorkspaceResource
from flakeguard_pipeline.progress import Silent
from tests.support.drops import add_run, case, flaky_history, report, run_object, zipped
from tests.support.places import Place

DONE_AS_OF = datetime(2026, 3, 9, tzinfo=UTC)
"""After all of `write_history`."""

BLOG = {"id": 8, "full_name": "acme/blog", "default_branch": "main"}


def resource_of(place: Place) -> WorkspaceResource:
    """Return the resource that opens `place`."""
    settings = place.settings
    return WorkspaceResource(
        config=str(place.source.path.parent / "flakeguard.yml"),
        drop=str(settings.drop),
        warehouse=settings.warehouse,
        landing=settings.landing,
        out=str(settings.out),
    )


def run(place: Place, as_of: datetime) -> Launched:
    """Run the main job on `place`."""
    return run_main_job(resource_of(place), as_of=as_of, progress=Silent())


@contextmanager
def instance_of(place: Place) -> Iterator[dg.DagsterInstance]:
    """Open the Dagster instance of `place`, as the main job does."""
    with exclusive(place.settings.dagster_home, Silent()) as own:
        yield own.instance


def write_history(drop: Path) -> None:
    """Write some days of acme/shop (run ids 1 to 12) and of acme/blog (101 to 106)."""
    flaky_history(drop)
    for number in range(101, 107):
        add_blog_run(drop, number)


def add_blog_run(drop: Path, number: int, classname: str = "tests.blog.test_post") -> Path:
    """Write one run of acme/blog; its day follows from its number."""
    content = report(case("test_post", classname=classname), case("test_tags", classname=classname))
    run_ = run_object(number, repository=BLOG, head_repository={"id": 8, "full_name": "acme/blog"})
    return add_run(drop, run_, {"test-results.zip": zipped({"r.xml": content})})
