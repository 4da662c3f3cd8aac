"""Array files of NumPy round-trip, and any other bytes are refused with a sentence."""

from __future__ import annotations

import os
import struct
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from converters.inputs import array_file
from converters.inputs.array_file import Header, npy_header, npz_headers, npz_text, read_entry, read_npy, read_npz
from skelstore.errors import SourceError
from tests.support import strategies
from tests.support.array_files import npy, npz
from tests.support.exact import assert_exact

ARRAYS = st.sampled_from(strategies.DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)


def header(text: str, version: int = 1) -> bytes:
    encoded = text.encode("latin1")
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(encoded)) + encoded


def refused_or(read: Callable[[Path], Any], path: Path) -> Any:
    """The array that is read, or None if the file is refused with a sentence that names it."""
    try:
        return read(path)
    except SourceError as error:
        text = str(error)
    assert str(path) in text
    assert "\n" not in text
    return None


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.npz"


@given(ARRAYS, st.booleans())
@settings(max_examples=60)
def test_any_array_round_trips(array: np.ndarray[Any, Any], fortran: bool) -> None:
    written = np.asfortranarray(array) if fortran and array.ndim else array
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.npy"
        path.write_bytes(npy(written))
        assert_exact(read_npy(path), array)
        for i in range(min(len(array), 3) if array.ndim else 0):
            assert_exact(read_entry(path, npy_header(path), i).copy(), array[i, ...].copy())
        assert npy_header(path)[:2] == (array.dtype, array.shape)
        path.write_bytes(npz(a=written, b=array))
        found = read_npz(path)
        assert list(found) == ["a", "b"]
        assert_exact(found["a"], array.item() if array.ndim == 0 else array)
        assert npz_headers(path)["b"].shape == array.shape


def test_savez_of_an_annotation(file: Path) -> None:
    file.write_bytes(npz(frame_dir="clé", label=np.int64(3), score=0.5, flag=True, img_shape=(320, 570), a=np.zeros(2)))
    found = read_npz(file)
    assert {key: found[key] for key in ("frame_dir", "label", "score", "flag")} == {
        **{"frame_dir": "clé", "label": 3, "score": 0.5, "flag": True}
    }
    assert type(found["label"]) is int
    assert npz_text(file, "frame_dir") == "clé"
    assert npz_text(file, "label") is None
    assert npz_text(file, "nothing") is None


def test_an_array_of_python_2_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(header("{'descr': '<i2', 'fortran_order': False, 'shape': (2L, 1L), }") + b"\1\0\2\0")
    assert_exact(read_npy(path), np.array([[1], [2]], "<i2"))


OBJECTS = np.array([{"a": 1}], dtype=object)
REFUSED = {
    "objects": (npy(OBJECTS, allow_pickle=True), "Python objects"),
    "a record": (npy(np.zeros(2, [("x", "f4"), ("y", "O")])[["x"]]), "expected numbers"),
    "complex numbers": (npy(np.zeros(2, complex)), "complex128"),
    "texts": (npy(np.array(["a", "b"])), "<U1"),
    "dates": (npy(np.array(["2020-01-01"], "M8[D]")), "datetime64"),
    "cut short": (npy(np.zeros(9))[:-1], "its header declares"),
    "something behind it": (npy(np.zeros(9)) + b"x", "its header declares"),
    "two arrays": (npy(np.zeros(9)) * 2, "its header declares"),
    "nothing": (b"", "not an array file"),
    "another file": (b"PK\3\4 and so on", "not an array file"),
    "a longer length than any file": (
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 1000000000000), }"),
        "its header declares",
    ),
    "a negative length": (header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 0), }"), "at least 0"),
    "a length that is a bool": (header("{'descr': '<f8', 'fortran_order': False, 'shape': (True, 0), }"), "at least 0"),
    "a shape of many axes": (
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (" + "1, " * 80 + "), }") + bytes(8),
        "cannot be read",
    ),
    "a header of brackets": (header("(" * 9000), "not an array file"),
    "a header that is long": (header("#" * 60000), "not an array file"),
    "code as a header": (header("__import__('os').abort()"), "not an array file"),
    "an unknown version": (b"\x93NUMPY\x07\x00", "version 7.0"),
    "bools of 2": (npy(np.zeros(2, bool))[:-1] + b"\2", "neither 0 nor 1"),
    "letters beyond Unicode": (npy(np.array("ab"))[:-1] + b"\xff", "Unicode"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_files_that_are_not_arrays_of_numbers_are_refused(tmp_path: Path, name: str) -> None:
    data, reason = REFUSED[name]
    path = tmp_path / "a.npy"
    path.write_bytes(data)
    with pytest.raises(SourceError) as error:
        read_npy(path)
    assert str(path) in str(error.value)
    assert reason in str(error.value)
    archive = tmp_path / "a.npz"
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("keypoint.npy", data)
    with pytest.raises(SourceError) as error:
        read_npz(archive)
    assert f"{archive}: keypoint" in str(error.value)
    assert reason in str(error.value)


def test_nothing_is_allocated_before_a_header_is_checked(tmp_path: Path) -> None:
    """A header for 1e12 missing floats is refused by arithmetic, mapped or not."""
    path = tmp_path / "a.npy"
    path.write_bytes(header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"))
    for read in (npy_header, read_npy):
        with pytest.raises(SourceError, match="its header declares 8,000,000,000"):
            read(path)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(file: Path) -> None:
    """A member whose true size is too large for one video, and one that states an impossible ratio of deflate."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("keypoint.npy", "w") as member:
        member.write(header("{'descr': '|u1', 'fortran_order': False, 'shape': (3000000000, ), }"))
        for _ in range(3):
            member.write(bytes(1 << 20))
    data = bytearray(file.read_bytes())
    place = data.rindex(b"PK\1\2") + 24  # the size in the directory
    for size, reason in ((3 << 30, "is impossible"), (1 << 31, "is impossible"), (5_000_000, "is impossible")):
        struct.pack_into("<I", data, place, size)
        file.write_bytes(data)
        with pytest.raises(SourceError, match=reason):
            read_npz(file)
    stored = zipfile.ZipInfo("keypoint.npy")
    file.write_bytes(npz(keypoint=np.zeros(100)))
    data = bytearray(file.read_bytes())
    place = data.rindex(b"PK\1\2")
    struct.pack_into("<II", data, place + 20, 1 << 31, (1 << 31) + 5)
    file.write_bytes(data)
    assert stored.file_size == 0
    with pytest.raises(SourceError, match="expected one video"):
        read_npz(file)


def test_an_archive_that_is_damaged_is_refused(file: Path) -> None:
    whole = npz(keypoint=np.arange(5000.0), keypoint_score=np.zeros(3))
    for place in (40, 60, 400, len(whole) // 2, len(whole) - 60):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        file.write_bytes(damaged)
        found = refused_or(read_npz, file)  # a byte may be irrelevant to the data, such as a date
        assert found is None or found["keypoint"].tobytes() == np.arange(5000.0).tobytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(SourceError, match=r"not a \.npz file"):
            read_npz(file)


def test_an_archive_of_other_things_is_refused(file: Path) -> None:
    for names in (["readme.txt"], ["a.npy", "b.npy"]):
        with zipfile.ZipFile(file, "w") as archive:
            for name in names:
                archive.writestr(name, npy(np.zeros(1)))
        file.write_bytes(file.read_bytes().replace(b"b.npy", b"a.npy"))  # two members with the same name
        with pytest.raises(SourceError, match="not an array with its own name"):
            read_npz(file)
    with zipfile.ZipFile(file, "w") as archive:
        for i in range(1001):
            archive.writestr(f"a{i}.npy", b"")
    with pytest.raises(SourceError, match="more than 1000 arrays"):
        read_npz(file)


DICTS = st.fixed_dictionaries(
    {
        "descr": st.sampled_from(["<f8", "|O", "<U3", "|V8", "<f16", "x", ">i2", [("a", "<f4")], None, "|S-1", "<c8"]),
        "fortran_order": st.sampled_from([True, False, 0, None]),
        "shape": st.one_of(st.lists(st.integers(-2, 3), max_size=4).map(tuple), st.just((10**30,)), st.just([1])),
    }
).map(lambda fields: header(str(fields)))
BYTES = st.one_of(st.binary(max_size=60), st.binary(max_size=60).map(lambda data: b"\x93NUMPY\x01\x00" + data), DICTS)


@given(BYTES, st.binary(max_size=40))
@example(header(str({"descr": "<f8", "fortran_order": True, "shape": (0,)})), b"")
@settings(max_examples=150)
def test_any_bytes_are_an_array_or_refused(data: bytes, tail: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.npy"
        path.write_bytes(data + tail)
        for read, kind in ((read_npy, np.ndarray), (npy_header, Header)):
            found = refused_or(read, path)
            assert found is None or isinstance(found, kind)


ARCHIVE = npz(keypoint=np.arange(24.0).reshape(1, 2, 4, 3), frame_dir="a")


@given(st.lists(st.tuples(st.integers(0, len(ARCHIVE) - 1), st.integers(0, 255)), max_size=4), st.integers(0, 30))
@settings(max_examples=150)
def test_any_archive_is_read_or_refused(changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(ARCHIVE)
    for place, value in changes:
        data[place] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.npz"
        path.write_bytes(data[: len(data) - cut])
        for read in (read_npz, npz_headers, lambda path: npz_text(path, "frame_dir")):
            found = refused_or(read, path)
            assert found is None or isinstance(found, (dict, str))


def test_a_header_is_not_longer_than_numpy_takes(tmp_path: Path) -> None:
    """In version 2 a header states its own length, up to 4 GiB; a bomb in an .npz could fill that."""
    long = b"\x93NUMPY\2\0" + (64 << 20).to_bytes(4, "little") + b" " * (64 << 20)
    file = tmp_path / "a.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("keypoint.npy", long)
    tracemalloc.start()
    try:
        for read in (npz_headers, read_npz):
            with pytest.raises(SourceError, match="keypoint is not an array file of NumPy"):
                read(file)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("change", ["longer", "shorter", "another time"])
def test_a_file_that_changes_while_it_is_read(tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(12.0).reshape(3, 4))
    parse = array_file.parse_header

    def changing(file: Any, size: int, shown: str) -> Header:
        found = parse(file, size, shown)
        if change == "another time":
            os.utime(path, ns=(1, 1))
        else:
            os.truncate(path, size + (8 if change == "longer" else -8))
        return found

    monkeypatch.setattr(array_file, "parse_header", changing)
    with pytest.raises(SourceError, match=r"a\.npy (has changed while it was read|ends after)"):
        read_npy(path)


@pytest.mark.parametrize("order", ["C", "F"])
def test_entries_of_a_file_that_became_shorter(tmp_path: Path, order: Literal["C", "F"]) -> None:
    path = tmp_path / "a.npy"
    array = np.asarray(np.arange(24.0).reshape(4, 3, 2), order=order)
    np.save(path, array)
    header = npy_header(path)
    assert_exact(read_entry(path, header, 3).copy(), array[3].copy())
    os.truncate(path, header.offset + 8)
    for i in range(4):
        with pytest.raises(SourceError, match=r"a\.npy has changed while it was read"):
            read_entry(path, header, i)
