"""Shards of skelstore and of zarr-python are the same: each reads what the other wrote."""

from __future__ import annotations

import functools
import hashlib
import math
import re
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args
from unittest import mock

import google_crc32c
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstore import DamageError, StoreError
from skelstore.format.checksums import crc32c
from skelstore.format.chunking import Grid
from skelstore.format.codecs import PROFILES, ChunkCodec, Profile
from skelstore.format.local_file import LocalFile
from skelstore.format.metadata import ArrayMetadata, to_bytes
from skelstore.format.shards import MISSING, ShardFile, shard_digest, trim_shard
from skelstore.format.store_files import LocalFiles
from skelstore.read.arrays import ArrayReader, Check
from skelstore.write import arrays
from skelstore.write.arrays import ArrayWriter
from tests.support import strategies
from tests.support.exact import assert_exact
from tests.support.leaks import open_files

Rows = np.ndarray[Any, Any]
CHECKS: tuple[Check, ...] = get_args(Check)

trailings = st.sampled_from([(), (1,), (3,), (5, 2), (2, 3, 2)])
grids = st.builds(lambda chunk, chunks: Grid(chunk, chunk * chunks), st.integers(1, 16), st.integers(1, 6))


@st.composite
def row_arrays(draw: st.DrawFn) -> Rows:
    """The rows of a whole array, in any memory layout."""
    rows, trailing = draw(st.integers(0, 150)), draw(trailings)
    return draw(strategies.arrays(st.just((rows, *trailing))))


def write_array(
    folder: Path, data: Rows, grid: Grid, profile: Profile, cuts: list[int]
) -> tuple[ArrayMetadata, dict[str, ShardFile]]:
    """Write an array ``x`` in pieces, divided at the cuts; return its metadata and its entries of the manifest."""
    (folder / "x").mkdir()
    planned = ArrayMetadata.plan(data.dtype, data.shape[1:], grid, profile)
    writer = ArrayWriter(folder / "x", planned)
    pieces = np.split(data, sorted(cut for cut in cuts if cut < len(data)))
    firsts = [writer.append(piece) for piece in pieces]
    assert firsts == np.cumsum([0, *map(len, pieces[:-1])]).tolist()
    writer.close()
    assert writer.rows == len(data)
    metadata = replace(planned, rows=len(data))
    (folder / "x" / "zarr.json").write_bytes(to_bytes(metadata.to_json("x")))
    assert len(writer.shards) == metadata.shards
    return metadata, {f"x/{metadata.shard_key(i)}": shard for i, shard in enumerate(writer.shards)}


OPENED: list[LocalFiles] = []


@pytest.fixture(autouse=True)
def close_what_is_opened() -> Iterator[None]:
    """Close the files of arrays that Hypothesis keeps with a failure."""
    yield
    while OPENED:
        OPENED.pop().close()


def opened(folder: Path, metadata: ArrayMetadata, shards: dict[str, ShardFile], check: Check = "first") -> ArrayReader:
    OPENED.append(LocalFiles(folder))
    return ArrayReader(OPENED[-1], "x", metadata, shards, check)


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@settings(max_examples=60)
@given(
    data=row_arrays(),
    grid=grids,
    profile=st.sampled_from(PROFILES),
    check=st.sampled_from(CHECKS),
    cuts=st.lists(st.integers(0, 150), max_size=5),
    runs=st.lists(st.tuples(st.integers(0, 150), st.integers(0, 150)), max_size=8),
)
def test_any_run_of_rows_is_the_slice_of_the_array(
    data: Rows, grid: Grid, profile: Profile, check: Check, cuts: list[int], runs: list[tuple[int, int]]
) -> None:
    with scratch() as folder:
        array = opened(folder, *write_array(folder, data, grid, profile, cuts), check)
        for a, b in [*runs, (0, len(data)), *runs]:  # twice: the second time no checksum is computed
            start, stop = sorted((min(a, len(data)), min(b, len(data))))
            assert_exact(array.read(start, stop - start), np.ascontiguousarray(data[start:stop]))


def shard_bytes(data: Rows, grid: Grid, profile: Profile) -> list[bytes]:
    """The shards of an array, chunk by chunk, as docs/format.md defines them."""
    shape = grid.chunk_rows, *data.shape[1:]
    codec = ChunkCodec(ArrayMetadata.plan(data.dtype, data.shape[1:], grid, profile).codecs, shape, data.dtype)
    shards = []
    for start in range(0, len(data), grid.shard_rows):
        stop = min(start + grid.shard_rows, len(data))
        chunks, index, sums = b"", b"", b""
        for first in range(start, start + grid.shard_rows, grid.chunk_rows):
            if first >= stop:
                index += struct.pack("<QQ", MISSING, MISSING)
                continue
            chunk = np.zeros(shape, data.dtype)
            rows = data[first : min(first + grid.chunk_rows, stop)]
            chunk[: len(rows)] = rows
            encoded = bytes(*codec.encode(chunk))
            checksum = struct.pack("<I", google_crc32c.value(encoded))
            index += struct.pack("<QQ", len(chunks), len(encoded) + 4)
            chunks += encoded + checksum
            sums += checksum
        digest = hashlib.blake2b(sums, digest_size=16).digest()
        shards.append(chunks + digest + index + struct.pack("<I", google_crc32c.value(index)))
    return shards


@settings(max_examples=60)
@given(
    data=row_arrays(),
    grid=grids,
    profile=st.sampled_from(PROFILES),
    cuts=st.lists(st.integers(0, 150), max_size=5),
    buffer=st.sampled_from([1, 100, 1000, 1 << 18]),
)
def test_the_bytes_of_shards_depend_neither_on_the_pieces_nor_on_the_buffer(
    data: Rows, grid: Grid, profile: Profile, cuts: list[int], buffer: int
) -> None:
    with scratch() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "_BUFFER_BYTES", buffer)
        _, entries = write_array(folder, data, grid, profile, cuts)
        expected = shard_bytes(data, grid, profile)
        assert [(folder / key).read_bytes() for key in entries] == expected
        assert list(entries.values()) == [
            ShardFile(
                len(shard),
                google_crc32c.value(shard),
                shard[-16 * (grid.shard_rows // grid.chunk_rows) - 20 :][:16].hex(),
            )
            for shard in expected
        ]


@settings(max_examples=60)
@given(
    data=row_arrays(),
    grid=grids,
    profile=st.sampled_from(PROFILES),
    check=st.sampled_from(CHECKS),
    ragged=st.integers(0, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_video_of_any_ragged_shape_is_that_slice(
    data: Rows, grid: Grid, profile: Profile, check: Check, ragged: int, seed: int
) -> None:
    """0 to 3 ragged axes, cold and warm, for videos that overlap and are in any order."""
    noise = np.random.default_rng(seed)
    with scratch() as folder:
        array = opened(folder, *write_array(folder, data, grid, profile, []), check)
        for _ in range(20):
            dims = noise.integers(0, 5, ragged).tolist()
            count = math.prod(dims)
            if count > len(data):
                continue
            first = int(noise.integers(0, len(data) - count + 1))
            expected = data[first : first + count].reshape((*dims, *data.shape[1:]))
            found = array.read(first, *dims)
            assert_exact(found, np.ascontiguousarray(expected).reshape(expected.shape))
            assert found.flags.writeable
            assert found.flags.c_contiguous


@settings(max_examples=40)
@given(
    data=row_arrays(),
    grid=grids,
    profile=st.sampled_from(PROFILES),
    cuts=st.lists(st.integers(0, 150), max_size=5),
)
def test_zarr_python_reads_what_we_write(data: Rows, grid: Grid, profile: Profile, cuts: list[int]) -> None:
    with scratch() as folder:
        metadata, _ = write_array(folder, data, grid, profile, cuts)
        array = zarr.open_array(folder / "x", mode="r")
        assert array.shape == data.shape
        assert array.chunks == metadata.chunk_shape
        assert array.shards == (metadata.shard_rows, *metadata.trailing)
        assert np.asarray(array[...]).astype(data.dtype).tobytes() == data.tobytes()
        middle = len(data) // 2
        assert np.asarray(array[middle:]).astype(data.dtype).tobytes() == data[middle:].tobytes()
        assert ArrayMetadata.from_json(metadata.to_json("x"), "x") == metadata


@settings(max_examples=40)
@given(data=row_arrays(), grid=grids, profile=st.sampled_from(PROFILES), check=st.sampled_from(CHECKS))
def test_we_read_what_zarr_python_writes(data: Rows, grid: Grid, profile: Profile, check: Check) -> None:
    """zarr-python writes the shards; only our digest is inserted between the last chunk and the index."""
    with scratch() as folder:
        metadata = replace(ArrayMetadata.plan(data.dtype, data.shape[1:], grid, profile), rows=len(data))
        (folder / "x").mkdir()
        (folder / "x" / "zarr.json").write_bytes(to_bytes(metadata.to_json("x")))
        with zarr.config.set({"array.write_empty_chunks": True}):
            zarr.open_array(folder / "x", mode="r+")[...] = data
        shards = {}
        for shard in range(metadata.shards):
            key = f"x/{metadata.shard_key(shard)}"
            shards[key] = add_digest(folder / key, metadata.chunks_per_shard)
        array = opened(folder, metadata, shards, check)
        for _ in range(2):
            assert_exact(array.read(0, len(data)), np.ascontiguousarray(data))
        for shard in range(metadata.shards):
            array.check_shard(shard)


def add_digest(path: Path, chunks: int) -> ShardFile:
    """Insert the digest of a shard between its last chunk and its index; return its entry of the manifest."""
    data = path.read_bytes()
    tail = 16 * chunks + 4
    body, index = data[:-tail], data[-tail:]
    entries = np.frombuffer(index[:-4], "<u8").reshape(chunks, 2)
    checksums = [
        int.from_bytes(body[int(start + length) - 4 : int(start + length)], "little")
        for start, length in entries
        if start != MISSING
    ]
    digest = shard_digest(checksums)  # type: ignore[arg-type]
    data = body + digest + index
    path.write_bytes(data)
    return ShardFile(len(data), crc32c(data), digest.hex())


@given(
    rows=st.integers(1, 100),
    chunk_rows=st.integers(1, 10),
    spare=st.integers(0, 20),
    profile=st.sampled_from(PROFILES),
)
@settings(max_examples=25)
def test_a_trimmed_shard_is_equal_to_one_written_at_that_size(
    rows: int, chunk_rows: int, spare: int, profile: Profile
) -> None:
    data = np.arange(rows * 3, dtype="<i4").reshape(rows, 3)
    used = -(-rows // chunk_rows)
    with scratch() as folder:
        (folder / "wide").mkdir()
        (folder / "tight").mkdir()
        wide, _ = write_array(folder / "wide", data, Grid(chunk_rows, (used + spare) * chunk_rows), profile, [])
        tight, shards = write_array(folder / "tight", data, Grid(chunk_rows, used * chunk_rows), profile, [])
        key = f"x/{wide.shard_key(0)}"
        trimmed = folder / "trimmed"
        assert trim_shard(folder / "wide" / key, trimmed, wide.chunks_per_shard, used) == shards[key]
        assert trimmed.read_bytes() == (folder / "tight" / key).read_bytes()
        assert tight.chunks_per_shard == used


@pytest.mark.parametrize("dtype", strategies.DTYPES, ids=str)
def test_the_metadata_of_every_dtype_round_trip(dtype: np.dtype[Any]) -> None:
    for profile in PROFILES:
        for trailing in [(), (17, 2)]:
            metadata = replace(ArrayMetadata.plan(dtype, trailing, Grid(8, 64), profile), rows=1000)
            assert ArrayMetadata.from_json(metadata.to_json("x"), "x") == metadata
            assert metadata.shards == 16


# ------------------------------------------------------------------------------------------------ damage

DATA = np.random.default_rng(3).normal(0, 1, (40, 5)).astype("<f4")
GRID = Grid(4, 16)
Damage = Callable[[Path, ArrayMetadata, dict[str, ShardFile]], None]


def drop_file(folder: Path, metadata: ArrayMetadata, shards: dict[str, ShardFile]) -> None:
    (folder / "x" / "c.1.0").unlink()


def drop_entry(folder: Path, metadata: ArrayMetadata, shards: dict[str, ShardFile]) -> None:
    del shards["x/c.1.0"]


def replace_by_folder(folder: Path, metadata: ArrayMetadata, shards: dict[str, ShardFile]) -> None:
    (folder / "x" / "c.1.0").unlink()
    (folder / "x" / "c.1.0").mkdir()


def swap(folder: Path, metadata: ArrayMetadata, shards: dict[str, ShardFile]) -> None:
    """Two shards of the same size are exchanged: every checksum of a chunk is still right."""
    (folder / "x" / "c.1.0").rename(folder / "x" / "c")
    (folder / "x" / "c.0.0").rename(folder / "x" / "c.1.0")
    (folder / "x" / "c").rename(folder / "x" / "c.0.0")


def swap_sizes_too(folder: Path, metadata: ArrayMetadata, shards: dict[str, ShardFile]) -> None:
    """The same, with a manifest of fitting sizes."""
    swap(folder, metadata, shards)
    a, b = shards["x/c.0.0"], shards["x/c.1.0"]
    shards["x/c.0.0"], shards["x/c.1.0"] = a._replace(size=b.size), b._replace(size=a.size)


def cut_to(length: Callable[[int], int]) -> Damage:
    def damage(folder: Path, metadata: ArrayMetadata, shards: dict[str, ShardFile]) -> None:
        path = folder / "x" / "c.1.0"
        path.write_bytes(path.read_bytes()[: length(path.stat().st_size)])

    return damage


def cut_with_entry(folder: Path, metadata: ArrayMetadata, shards: dict[str, ShardFile]) -> None:
    """Cut short, with a manifest that agrees: the last bytes are not an index."""
    cut_to(lambda size: size - 24)(folder, metadata, shards)
    shards["x/c.1.0"] = shards["x/c.1.0"]._replace(size=shards["x/c.1.0"].size - 24)


def longer(folder: Path, metadata: ArrayMetadata, shards: dict[str, ShardFile]) -> None:
    with open(folder / "x" / "c.1.0", "ab") as file:
        file.write(b"\0")


def flip(offset: int) -> Damage:
    def damage(folder: Path, metadata: ArrayMetadata, shards: dict[str, ShardFile]) -> None:
        path = folder / "x" / "c.1.0"
        data = bytearray(path.read_bytes())
        data[offset] ^= 0x20
        path.write_bytes(data)

    return damage


def with_index(change: Callable[[np.ndarray[Any, Any]], None]) -> Damage:
    """A shard with another index and a right checksum, as a hostile writer would make it."""

    def damage(folder: Path, metadata: ArrayMetadata, shards: dict[str, ShardFile]) -> None:
        path = folder / "x" / "c.1.0"
        data = path.read_bytes()
        tail = 16 * metadata.chunks_per_shard + 4
        entries = np.frombuffer(data[-tail:-4], "<u8").reshape(-1, 2).copy()
        change(entries)
        index = entries.tobytes()
        path.write_bytes(data[:-tail] + index + struct.pack("<I", crc32c(index)))

    return damage


def missing_chunk(entries: np.ndarray[Any, Any]) -> None:
    entries[1] = MISSING


def missing_last_chunk(entries: np.ndarray[Any, Any]) -> None:
    entries[3] = MISSING


def missing_all(entries: np.ndarray[Any, Any]) -> None:
    entries[:] = MISSING


def exchanged_chunks(entries: np.ndarray[Any, Any]) -> None:
    entries[[0, 1]] = entries[[1, 0]]


def one_chunk_twice(entries: np.ndarray[Any, Any]) -> None:
    entries[1] = entries[0]


def beyond(entries: np.ndarray[Any, Any]) -> None:
    entries[2] = 2**63, 2**63


def huge_length(entries: np.ndarray[Any, Any]) -> None:
    entries[2, 1] = 2**40


def overflowing(entries: np.ndarray[Any, Any]) -> None:
    entries[:, 1] = 2**62


def empty_chunk(entries: np.ndarray[Any, Any]) -> None:
    entries[2, 1] = 0


DAMAGES: dict[str, Damage] = {
    "missing shard": drop_file,
    "not in the manifest": drop_entry,
    "a folder": replace_by_folder,
    "swapped": swap,
    "swapped, sizes fit": swap_sizes_too,
    "empty": cut_to(lambda size: 0),
    "one byte short": cut_to(lambda size: size - 1),
    "half": cut_to(lambda size: size // 2),
    "short, the manifest agrees": cut_with_entry,
    "one byte long": longer,
    "flip in the first chunk": flip(0),
    "flip in the checksum of the last chunk": flip(-(16 + 64 + 4) - 1),
    "flip in the digest": flip(-(16 + 64 + 4)),
    "flip in the index": flip(-(64 + 4)),
    "flip in the checksum of the index": flip(-1),
    **{f"index: {change.__name__}": with_index(change) for change in (
        missing_chunk, missing_last_chunk, missing_all, exchanged_chunks, one_chunk_twice, beyond, huge_length,
        overflowing, empty_chunk,
    )},
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("check", ["first", "always"])
def test_damage_is_an_error_that_names_the_file_and_spares_the_others(
    tmp_path: Path, profile: Profile, check: Check, damage: Damage
) -> None:
    metadata, shards = write_array(tmp_path, DATA, GRID, profile, [])
    damage(tmp_path, metadata, shards)
    array = opened(tmp_path, metadata, shards, check)
    expected = StoreError if damage is replace_by_folder else DamageError
    asks: list[Callable[[], object]] = [
        functools.partial(array.read, 16, 16),
        functools.partial(array.read, 10, 25),
        functools.partial(array.read, 14, 2, 9),
        lambda: [array.read(row, 2, 2) for row in (16, 20, 24, 28)],
        functools.partial(array.check_shard, 1),
    ]
    for ask in asks:
        for _ in range(2):
            if damage is not DAMAGES["index: missing_last_chunk"] or ask is not asks[4]:
                with pytest.raises(
                    expected, match=r"x/c\.[01]\.0" if damage in (swap, swap_sizes_too) else r"x/c\.1\.0"
                ):
                    ask()
    assert_exact(array.read(32, 8), DATA[32:])
    if damage not in (swap, swap_sizes_too):
        assert_exact(array.read(0, 16), DATA[:16])


def test_intact_chunks_are_read_beside_a_damaged_one(tmp_path: Path) -> None:
    metadata, shards = write_array(tmp_path, DATA, GRID, "fast", [])
    flip(4 * 20 + 4)(tmp_path, metadata, shards)  # the second chunk of shard 1: rows 20 to 24
    array = opened(tmp_path, metadata, shards)
    assert_exact(array.read(16, 4), DATA[16:20])
    assert_exact(array.read(24, 16), DATA[24:])
    with pytest.raises(DamageError, match="chunk 1 is damaged"):
        array.read(19, 2)
    assert_exact(array.read(16, 4), DATA[16:20])
    with pytest.raises(DamageError, match="chunk 1 is damaged"):
        array.read(20, 1)


@given(
    data=row_arrays(),
    grid=grids,
    profile=st.sampled_from(PROFILES),
    check=st.sampled_from(CHECKS),
    fractions=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=4),
)
@settings(max_examples=40)
def test_a_run_in_one_shard_reads_the_chunks_that_it_touches_at_once_and_nothing_else(
    data: Rows, grid: Grid, profile: Profile, check: Check, fractions: list[tuple[float, float]]
) -> None:
    """Checking a chunk needs all of it; reading chunks one by one would make the system read ahead."""
    with scratch() as folder, mock.patch.object(LocalFile, "read", autospec=True, side_effect=LocalFile.read) as read:
        metadata, shards = write_array(folder, data, grid, profile, [])
        array = opened(folder, metadata, shards, check)
        for first, last in fractions:
            start, stop = sorted(int(fraction * len(data)) for fraction in (first, last))
            if start == stop or start // grid.shard_rows != (stop - 1) // grid.shard_rows:
                continue
            shard = array.shard(start // grid.shard_rows)
            chunks = start % grid.shard_rows // grid.chunk_rows, (stop - 1) % grid.shard_rows // grid.chunk_rows + 1
            begin, end = shard.bounds[chunks[0]], shard.bounds[chunks[1]]
            unchecked = not all(shard.checked[slice(*chunks)])
            read.reset_mock()
            assert_exact(array.read(start, stop - start), data[start:stop])
            ranges = [(call.args[1], sum(call.args[1:3])) for call in read.call_args_list]
            assert all(begin <= offset < until <= end for offset, until in ranges)
            assert len(ranges) <= 1
            if profile == "fast":
                assert ranges == ([(begin, end)] if unchecked else [])


def test_checks_always_find_later_damage(tmp_path: Path) -> None:
    metadata, shards = write_array(tmp_path, DATA, GRID, "default", [])
    always = opened(tmp_path, metadata, shards, "always")
    for _ in range(2):
        assert_exact(always.read(16, 4), DATA[16:20])
    path = tmp_path / "x" / "c.1.0"
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    with open(path, "rb+") as file:
        file.write(data)
    for _ in range(2):
        with pytest.raises(DamageError, match=r"c\.1\.0: chunk 0 is damaged"):
            always.read(16, 4)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("check", CHECKS)
def test_a_shard_that_is_cut_while_it_is_open_is_damage(tmp_path: Path, profile: Profile, check: Check) -> None:
    metadata, shards = write_array(tmp_path, DATA, GRID, profile, [])
    array = opened(tmp_path, metadata, shards, check)
    assert_exact(array.read(0, 16), DATA[:16])
    with open(tmp_path / "x" / "c.0.0", "rb+") as file:
        file.truncate(30)
    for _ in range(2):
        with pytest.raises(DamageError, match=r"x/c\.0\.0 ends at byte \d+, expected"):
            array.read(0, 16)
        with pytest.raises(DamageError, match=r"x/c\.0\.0 ends at byte \d+, expected"):
            array.read(3, 9)


def metadata_with(**changed: Any) -> Any:
    return ArrayMetadata.plan(np.dtype("<f2"), (17, 2), Grid(8, 64), "default").to_json("x") | changed


def inner(**changed: Any) -> Any:
    node = metadata_with()
    node["codecs"][0]["configuration"] |= changed
    return node


@pytest.mark.parametrize(
    "node",
    [
        None,
        [],
        {},
        metadata_with(zarr_format=2),
        metadata_with(node_type="group"),
        metadata_with(shape=[1.5, 17, 2]),
        metadata_with(shape=[-1, 17, 2]),
        metadata_with(shape=[5, 17, 3]),
        metadata_with(shape=[2**62, 17, 2]),
        metadata_with(shape=[]),
        metadata_with(data_type="object"),
        metadata_with(data_type="complex64"),
        metadata_with(data_type=","),
        metadata_with(data_type=None),
        metadata_with(data_type={"name": "numpy.datetime64"}),
        metadata_with(codecs=[]),
        metadata_with(codecs=[{"name": "bytes"}]),
        metadata_with(codecs=[5]),
        metadata_with(chunk_grid={"name": "regular", "configuration": {"chunk_shape": [60, 17, 2]}}),
        metadata_with(chunk_grid={"name": "regular", "configuration": {"chunk_shape": [0, 17, 2]}}),
        metadata_with(chunk_grid={"name": "regular", "configuration": {"chunk_shape": [64, 17, 1]}}),
        metadata_with(chunk_grid={"name": "rectangular"}),
        metadata_with(chunk_key_encoding={"name": "v2"}),
        inner(chunk_shape=[0, 17, 2]),
        inner(chunk_shape=[8, 17]),
        inner(chunk_shape=[2**40, 17, 2]),
        inner(index_location="start"),
        inner(index_codecs=[{"name": "bytes", "configuration": {"endian": "big"}}, {"name": "crc32c"}]),
        inner(codecs=[None]),
        inner(codecs=5),
    ],
)
def test_metadata_outside_the_format_are_a_store_error(node: Any) -> None:
    with pytest.raises(StoreError, match="some place"):
        ArrayMetadata.from_json(node, "some place")


def resident(path: Path) -> int:
    """Bytes of a mapped file that are in the memory of this process."""
    maps = Path("/proc/self/smaps").read_text()
    found = re.search(rf"{re.escape(str(path))}\n.*?Rss:\s+(\d+) kB", maps, re.DOTALL)
    assert found is not None
    return int(found[1]) << 10


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="no smaps on this system")
def test_rows_of_a_mapped_file_leave_the_memory_once_they_are_written(tmp_path: Path) -> None:
    rows = np.arange(1 << 20, dtype=np.float32).reshape(-1, 8)
    rows.tofile(tmp_path / "rows")
    (tmp_path / "a").mkdir()
    planned = ArrayMetadata.plan(rows.dtype, (8,), Grid(64, 64 * 100), "fast")
    writer = ArrayWriter(tmp_path / "a", planned)
    mapped = np.memmap(tmp_path / "rows", np.float32, "r", shape=rows.shape)
    assert mapped.sum() > 0
    assert resident(tmp_path / "rows") >= rows.nbytes
    writer.append(mapped)
    assert resident(tmp_path / "rows") < 1 << 20
    assert_exact(np.asarray(mapped), rows)
    for view in (mapped[::-1], mapped[::2], mapped.reshape(8, -1).T):
        writer.append(view)
    writer.abort()


def test_what_is_written_to_a_private_map_is_kept(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(bytes(1 << 20))
    private = np.memmap(tmp_path / "rows", np.float32, "c", shape=(1 << 15, 8))
    private += 1
    (tmp_path / "a").mkdir()
    for rows in (private, np.lib.stride_tricks.as_strided(private, writeable=False)):
        writer = ArrayWriter(tmp_path / "a", ArrayMetadata.plan(private.dtype, (8,), Grid(64, 64 * 100), "fast"))
        writer.append(rows)
        writer.abort()
        assert (private == 1).all()
        shutil.rmtree(tmp_path / "a")
        (tmp_path / "a").mkdir()


def test_an_aborted_writer_closes_its_file(tmp_path: Path) -> None:
    writer = ArrayWriter(tmp_path, ArrayMetadata.plan(np.dtype("<f4"), (5,), Grid(2, 1 << 20), "fast"))
    writer.append(np.zeros((arrays._BUFFER_BYTES, 5), np.float32))
    assert any(str(tmp_path) in name for name in open_files().values())
    writer.abort()
    writer.abort()
    assert not any(str(tmp_path) in name for name in open_files().values())


def test_the_codec_of_an_array_is_that_of_its_chunks() -> None:
    metadata = ArrayMetadata.plan(np.dtype(">f2"), (17, 2), Grid(8, 64), "small")
    assert ChunkCodec(metadata.codecs, metadata.chunk_shape, metadata.dtype).nbytes == 8 * 17 * 2 * 2
    assert metadata.row_bytes == 68
