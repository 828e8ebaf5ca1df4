"""`flakeguard demo`: the main job on a sample history that it makes itself."""

import os
from datetime import datetime
from pathlib import Path

import click

from flakeguard_pipeline.cli.options import as_of_option

DEMO_DROP = "demo-drop"


@click.command(short_help="See it work on a sample history.")
@as_of_option
def demo(as_of: datetime | None) -> None:
    """Make a believable CI history in ./.flakeguard/ and run the main job on it.

    The history has stable tests, flaky ones, a regression that breaks and is fixed, pull requests that really break
    tests, an outage, re-runs of the same commit and two variants.

    \b
    flakeguard demo
    flakeguard demo --as-of 2026-10-01    what was true in the middle of the history
    """
    from datetime import UTC, time, timedelta

    from flakeguard_pipeline.cli.progress import make_progress
    from flakeguard_pipeline.cli.run import run_main_job
    from flakeguard_pipeline.settings import DEFAULT_HOME
    from flakeguard_pipeline.simulator.drop_folder import write_drop_folder
    from flakeguard_pipeline.simulator.history import SimulationParameters, simulate

    # The sample must not reach a warehouse or exports that the environment names for real results.
    for name in [name for name in os.environ if name.startswith("FLAKEGUARD_")]:
        del os.environ[name]
    drop = DEFAULT_HOME / DEMO_DROP
    parameters = SimulationParameters()
    with make_progress() as progress:
        progress.stage("simulate", None)
        write_drop_folder(simulate(parameters), drop)
    # The sample history ends on a fixed day, and so does what is known of it.
    end = datetime.combine(parameters.start + timedelta(days=parameters.days), time(), tzinfo=UTC)
    status = run_main_job(drop=str(drop), warehouse=None, out=None, as_of=as_of or end, config=_no_config(drop))
    click.echo("")
    click.echo("Where to look next:")
    click.echo("  make ui (or flakeguard ui)   the assets, their history and the findings in the Dagster UI")
    click.echo("  flakeguard run --drop DIR    the same on your own CI results (docs/reference/drop-folder.md)")
    raise click.exceptions.Exit(status)


def _no_config(drop: Path) -> Path:
    """Return an empty configuration: the demo shows the defaults, whatever flakeguard.yml says of your own CI."""
    path = drop.parent / "demo.yml"
    path.write_text("# The demo runs with the defaults.\n", encoding="utf-8")
    return path
