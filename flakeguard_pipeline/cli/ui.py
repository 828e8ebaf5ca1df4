"""`flakeguard ui`: the Dagster UI on the instance that `flakeguard run` uses."""

import os
import sys
from pathlib import Path

import click


@click.command(short_help="Open the Dagster UI on what was run.")
@click.option("--port", default=3000, show_default=True, help="Port of the UI.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
def ui(port: int, host: str) -> None:
    """Start the Dagster UI and its daemon (schedules, sensors, backfills) until Ctrl-C.

    It follows flakeguard.yml and the FLAKEGUARD_ variables; after `flakeguard demo` it shows the demo.

    \b
    flakeguard ui --port 3001
    """
    from assets.instance import opened, prepare_home
    from flakeguard_pipeline.cli.demo import DEMO_DROP
    from flakeguard_pipeline.settings import VARIABLES, load_settings

    settings = load_settings()
    home = prepare_home(settings.dagster_home, settings.dagster_storage)
    if settings.dagster_storage is not None:
        # what is wrong with the storage is said in one line; and its tables are there before two servers make them
        with opened(home, settings.dagster_storage):
            pass
    environment = {**os.environ, "DAGSTER_HOME": str(home)}
    sample = settings.home / DEMO_DROP
    if settings.drop is None and sample.is_dir():
        environment[VARIABLES["drop"]] = str(sample.absolute())
    dagster = Path(sys.executable).with_name("dagster")
    command = [str(dagster), "dev", "--workspace", str(home / "workspace.yaml"), "--host", host, "--port", str(port)]
    click.echo(f"The Dagster UI: http://{host}:{port} (Ctrl-C ends it)")
    os.execve(command[0], command, environment)  # noqa: S606 - Dagster's own command takes this process's place
