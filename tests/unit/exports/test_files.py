from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flakeguard_pipeline.exports.files import export_path, name_without_owner, path_segment, write_atomically


@pytest.mark.parametrize(
    ("text", "segment"),
    [
        ("shop", "shop"),
        ("my.repo-1_x", "my.repo-1_x"),
        (".github", ".github"),
        ("", "%"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        ("a/b", "a%2Fb"),
        ("a\\b:c", "a%5Cb%3Ac"),
        ("a\nb\x7f", "a%0Ab%7F"),
        ("dots..", "dots%2E%2E"),
        ("space ", "space%20"),
        ("100%", "100%25"),
        ("con", "%63on"),
        ("NUL.txt", "%4EUL.txt"),
        ("console", "console"),
        ("schön", "schön"),
        ("\ud800", "%ED%A0%80"),
    ],
)
def test_path_segments(text, segment):
    assert path_segment(text) == segment


@given(st.text(max_size=20))
def test_a_segment_stays_in_its_folder_and_can_be_read_back(text: str):
    segment = path_segment(text)
    assert segment not in {"", ".", ".."}
    assert not set(segment) & set('/\\:*?"<>|\0')
    assert (unquote(segment, errors="surrogatepass") if text else "") == text


def test_the_path_of_an_export():
    assert export_path(Path("out"), "acme", "shop") == Path("out/acme/shop/quarantine.json")
    assert export_path(Path("out"), "..", "../x") == Path("out/%2E%2E/..%2Fx/quarantine.json")


@pytest.mark.parametrize(
    ("full", "name"), [("acme/shop", "shop"), ("shop", "shop"), ("group/sub/x", "sub/x"), ("acme/", "acme/")]
)
def test_name_without_owner(full, name):
    assert name_without_owner(full) == name


def test_a_file_is_written_with_its_folders(tmp_path):
    path = tmp_path / "a" / "b" / "file.json"
    assert write_atomically(path, b"one")
    assert write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert [found.name for found in path.parent.iterdir()] == ["file.json"]


def test_equal_content_is_not_rewritten(tmp_path):
    path = tmp_path / "file.json"
    write_atomically(path, b"same")
    before = path.stat()
    assert not write_atomically(path, b"same")
    after = path.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    write_atomically(path, b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["file.json"]


def test_a_folder_in_the_way_is_an_error_that_leaves_nothing_behind(tmp_path):
    (tmp_path / "file.json").mkdir()
    with pytest.raises(OSError, match=r"file\.json"):
        write_atomically(tmp_path / "file.json", b"data")
    assert [found.name for found in tmp_path.iterdir()] == ["file.json"]
