"""The drop folder wherever it is: what a URL may be, what is said where it cannot be used, and what check says."""

import importlib.util
import threading
import uuid
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import pytest

from flakeguard_pipeline.domain.errors import (
    ArtifactGoneError,
    ConfigurationError,
    SourceDeniedError,
    SourceError,
)
from flakeguard_pipeline.providers import drop_objects
from flakeguard_pipeline.providers.drop_folder import DropFolder
from flakeguard_pipeline.providers.patience import MAX_TRIES, Clock
from flakeguard_pipeline.providers.source import ArtifactSource, FoundFile, Window


@pytest.fixture
def url() -> str:
    return f"memory://{uuid.uuid4().hex}/ci"


def put(url: str, name: str, data: bytes = b"{}") -> None:
    fsspec.filesystem("memory").pipe_file(f"{url}/{name}", data)


# -- where it is ---------------------------------------------------------------------------------------------


def test_it_is_a_source() -> None:
    source: ArtifactSource = DropFolder(Path("ci"), "mirror", "gitlab")
    assert (source.name, source.provider, source.title) == ("mirror", "gitlab", "the drop folder ci")
    assert source.report.requests == 0


@pytest.mark.parametrize("form", ["{}", "file://{}", "local://{}"])
def test_a_local_folder_may_be_a_text_or_a_url(tmp_path: Path, form: str) -> None:
    (tmp_path / "run.json").write_text("{}")
    drop = DropFolder(form.format(tmp_path))
    assert drop.path == tmp_path
    assert [each.folder for each in drop.discover()] == [""]


def test_a_url_has_no_local_path(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is no local folder"):
        _ = DropFolder(url).path


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("gs://bucket/ci", r"pip install 'flakeguard\[gcs\]'"),
        ("az://container/ci", r"pip install 'flakeguard\[azure\]'"),
        ("abfs://container@account.dfs.core.windows.net/ci", r"pip install 'flakeguard\[azure\]'"),
        ("nowhere://bucket/ci", r"nothing is known of nowhere://"),
        ("ftp://me:secret-word@host/ci", r"the URL of ftp://host holds a password; leave it out"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_at_once_and_says_what_to_do(url: str, said: str) -> None:
    driver = {"gs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}.get(url.partition(":")[0])
    if driver and importlib.util.find_spec(driver):
        pytest.skip(f"{driver} is installed")
    with pytest.raises(ConfigurationError, match=said) as raised:
        DropFolder(url)
    assert "secret-word" not in str(raised.value)


@pytest.mark.parametrize("place", ["ci", "memory://ci"])
def test_an_endpoint_is_for_object_stores_alone(place: str) -> None:
    with pytest.raises(ConfigurationError, match="`endpoint_url` is for s3:// and gs://"):
        DropFolder(place, endpoint_url="http://127.0.0.1:9")


def test_a_root_of_a_driver_is_a_place_too() -> None:
    name = uuid.uuid4().hex
    put("memory://", f"{name}/run.json")
    assert name in [each.folder for each in DropFolder("memory://").discover()]


# -- what is found -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [Window(), Window(datetime(2090, 1, 1, tzinfo=UTC))])
def test_every_folder_is_yielded_whatever_the_window_because_the_listing_has_no_days(url: str, window: Window) -> None:
    put(url, "1/run.json")
    (only,) = DropFolder(url).discover(window)
    assert (only.folder, only.day, only.is_finished) == ("1", "", True)


def test_contents_have_the_run_first_then_its_jobs_then_the_rest(url: str) -> None:
    for name in ("a.xml", "art/run.json", "job.json", "linux.zip", "run.json"):
        put(url, f"1/{name}")
    drop = DropFolder(url)
    (outer, _inner) = drop.discover()
    assert [file.path for file in drop.contents(outer)] == ["run.json", "job.json", "a.xml", "linux.zip"]


def test_what_reading_costs_is_reported(url: str) -> None:
    put(url, "1/run.json", b"12345")
    drop = DropFolder(url)
    (file,) = next(drop.discover()).files
    with drop.open(file):
        pass
    assert (drop.report.requests, drop.report.received_bytes) == (2, 5)


def test_several_threads_may_open_files_at_once(url: str) -> None:
    for number in range(8):
        put(url, f"1/{number}.xml", str(number).encode() * 1000)
    put(url, "1/run.json")
    drop = DropFolder(url)
    files = [file for file in next(drop.discover()).files if file.kind == "file"]
    read: dict[str, bytes] = {}

    def reading(file: FoundFile) -> None:
        with drop.open(file) as stream:
            read[file.path] = stream.read()

    threads = [threading.Thread(target=reading, args=(file,)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read == {f"{number}.xml": str(number).encode() * 1000 for number in range(8)}


# -- what goes wrong -----------------------------------------------------------------------------------------


def test_a_local_file_that_is_gone_by_now_is_gone(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    drop = DropFolder(tmp_path)
    (file,) = next(drop.discover()).files
    (tmp_path / "run.json").unlink()
    with pytest.raises(ArtifactGoneError, match="No such file"):
        drop.open(file)


def test_a_link_whose_target_may_come_is_not_gone_for_good(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "r.xml").symlink_to(tmp_path / "later.xml")
    drop = DropFolder(tmp_path)
    (linked,) = [file for file in next(drop.discover()).files if file.path == "r.xml"]
    with pytest.raises(FileNotFoundError) as raised:
        drop.open(linked)
    assert not isinstance(raised.value, ArtifactGoneError)


class Broken(fsspec.AbstractFileSystem):  # type: ignore[misc, unused-ignore]
    """A driver of a store that is broken in the way that a test says."""

    protocol = "broken"
    cachable = False
    error: Exception = OSError("no")

    def find(self, path: str, **_: object) -> dict[str, dict[str, object]]:
        return {f"{path}/run.json": {"name": f"{path}/run.json", "size": 2, "type": "file"}}

    def get_file(self, *_: object, **__: object) -> None:
        raise Broken.error

    def ls(self, path: str, **_: object) -> list[dict[str, object]]:
        return list(self.find(path).values())


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> DropFolder:
    fsspec.register_implementation("broken", Broken, clobber=True)
    return DropFolder("broken://bucket/ci", clock=Clock(sleep=lambda _: None))


def opening(drop: DropFolder, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Broken, "error", error)
    (file,) = next(drop.discover()).files
    with drop.open(file):
        pytest.fail("it was opened")


def test_a_network_that_fails_is_an_error_of_the_source_and_not_of_the_file(
    broken: DropFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceError, match=r"broken://bucket/ci/run\.json cannot be read \(OSError: cut\); check"):
        opening(broken, OSError("cut"), monkeypatch)
    assert broken.report.retries == MAX_TRIES - 1
    assert broken.report.waited_seconds == 0.5 + 1 + 2 + 4 + 8


def test_rights_that_are_missing_are_an_error_of_the_source(
    broken: DropFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceDeniedError, match=r"refuses us .*Access Denied"):
        opening(broken, PermissionError("Access Denied"), monkeypatch)
    assert broken.report.retries == 0


class AnsweredError(Exception):
    """An error that holds a store's answer, as botocore's do."""

    def __init__(self, code: str) -> None:
        self.response = {"Error": {"Code": code}}


def test_an_archived_object_is_an_error_of_the_file_alone(broken: DropFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    error = PermissionError("not valid for the storage class")
    error.__cause__ = AnsweredError("InvalidObjectState")
    with pytest.raises(OSError, match="it is archived; restore it"):
        opening(broken, error, monkeypatch)


def test_a_bucket_that_went_away_is_no_object_that_is_gone(broken: DropFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    error = FileNotFoundError("no such bucket")
    error.__cause__ = AnsweredError("NoSuchBucket")
    with pytest.raises(SourceError, match="cannot be read"):
        opening(broken, error, monkeypatch)


def test_no_error_tells_a_signed_address_or_a_token(broken: DropFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    error = OSError("GET https://store.test/ci/run.json?X-Amz-Signature=abcdef0123 failed, AKIAIOSFODNN7EXAMPLE")
    with pytest.raises(SourceError) as raised:
        opening(broken, error, monkeypatch)
    assert "https://store.test/ci/run.json" in str(raised.value)
    assert "abcdef0123" not in str(raised.value)
    assert "AKIAIOSFODNN7EXAMPLE" not in str(raised.value)


def test_no_scratch_file_stays_behind(
    broken: DropFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str
) -> None:
    monkeypatch.setattr(drop_objects.tempfile, "tempdir", str(tmp_path))
    with pytest.raises(SourceError):
        opening(broken, OSError("cut"), monkeypatch)
    put(url, "run.json")
    drop = DropFolder(url)
    (file,) = next(drop.discover()).files
    with drop.open(file):
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


# -- check ---------------------------------------------------------------------------------------------------


def test_check_of_a_local_folder_lists_and_reads(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "run.json").write_text("{}")
    assert [(each.what, each.ok, each.detail) for each in DropFolder(tmp_path).check()] == [
        (f"list {tmp_path}", True, "1 run folders"),
        ("read 1/run.json", True, "it can be read"),
    ]


def test_check_of_a_local_folder_that_is_missing_says_so(tmp_path: Path) -> None:
    (only,) = DropFolder(tmp_path / "none").check()
    assert not only.ok
    assert "does not exist" in only.detail


def test_check_tells_that_files_cannot_be_read(broken: DropFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Broken, "error", PermissionError("Access Denied"))
    listed, read = broken.check()
    assert (listed.ok, read.ok) == (True, False)
    assert "check the credentials" in read.detail
