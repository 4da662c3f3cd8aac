"""The bytes of a table are checked before use, and later changes of the file do no harm."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import skelstore
from skelstore.errors import DamageError
from skelstore.format import checksums
from skelstore.format.checksums import FileEntry
from skelstore.format.store_files import LocalFiles
from skelstore.read import table as tables
from skelstore.read.table import read_table
from skelstore.read.verification import LEVELS, verify
from tests.support.contracts import write
from tests.support.exact import assert_exact
from tests.support.processes import run_python

TABLES = ("videos.arrow", "names.arrow", "splits.arrow")


def videos(count: int) -> list[dict[str, Any]]:
    return [{"frame_dir": f"v{i}", "label": i, "keypoint": np.full((1, 2, 3, 2), i, np.float16)} for i in range(count)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "a.zarr", videos(20), {"all": [f"v{i}" for i in range(20)]})


@pytest.fixture(params=["copied", "mapped"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "mapped":
        monkeypatch.setattr(tables, "COPIED_BYTES", 0)
    return str(request.param)


def read(path: Path, key: str, expected: FileEntry | None = None) -> pa.Table:
    return read_table(LocalFiles(path), key, expected or checksums.measure_file(path / key))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("key", TABLES)
def test_a_replaced_table_keeps_its_old_content(path: Path, key: str) -> None:
    """Replaced by a rename, as rsync does, or removed and written again."""
    table = read(path, key)
    before = table.to_pydict()
    (path / "new").write_bytes(b"x" * 10)
    os.replace(path / "new", path / key)
    assert table.to_pydict() == before
    (path / key).unlink()
    assert table.to_pydict() == before


IN_PLACE = """
import os, sys
import skelstore
path = sys.argv[1]
store = skelstore.open(path)
assert store["v1"]["label"] == 1
for name in ("videos.arrow", "names.arrow", "splits.arrow"):
    with open(os.path.join(path, name), "rb+") as file:
        if sys.argv[2] == "cut":
            file.truncate(10)
        else:
            size = os.fstat(file.fileno()).st_size
            file.write(b"#" * size)
print([store[f"v{i}"]["label"] for i in range(20)] == list(range(20)), [a["frame_dir"] for a in store][7])
"""


@pytest.mark.parametrize("harm", ["cut", "overwrite"])
def test_a_small_table_that_is_cut_short_or_overwritten_in_place_is_read_as_it_was(path: Path, harm: str) -> None:
    done = run_python(IN_PLACE, path, harm)
    assert (done.returncode, done.stdout) == (0, "True v7\n"), done.stderr[-1000:]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("key", TABLES)
def test_a_table_of_another_size_is_not_read(path: Path, key: str) -> None:
    expected = checksums.measure_file(path / key)
    for size in (0, expected.size - 1, expected.size + 1, 1 << 40):
        os.truncate(path / key, size)
        begun = time.process_time()
        with pytest.raises(DamageError, match=f"{key} has {size:,} bytes; the manifest says {expected.size:,}"):
            read(path, key, expected)
        for level in LEVELS:
            assert any(f"{key} has {size:,} bytes" in problem for problem in verify(path, level=level))
        assert time.process_time() - begun < 5, "the holes of a sparse file are read"


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("key", TABLES)
def test_a_table_of_other_bytes_is_refused(path: Path, key: str) -> None:
    expected = checksums.measure_file(path / key)
    data = bytearray((path / key).read_bytes())
    data[len(data) // 2] ^= 1
    (path / key).write_bytes(data)
    with pytest.raises(DamageError, match="its checksum does not match the manifest"):
        read(path, key, expected)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("key", TABLES)
def test_special_files_in_place_of_a_table_are_refused_without_waiting(path: Path, key: str) -> None:
    expected = checksums.measure_file(path / key)
    (path / key).unlink()
    with pytest.raises(DamageError, match=f"{key} is missing"):
        read(path, key, expected)
    os.mkfifo(path / key)
    with pytest.raises(DamageError, match=f"{key} cannot be read: it is a named pipe, not a regular file"):
        read(path, key, expected)
    (path / key).unlink()
    (path / key).symlink_to("/dev/zero")
    with pytest.raises(DamageError, match=f"{key} cannot be read: it is a device, not a regular file"):
        read(path, key, expected)


def test_a_table_that_is_replaced_between_its_check_and_its_map_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "COPIED_BYTES", 0)
    measure = checksums.measure_open

    def replace_after(file: Any) -> FileEntry:
        found = measure(file)
        data = (path / "videos.arrow").read_bytes()
        (path / "new").write_bytes(data)
        os.replace(path / "new", path / "videos.arrow")
        return found

    monkeypatch.setattr(checksums, "measure_open", replace_after)
    with pytest.raises(DamageError, match="was replaced while it was opened"):
        read(path, "videos.arrow")


@pytest.mark.usefixtures("way")
def test_tables_copied_and_mapped_are_the_same(path: Path) -> None:
    with skelstore.open(path) as store:
        assert_exact(list(store), videos(20))
        assert_exact(store["v7"], videos(20)[7])
        assert store.splits == {"all": [f"v{i}" for i in range(20)]}


def test_sparse_files_in_place_of_those_of_a_store_cost_nothing(path: Path) -> None:
    for key in ("manifest.json", "keypoint/zarr.json", "keypoint/c.0.0.0", "zarr.json"):
        file = path / key
        data = file.read_bytes()
        os.truncate(file, 1 << 40)
        begun = time.process_time()
        for level in LEVELS:
            assert any(str(file) in problem for problem in verify(path, level=level)), key
        assert time.process_time() - begun < 5
        file.write_bytes(data)
    assert verify(path, level="decode") == []
