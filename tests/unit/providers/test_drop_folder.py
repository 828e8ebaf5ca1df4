"""The drop folder: which file belongs to which run, what is passed over, and when a folder counts as changed."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flakeguard_pipeline.domain.errors import ConfigurationError
from flakeguard_pipeline.providers.drop_folder import DropFolder
from flakeguard_pipeline.providers.source import FoundFile, FoundFolder


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def found(root: Path) -> dict[str, FoundFolder]:
    return {each.folder: each for each in DropFolder(root).discover()}


def owners(root: Path) -> dict[str, str | None]:
    """Return the owner of each file by its location; None where no run is known for it."""
    return {
        file.location: each.folder if each.is_attributed else None
        for each in DropFolder(root).discover()
        for file in each.files
    }


# -- what a file is ------------------------------------------------------------------------------------------


def test_the_files_of_a_run_by_where_they_lie(tmp_path: Path) -> None:
    names = ["run.json", "job.json", "linux.zip", "linux/a.xml", "linux/deep/b.ZIP", "linux/run", "bare.xml", "x.txt"]
    write(tmp_path, {f"1/{name}": "" for name in names})
    assert found(tmp_path)["1"].files == (
        FoundFile("", "bare.xml", "file", "1/bare.xml"),
        FoundFile("", "job.json", "jobs", "1/job.json"),
        FoundFile("", "run.json", "run", "1/run.json"),
        FoundFile("", "x.txt", "file", "1/x.txt"),
        FoundFile("linux", "a.xml", "file", "1/linux/a.xml"),
        FoundFile("linux", "deep/b.ZIP", "nested_zip", "1/linux/deep/b.ZIP"),
        FoundFile("linux", "linux.zip", "zip", "1/linux.zip"),
        FoundFile("linux", "run", "file", "1/linux/run"),
    )


def test_the_drop_folder_itself_may_be_a_run(tmp_path: Path) -> None:
    write(tmp_path, {"run.json": "{}", "r.xml": "", "linux/a.xml": ""})
    (only,) = DropFolder(tmp_path).discover()
    assert (only.folder, only.is_attributed) == ("", True)
    assert [(file.artifact, file.path) for file in only.files] == [("", "r.xml"), ("", "run.json"), ("linux", "a.xml")]


def test_a_run_known_from_its_jobs_alone_is_a_run(tmp_path: Path) -> None:
    write(tmp_path, {"p/job.json": "{}", "p/r.xml": ""})
    assert owners(tmp_path) == {"p/job.json": "p", "p/r.xml": "p"}


# -- whose a file is -----------------------------------------------------------------------------------------


def test_a_file_belongs_to_the_nearest_run_above_it(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "a/run.json": "{}",
            "a/art/r.xml": "",
            "a/art/inner/run.json": "{}",
            "a/art/inner/r.xml": "",
            "a/art/inner/deep/er/r.xml": "",
            "a/art/other/r.xml": "",
            "ab/r.xml": "",
        },
    )
    assert owners(tmp_path) == {
        "a/run.json": "a",
        "a/art/r.xml": "a",
        "a/art/other/r.xml": "a",
        "a/art/inner/run.json": "a/art/inner",
        "a/art/inner/r.xml": "a/art/inner",
        "a/art/inner/deep/er/r.xml": "a/art/inner",
        "ab/r.xml": None,
    }


def test_reports_of_no_run_are_kept_apart_and_other_files_of_no_run_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path, {"1/run.json": "{}", "lost.XML": "", "deep/lost.zip": "", "README.md": "", "deep/notes.txt": ""})
    *_, orphans = DropFolder(tmp_path).discover()
    assert (orphans.folder, orphans.is_attributed) == ("", False)
    assert [(file.artifact, file.path, file.kind) for file in orphans.files] == [
        ("", "deep/lost.zip", "zip"),
        ("", "lost.XML", "file"),
    ]


folder_names = st.lists(st.sampled_from(["a", "b", "run", "a.b"]), max_size=4).map(tuple)


@given(runs=st.sets(folder_names, min_size=1, max_size=5), reports=st.sets(folder_names, max_size=6))
@settings(max_examples=60)
def test_the_nearest_run_above_is_the_owner_in_any_tree(
    tmp_path_factory: pytest.TempPathFactory, runs: set[tuple[str, ...]], reports: set[tuple[str, ...]]
) -> None:
    root = tmp_path_factory.mktemp("drop")
    write(root, {"/".join((*run, "run.json")): "{}" for run in runs})
    write(root, {"/".join((*place, "r.xml")): "" for place in reports})

    def nearest(place: tuple[str, ...]) -> str | None:
        above = [place[:length] for length in range(len(place), -1, -1) if place[:length] in runs]
        return "/".join(above[0]) if above else None

    expected = {"/".join((*run, "run.json")): "/".join(run) for run in runs}
    expected_reports = {"/".join((*place, "r.xml")): nearest(place) for place in reports}
    assert owners(root) == {**expected, **expected_reports}


# -- hidden files and links ----------------------------------------------------------------------------------


def test_hidden_files_and_folders_are_not_there(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "1/run.json": "{}",
            "1/.r.xml": "",
            "1/.art/r.xml": "",
            ".2/run.json": "{}",
            "1/art/.half.zip": "",
            ".r.xml": "",
        },
    )
    assert owners(tmp_path) == {"1/run.json": "1"}


def test_a_hidden_run_makes_no_run(tmp_path: Path) -> None:
    write(tmp_path, {"1/run.json": "{}", "2/.run.json": "{}", "2/r.xml": ""})
    assert owners(tmp_path) == {"1/run.json": "1", "2/r.xml": None}


def test_links_to_folders_are_not_followed_and_links_to_files_are(tmp_path: Path) -> None:
    drop, outside = tmp_path / "drop", tmp_path / "outside"
    write(drop, {"1/run.json": "{}", "1/real.xml": "linked"})
    write(outside, {"2/run.json": "{}"})
    (drop / "more").symlink_to(outside, target_is_directory=True)
    (drop / "1" / "circle").symlink_to(drop, target_is_directory=True)
    (drop / "1" / "r.xml").symlink_to(drop / "1" / "real.xml")
    assert owners(drop) == {"1/run.json": "1", "1/real.xml": "1", "1/r.xml": "1"}
    (linked,) = [file for file in found(drop)["1"].files if file.path == "r.xml"]
    with DropFolder(drop).open(linked) as stream:
        assert stream.read() == b"linked"


@pytest.mark.parametrize("target", ["outside.xml", "gone.xml"])
def test_a_link_that_leads_out_or_nowhere_is_listed_so_that_its_refusal_is_told(tmp_path: Path, target: str) -> None:
    drop = tmp_path / "drop"
    write(drop, {"1/run.json": "{}"})
    write(tmp_path, {"outside.xml": "secret"})
    (drop / "1" / "r.xml").symlink_to(tmp_path / target)
    (linked,) = [file for file in found(drop)["1"].files if file.path == "r.xml"]
    with pytest.raises(OSError, match="leads out of the drop folder"):
        DropFolder(drop).open(linked)


def test_the_drop_folder_may_itself_be_a_link(tmp_path: Path) -> None:
    write(tmp_path / "real", {"1/run.json": "{}"})
    (tmp_path / "drop").symlink_to(tmp_path / "real", target_is_directory=True)
    assert owners(tmp_path / "drop") == {"1/run.json": "1"}


def test_a_folder_called_like_run_metadata_makes_no_run(tmp_path: Path) -> None:
    write(tmp_path, {"1/run.json": "{}", "2/run.json/r.xml": "", "2/job.json/r.xml": ""})
    assert owners(tmp_path) == {"1/run.json": "1", "2/job.json/r.xml": None, "2/run.json/r.xml": None}


# -- order and fingerprints ----------------------------------------------------------------------------------


def test_folders_come_in_bytewise_order_and_files_of_no_run_last(tmp_path: Path) -> None:
    names = ["b", "a", "a-b", "a/x", "B", "ä", "10", "9"]
    write(tmp_path, {**{f"{name}/run.json": "{}" for name in names}, "0.xml": ""})
    assert [each.folder for each in DropFolder(tmp_path).discover()] == [
        *sorted(names, key=lambda name: name.encode()),
        "",
    ]


def test_a_fingerprint_stays_while_nothing_changes(tmp_path: Path) -> None:
    write(tmp_path, {"1/run.json": "{}", "1/art/r.xml": "one", "lost.xml": ""})
    assert list(DropFolder(tmp_path).discover()) == list(DropFolder(tmp_path).discover())


@pytest.mark.parametrize("change", ["size", "time", "new", "gone", "renamed"])
def test_a_fingerprint_changes_with_its_files_and_with_no_others(tmp_path: Path, change: str) -> None:
    write(tmp_path, {"1/run.json": "{}", "1/art/r.xml": "one", "1/art/s.xml": "two", "2/run.json": "{}"})
    before = found(tmp_path)
    file = tmp_path / "1" / "art" / "r.xml"
    status = file.stat()
    if change == "size":
        file.write_text("longer")
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif change == "time":
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
    elif change == "new":
        file.with_name("t.xml").write_text("")
    elif change == "gone":
        file.unlink()
    else:
        file.rename(file.with_name("u.xml"))
    after = found(tmp_path)
    assert after["1"].fingerprint != before["1"].fingerprint
    assert after["2"] == before["2"]


def test_a_fingerprint_of_files_of_no_run_changes_with_them(tmp_path: Path) -> None:
    write(tmp_path, {"1/run.json": "{}", "lost.xml": ""})
    before = found(tmp_path)
    write(tmp_path, {"lost.xml": "more"})
    after = found(tmp_path)
    assert after[""].fingerprint != before[""].fingerprint
    assert after["1"] == before["1"]


# -- refusals ------------------------------------------------------------------------------------------------


def test_a_folder_without_any_run_holds_at_most_files_of_no_run(tmp_path: Path) -> None:
    assert list(DropFolder(tmp_path).discover()) == []
    write(tmp_path, {"r.xml": "", "deep/README": ""})
    assert owners(tmp_path) == {"r.xml": None}


@pytest.mark.parametrize("name", ["missing", "file"])
def test_a_path_that_is_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"does not exist .*; name another with --drop"):
        list(DropFolder(tmp_path / name).discover())
