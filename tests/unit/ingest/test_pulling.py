"""Pulling from a CI provider: what is landed, what is asked again, and what stops a source."""

import contextlib
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flakeguard_pipeline.domain.errors import LandingError
from flakeguard_pipeline.ingest import landing
from flakeguard_pipeline.ingest.pulling import FAILURES_IN_A_ROW, Pace, PullOutcome, pull
from flakeguard_pipeline.landing.cursors import MAX_UNFINISHED_DAYS, Cursor, read_cursor
from flakeguard_pipeline.landing.zone import LandingZone
from flakeguard_pipeline.providers.patience import MAX_TRIES
from flakeguard_pipeline.providers.source import EVERYTHING, Window
from tests.support.drops import START, case, report, zipped
from tests.support.http_source import PAGE, HttpSource, Patience, World
from tests.support.places import Place
from tests.support.provider_server import Answer, Fault, ProviderServer, cut, json_answer, serving

NOW = START + timedelta(days=10)
SERVER_ERROR = Answer(500, b"oops")
PACE = Pace(downloads=4, lookback_days=3, initial_days=30)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def server(world: World) -> Iterator[ProviderServer]:
    with serving(world.respond) as running:
        yield running


@pytest.fixture
def zone(tmp_path: Path) -> LandingZone:
    return LandingZone(str(tmp_path / "zone"))


def pulled(
    server: ProviderServer,
    zone: LandingZone,
    window: Window | None = None,
    now: datetime = NOW,
    name: str = "hub",
    **options: object,
) -> PullOutcome:
    with contextlib.closing(HttpSource(server.url, name=name, clock=Patience().clock())) as source:
        return pull(source, zone, window, now=now, pace=PACE, **options)  # type: ignore[arg-type]


def folders(zone: LandingZone) -> list[str]:
    return sorted(folder.folder for folder in zone.all_folders())


def content(zone: LandingZone) -> dict[str, bytes]:
    root = Path(zone.url)
    found = (path for part in ("objects", "manifests") for path in root.glob(f"{part}/**/*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


# -- what is landed ------------------------------------------------------------------------------------------


def test_a_run_is_landed_with_its_metadata_and_artifacts(
    world: World, server: ProviderServer, zone: LandingZone
) -> None:
    reports = zipped({"r.xml": report(case("test_a"))})
    world.add(1, artifacts={"junit": reports, "logs": b"no zip"})
    outcome = pulled(server, zone)
    (folder,) = zone.all_folders()
    assert (folder.source, folder.provider, folder.folder, folder.run_id) == ("hub", "github", "1/1", "1")
    assert folder.day == "2026-03-02"
    assert {file.path: zone.read(file.digest) for file in folder.files if file.artifact} == {
        "junit.zip": reports,
        "logs.zip": b"no zip",
    }
    assert (outcome.counts.folders, outcome.counts.files, outcome.faults, outcome.is_complete) == (1, 3, [], True)
    assert outcome.days == {"2026-03-02"}
    assert outcome.report.requests == len(server.requests) == 4


def test_the_second_time_only_lists(world: World, server: ProviderServer, zone: LandingZone) -> None:
    for number in range(1, 2 * PAGE + 6):
        world.add(number)
    assert pulled(server, zone).counts.folders == 2 * PAGE + 5
    before, asked = content(zone), len(server.requests)
    again = pulled(server, zone, EVERYTHING)
    assert (again.counts.folders, again.known, again.is_complete) == (0, 2 * PAGE + 5, True)
    assert [request.path for request in server.requests[asked:]] == ["/runs"] * 3
    assert content(zone) == before


def test_a_run_that_changed_is_fetched_again_and_another_attempt_is_another_folder(
    world: World, server: ProviderServer, zone: LandingZone
) -> None:
    world.add(1, artifacts={})
    pulled(server, zone)
    world.add(1, updated_at="2026-03-02T12:00:00Z")
    world.add(1, attempt=2, started=START + timedelta(days=1))
    assert pulled(server, zone, EVERYTHING).counts.folders == 2
    assert [(folder.folder, folder.day, len(folder.files)) for folder in zone.all_folders()] == [
        ("1/1", "2026-03-02", 2),
        ("1/2", "2026-03-03", 2),
    ]


def test_downloads_at_once_and_connections_are_bounded(world: World, server: ProviderServer, zone: LandingZone) -> None:
    for number in range(60):
        world.add(number + 1)
    pulled(server, zone)
    assert len(folders(zone)) == 60
    assert server.most_connections <= PACE.downloads + 1  # the listing's own


def test_what_is_landed_comes_in_batches_so_that_a_failure_costs_one(
    world: World, server: ProviderServer, zone: LandingZone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing, "FOLDERS_A_BATCH", 4)
    for number in range(1, 31):
        world.add(number)
    before: list[int] = []

    def look(request: object, right: Answer) -> Answer:
        before.append(len(folders(zone)))
        return right

    server.faults.append(Fault(r"^/artifacts/1/1/", look))
    pulled(server, zone)
    assert 0 < before[0] < 30
    assert len(folders(zone)) == 30


def test_an_artifact_that_has_expired_is_recorded_and_no_fault(
    world: World, server: ProviderServer, zone: LandingZone, place: Place
) -> None:
    world.add(1, artifacts={"junit": None, "other": zipped({"r.xml": report(case("test_a"))})})
    outcome = pulled(server, place.zone)
    assert (outcome.counts.expired, outcome.faults) == (1, [])
    place.load()
    assert place.rows("select artifact, path, reason_code, detail from core.rejected_artifact") == [
        ("junit", "junit.zip", "artifact_expired", "")
    ]
    assert place.rows("select artifact from core.test_execution") == [("other",)]
    assert place.rows("select distinct kind from core.raw_artifact order by 1") == [("run",), ("zip",)]


def test_an_artifact_that_is_gone_when_it_is_fetched_has_expired(
    world: World, server: ProviderServer, zone: LandingZone
) -> None:
    world.add(1)
    server.faults.append(Fault(r"^/artifacts/", Answer(410)))
    outcome = pulled(server, zone)
    (folder,) = zone.all_folders()
    assert [(file.kind, file.path, file.digest, file.error) for file in folder.files if file.artifact] == [
        ("expired", "junit.zip", "", "")
    ]
    assert (outcome.counts.expired, outcome.failed) == (1, 0)


def test_what_was_landed_before_it_expired_is_kept(world: World, server: ProviderServer, zone: LandingZone) -> None:
    world.add(1)
    pulled(server, zone)
    world.add(1, artifacts={"junit": None}, updated_at="2026-03-02T12:00:00Z")
    assert pulled(server, zone, EVERYTHING).counts.folders == 1
    (folder,) = zone.all_folders()
    assert [(file.kind, file.path) for file in folder.files] == [("run", "run.json"), ("zip", "junit.zip")]


# -- what is asked again -------------------------------------------------------------------------------------


def test_a_run_that_still_runs_is_recorded_without_its_artifacts_and_taken_up_when_it_has_finished(
    world: World, server: ProviderServer, zone: LandingZone
) -> None:
    world.add(1, status="in_progress", conclusion=None)
    outcome = pulled(server, zone)
    assert (outcome.unfinished, outcome.faults) == (1, [])
    assert not server.asked("^/artifacts/")
    assert read_cursor(zone, "hub") == Cursor(NOW, {"1/1": "2026-03-02"})
    world.add(1)
    later = NOW + timedelta(days=20)  # long after the lookback
    assert pulled(server, zone, now=later).counts.files == 2
    assert read_cursor(zone, "hub") == Cursor(later, {})


def test_a_run_that_never_finishes_is_given_up(world: World, server: ProviderServer, zone: LandingZone) -> None:
    world.add(1, status="in_progress", conclusion=None)
    pulled(server, zone)
    late = START + timedelta(days=MAX_UNFINISHED_DAYS + 2)
    outcome = pulled(server, zone, now=late)
    assert outcome.notes == ["1/1 has not finished in 35 days, and is not asked for any more"]
    assert outcome.window.since == NOW - timedelta(days=PACE.lookback_days)
    assert read_cursor(zone, "hub").unfinished == {}


def test_a_folder_that_fails_is_left_out_reported_and_tried_again(
    world: World, server: ProviderServer, zone: LandingZone
) -> None:
    for number in (1, 2, 3):
        world.add(number)
    server.faults.append(Fault(r"^/artifacts/2/1/", SERVER_ERROR, times=MAX_TRIES))
    outcome = pulled(server, zone)
    assert folders(zone) == ["1/1", "3/1"]
    (fault,) = outcome.faults
    assert fault.startswith("1 run folders are not complete, and asked for again next time: 2/1: http://127.0.0.1:")
    assert (outcome.failed, outcome.is_complete) == (1, True)
    again = pulled(server, zone, now=NOW + timedelta(days=20))
    assert again.faults == []
    assert folders(zone) == ["1/1", "2/1", "3/1"]


def test_a_connection_that_is_cut_in_the_middle_of_an_artifact_costs_another_try(
    world: World, server: ProviderServer, zone: LandingZone
) -> None:
    big = zipped({"r.xml": report(case("test_a")) * 5000})
    world.add(1, artifacts={"junit": big})
    server.faults.append(Fault(r"^/artifacts/", cut(1000), times=2))
    outcome = pulled(server, zone)
    (folder,) = zone.all_folders()
    assert [zone.read(file.digest) for file in folder.files if file.artifact] == [big]
    assert (outcome.faults, outcome.report.retries) == ([], 2)


# -- cursors and windows -------------------------------------------------------------------------------------


def test_the_first_time_looks_back_its_days_and_then_from_the_last_complete_listing(
    world: World, server: ProviderServer, zone: LandingZone
) -> None:
    world.add(1, started=NOW - timedelta(days=31))
    world.add(2, started=NOW - timedelta(days=29))
    assert pulled(server, zone).window == Window(NOW - timedelta(days=30), None)
    assert folders(zone) == ["2/1"]
    later = NOW + timedelta(days=1)
    assert pulled(server, zone, now=later).window == Window(NOW - timedelta(days=3), None)
    assert read_cursor(zone, "hub").complete_until == later


def test_a_late_attempt_is_found_within_the_lookback(world: World, server: ProviderServer, zone: LandingZone) -> None:
    pulled(server, zone)
    world.add(1, started=NOW - timedelta(days=2))  # became known after the listing that should have had it
    assert pulled(server, zone, now=NOW + timedelta(minutes=10)).counts.folders == 1


def test_a_backfill_leaves_the_cursor_where_it_is(world: World, server: ProviderServer, zone: LandingZone) -> None:
    world.add(1, started=NOW - timedelta(days=200))
    pulled(server, zone)
    window = Window(NOW - timedelta(days=201), NOW - timedelta(days=199))
    outcome = pulled(server, zone, window, now=NOW + timedelta(days=5))
    assert (outcome.counts.folders, read_cursor(zone, "hub").complete_until) == (1, NOW)


def test_a_window_that_covers_all_that_was_due_moves_the_cursor(
    world: World, server: ProviderServer, zone: LandingZone
) -> None:
    pulled(server, zone)
    later = NOW + timedelta(days=1)
    pulled(server, zone, Window(NOW - timedelta(days=4), later + timedelta(hours=3)), now=later)
    assert read_cursor(zone, "hub").complete_until == later
    pulled(server, zone, EVERYTHING, now=later - timedelta(days=3))  # a clock that was set back
    assert read_cursor(zone, "hub").complete_until == later


def test_days_that_are_not_wanted_now_are_not_lost(world: World, server: ProviderServer, zone: LandingZone) -> None:
    world.add(1)
    world.add(2, started=START + timedelta(days=1))
    outcome = pulled(server, zone, wants=lambda day: day == "2026-03-02")
    assert folders(zone) == ["1/1"]
    assert outcome.counts.folders == 1
    assert read_cursor(zone, "hub").unfinished == {"2/1": "2026-03-03"}
    pulled(server, zone, now=NOW + timedelta(days=20))
    assert folders(zone) == ["1/1", "2/1"]


def test_sources_keep_cursors_and_folders_of_their_own(world: World, server: ProviderServer, zone: LandingZone) -> None:
    world.add(1)
    pulled(server, zone, name="one")
    assert pulled(server, zone, name="two").counts.folders == 1
    assert sorted((folder.source, folder.folder) for folder in zone.all_folders()) == [("one", "1/1"), ("two", "1/1")]
    assert read_cursor(zone, "three") == Cursor()


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"complete_until": 7, "unfinished": {}}', b"\xff"])
def test_a_damaged_cursor_is_one_line_that_says_what_to_do(
    server: ProviderServer, zone: LandingZone, data: bytes
) -> None:
    zone.write_cursor("hub", data)
    with pytest.raises(LandingError, match=r"cursor of source hub .* is damaged .* --since DAY"):
        pulled(server, zone)


# -- what stops a source -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(401), "refuses us (401); check the source's token"),
        (SERVER_ERROR, "answers with 500 after every try"),
        (Answer(200, b"<html>"), "answers with something that is no JSON"),
        (json_answer({"runs": 7}), "answers with something that is no listing"),
        (
            json_answer({"runs": [{"id": 1}], "more": False}),
            "an answer that cannot be understood (KeyError at http_source.py:",
        ),
        (Answer(429, b"", {"retry-after": "7200"}), "rate limit is used up until"),
    ],
)
def test_a_listing_that_breaks_off_is_a_fault_and_what_came_before_is_landed(
    world: World, server: ProviderServer, zone: LandingZone, answer: Answer, says: str
) -> None:
    for number in range(1, PAGE + 5):
        world.add(number)
    server.faults.append(Fault(r"^/runs\?.*page=2", answer, times=MAX_TRIES))
    outcome = pulled(server, zone)
    (fault,) = outcome.faults
    assert fault.startswith("stopped before the end: ")
    assert says in fault
    assert len(folders(zone)) == PAGE
    assert (outcome.is_complete, read_cursor(zone, "hub")) == (False, Cursor())
    server.faults.clear()
    assert pulled(server, zone).faults == []
    assert len(folders(zone)) == PAGE + 4


def test_five_failures_in_a_row_stop_the_source(world: World, server: ProviderServer, zone: LandingZone) -> None:
    for number in range(1, 60):
        world.add(number)
    server.faults.append(Fault(r"^/artifacts/", SERVER_ERROR, times=10_000))
    outcome = pulled(server, zone)
    assert outcome.failed == FAILURES_IN_A_ROW
    assert [fault.partition(":")[0] for fault in outcome.faults] == [
        "5 run folders are not complete, and asked for again next time",
        "stopped before the end",
    ]
    assert read_cursor(zone, "hub") == Cursor()
    assert len({request.path for request in server.asked("^/artifacts/")}) < 30


@pytest.mark.parametrize("answer", [Answer(401), Answer(403), Answer(429, b"", {"retry-after": "7200"})])
def test_a_refusal_stops_the_source_at_once_and_what_was_landed_stays(
    world: World, server: ProviderServer, zone: LandingZone, answer: Answer
) -> None:
    for number in range(1, 101):
        world.add(number)
    server.faults.append(Fault(r"^/artifacts/", answer, times=10_000, after=40))
    outcome = pulled(server, zone)
    assert outcome.faults[-1].startswith("stopped before the end: ")
    assert len(folders(zone)) >= 40 - PACE.downloads * 3
    assert len(folders(zone)) < 100
    asked = len(server.asked("^/artifacts/"))
    assert asked <= 40 + PACE.downloads * 2
    server.faults.clear()
    assert pulled(server, zone).faults == []
    assert len(folders(zone)) == 100


def test_a_landing_zone_that_cannot_be_written_stops_everything(
    world: World, server: ProviderServer, tmp_path: Path
) -> None:
    world.add(1)
    (tmp_path / "file").write_text("")
    with pytest.raises(LandingError, match="cannot "):
        pulled(server, LandingZone(str(tmp_path / "file")))


def test_threads_end_with_the_pull(world: World, server: ProviderServer, zone: LandingZone) -> None:
    world.add(1)
    pulled(server, zone)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("pull-")] == []


def test_a_pull_in_pieces_ends_with_the_same_bytes_as_one(
    world: World, server: ProviderServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing, "FOLDERS_A_BATCH", 3)
    for number in range(1, 80):
        world.add(number, attempt=1 + number % 2)
    whole, pieces = LandingZone(str(tmp_path / "whole")), LandingZone(str(tmp_path / "pieces"))
    pulled(server, whole)
    faults = 0
    for after in (3, 11, 30, 47):
        server.faults = [Fault(r"^/", Answer(401), times=10_000, after=after)]
        faults += len(pulled(server, pieces).faults) > 0
    server.faults = []
    assert faults == 4
    assert pulled(server, pieces).faults == []
    assert content(pieces) == content(whole)
    assert json.loads((tmp_path / "pieces" / "cursors" / "hub.json").read_text()) == {
        "complete_until": NOW.astimezone(UTC).isoformat(),
        "unfinished": {},
    }
