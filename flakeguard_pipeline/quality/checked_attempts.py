"""Which run attempts a suite of expectations has looked at, so that it looks at what has changed since.

A run attempt is loaded whole, so the executions of one that has the load digest it was found sound with are the same
rows. No expectation reaches across run attempts: the key of an execution begins with its attempt's.
"""

import polars as pl

from flakeguard_pipeline.warehouse import tables
from flakeguard_pipeline.warehouse.connection import Connection
from flakeguard_pipeline.warehouse.load import name_of

ATTEMPT = name_of(tables.run_attempt)
CHECKED = name_of(tables.checked_attempt)
EXECUTION = name_of(tables.test_execution)

_KEY = ", ".join(tables.ATTEMPT_KEY)


def unchecked(suite_name: str, suite_digest: str) -> str:
    """Return the query for what the suite has not met: ATTEMPT_KEY and load_digest of run attempts.

    Executions come by reports, so a report of a run attempt that is not loaded is among them, with the digest '': what
    it tells are orphans.

    Args:
        suite_name: one of our own names, and no text from elsewhere: the query is run by sessions that bind no values.
        suite_digest: the same.
    """
    key = ", ".join(f"report.{name}" for name in tables.ATTEMPT_KEY)
    loaded_key = ", ".join(f"loaded.{name}" for name in tables.ATTEMPT_KEY)
    return (
        f"select {loaded_key}, loaded.load_digest from ("  # noqa: S608 - names from our metadata
        f"select {_KEY}, load_digest from {ATTEMPT} union all "
        f"select distinct {key}, '' as load_digest from {name_of(tables.report)} as report "
        f"left join {ATTEMPT} as attempt on {_same('attempt', 'report')} where attempt.run_id is null"
        f") as loaded left join {CHECKED} as checked on {_same('checked', 'loaded')} "
        f"and checked.suite_name = '{suite_name}' and checked.suite_digest = '{suite_digest}' "
        "and checked.load_digest = loaded.load_digest where checked.run_id is null"
    )


def executions_of(attempts: str) -> str:
    """Return the query for all columns of the executions of the run attempts that a query names, whatever their org."""
    key = ", ".join(tables.REPLACED_BY)
    same = " and ".join(f"execution.{name} = chosen.{name}" for name in tables.REPLACED_BY)
    return (
        f"select execution.* from {EXECUTION} as execution "  # noqa: S608 - names from our metadata
        f"inner join (select distinct {key} from ({attempts}) as named) as chosen on {same}"
    )


def record_sound(connection: Connection, attempts: pl.DataFrame, *, suite_name: str, suite_digest: str) -> None:
    """Remember run attempts as sound, in one transaction; forget those that are gone.

    One that was loaded again while it was checked has another load digest by now, and is left out.

    Args:
        connection: the open warehouse.
        attempts: ATTEMPT_KEY and load_digest, as `unchecked` returned them before the check.
        suite_name: the suite.
        suite_digest: the suite as it is now.
    """
    known = {"suite_name": suite_name, "suite_digest": suite_digest}
    found = ", ".join(f"found.{name}" for name in tables.ATTEMPT_KEY)
    with connection.transaction(), connection.frame("_found_sound", attempts):
        connection.execute(
            f"delete from {CHECKED} as checked where checked.suite_name = $suite_name and ("  # noqa: S608
            f"exists (select 1 from _found_sound as found where {_same('found', 'checked')}) or "
            f"not exists (select 1 from {ATTEMPT} as attempt where {_same('attempt', 'checked')}))",
            {"suite_name": suite_name},
        )
        connection.execute(
            f"insert into {CHECKED} ({_KEY}, suite_name, suite_digest, load_digest) "  # noqa: S608
            f"select {found}, $suite_name, $suite_digest, found.load_digest from _found_sound as found "
            f"inner join {ATTEMPT} as attempt on {_same('attempt', 'found')} "
            "and attempt.load_digest = found.load_digest",
            known,
        )


def _same(one: str, other: str) -> str:
    return " and ".join(f"{one}.{name} = {other}.{name}" for name in tables.ATTEMPT_KEY)
