"""The command line. Each command is a thin module; what it needs is imported when it runs, never for its help."""

import sys

import click

from flakeguard_pipeline import __version__
from flakeguard_pipeline.cli.alias import alias
from flakeguard_pipeline.cli.demo import demo
from flakeguard_pipeline.cli.ingest import ingest
from flakeguard_pipeline.cli.migrate import migrate
from flakeguard_pipeline.cli.run import run
from flakeguard_pipeline.cli.search import search
from flakeguard_pipeline.cli.sources import sources
from flakeguard_pipeline.cli.sql import sql
from flakeguard_pipeline.cli.ui import ui
from flakeguard_pipeline.cli.upload import upload
from flakeguard_pipeline.domain.errors import FlakeGuardError

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it: 128 and the number of the signal."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="flakeguard")
def cli() -> None:
    """Tell flaky tests from broken code, and keep flaky tests from blocking people.

    \b
    flakeguard demo                  see it work on a sample history
    flakeguard run --drop ./ci       the main job on your own CI results
    flakeguard sql --list            what can be asked of the result
    flakeguard search "refused"      which failures say these words
    flakeguard ui                    the Dagster UI on what was run
    """


for command in (run, ingest, sources, demo, sql, search, alias, migrate, ui, upload):
    cli.add_command(command)


def main() -> None:
    """Run the command line; every error that is meant for a person is one line."""
    try:
        status = cli.main(standalone_mode=False)
    except click.exceptions.Exit as exit_:
        status = exit_.exit_code
    except click.Abort:
        status = _interrupted()
    except KeyboardInterrupt:
        status = _interrupted()
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except FlakeGuardError as error:
        click.echo(f"flakeguard: {' '.join(str(error).split())}", err=True)
        status = error.exit_status
    except OSError as error:
        click.echo(f"flakeguard: {error.strerror or error}: {error.filename or 'a file'}; check the path", err=True)
        status = FlakeGuardError.exit_status
    sys.exit(status if isinstance(status, int) else 0)


def _interrupted() -> int:
    click.echo("flakeguard: stopped; what was done is kept, and the same command completes the rest", err=True)
    return INTERRUPTED
