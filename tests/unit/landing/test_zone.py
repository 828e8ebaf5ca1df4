"""The landing zone: what is put in comes out again, once, whatever order it came in and wherever it was killed."""

import io
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flakeguard_pipeline.domain.errors import LandingError
from flakeguard_pipeline.landing.zone import CHUNK_BYTES, UNATTRIBUTED, Identity, LandedFile, LandedFolder, LandingZone

text = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
# Line ends of all kinds are where a format of one line a folder could break.
awkward = st.one_of(text, st.sampled_from(["", "a\nb", "a\r\nb", "\u2028", "\x85", "\x0b", "ü/ß", '"', "\\"]))
days = st.one_of(
    st.just(""), st.dates(min_value=date(2020, 1, 1), max_value=date(2020, 1, 4)).map(lambda day: day.isoformat())
)
files = st.builds(
    LandedFile,
    artifact=awkward,
    path=awkward,
    kind=st.sampled_from(["run", "jobs", "zip", "file"]),
    digest=st.sampled_from(["", "ab" * 32]),
    size_bytes=st.integers(0, 2**40),
    error=awkward,
)
folders = st.builds(
    LandedFolder,
    source=st.sampled_from(["drop", "other"]),
    folder=awkward,
    fingerprint=awkward,
    day=days,
    provider=st.just("github"),
    repository_ref=awkward,
    full_name=awkward,
    run_id=awkward,
    run_attempt=st.integers(0, 2**31),
    run_started_at=awkward,
    is_partial=st.booleans(),
    files=st.lists(files, max_size=3).map(tuple),
)
distinct = st.lists(folders, max_size=6, unique_by=lambda folder: folder.identity)


@contextmanager
def fresh_zone() -> Iterator[LandingZone]:
    with tempfile.TemporaryDirectory() as folder:
        yield LandingZone(folder)


@pytest.fixture(params=["local", "memory"])
def zone(request: pytest.FixtureRequest, tmp_path: Path) -> LandingZone:
    """A landing zone on a disk, and one in an object store."""
    return LandingZone(str(tmp_path / "zone") if request.param == "local" else f"memory://{uuid4().hex}/zone")


def content(zone: LandingZone) -> dict[Identity, LandedFolder]:
    return {folder.identity: folder for folder in zone.all_folders()}


def bytes_of(root: Path) -> Mapping[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


FOLDER = LandedFolder(
    source="drop",
    folder="1-1",
    fingerprint="f",
    day="2026-03-02",
    provider="github",
    repository_ref="github:7",
    full_name="acme/shop",
    run_id="1",
    run_attempt=1,
    run_started_at="2026-03-02T10:00:00+00:00",
    is_partial=False,
    files=(LandedFile("", "run.json", "run", "ab" * 32, 10),),
)


# -- objects -------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=300), max_size=6))
@settings(max_examples=30)
def test_bytes_come_back_under_their_digest_and_are_kept_once(blobs: list[bytes]) -> None:
    with fresh_zone() as zone:
        for blob in [*blobs, *blobs]:
            assert zone.put(io.BytesIO(blob)) == (sha256(blob).hexdigest(), len(blob))
        kept = [path for path in Path(zone.url).glob("objects/*/*") if path.is_file()]
        assert len(kept) == len(set(blobs))
        assert all(zone.read(sha256(blob).hexdigest()) == blob for blob in blobs)
        assert list(Path(zone.url).glob("incoming/*")) == []


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 1])
def test_objects_of_any_size_are_kept_whole(zone: LandingZone, size: int) -> None:
    blob = bytes(range(256)) * (size // 256 + 1)
    digest, stored = zone.put(io.BytesIO(blob[:size]))
    assert stored == size
    with zone.open(digest) as stream:
        assert stream.read() == blob[:size]


def test_an_object_that_was_lost_is_one_line_that_says_what_to_do(zone: LandingZone) -> None:
    with pytest.raises(LandingError, match=r"has lost object f+; remove its line from the manifests"):
        zone.open("f" * 64)


class _Breaks(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:  # noqa: ARG002 - the interface's
        if self.tell():
            raise OSError(5, "Input/output error")
        return super().read(4)


def test_a_stream_that_breaks_off_leaves_nothing_behind(zone: LandingZone) -> None:
    with pytest.raises(OSError, match="Input/output error"):
        zone.put(_Breaks(b"0123456789"))
    assert zone.days() == []
    if "://" not in zone.url:
        assert bytes_of(Path(zone.url)) == {}


def test_a_zone_that_cannot_be_written_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    zone = LandingZone(str(tmp_path / "file"))
    with pytest.raises(LandingError, match=r"cannot write .*; check the space and the rights there, then run again"):
        zone.put(io.BytesIO(b"x"))
    with pytest.raises(LandingError, match=r"cannot read .*; check the landing zone and the rights there"):
        zone.record([FOLDER])
    with pytest.raises(LandingError, match="cannot read "):
        zone.open("f" * 64)


def test_a_zone_that_cannot_be_listed_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "zone" / "manifests" / "2026-03-02.jsonl").mkdir(parents=True)
    zone = LandingZone(str(tmp_path / "zone"))
    with pytest.raises(LandingError, match="cannot read "):
        list(zone.all_folders())


def test_a_sweep_removes_what_was_half_written_and_nothing_else(tmp_path: Path) -> None:
    zone = LandingZone(str(tmp_path))
    digest, _ = zone.put(io.BytesIO(b"whole"))
    zone.record([FOLDER])
    before = bytes_of(tmp_path)
    (tmp_path / "incoming" / "tmp123").write_bytes(b"ha")
    zone.sweep()
    zone.sweep()
    assert bytes_of(tmp_path) == before
    assert zone.read(digest) == b"whole"


def test_an_empty_zone_can_be_swept_and_listed(zone: LandingZone) -> None:
    zone.sweep()
    assert zone.days() == []
    assert list(zone.all_folders()) == []
    assert zone.folders("2026-03-02") == []


# -- manifests -----------------------------------------------------------------------------------------------


@given(distinct)
@settings(max_examples=60)
def test_folders_come_back_as_they_were_entered(entered: list[LandedFolder]) -> None:
    with fresh_zone() as zone:
        zone.record(entered)
        assert content(zone) == {folder.identity: folder for folder in entered}
        assert set(zone.days()) == {folder.day or UNATTRIBUTED for folder in entered}
        for day in zone.days():
            assert all((folder.day or UNATTRIBUTED) == day for folder in zone.folders(day))


@given(distinct)
@settings(max_examples=30)
def test_entering_twice_changes_no_byte_and_order_does_not_matter(entered: list[LandedFolder]) -> None:
    with fresh_zone() as one, fresh_zone() as other:
        one.record(entered)
        once = bytes_of(Path(one.url))
        one.record(entered)
        for folder in reversed(entered):
            other.record([folder])
        assert bytes_of(Path(one.url)) == once == bytes_of(Path(other.url))


@given(distinct, st.data())
@settings(max_examples=40)
def test_folders_move_between_days_and_are_never_in_two_or_in_none(
    entered: list[LandedFolder], data: st.DataObject
) -> None:
    with fresh_zone() as zone:
        zone.record(entered)
        moved = [replace(folder, day=data.draw(days), fingerprint="changed") for folder in entered]
        moved = [folder for folder in moved if data.draw(st.booleans())]
        identities = {folder.identity for folder in moved}
        zone.record(moved, [folder for folder in entered if folder.identity in identities])
        expected = {folder.identity: folder for folder in entered} | {folder.identity: folder for folder in moved}
        found = list(zone.all_folders())
        assert len(found) == len(expected)
        assert content(zone) == expected


def test_a_folder_enters_its_new_day_before_it_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = LandingZone(str(tmp_path))
    zone.record([FOLDER])
    written: list[str] = []
    genuine = zone._write_manifest

    def killed_at_the_second(day: str, folders: Mapping[Identity, LandedFolder]) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(day)
        genuine(day, folders)

    monkeypatch.setattr(zone, "_write_manifest", killed_at_the_second)
    moved = replace(FOLDER, day="2026-03-05")
    with pytest.raises(KeyboardInterrupt):
        zone.record([moved], [FOLDER])
    assert written == ["2026-03-05"]
    assert moved in list(LandingZone(str(tmp_path)).all_folders())


def test_days_are_listed_in_order_and_other_files_are_passed_over(zone: LandingZone) -> None:
    zone.record([replace(FOLDER, day=day, folder=day) for day in ("2026-03-09", "", "2025-12-31", "2026-03-10")])
    if "://" not in zone.url:
        (Path(zone.url) / "manifests" / ".2026-03-11.jsonl.partial").write_text("half")
        (Path(zone.url) / "manifests" / "README").write_text("mine")
    assert [day for day in zone.days() if not day.startswith(".")] == [
        "2025-12-31", "2026-03-09", "2026-03-10", UNATTRIBUTED
    ]  # fmt: skip
    assert len(zone.days()) == 4


@pytest.mark.parametrize(
    "line", ["{half a line", "[]", '{"files": []}', json.dumps({"files": [{"path": "a"}]}), '{"files": null}']
)
def test_a_damaged_manifest_is_one_line_that_says_what_to_do(tmp_path: Path, line: str) -> None:
    zone = LandingZone(str(tmp_path))
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "2026-03-02.jsonl").write_text(line + "\n")
    with pytest.raises(LandingError, match=r"is damaged .*; delete it, so that its day is fetched again") as raised:
        zone.folders("2026-03-02")
    assert "\n" not in str(raised.value)


def test_a_manifest_that_is_no_text_is_damaged(tmp_path: Path) -> None:
    zone = LandingZone(str(tmp_path))
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "2026-03-02.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LandingError, match="is damaged"):
        zone.folders("2026-03-02")
