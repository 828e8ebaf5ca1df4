"""Uploading: the archive, the names, how jobs of one run agree, and that no reader ever sees half of an upload."""

import json
import os
import subprocess
import sys
import threading
import uuid
import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flakeguard_pipeline.domain.errors import OperationError, UsageError
from flakeguard_pipeline.ingest import uploading
from flakeguard_pipeline.ingest.uploading import (
    LocalPlace,
    Place,
    StorePlace,
    artifact_name,
    attempt_folder,
    gather_reports,
    merged,
    pack,
    place_at,
    run_bytes,
    upload,
)
from flakeguard_pipeline.parsing.github_run import parse_run
from flakeguard_pipeline.providers.drop_folder import DropFolder
from flakeguard_pipeline.providers.patience import MAX_TRIES, Clock
from flakeguard_pipeline.providers.source import FoundFolder

REPORT = b'<testsuite name="s"><testcase classname="c" name="test_%d"/></testsuite>'
RUN = {
    "id": 7001,
    "run_attempt": 1,
    "name": "ci",
    "status": "completed",
    "conclusion": None,
    "head_branch": "main",
    "head_sha": "5f2d6c1e0b7a49d3c8e1f0a2b3c4d5e6f7a8b9c0",
    "created_at": "2026-03-02T09:14:00Z",
    "run_started_at": "2026-03-02T09:14:00Z",
    "updated_at": "2026-03-02T09:14:00Z",
    "pull_requests": [],
    "repository": {"id": 1, "full_name": "acme/shop", "default_branch": "main"},
}
FOLDER = "github/acme/shop/7001/1"


def write(root: Path, files: Mapping[str, bytes]) -> dict[str, Path]:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return {name: root / name for name in files}


def uploaded(place: Place, reports: Mapping[str, Path], artifact: str = "test-results", **fields: object) -> str:
    return upload(reports, {**RUN, **fields}, provider="github", artifact=artifact, place=place).artifact


def report(tmp_path: Path, number: int = 1) -> dict[str, Path]:
    return write(tmp_path / f"reports-{number}", {"r.xml": REPORT % number})


def found(drop: DropFolder) -> list[FoundFolder]:
    return list(drop.discover())


def reports_of(drop: DropFolder) -> dict[str, list[bytes]]:
    """Return the reports of the only run of a drop folder, by artifact."""
    (only,) = found(drop)
    assert (only.folder, only.is_attributed) == (FOLDER, True)
    reports: dict[str, list[bytes]] = {}
    for file in drop.contents(only):
        if file.kind in ("zip", "nested_zip"):
            with drop.open(file) as stream, zipfile.ZipFile(stream) as archive:
                reports.setdefault(file.artifact, []).extend(archive.read(name) for name in archive.namelist())
    return {artifact: sorted(each) for artifact, each in reports.items()}


def no_sleep() -> Clock:
    return Clock(now=lambda: datetime(2026, 3, 2, tzinfo=UTC), sleep=lambda _: None)


# -- gathering and packing -----------------------------------------------------------------------------------


def test_reports_are_gathered_by_what_they_are(tmp_path: Path) -> None:
    write(
        tmp_path / "out",
        {
            "a.xml": REPORT % 1,
            "deep/er/b.XML": b"<?xml version='1.0'?>\n<testsuites/>",
            "c.trx": b'\xef\xbb\xbf<TestRun id="1" xmlns="http://microsoft.com/schemas/VisualStudio/TeamTest/2010"/>',
            "d.xml": '<testsuite name="x"></testsuite>'.encode("utf-16"),
            "empty.xml": b"",
            "damaged.xml": b"warning: 1\n<testsuite name='s'><testcase",
            "nested.zip": b"whatever",
            "pom.xml": b"<project><password>secret</password></project>",
            "notes.txt": b"<testing> is fun",
            "empty.txt": b"",
            ".hidden.xml": REPORT % 2,
            ".cache/e.xml": REPORT % 3,
        },
    )
    gathered = gather_reports(tmp_path / "out")
    assert sorted(gathered.reports) == [
        "a.xml",
        "c.trx",
        "d.xml",
        "damaged.xml",
        "deep/er/b.XML",
        "empty.xml",
        "nested.zip",
    ]
    assert gathered.passed_over == 4


def test_links_that_lead_out_of_the_folder_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path, {"out/a.xml": REPORT % 1, "outside/b.xml": REPORT % 2})
    (tmp_path / "out" / "inner.xml").symlink_to(tmp_path / "out" / "a.xml")
    (tmp_path / "out" / "outer.xml").symlink_to(tmp_path / "outside" / "b.xml")
    (tmp_path / "out" / "broken.xml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "out" / "folder").symlink_to(tmp_path / "outside")
    gathered = gather_reports(tmp_path / "out")
    assert sorted(gathered.reports) == ["a.xml", "inner.xml"]
    assert gathered.passed_over == 2


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none does not exist"):
        gather_reports(tmp_path / "none")


def test_names_that_are_no_text_stay_apart_in_the_archive(tmp_path: Path) -> None:
    names = [b"a\xff.xml", b"a\xfe.xml", b"a\\b.xml", "ä.xml".encode()]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(REPORT % 1)
    assert sorted(gather_reports(tmp_path).reports) == ["a%5cb.xml", "a%fe.xml", "a%ff.xml", "ä.xml"]


def packed(reports: Mapping[str, Path]) -> bytes:
    target = BytesIO()
    pack(reports, target)
    return target.getvalue()


@given(files=st.dictionaries(st.sampled_from(["a.xml", "b/c.xml", "ä.zip", "z/../q.xml"]), st.binary(max_size=50)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_equal_reports_give_equal_bytes_and_all_of_them_are_in(tmp_path: Path, files: dict[str, bytes]) -> None:
    one = write(tmp_path / uuid.uuid4().hex, files)
    other = write(tmp_path / uuid.uuid4().hex, dict(reversed(files.items())))
    for path in other.values():
        os.utime(path, (0, 0))
        path.chmod(0o600)
    data = packed(one)
    assert data == packed(dict(reversed(other.items())))
    with zipfile.ZipFile(BytesIO(data)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files
        assert archive.testzip() is None


# -- names ---------------------------------------------------------------------------------------------------


def test_a_variant_is_the_end_of_the_artifacts_name() -> None:
    assert artifact_name("test-results") == "test-results"
    assert artifact_name("test-results", "ubuntu-py312") == "test-results-ubuntu-py312"


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a\\b", "a\nb", " a", "a:b", "x" * 201, "ä" * 101])
def test_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"change --artifact or --variant|shorten it"):
        artifact_name(name)


@pytest.mark.parametrize(
    ("full_name", "run_id", "folder"),
    [
        ("acme/shop", 7001, "github/acme/shop/7001/1"),
        ("acme/.github", 7001, "github/acme/%2Egithub/7001/1"),
        ("acme/a/b", "x/y%2Fz/3", "github/acme/a/b/x%2Fy%252Fz%2F3/1"),
        ("acme/..", "..", "github/acme/%2E./%2E./1"),
    ],
)
def test_the_folder_of_an_attempt_is_never_hidden_and_never_leads_out(
    full_name: str, run_id: object, folder: str
) -> None:
    run = {**RUN, "id": run_id, "repository": {"full_name": full_name}}
    assert attempt_folder("github", run) == folder


@given(full_name=st.from_regex(r"[^/\s]{1,8}(/[^/\s]{1,8}){1,3}", fullmatch=True), run_id=st.text(min_size=1))
def test_every_run_has_a_folder_that_a_reader_finds(full_name: str, run_id: str) -> None:
    place = uuid.uuid4().hex
    run = {**RUN, "id": run_id, "repository": {"full_name": full_name}}
    fsspec.filesystem("memory").pipe_file(f"/{place}/{attempt_folder('github', run)}/run.json", b"{}")
    (only,) = found(DropFolder(f"memory://{place}"))
    assert only.is_attributed
    fsspec.filesystem("memory").rm(f"/{place}", recursive=True)


# -- what is written -----------------------------------------------------------------------------------------


@pytest.fixture(params=["disk", "memory", "renaming"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A local path, a store that writes in one step, and one that has to rename."""
    if request.param == "disk":
        return str(tmp_path / "ci")
    if request.param == "renaming":
        monkeypatch.setattr(uploading, "_IN_STEP", set())
    return f"memory://{uuid.uuid4().hex}/ci"


def test_an_upload_is_the_run_that_it_tells(url: str, tmp_path: Path) -> None:
    assert uploaded(place_at(url), report(tmp_path)).endswith(f"ci/{FOLDER}/test-results.zip")
    drop = DropFolder(url)
    assert reports_of(drop) == {"test-results": [REPORT % 1]}
    (only,) = found(drop)
    with drop.open(drop.contents(only)[0]) as stream:
        run = parse_run(stream.read(), None, provider="github")
    assert (run.key.run_id, run.full_name, run.head_sha) == ("7001", "acme/shop", RUN["head_sha"])
    assert [file.kind for file in drop.contents(only)] == ["run", "zip"]


def test_uploading_twice_leaves_the_same_bytes(url: str, tmp_path: Path) -> None:
    place = place_at(url)
    uploaded(place, report(tmp_path))
    before = found(DropFolder(url))
    again = upload(
        report(tmp_path),
        {**RUN, "created_at": "2026-03-02T10:00:00Z", "updated_at": "2026-03-02T10:00:00Z"},
        provider="github",
        artifact="test-results",
        place=place,
    )
    assert not again.is_new
    assert found(DropFolder(url)) == before


def test_jobs_with_artifacts_of_their_own_share_the_attempt(url: str, tmp_path: Path) -> None:
    place = place_at(url)
    uploaded(place, report(tmp_path, 1), "test-results-linux")
    uploaded(place, report(tmp_path, 2), "test-results-windows")
    assert reports_of(DropFolder(url)) == {"test-results-linux": [REPORT % 1], "test-results-windows": [REPORT % 2]}


def test_jobs_with_an_artifact_of_the_same_name_overwrite_nothing(url: str, tmp_path: Path) -> None:
    place = place_at(url)
    for number in (1, 2, 3, 2, 1):
        uploaded(place, report(tmp_path, number))
    assert reports_of(DropFolder(url)) == {"test-results": [REPORT % 1, REPORT % 2, REPORT % 3]}


def test_a_run_without_reports_may_be_recorded(url: str) -> None:
    assert uploaded(place_at(url), {}) == ""
    assert reports_of(DropFolder(url)) == {}


def test_what_is_written_may_be_read_by_others(tmp_path: Path) -> None:
    uploaded(LocalPlace(tmp_path / "ci"), report(tmp_path))
    mask = os.umask(0)
    os.umask(mask)
    written = [tmp_path / "ci" / FOLDER, *(tmp_path / "ci" / FOLDER).iterdir()]
    assert [each.stat().st_mode & 0o777 for each in written] == [0o777 & ~mask, 0o666 & ~mask, 0o666 & ~mask]


# -- how jobs agree on run.json ------------------------------------------------------------------------------

moments = st.datetimes(datetime(2026, 1, 1), datetime(2026, 2, 1)).map(  # noqa: DTZ001 - written as UTC
    lambda moment: moment.replace(microsecond=0).isoformat() + "Z"
)
told_runs = st.fixed_dictionaries(
    {
        "created_at": moments,
        "run_started_at": moments,
        "updated_at": moments,
        "conclusion": st.sampled_from([None, "success", "failure", "cancelled"]),
    }
).map(lambda fields: {**RUN, **fields})


@given(runs=st.lists(told_runs, min_size=1, max_size=4), data=st.data())
def test_run_json_is_the_same_in_whatever_order_jobs_upload(runs: list[dict[str, Any]], data: st.DataObject) -> None:
    def after(order: list[dict[str, Any]]) -> bytes:
        former = None
        for run in order:
            former = merged(run, former, adds=True)
        assert former is not None
        return former

    assert after(data.draw(st.permutations(runs))) == after(runs)
    final = json.loads(after(runs))
    assert final["created_at"] == min(run["created_at"] for run in runs)
    assert final["updated_at"] == max(run["updated_at"] for run in runs)
    if any(run["conclusion"] == "failure" for run in runs):
        assert final["conclusion"] == "failure"


def test_what_a_job_does_not_tell_stays_as_another_told_it() -> None:
    former = run_bytes({**RUN, "pull_requests": [{"number": 7}], "conclusion": "success", "actor": "octocat"})
    final = json.loads(merged({**RUN, "name": None}, former, adds=True))
    assert (final["name"], final["pull_requests"], final["conclusion"]) == ("ci", [{"number": 7}], "success")
    assert final["actor"] == "octocat"


@pytest.mark.parametrize("former", [b"", b"{", b"[]", b'{"id": 8, "run_attempt": 1}', b"\xff"])
def test_a_run_json_that_is_none_or_of_another_run_is_replaced(former: bytes) -> None:
    assert merged(RUN, former, adds=False) == run_bytes(RUN)


# -- several at once -----------------------------------------------------------------------------------------


def in_threads(work: list[Callable[[], object]]) -> None:
    faults: list[BaseException] = []

    def guarded(each: Callable[[], object]) -> None:
        try:
            each()
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            faults.append(error)

    threads = [threading.Thread(target=guarded, args=(each,)) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def test_jobs_that_upload_at_once_lose_nothing_and_a_reader_sees_only_whole_runs(tmp_path: Path) -> None:
    url = tmp_path / "ci"
    url.mkdir()
    jobs = 12
    reports = {number: report(tmp_path, number) for number in range(jobs)}
    done = threading.Event()
    seen: list[int] = []

    def look() -> None:
        while not done.is_set():
            for each in DropFolder(url).discover():
                assert each.is_attributed
                files = DropFolder(url).contents(each)
                assert files[0].kind == "run"
                for file in files[1:]:
                    with DropFolder(url).open(file) as stream, zipfile.ZipFile(stream) as archive:
                        assert archive.testzip() is None
                seen.append(len(files))

    def all_jobs() -> None:
        try:
            # half of the jobs have a name of their own, half share one
            in_threads(
                [
                    lambda number=number: uploaded(  # type: ignore[misc]
                        LocalPlace(url), reports[number], f"test-results-{number}" if number % 2 else "test-results"
                    )
                    for number in range(jobs)
                ]
            )
        finally:
            done.set()

    in_threads([look, all_jobs])
    held = reports_of(DropFolder(url))
    assert sorted(each for some in held.values() for each in some) == sorted(REPORT % number for number in range(jobs))
    assert len(held) == 1 + jobs // 2
    assert seen


# -- killed --------------------------------------------------------------------------------------------------

KILLED = """
import os, sys
from pathlib import Path
from flakeguard_pipeline.ingest.uploading import LocalPlace, gather_reports, upload
import json

calls = 0
def dying(name):
    whole = getattr(os, name)
    def call(*arguments, **named):
        global calls
        calls += 1
        if calls > {allowed}:
            os._exit(9)
        return whole(*arguments, **named)
    setattr(os, name, call)
for name in ("open", "mkdir", "fsync", "link", "rename", "replace"):
    dying(name)
upload(gather_reports(Path({reports!r})).reports, json.loads({run!r}), provider="github", artifact={artifact!r},
       place=LocalPlace(Path({place!r})))
print(calls)
"""


@pytest.mark.parametrize("artifact", ["test-results", "test-results-linux"])
def test_a_kill_at_any_moment_leaves_no_half_a_run_and_the_next_upload_completes_it(
    tmp_path: Path, artifact: str
) -> None:
    second = artifact != "test-results"
    reports = write(tmp_path / "reports", {"r.xml": REPORT % 1})
    (tmp_path / "scratch").mkdir()  # what is killed leaves its scratch files
    environment = {**os.environ, "TMPDIR": str(tmp_path / "scratch")}
    for allowed in range(40):
        place = tmp_path / f"ci-{allowed}"
        place.mkdir()
        if second:
            uploaded(LocalPlace(place), report(tmp_path, 2))
        script = KILLED.format(
            allowed=allowed, reports=str(tmp_path / "reports"), run=json.dumps(RUN), place=str(place), artifact=artifact
        )
        ended = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment
        )
        assert ended.returncode in (0, 9), ended.stderr
        for each in found(DropFolder(place)):
            assert each.is_attributed
            for file in each.files[1:]:
                with DropFolder(place).open(file) as stream:
                    assert zipfile.ZipFile(stream).testzip() is None
        uploaded(LocalPlace(place), reports, artifact)
        expected = {artifact: [REPORT % 1], **({"test-results": [REPORT % 2]} if second else {})}
        assert reports_of(DropFolder(place)) == expected
        if ended.returncode == 0:
            break
    else:
        pytest.fail("it was never allowed to end")
    assert allowed > 3


class Dying(MemoryFileSystem):  # type: ignore[misc, unused-ignore]
    """A store whose connection breaks, once and for all or `times` times, after a number of writes."""

    protocol = "dying"
    cachable = False

    def __init__(self, allowed: int, error: BaseException, times: int = 10**9) -> None:
        super().__init__()
        self.allowed, self.error, self.times = allowed, error, times

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **named: object) -> None:
        if self.allowed == 0 and self.times:
            self.times -= 1
            raise self.error
        self.allowed = max(self.allowed - 1, 0)
        super().pipe_file(path, value, mode, **named)


class NetworkError(Exception):
    """What a driver may raise: no OSError."""


@pytest.mark.parametrize("allowed", range(3))
def test_a_store_that_dies_after_some_writes_holds_no_run_until_all_of_it_is_there(
    tmp_path: Path, allowed: int
) -> None:
    root = f"/{uuid.uuid4().hex}"
    dying = StorePlace("dying://x", Dying(allowed, KeyboardInterrupt()), root, in_step=True, clock=no_sleep())
    drop = DropFolder(f"memory:/{root}")
    if allowed < 2:
        with pytest.raises(KeyboardInterrupt):
            uploaded(dying, report(tmp_path))
        assert [each for each in found(drop) if each.is_attributed] == []
    uploaded(place_at(f"memory:/{root}"), report(tmp_path))
    assert reports_of(drop) == {"test-results": [REPORT % 1]}


def test_a_network_that_fails_is_tried_again_with_longer_and_longer_waits(tmp_path: Path) -> None:
    root, waits = f"/{uuid.uuid4().hex}", list[float]()
    clock = Clock(now=lambda: datetime(2026, 3, 2, tzinfo=UTC), sleep=waits.append)
    place = StorePlace("dying://x", Dying(1, NetworkError("cut"), times=3), root, in_step=True, clock=clock)
    uploaded(place, report(tmp_path))
    assert waits == [0.5, 1.0, 2.0]
    assert reports_of(DropFolder(f"memory:/{root}")) == {"test-results": [REPORT % 1]}


@pytest.mark.parametrize(
    ("error", "tries"), [(NetworkError("cut https://x.test/?sig=planted"), MAX_TRIES), (PermissionError("denied"), 1)]
)
def test_what_stays_broken_is_told_without_secrets_and_rights_are_not_tried_again(
    tmp_path: Path, error: Exception, tries: int
) -> None:
    waits: list[float] = []
    clock = Clock(now=lambda: datetime(2026, 3, 2, tzinfo=UTC), sleep=waits.append)
    place = StorePlace("dying://x", Dying(0, error), f"/{uuid.uuid4().hex}", in_step=True, clock=clock)
    with pytest.raises(OperationError, match=r"cannot write dying://x/.*test-results\.zip") as raised:
        uploaded(place, report(tmp_path))
    assert "planted" not in str(raised.value)
    assert len(waits) == tries - 1


def test_a_local_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "ci").write_text("a file")
    with pytest.raises(OperationError, match=r"cannot write .*check the place and the rights there"):
        uploaded(LocalPlace(tmp_path / "ci"), report(tmp_path))
