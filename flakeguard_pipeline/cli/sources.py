"""`flakeguard sources`: where CI results come from, and whether they may be read."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flakeguard_pipeline.cli.options import config_option, warehouse_option

if TYPE_CHECKING:
    from flakeguard_pipeline.settings import Settings
    from flakeguard_pipeline.source_sections import AnySource

SOME_FAILED = 1


@click.group(short_help="Show and try the places CI results come from.")
def sources() -> None:
    """Show the sources that flakeguard.yml lists, and try what each may read.

    \b
    flakeguard sources list
    flakeguard sources check
    """


@sources.command(short_help="Try each source, and say what it may read.")
@click.option("--source", "names", multiple=True, metavar="NAME", help="Only this source; may be given several times.")
@config_option
def check(names: tuple[str, ...], config: Path | None) -> None:
    """Ask each source for a little of all that ingestion reads, and say what works and what to do where it does not.

    It changes nothing. Exit status: 0 when everything may be read, 1 when something may not, 2 for wrong configuration.

    \b
    flakeguard sources check --source hub
    """
    import warnings

    from flakeguard_pipeline.domain.errors import FlakeGuardError
    from flakeguard_pipeline.providers.registry import opened_source
    from flakeguard_pipeline.settings import load_settings

    settings = load_settings(config)
    rows: list[tuple[str, str, str, str]] = []
    for section in require_names(settings, names):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            try:
                with opened_source(section) as source:
                    rows += [
                        (section.name, access.what, "ok" if access.ok else "NO", access.detail)
                        for access in source.check()
                    ]
            except FlakeGuardError as error:
                rows.append((section.name, section.kind, "NO", " ".join(str(error).split())))
        rows += [(section.name, "secret", "note", str(each.message)) for each in told]
    click.echo(_table(rows, ("source", "what", "", "detail")))
    raise click.exceptions.Exit(SOME_FAILED if any(row[2] == "NO" for row in rows) else 0)


@sources.command("list", short_help="Show the sources, and how far each was listed.")
@warehouse_option
@config_option
def list_(warehouse: str | None, config: Path | None) -> None:
    """List the sources with their kind, their place, and until when each was listed completely.

    \b
    flakeguard sources list --config flakeguard.yml
    """
    from flakeguard_pipeline.landing.cursors import read_cursor
    from flakeguard_pipeline.landing.zone import LandingZone
    from flakeguard_pipeline.settings import load_settings

    settings = load_settings(config, {"warehouse": warehouse})
    zone = LandingZone(settings.landing)
    rows = []
    for each in settings.all_sources:
        cursor = read_cursor(zone, each.name)
        complete = "not yet" if cursor.complete_until is None else f"{cursor.complete_until:%Y-%m-%d %H:%M} UTC"
        waiting = f", {len(cursor.unfinished)} run folders waited for" if cursor.unfinished else ""
        state = "listed whole each time" if each.kind == "drop" else complete + waiting
        rows.append((each.name, each.kind, each.url, state if each.enabled else "switched off"))
    click.echo(_table(rows, ("source", "kind", "place", "complete until")) if rows else NO_SOURCES)


NO_SOURCES = "No source is configured; list some under `sources` in flakeguard.yml (docs/reference/sources.md)."


def require_names(settings: "Settings", names: Sequence[str]) -> "list[AnySource]":
    """Return the sources of these names, or all that are switched on.

    Raises:
        UsageError: there is no source of a name, or none at all.
    """
    from flakeguard_pipeline.config_positions import likely
    from flakeguard_pipeline.domain.errors import UsageError

    known = {each.name: each for each in settings.all_sources if each.enabled}
    for name in names:
        if name not in known:
            off = any(each.name == name for each in settings.all_sources)
            told = "is switched off (`enabled: false`)" if off else f"is no source{likely(name, sorted(known))}"
            raise UsageError(f"--source {name}: {told}; there are: {', '.join(known) or 'none'}")
    if not known:
        raise UsageError(NO_SOURCES[0].lower() + NO_SOURCES[1:])
    return [known[name] for name in dict.fromkeys(names)] if names else list(known.values())


def _table(rows: Sequence[tuple[str, ...]], columns: tuple[str, ...]) -> str:
    widths = [max(len(row[number]) for row in (columns, *rows)) for number in range(len(columns) - 1)]
    lines = []
    for row in (columns, *rows):
        cells = [text.ljust(width) for text, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    return "\n".join(lines)
