"""A history for which every part of the pipeline has something to do, and whose names are as odd as names get.

Flaky, broken and renamed tests; passes that are inferred; reports that are rejected; two workflows with one test;
names that collations order differently, and texts that databases refuse or change.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.drops import START, add_run, case, flaky_history, report, run_object, zipped

AS_OF = datetime(2026, 3, 9, tzinfo=UTC)

SHOP_RUNS = 12

ODD_NAMES = (
    "a", "B", "_", "é", "e\u0301", "Z", "ä", "a b", "a-b", "ab", "A", "ß", "ss", "İ", "i", "ı", "I",
    "\U0001f600", "\u202etfel", "\u200d", "\ufdd0", "x" * 3000, "tab\tin", "100 %", "$name", "o'clock", "back\\slash",
    "%(x)s", "{x}", "日本語",
)  # fmt: skip
"""Names of tests: in each pair of some two neighbours a collation of a language and the order of bytes differ."""

ODD = {"id": 9, "full_name": "acme/ödd_Repo", "default_branch": "main"}
JOBS = {"id": 10, "full_name": "acme/jobs", "default_branch": "main"}
MOVED = {"id": 11, "full_name": "acme/moved", "default_branch": "main"}


def write_parity_history(drop: Path) -> None:
    """Write all of it."""
    flaky_history(drop, SHOP_RUNS)
    _odd(drop)
    _inferred(drop)
    _renamed(drop)
    _rejected(drop)


def _run(repository: dict[str, object], number: int, **fields: object) -> dict[str, object]:
    return run_object(number, repository=repository, head_repository=repository, **fields)


def _odd(drop: Path) -> None:
    """Odd names, of which every third flakes; NUL and lone surrogates where JSON and XML let them through."""
    for number in range(201, 207):
        for attempt in (1, 2):
            fails = attempt == 1 and number % 2
            cases = [
                case(
                    name.replace("&", "&amp;"),
                    "failed" if fails and place % 3 == 0 else "passed",
                    f"{name}: expected &#xFFFD; but was \U0001f4a5 \u202e e\u0301",
                    classname=f"tests.{name[:20]}",
                )
                for place, name in enumerate(ODD_NAMES)
            ]
            started = START + timedelta(hours=number - 200, minutes=20 * attempt)
            run = _run(ODD, number, run_attempt=attempt, started=started, name="Bau \u0000 \ud800 é",
                       display_title="\ud800")  # fmt: skip
            files = {"Ünit (a_B).zip": zipped({"é.xml": report(*cases)}),
                     "unit.zip": zipped({"r.xml": report(*cases[:9])})}  # fmt: skip
            add_run(drop, run, files)
    # NUL cannot be in XML: such a report is read up to there, or not at all
    broken = report(case("before")).replace(b"</testsuite>", b'<testcase name="nul\x00"/></testsuite>')
    add_run(drop, _run(ODD, 220), {"nul.zip": zipped({"r.xml": broken, "u.xml": b"\xff\xfe<\x00x\x00"})})


def _inferred(drop: Path) -> None:
    """A job that uploads its report only where it fails."""
    for number in range(301, 312):
        fails = number in {301, 302, 306}
        job = {"id": 1000 + number, "name": "tests", "conclusion": "failure" if fails else "success"}
        content = report(case("test_a", "failed"), case("test_b"))
        add_run(drop, _run(JOBS, number), {"tests.zip": zipped({"r.xml": content})} if fails else {}, [job])


def _renamed(drop: Path) -> None:
    """A class that is called something else half-way."""
    for number in range(401, 413):
        classname = "tests.shop.test_cart" if number < 407 else "tests.shop.test_basket"
        cases = [case(name, classname=classname) for name in ("test_steady", "test_total", "test_empty")]
        add_run(drop, _run(MOVED, number), {"r.zip": zipped({"r.xml": report(*cases)})})


def _rejected(drop: Path) -> None:
    cut = zipped({"r.xml": b"<testsuite><testcase"})
    add_run(drop, _run(JOBS, 350), {"no.zip": b"PK\x03\x04 no zip", "cut.zip": cut})
    stray = drop / "no-run"
    stray.mkdir()
    (stray / "run.json").write_text(json.dumps({"id": None}))
