"""The drop folder in an object store: a real S3 protocol server on loopback."""

import os
import uuid
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flakeguard_pipeline.cli import cli
from flakeguard_pipeline.domain.errors import (
    ArtifactGoneError,
    ConfigurationError,
    OperationError,
    SourceDeniedError,
    SourceError,
)
from flakeguard_pipeline.ingest import uploading
from flakeguard_pipeline.ingest.landing import describe
from flakeguard_pipeline.ingest.uploading import place_at, upload
from flakeguard_pipeline.providers.drop_folder import DropFolder
from flakeguard_pipeline.providers.patience import Clock
from flakeguard_pipeline.providers.source import FoundFolder
from tests.support.object_store import ObjectStore, running_object_store
from tests.support.provider_server import Answer, Fault, Request, cut, serving


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with running_object_store() as running:
        yield running


@pytest.fixture
def bucket(store: ObjectStore) -> str:
    return store.bucket(f"ci-{uuid.uuid4().hex}")


QUICK = Clock(sleep=lambda _: None)


def drop_of(store: ObjectStore, url: str) -> DropFolder:
    return DropFolder(url, endpoint_url=store.endpoint_url)


def folders(drop: DropFolder) -> dict[str, FoundFolder]:
    return {each.folder: each for each in drop.discover()}


def paths(drop: DropFolder) -> list[str]:
    return [file.location for each in drop.discover() for file in each.files]


# -- the same tree, wherever it lies -------------------------------------------------------------------------

parts = st.sampled_from(["a", "b", "run", "a.b", "a-b", "ä ö", "x+y%20", ".hidden", "[1]*?", "#&="])
leaves = st.sampled_from(["run.json", "job.json", "r.xml", "R.XML", "linux.zip", "notes.txt", ".half.zip", "e=m&c.xml"])
trees = st.dictionaries(
    st.tuples(st.lists(parts, max_size=4).map(tuple), leaves).map(lambda each: "/".join((*each[0], each[1]))),
    st.binary(max_size=3),
    min_size=1,
    max_size=12,
)

Shape = list[tuple[str, bool, list[tuple[str, str, str, bytes]]]]


def shape(drop: DropFolder) -> Shape:
    """Return what a drop folder is found to hold, with the bytes of each file."""
    found = []
    for each in drop.discover():
        files = []
        for file in drop.contents(each):
            with drop.open(file) as stream:
                files.append((file.artifact, file.path, file.kind, stream.read()))
        found.append((each.folder, each.is_attributed, files))
    return found


@given(tree=trees)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_a_tree_is_found_the_same_on_a_disk_in_memory_and_in_an_object_store(
    store: ObjectStore, bucket: str, tmp_path: Path, tree: dict[str, bytes]
) -> None:
    place = uuid.uuid4().hex
    for name, data in tree.items():
        path = tmp_path / place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        fsspec.filesystem("memory").pipe_file(f"/{place}/{name}", data)
    store.fill(f"{bucket}/{place}", tree)
    local = shape(DropFolder(tmp_path / place))
    assert shape(drop_of(store, f"{bucket}/{place}")) == local
    assert shape(DropFolder(f"memory://{place}")) == local
    assert shape(DropFolder(f"file://{tmp_path / place}")) == local


# -- what object stores have and disks have not --------------------------------------------------------------


def test_markers_of_folders_are_no_files(store: ObjectStore, bucket: str) -> None:
    store.fill(f"{bucket}/ci", {"1/run.json": b"{}", "1/r.xml": b"<a/>"})
    for marker in ("", "1/", "1/art/", "2.xml/"):
        store.driver.call_s3("put_object", Bucket=bucket.removeprefix("s3://"), Key=f"ci/{marker}", Body=b"")
    drop = drop_of(store, f"{bucket}/ci/")
    assert sorted(paths(drop)) == ["1/r.xml", "1/run.json"]
    assert drop.report.notes == {}


def test_a_key_that_ends_in_a_slash_and_holds_bytes_is_passed_over_and_told(store: ObjectStore, bucket: str) -> None:
    store.fill(bucket, {"1/run.json": b"{}"})
    store.driver.call_s3("put_object", Bucket=bucket.removeprefix("s3://"), Key="1/odd/", Body=b"bytes")
    drop = drop_of(store, bucket)
    assert paths(drop) == ["1/run.json"]
    assert [*drop.report.notes.values()] == [1]


@pytest.mark.parametrize("key", ["1/a\x01b.xml", "1/a//b.xml", "1/\u202e\U0001f600.xml", "1/a\\b.xml", "1/100%.xml"])
def test_keys_with_odd_characters_are_found_and_opened(store: ObjectStore, bucket: str, key: str) -> None:
    store.fill(f"{bucket}/ci", {"1/run.json": b"{}", key: b"the bytes"})
    drop = drop_of(store, f"{bucket}/ci")
    (file,) = [file for file in folders(drop)["1"].files if file.kind == "file"]
    with drop.open(file) as stream:
        assert stream.read() == b"the bytes"


def test_a_neighbour_whose_name_begins_alike_is_not_listed(store: ObjectStore, bucket: str) -> None:
    store.fill(bucket, {"ci/1/run.json": b"{}", "ci-old/2/run.json": b"{}", "ci.xml": b""})
    assert paths(drop_of(store, f"{bucket}/ci")) == ["1/run.json"]


def test_a_listing_of_several_pages_is_found_whole(store: ObjectStore, bucket: str) -> None:
    runs = 1_100
    tree = {f"{run}/{name}": b"{}" for run in range(runs) for name in ("run.json", "r.xml")}
    store.fill(f"{bucket}/ci", tree)
    found = folders(drop_of(store, f"{bucket}/ci"))
    assert sorted(found) == sorted(str(run) for run in range(runs))
    assert {len(each.files) for each in found.values()} == {2}


# -- fingerprints --------------------------------------------------------------------------------------------


def test_a_fingerprint_changes_with_the_bytes_and_not_with_an_upload_of_the_same(
    store: ObjectStore, bucket: str
) -> None:
    store.fill(bucket, {"1/run.json": b"{}", "1/r.xml": b"one", "2/run.json": b"{}"})
    before = folders(drop_of(store, bucket))
    store.fill(bucket, {"1/r.xml": b"one"})
    assert folders(drop_of(store, bucket)) == before
    store.fill(bucket, {"1/r.xml": b"two"})
    after = folders(drop_of(store, bucket))
    assert after["1"].fingerprint != before["1"].fingerprint
    assert after["2"] == before["2"]


def test_what_comes_after_a_listing_is_in_the_next_one(store: ObjectStore, bucket: str) -> None:
    store.fill(bucket, {"1/run.json": b"{}"})
    drop = drop_of(store, bucket)
    assert paths(drop) == ["1/run.json"]
    store.fill(bucket, {"1/r.xml": b"late"})
    assert sorted(paths(drop)) == ["1/r.xml", "1/run.json"]


# -- what goes wrong -----------------------------------------------------------------------------------------


def test_an_object_that_is_gone_is_gone_for_good(store: ObjectStore, bucket: str, tmp_path: Path) -> None:
    store.fill(bucket, {"1/run.json": b"{}"})
    drop = drop_of(store, bucket)
    (file,) = folders(drop)["1"].files
    store.driver.rm_file(f"{bucket}/1/run.json")
    with pytest.raises(ArtifactGoneError, match="gone from the drop folder"), drop.open(file):
        pass


def test_an_empty_place_holds_nothing_and_a_bucket_that_is_missing_is_an_error(store: ObjectStore, bucket: str) -> None:
    assert folders(drop_of(store, f"{bucket}/none")) == {}
    with pytest.raises(ConfigurationError, match="s3://no-such-bucket/ci does not exist"):
        folders(drop_of(store, "s3://no-such-bucket/ci"))


def test_the_url_of_a_file_is_refused(store: ObjectStore, bucket: str) -> None:
    store.fill(bucket, {"1/run.json": b"{}"})
    with pytest.raises(ConfigurationError, match="is a file"):
        folders(drop_of(store, f"{bucket}/1/run.json"))


def test_a_server_that_cannot_be_reached_is_told_without_the_query(store: ObjectStore) -> None:
    drop = DropFolder("s3://bucket/ci", endpoint_url="http://127.0.0.1:9", clock=QUICK)
    with pytest.raises(SourceError, match=r"s3://bucket/ci cannot be read .*check the URL and the network") as raised:
        folders(drop)
    assert "prefix=" not in str(raised.value)


def test_without_credentials_the_variables_are_named(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    drop = DropFolder("s3://bucket/ci", storage_options={"skip_instance_cache": True}, endpoint_url=store.endpoint_url)
    with pytest.raises(SourceDeniedError, match=r"the AWS_\* variables or the machine's role"):
        folders(drop)


LISTING = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name><Prefix>ci/</Prefix>
<KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated><Contents><Key>ci/1/run.json</Key>
<LastModified>2026-03-02T09:14:00.000Z</LastModified><ETag>"mark"</ETag><Size>{size}</Size></Contents>
</ListBucketResult>"""
OBJECT = bytes(range(256)) * 4096


def answer(request: Request) -> Answer:
    """Answer as an S3 server that holds one object."""
    if "list-type" in request.query:
        return Answer(200, LISTING.format(size=len(OBJECT)).encode(), {"content-type": "application/xml"})
    begin = int(request.headers.get("range", "bytes=0-")[len("bytes=") :].rstrip("-"))
    headers = {"etag": '"mark"', "content-range": f"bytes {begin}-{len(OBJECT) - 1}/{len(OBJECT)}"}
    return Answer(206 if begin else 200, OBJECT[begin:], headers)


@pytest.mark.parametrize("fault", [cut(100_000), Answer(503), Answer(500)])
def test_a_download_that_is_cut_or_refused_for_a_moment_arrives_whole(
    store: ObjectStore, fault: Answer | Callable[[Request, Answer], Answer]
) -> None:
    with serving(answer) as server:
        server.faults.append(Fault(r"ci/1/run\.json", fault, times=2))
        drop = DropFolder("s3://bucket/ci", endpoint_url=server.url, clock=QUICK)
        (file,) = folders(drop)["1"].files
        with drop.open(file) as stream:
            assert stream.read() == OBJECT
        assert len(server.asked(r"ci/1/run\.json")) == 3


def test_a_download_that_is_cut_again_and_again_is_an_error_of_the_source(store: ObjectStore) -> None:
    with serving(answer) as server:
        server.faults.append(Fault(r"ci/1/run\.json", cut(100), times=1000))
        drop = DropFolder("s3://bucket/ci", endpoint_url=server.url, clock=QUICK)
        (file,) = folders(drop)["1"].files
        with pytest.raises(SourceError, match=r"s3://bucket/ci/1/run\.json cannot be read"), drop.open(file):
            pytest.fail("it was opened")


# -- check ---------------------------------------------------------------------------------------------------


def test_check_lists_the_place_and_reads_a_file_of_it(store: ObjectStore, bucket: str) -> None:
    store.fill(f"{bucket}/ci", {"github/acme/shop/1/1/run.json": b"{}", "github/acme/shop/2/1/run.json": b"{}"})
    told = list(drop_of(store, f"{bucket}/ci").check())
    assert [each.ok for each in told] == [True, True]
    assert told[1].what == f"read {bucket}/ci/github/acme/shop/1/1/run.json"


def test_check_tells_a_place_that_is_missing_or_out_of_reach(store: ObjectStore) -> None:
    (missing,) = drop_of(store, "s3://no-such-bucket/ci").check()
    (unreached,) = DropFolder("s3://bucket/ci", endpoint_url="http://127.0.0.1:9", clock=QUICK).check()
    assert (missing.ok, unreached.ok) == (False, False)
    assert "bucket does not exist" in missing.detail
    assert "check the URL and the network" in unreached.detail


# -- upload --------------------------------------------------------------------------------------------------

SHA = "5f2d6c1e0b7a49d3c8e1f0a2b3c4d5e6f7a8b9c0"
REPORT = b'<testsuite name="s"><testcase classname="c" name="test_%d"/></testsuite>'


def push(store: ObjectStore, url: str, folder: Path, number: int, *options: str) -> str:
    """Upload a report as a CI job does; return what it says."""
    (folder / str(number)).mkdir(exist_ok=True)
    (folder / str(number) / "r.xml").write_bytes(REPORT % number)
    run = ("--repository", "acme/shop", "--run-id", "7", "--sha", SHA, "--branch", "main")
    arguments = ["upload", str(folder / str(number)), "--to", url, "--endpoint-url", store.endpoint_url]
    result = CliRunner().invoke(cli, [*arguments, *run, *options])
    assert result.exit_code == 0, result.exception
    return result.output


def reports_of(drop: DropFolder) -> dict[str, list[bytes]]:
    """Return the reports of the only run, by artifact."""
    (only,) = drop.discover()
    reports: dict[str, list[bytes]] = {}
    for file in drop.contents(only)[1:]:
        with drop.open(file) as stream, zipfile.ZipFile(stream) as archive:
            reports.setdefault(file.artifact, []).extend(archive.read(name) for name in archive.namelist())
    return {artifact: sorted(each) for artifact, each in reports.items()}


def test_what_jobs_push_is_the_run_that_is_ingested(store: ObjectStore, bucket: str, tmp_path: Path) -> None:
    push(store, f"{bucket}/ci", tmp_path, 1, "--conclusion", "success", "--variant", "linux")
    push(store, f"{bucket}/ci", tmp_path, 2, "--conclusion", "failure", "--variant", "windows")
    drop = drop_of(store, f"{bucket}/ci")
    assert reports_of(drop) == {"test-results-linux": [REPORT % 1], "test-results-windows": [REPORT % 2]}
    (only,) = drop.discover()
    run, fault = describe(drop, drop.contents(only))
    assert run is not None
    assert fault == ""
    assert (only.folder, run.key.run_id, run.conclusion) == ("github/acme/shop/7/1", "7", "failure")


def test_a_push_of_the_same_changes_nothing(store: ObjectStore, bucket: str, tmp_path: Path) -> None:
    push(store, bucket, tmp_path, 1)
    before = folders(drop_of(store, bucket))
    assert push(store, bucket, tmp_path, 1).startswith("there already")
    assert folders(drop_of(store, bucket)) == before


def test_jobs_that_push_an_artifact_of_the_same_name_at_once_lose_nothing(
    store: ObjectStore, bucket: str, tmp_path: Path
) -> None:
    jobs = 6
    paths = []
    for number in range(jobs):
        paths.append(tmp_path / f"{number}.xml")
        paths[-1].write_bytes(REPORT % number)
    run = {"id": 7, "run_attempt": 1, "created_at": "2026-03-02T09:14:00Z", "repository": {"full_name": "acme/shop"}}

    def job(number: int) -> None:
        place = place_at(bucket, store.endpoint_url)
        upload({"r.xml": paths[number]}, run, provider="github", artifact="test-results", place=place)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(job, range(jobs)))
    assert reports_of(drop_of(store, bucket)) == {"test-results": [REPORT % number for number in range(jobs)]}


def test_an_archive_too_large_for_one_piece_arrives_whole(
    store: ObjectStore, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading, "WHOLE_BYTES", 10)
    push(store, bucket, tmp_path, 1)
    assert push(store, bucket, tmp_path, 1).startswith("there already")
    push(store, bucket, tmp_path, 2)
    assert reports_of(drop_of(store, bucket)) == {"test-results": [REPORT % 1, REPORT % 2]}


def test_a_bucket_that_is_missing_is_told(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "r.xml").write_bytes(REPORT % 1)
    run = ("--repository", "acme/shop", "--run-id", "7", "--sha", SHA, "--branch", "main")
    arguments = ["upload", str(tmp_path), "--to", "s3://no-such-bucket/ci", "--endpoint-url", store.endpoint_url]
    result = CliRunner().invoke(cli, [*arguments, *run])
    assert isinstance(result.exception, OperationError)
    assert "cannot write s3://no-such-bucket/ci/github/acme/shop/7/1/test-results.zip" in str(result.exception)
