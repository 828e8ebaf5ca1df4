"""`flakeguard search`: which failures say these words?"""

from datetime import datetime
from pathlib import Path

import click

from flakeguard_pipeline.cli.answering import answer_options, require_place, rows_wanted, show_cut
from flakeguard_pipeline.cli.options import config_option, warehouse_option


@click.command(short_help="Find failures by the words of their messages.")
@click.argument("text")
@click.option("--repository", metavar="R", default="", help="Only this repository, by its full name.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DAY",
    help="Only failures that were seen on this UTC day or later, as 2026-03-06.",
)
@answer_options
@warehouse_option
@config_option
def search(
    *,
    text: str,
    repository: str,
    since: datetime | None,
    form: str,
    out: Path | None,
    limit: int | None,
    warehouse: str | None,
    config: Path | None,
) -> None:
    """Find the failure signatures whose message has all words of TEXT, the most relevant first.

    A word is a run of letters and digits, in any case; everything else only parts words. Messages that have the words
    one after the other come first, then shorter ones before longer ones.

    \b
    flakeguard search "connection refused"
    flakeguard search --limit 10 "[Errno 111]"
    flakeguard search java.net.ConnectException --repository acme/shop --since 2026-03-06
    """
    require_place(form, out)

    from flakeguard_pipeline.operations.asked_revision import explained_by_revision
    from flakeguard_pipeline.operations.searching import search_failures
    from flakeguard_pipeline.settings import load_settings
    from flakeguard_pipeline.warehouse.connection import Warehouse

    place = Warehouse(load_settings(config, {"warehouse": warehouse}).warehouse)
    rows = rows_wanted(form, out, limit)
    asked = search_failures(
        place,
        text,
        repository=repository,
        since=None if since is None else since.date(),
        limit=None if rows is None else rows + 1,
    )
    with explained_by_revision(place), asked as answer:
        show_cut(answer, form, out, rows)
