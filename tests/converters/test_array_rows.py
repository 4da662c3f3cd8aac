"""Rows of large arrays, read in place: equal to NumPy's, in any order, stored or compressed; damage is an error."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.inputs import archive, array_rows
from converters.inputs.array_rows import ArrayRows
from skelstore.errors import SourceError
from tests.support.array_files import npy, npz

KINDS = ("npy", "stored", "compressed")


def written(folder: Path, array: Any, kind: str) -> ArrayRows:
    """An array in a file of its own, or as the second member of a .npz."""
    if kind == "npy":
        (folder / "a.npy").write_bytes(npy(array))
        return ArrayRows(folder / "a.npy")
    save = np.savez if kind == "stored" else np.savez_compressed
    save(folder / "a.npz", first=np.arange(5), second=array)
    return ArrayRows(folder / "a.npz", archive.members(folder / "a.npz")[1])


@given(
    st.sampled_from(KINDS),
    st.sampled_from(["<f4", ">f8", "<i2", "|i1"]),
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
    st.booleans(),
    st.sampled_from([1, 64, 32 << 20]),
    st.data(),
)
@settings(max_examples=60)
def test_rows_are_those_of_numpy(
    kind: str, dtype: str, shape: list[int], fortran: bool, block: int, data: st.DataObject
) -> None:
    array = np.arange(np.prod(shape)).astype(dtype).reshape(shape)
    array = np.asfortranarray(array) if fortran else array
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(array_rows, "_BLOCK_BYTES", block)
        rows = written(Path(folder), array, kind)
        assert len(rows) == shape[0]
        assert (rows.row_shape, rows.header.dtype) == (tuple(shape[1:]), array.dtype)
        assert rows.row_bytes == array.nbytes // shape[0]
        assert npy(array).startswith(rows.head)
        for index in data.draw(st.lists(st.integers(0, shape[0] - 1), max_size=8)):
            row = rows.row(index)
            assert row.dtype == array.dtype
            assert row.tobytes() == array[index : index + 1].tobytes()
            if data.draw(st.booleans()):
                rows = pickle.loads(pickle.dumps(rows))
        starts, blocks = zip(*rows.blocks(), strict=True)
        assert b"".join(part.tobytes() for part in blocks) == array.tobytes()
        assert list(starts) == [sum(map(len, blocks[:i])) for i in range(len(blocks))]


@pytest.mark.parametrize("kind", KINDS)
def test_an_array_without_rows(tmp_path: Path, kind: str) -> None:
    rows = written(tmp_path, np.zeros((0, 300, 150), np.float32), kind)
    assert len(rows) == 0
    assert [*rows.blocks()] == []


def test_a_compressed_array_is_decompressed_once_if_it_is_read_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = np.random.default_rng(0).normal(size=(50, 1000))
    rows = written(tmp_path, array, "compressed")
    read = 0
    pread = array_rows.pread

    def counting(descriptor: int, length: int, offset: int) -> bytes:
        nonlocal read
        data = pread(descriptor, length, offset)
        read += len(data)
        return data

    monkeypatch.setattr(array_rows, "pread", counting)
    for i in range(50):
        assert rows.row(i).tobytes() == array[i].tobytes()
    assert read <= 2 * os.path.getsize(rows.path)  # the header was read before; now once
    before = read
    assert rows.row(0).tobytes() == array[0].tobytes()
    assert read > before
    assert rows.row(49).tobytes() == array[49].tobytes()


def damaged(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]


def read_all(path: Path) -> None:
    rows = ArrayRows(path, archive.members(path)[0])
    for i in range(len(rows)):
        rows.row(i)


def test_a_damaged_compressed_array_is_found_when_it_is_read_to_the_end(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 4, (40, 500))
    data = npz(a=array)
    found = 0
    for at in range(60, len(data) - 200, 97):
        (tmp_path / "a.npz").write_bytes(damaged(data, at))
        with pytest.raises(SourceError, match=r"a\.npz: a\.npy .*[^\n]*$"):
            read_all(tmp_path / "a.npz")
        found += 1
    assert found > 20


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


def grown(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def touched(path: Path) -> None:
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", [cut_short, grown, touched])
def test_a_file_that_changes_after_it_was_opened(tmp_path: Path, kind: str, change: Callable[[Path], None]) -> None:
    rows = written(tmp_path, np.ones((3, 4)), kind)
    rows.row(0)
    change(rows.path)
    with pytest.raises(SourceError, match=r"has changed while it was read"):
        rows.row(1)


def with_sizes(data: bytes, size: int, packed: int) -> bytes:
    """A zip file whose directory states other sizes of its only member."""
    at = data.index(b"PK\x01\x02")
    return data[: at + 20] + struct.pack("<II", packed, size) + data[at + 28 :]


HOSTILE: dict[str, tuple[bytes, str]] = {
    "a bomb": (with_sizes(npz(a=np.zeros((2, 500))), 2**31, 120), "which is impossible"),
    "a size that is too large": (with_sizes(npz(a=np.zeros((2, 500))), 9000, 150), r"its header declares|is damaged"),
    "text": (npz(a=np.array(["a", "b"])), "expected numbers"),
    "objects": (npz(a=np.array([{}, None], object)), "array of Python objects"),
    "a number": (npz(a=np.float32(1)), "is a single number"),
    "no array": (b"", "not a readable zip"),
    "a cut file": (npz(a=np.zeros((2, 500)))[:-40], "not a readable zip"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_false_sizes_and_other_content_are_refused(tmp_path: Path, name: str) -> None:
    data, expected = HOSTILE[name]
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(SourceError, match=expected):
        ArrayRows(tmp_path / "a.npz", archive.members(tmp_path / "a.npz")[0])


def test_a_member_of_another_method_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_BZIP2) as packed:
        packed.writestr("a.npy", npy(np.ones(3)))
    with pytest.raises(SourceError, match="a method other than deflate"):
        ArrayRows(tmp_path / "a.npz", archive.members(tmp_path / "a.npz")[0])


def header_alone(shape: tuple[int, ...], fortran: bool = False) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": fortran, "shape": shape})
    return file.getvalue()


@pytest.mark.parametrize("shape", [(2**62, 300, 150), (1, 2**40), (10**9,), (2**31, 2**31, 2**31, 4)])
def test_a_declared_size_is_compared_before_anything_is_read(tmp_path: Path, shape: tuple[int, ...]) -> None:
    (tmp_path / "a.npy").write_bytes(header_alone(shape))
    with pytest.raises(SourceError, match="its header declares"):
        ArrayRows(tmp_path / "a.npy")


def test_rows_that_do_not_fit_in_memory_are_refused(tmp_path: Path) -> None:
    with open(tmp_path / "a.npy", "wb") as file:  # a sparse file
        head = header_alone((2, 300_000_000))
        file.write(head)
        file.truncate(len(head) + 2 * 1_200_000_000)
    with pytest.raises(SourceError, match=r"has rows of 1,200,000,000 bytes.*expected at most"):
        ArrayRows(tmp_path / "a.npy")
