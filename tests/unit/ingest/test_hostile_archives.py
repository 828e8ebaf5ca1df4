"""Archives that are damaged, made to harm, or only odd: what can be read is, and the rest has a reason."""

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping

import pytest

from flakeguard_pipeline.domain.model import ReasonCode
from flakeguard_pipeline.ingest import archives
from flakeguard_pipeline.ingest.archives import MAX_ZIP_DEPTH, Member, members
from tests.support.drops import case, report, zipped

GOOD = report(case("test_a"))
OTHER = report(case("test_b"))
LOCAL, CENTRAL = b"PK\x03\x04", b"PK\x01\x02"
FLAGS_IN_LOCAL, METHOD_IN_LOCAL, CRC_IN_LOCAL = 6, 8, 14
FLAGS_IN_CENTRAL, METHOD_IN_CENTRAL, CRC_IN_CENTRAL, PACKED_IN_CENTRAL, SIZE_IN_CENTRAL = 8, 10, 16, 20, 24
ENCRYPTED = 1
UNKNOWN_METHOD = 97
BOMB_BYTES = 80 << 20


def opened(data: bytes) -> dict[str, Member]:
    found = list(members(io.BytesIO(data), "a.zip"))
    assert [member.path for member in found] == [member.path for member in members(io.BytesIO(data), "a.zip")]
    return {member.path: member for member in found}


def refusals(data: bytes) -> dict[str, ReasonCode | None]:
    return {path: member.refusal for path, member in opened(data).items()}


def packed(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def patched(data: bytes, mark: bytes, offset: int, value: bytes, nth: int = 0) -> bytes:
    """Return an archive with `value` in the header number `nth` that begins with `mark`."""
    at = -1
    for _ in range(nth + 1):
        at = data.index(mark, at + 1)
    at += offset
    return data[:at] + value + data[at + len(value) :]


def test_a_zip_cut_off_anywhere_is_told_and_never_raises() -> None:
    data = packed({"a.xml": GOOD, "b.xml": OTHER})
    for cut in range(len(data)):
        found = opened(data[:cut])
        assert [member.refusal for member in found.values()] == [ReasonCode.NOT_A_ZIP], cut
        assert not any(member.data for member in found.values())


def test_a_byte_that_is_wrong_anywhere_never_raises() -> None:
    data = packed({"a.xml": GOOD, "b.xml": OTHER})
    for at in range(len(data)):
        for member in opened(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]).values():
            assert member.refusal is not None or member.data in {b"", GOOD, OTHER}, at


@pytest.mark.parametrize(
    "data", [b"", b"PK", b"no zip", LOCAL + b"\x00" * 100, b"PK\x05\x06" + b"\x00" * 18, b"PK\x05\x06"]
)
def test_what_is_no_zip_is_told(data: bytes) -> None:
    assert set(refusals(data).values()) <= {ReasonCode.NOT_A_ZIP}


def test_zips_in_zips_are_opened_to_a_depth() -> None:
    data, path = zipped({"r.xml": GOOD}), "r.xml"
    for depth in range(1, MAX_ZIP_DEPTH + 1):
        assert [(member.path, member.data) for member in opened(data).values()] == [(path, GOOD)]
        data, path = zipped({f"{depth}.zip": data}), f"{depth}.zip/{path}"
    assert refusals(data) == {"3.zip/2.zip/1.zip": ReasonCode.ZIP_TOO_DEEP}


def test_a_damaged_zip_in_a_zip_costs_itself_alone() -> None:
    found = refusals(
        zipped({"a.zip": b"no zip", "b.zip": zipped({"r.xml": GOOD})[:-5], "c.zip": zipped({"r.xml": GOOD})})
    )
    assert found == {"a.zip": ReasonCode.NOT_A_ZIP, "b.zip": ReasonCode.NOT_A_ZIP, "c.zip/r.xml": None}


def test_a_zip_that_holds_itself_ends() -> None:
    data = b""
    for _ in range(10):
        data = zipped({"a.zip": data or b"x", "r.xml": GOOD})
    assert len(opened(data)) == MAX_ZIP_DEPTH + 1


def test_an_entry_that_unpacks_to_far_more_is_refused_and_the_others_are_read() -> None:
    found = opened(packed({"bomb.xml": b"<" + bytes(BOMB_BYTES), "r.xml": GOOD}))
    assert {path: member.refusal for path, member in found.items()} == {"bomb.xml": ReasonCode.ZIP_BOMB, "r.xml": None}
    assert found["r.xml"].data == GOOD


def test_a_bomb_inside_a_zip_is_refused() -> None:
    inner = packed({"bomb.xml": b"<" + bytes(BOMB_BYTES)})
    assert refusals(packed({"inner.zip": inner})) == {"inner.zip/bomb.xml": ReasonCode.ZIP_BOMB}


def test_too_many_entries_are_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_ENTRIES", 10)
    found = refusals(zipped({f"{number}.xml": GOOD for number in range(11)}))
    assert found == {"a.zip": ReasonCode.ZIP_BOMB}


def test_sizes_that_add_up_to_too_much_are_refused_unread() -> None:
    data = packed({"a.xml": GOOD, "b.xml": OTHER})
    for nth in range(2):
        data = patched(data, CENTRAL, SIZE_IN_CENTRAL, struct.pack("<I", 0xFFFFFFF0), nth)
    assert set(refusals(data).values()) == {ReasonCode.REPORT_TOO_LARGE} or set(refusals(data).values()) == {
        ReasonCode.ZIP_BOMB
    }


def test_the_sum_of_the_claimed_sizes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", len(GOOD))
    assert refusals(zipped({"a.xml": GOOD})) == {"a.xml": None}
    assert refusals(zipped({"a.xml": GOOD, "b.xml": OTHER})) == {"a.zip": ReasonCode.ZIP_BOMB}


@pytest.mark.parametrize("claimed", [0, 1, 10, 300])
def test_a_size_that_lies_gives_no_more_than_it_claims(claimed: int) -> None:
    data = patched(packed({"a.xml": GOOD * 100, "b.xml": OTHER}), CENTRAL, SIZE_IN_CENTRAL, struct.pack("<I", claimed))
    found = opened(data)
    assert found["a.xml"].refusal is ReasonCode.NOT_A_ZIP or len(found["a.xml"].data) <= claimed
    assert found["b.xml"].data == OTHER


def test_a_packed_size_that_lies_costs_the_entry_alone() -> None:
    data = patched(packed({"a.xml": GOOD, "b.xml": OTHER}), CENTRAL, PACKED_IN_CENTRAL, struct.pack("<I", 5))
    found = opened(data)
    assert found["a.xml"].refusal is ReasonCode.NOT_A_ZIP
    assert found["b.xml"].data == OTHER


def test_an_encrypted_entry_is_refused_and_the_others_are_read() -> None:
    data = packed({"a.xml": GOOD, "b.xml": OTHER})
    data = patched(data, CENTRAL, FLAGS_IN_CENTRAL, struct.pack("<H", ENCRYPTED))
    data = patched(data, LOCAL, FLAGS_IN_LOCAL, struct.pack("<H", ENCRYPTED))
    assert refusals(data) == {"a.xml": ReasonCode.ENCRYPTED_ZIP, "b.xml": None}


@pytest.mark.parametrize(
    "path",
    [
        "../a.xml",
        "x/../../a.xml",
        "/etc/a.xml",
        "\\\\server\\a.xml",
        "C:\\a.xml",
        "c:a.xml",
        "..\\a.xml",
        "x\\..\\a.xml",
        "//a.xml",
    ],
)
def test_a_path_that_leads_out_is_refused_and_the_others_are_read(path: str) -> None:
    found = opened(zipped({path: GOOD, "b.xml": OTHER}))
    assert sorted(member.refusal is ReasonCode.UNSAFE_PATH for member in found.values()) == [False, True]
    assert found["b.xml"].data == OTHER


@pytest.mark.parametrize(
    "path", ["..a.xml", "a..xml", "x/.../a.xml", "~/a.xml", "ä/日本/😀.xml", "a\nb.xml", "con.xml", " .xml"]
)
def test_a_path_that_is_only_odd_is_read(path: str) -> None:
    assert [(member.path, member.data) for member in opened(zipped({path: GOOD})).values()] == [(path, GOOD)]


def test_the_same_path_twice_yields_both_files() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.xml", GOOD)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.xml", OTHER)
    found = list(members(io.BytesIO(buffer.getvalue()), "a.zip"))
    assert [member.path for member in found] == ["a.xml", "a.xml"]
    assert sorted(member.data for member in found) == sorted([GOOD, OTHER])


def test_folders_are_no_files_and_links_are_never_followed() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x.xml/", b"")
        link = zipfile.ZipInfo("link.xml")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/hostname")
        archive.writestr("r.xml", GOOD)
    found = opened(buffer.getvalue())
    assert {path: member.data for path, member in found.items()} == {"link.xml": b"/etc/hostname", "r.xml": GOOD}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_checksum_that_is_wrong_costs_the_entry_alone(method: int) -> None:
    data = packed({"a.xml": GOOD, "b.xml": OTHER}, method)
    assert opened(data)["a.xml"].data == GOOD
    wrong = struct.pack("<I", zlib.crc32(GOOD) ^ 1)
    data = patched(patched(data, CENTRAL, CRC_IN_CENTRAL, wrong), LOCAL, CRC_IN_LOCAL, wrong)
    found = opened(data)
    assert found["a.xml"].refusal is ReasonCode.NOT_A_ZIP
    assert found["b.xml"].data == OTHER


def test_a_compression_that_nobody_knows_costs_the_entry_alone() -> None:
    unknown = struct.pack("<H", UNKNOWN_METHOD)
    data = packed({"a.xml": GOOD, "b.xml": OTHER})
    data = patched(patched(data, CENTRAL, METHOD_IN_CENTRAL, unknown), LOCAL, METHOD_IN_LOCAL, unknown)
    found = opened(data)
    assert found["a.xml"].refusal is ReasonCode.NOT_A_ZIP
    assert found["b.xml"].data == OTHER


def test_zip64_is_read() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("r.xml", "w", force_zip64=True) as file:
        file.write(GOOD)
    assert opened(buffer.getvalue())["r.xml"].data == GOOD


def test_a_zip_with_something_before_it_is_read() -> None:
    assert opened(b"#!/bin/sh\nexit 0\n" * 100 + zipped({"r.xml": GOOD}))["r.xml"].data == GOOD


def test_a_zip_with_something_behind_it_is_read_or_told() -> None:
    found = opened(zipped({"r.xml": GOOD}) + b"\x00" * 20)
    assert found["r.xml"].data == GOOD


def test_an_empty_zip_holds_nothing() -> None:
    assert opened(zipped({})) == {}


def test_a_streamed_zip_without_sizes_in_its_headers_is_read() -> None:
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.data += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:  # type: ignore[call-overload]
        archive.writestr("r.xml", GOOD)
    assert opened(pipe.data)["r.xml"].data == GOOD
