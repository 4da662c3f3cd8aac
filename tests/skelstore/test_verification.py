"""Damage to any file of a store is reported with the name of the file and never read as data."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import skelstore
from skelstore import SkelstoreError
from skelstore.format.codecs import PROFILES, Profile
from skelstore.format.columns import numpy_dtype
from skelstore.read.table import numeric_column
from skelstore.read.verification import LEVELS, Level, find_litter, share, verify
from tests.support.contracts import write
from tests.support.exact import assert_exact
from tests.support.repository import REPOSITORY
from tests.support.small_store import check_free_reading, lay_out, made, sign, sign_root, small_dataset, table_bytes
from tests.support.strategies import Dataset


@pytest.fixture
def store_path(tmp_path: Path, profile: Profile) -> Path:
    return lay_out(tmp_path, made(profile))


def replace_file(path: Path, data: bytes | None) -> None:
    """Replace a file by a new one; readers of the old file keep it."""
    path.unlink(missing_ok=True)
    if data is not None:
        path.write_bytes(data)


def check_message(error: SkelstoreError, path: Path) -> None:
    assert str(path) in str(error), "the message does not name the file"


def read_everything(path: Path, dataset: Dataset) -> int:
    """Check that every value is right or refused with an error of skelstore; return how many were refused."""
    refused = 0
    for check in ("first", "always"):
        try:
            store = skelstore.open(path, check=check)  # type: ignore[arg-type]
        except SkelstoreError as error:
            check_message(error, path)
            refused += 1
            continue
        with store:
            assert len(store) == len(dataset.annotations)
            for number, annotation in enumerate(dataset.annotations):
                for ask in (number, annotation["frame_dir"]):
                    for _ in range(2):
                        try:
                            found = store[ask]
                        except SkelstoreError as error:
                            check_message(error, path)
                            refused += 1
                        else:
                            assert_exact(found, annotation)
            try:
                splits = store.splits
            except SkelstoreError:
                refused += 1
            else:
                assert_exact(splits, dataset.splits)
    return refused


def check_reported(
    path: Path, key: str, dataset: Dataset, also: tuple[str, ...] = (), level: Level = "structure"
) -> None:
    """Check that all ways of reading report the damage of a file, and verify from that level on."""
    for thorough in LEVELS[LEVELS.index(level) :]:
        problems = verify(path, level=thorough)
        assert problems, f"{key}: verify finds nothing"
        assert any(str(path / name) in problem for name in (key, *also) for problem in problems), problems
    refused = read_everything(path, dataset)
    if key not in ("names.arrow", "splits.arrow"):
        assert refused or problems


def content(data: bytes) -> Any:
    """The content of JSON, regardless of white space."""
    try:
        return json.loads(data)
    except ValueError:
        return data


@pytest.mark.parametrize("profile", PROFILES)
def test_a_store_that_is_whole_has_no_problems(store_path: Path) -> None:
    assert verify(store_path) == []
    seen: list[int] = []
    assert verify(store_path, level="decode", advance=seen.append) == []
    shards = [file for file in store_path.rglob("c.*") if file.is_file()]
    assert sum(seen) == sum(file.stat().st_size for file in shards)
    assert len(shards) >= 4
    assert read_everything(store_path, small_dataset()) == 0
    files = skelstore.open(store_path).files()
    on_disk = {f.relative_to(store_path).as_posix(): f.stat().st_size for f in store_path.rglob("*") if f.is_file()}
    assert files == {key: size for key, size in on_disk.items() if key not in ("zarr.json", "manifest.json")}


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
def test_a_flipped_byte_in_any_file_is_reported(store_path: Path, profile: Profile) -> None:
    noise = np.random.default_rng(PROFILES.index(profile))
    for key, data in made(profile).items():
        count = 60 if key == "zarr.json" else 25 if key.endswith("zarr.json") else 12
        for at in {0, len(data) - 1, *noise.integers(0, len(data), count).tolist()}:
            changed = bytearray(data)
            changed[at] ^= int(noise.choice([1, 2, 4, 8, 16, 32, 64, 128, 255]))
            replace_file(store_path / key, bytes(changed))
            if key == "zarr.json" and content(bytes(changed)) == content(data):
                assert read_everything(store_path, small_dataset()) == 0  # another white-space character
            else:
                check_reported(store_path, key, small_dataset(), level="checksums")
        replace_file(store_path / key, data)
    assert read_everything(store_path, small_dataset()) == 0


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["default", "fast"])
def test_every_byte_of_a_store_flipped(tmp_path: Path, profile: Profile) -> None:
    """verify reports each flipped byte, and what can still be read is as it was written."""
    dataset = small_dataset()
    dataset = Dataset([{k: a[k] for k in ("frame_dir", "keypoint")} for a in dataset.annotations[:3]], {"s": ["v0"]})
    path = write(tmp_path / "a.zarr", *dataset, profile=profile)
    reported = 0
    for file in (file for file in path.rglob("*") if file.is_file()):
        data = file.read_bytes()
        with open(file, "rb+", buffering=0) as opened:  # in place: nothing is cut, so old memory maps stay valid
            for at, byte in enumerate(data):
                os.pwrite(
                    opened.fileno(), bytes((byte ^ 0x20,)), at
                )  # turns letters and spaces into others of the same kind
                if file == path / "zarr.json" and content(file.read_bytes()) == content(data):
                    assert verify(path) == []
                else:
                    problems = verify(path, level="checksums")
                    assert any(str(file) in problem for problem in problems), (file, at)
                    reported += 1
                check_exact_or_refused(path, dataset)
                os.pwrite(opened.fileno(), bytes((byte,)), at)
    assert verify(path, level="decode") == []
    assert reported > 4000


def check_exact_or_refused(path: Path, dataset: Dataset) -> None:
    """Check that each value of a store is as written, or refused with a sentence that names a file."""
    try:
        store = skelstore.open(path)
    except SkelstoreError as error:
        check_message(error, path)
        return
    with store:
        assert len(store) == len(dataset.annotations)
        for number, annotation in enumerate(dataset.annotations):
            for ask in (number, annotation["frame_dir"]):
                try:
                    assert_exact(store[ask], annotation)
                except SkelstoreError as error:
                    check_message(error, path)
        try:
            assert_exact(store.splits, dataset.splits)
        except SkelstoreError as error:
            check_message(error, path)


@pytest.mark.parametrize("profile", ["default"])
def test_a_flipped_bit_anywhere_in_the_root_is_reported(store_path: Path, profile: Profile) -> None:
    """No other file has the checksum of the root."""
    data = made(profile)["zarr.json"]
    for at in range(0, len(data), 2):
        changed = bytearray(data)
        changed[at] ^= 1 << at // 2 % 8
        replace_file(store_path / "zarr.json", bytes(changed))
        if content(bytes(changed)) != content(data):
            with pytest.raises(SkelstoreError, match=r"zarr\.json"):
                skelstore.open(store_path)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_file_that_is_cut_emptied_removed_or_lengthened_is_reported(store_path: Path, profile: Profile) -> None:
    for key, data in made(profile).items():
        for changed in (
            b"",
            data[:1],
            data[: len(data) // 2],
            data[:-1],
            data[1:],
            data + b"\0",
            data * 2,
            bytes(len(data)),
        ):
            if key == "zarr.json" and content(changed) == content(data):
                continue  # only the newline at its end is gone
            replace_file(store_path / key, changed)
            check_reported(store_path, key, small_dataset())
        replace_file(store_path / key, None)
        if key == "zarr.json":
            with pytest.raises(skelstore.StoreNotFoundError):
                skelstore.open(store_path)
            assert "zarr.json" in verify(store_path)[0]
        else:
            check_reported(store_path, key, small_dataset())
            (store_path / key).mkdir()
            check_reported(store_path, key, small_dataset())
            (store_path / key).rmdir()
        replace_file(store_path / key, data)
    assert read_everything(store_path, small_dataset()) == 0


@pytest.mark.parametrize("profile", ["default", "fast"])
def test_two_swapped_files_are_reported(store_path: Path, profile: Profile) -> None:
    files = list(made(profile).items())
    for number, (key, data) in enumerate(files):
        for other_key, other in files[number + 1 :]:
            if data == other:
                continue
            replace_file(store_path / key, other)
            replace_file(store_path / other_key, data)
            check_reported(store_path, key, small_dataset(), (other_key,))
            replace_file(store_path / other_key, other)
        replace_file(store_path / key, data)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_file_of_another_version_of_the_store_is_reported(store_path: Path, profile: Profile) -> None:
    old, new = made(profile, 1), made(profile)
    assert old.keys() == new.keys()
    assert sum(old[key] != new[key] for key in new) > 6
    for key in new:
        if old[key] == new[key]:
            continue
        replace_file(store_path / key, old[key])
        check_reported(store_path, key, small_dataset(), ("manifest.json",))
        replace_file(store_path / key, new[key])
    for key in new:  # and the reverse: one new file among old ones
        replace_file(store_path / key, old[key])
    assert read_everything(store_path, small_dataset(1)) == 0
    for key in new:
        if old[key] != new[key]:
            replace_file(store_path / key, new[key])
            check_reported(store_path, key, small_dataset(1), ("manifest.json",))
            replace_file(store_path / key, old[key])


@pytest.mark.parametrize("profile", ["default"])
def test_an_extra_file_is_reported(store_path: Path) -> None:
    (store_path / "keypoint" / "c.99.0.0").write_bytes(b"x")
    assert [problem for problem in verify(store_path) if "c.99.0.0 is not a file of the store" in problem]
    assert read_everything(store_path, small_dataset()) == 0


@pytest.mark.parametrize("profile", ["default"])
def test_files_that_systems_leave_in_folders_are_found_and_are_not_a_problem(store_path: Path) -> None:
    assert find_litter(store_path) == []
    names = [".DS_Store", "._keypoint", "._", "Thumbs.db", "desktop.ini", "Desktop.ini", ".nfs000000000123", "._a\nb"]
    for place in ("", "keypoint"):
        for name in names:
            (store_path / place / name).write_bytes(b"x")
    for level in LEVELS:
        assert verify(store_path, level=level) == []
    found = find_litter(store_path)
    assert len(found) == 2 * len(names)
    assert all(
        any(f"{store_path / place / name} " in line for line in found) for place in ("", "keypoint") for name in names
    )
    for name in ("x.DS_Store", "Thumbs.db.bak", "DS_Store", "nfs1", "note.txt"):
        (store_path / name).write_bytes(b"x")
        assert verify(store_path) == [f"{store_path / name} is not a file of the store (the manifest does not list it)"]
        (store_path / name).unlink()
    assert read_everything(store_path, small_dataset()) == 0


@pytest.mark.parametrize("profile", ["default"])
def test_an_extra_folder_is_reported_once_with_its_content(store_path: Path) -> None:
    for place in ("empty", "full/deep", "keypoint/inner", ".DS_Store"):
        (store_path / place).mkdir(parents=True)
    (store_path / "full/deep/file").write_bytes(b"x")
    (store_path / "full/file").write_bytes(b"x")
    folders = [store_path / place for place in (".DS_Store", "empty", "full", "keypoint/inner")]
    for level in LEVELS:
        expected = [f"{folder} is not a folder of the store (the manifest lists no file in it)" for folder in folders]
        assert verify(store_path, level=level) == expected
    assert read_everything(store_path, small_dataset()) == 0


@pytest.mark.parametrize("profile", ["default"])
def test_a_link_to_a_folder_in_a_store_is_reported(store_path: Path, tmp_path: Path) -> None:
    (store_path / "elsewhere").symlink_to(tmp_path)
    (store_path / "keypoint").rename(tmp_path / "moved")
    (store_path / "keypoint").symlink_to(tmp_path / "moved")
    for level in LEVELS:
        assert verify(store_path, level=level) == [
            f"{store_path / name} is a link to a folder, which a store does not have: replace it with the folder itself"
            for name in ("elsewhere", "keypoint")
        ]
    assert read_everything(store_path, small_dataset()) == 0


@pytest.mark.parametrize("profile", ["default"])
def test_a_store_that_is_a_link_to_a_folder_has_no_problem(store_path: Path, tmp_path: Path) -> None:
    (tmp_path / "link.zarr").symlink_to(store_path)
    assert verify(tmp_path / "link.zarr", level="decode") == []


@pytest.mark.parametrize("profile", ["default"])
def test_special_files_in_a_store_are_reported_without_waiting(store_path: Path) -> None:
    for key, data in made("default").items():
        for make in (os.mkfifo, lambda file: file.symlink_to("/dev/zero"), Path.mkdir):
            (store_path / key).unlink()
            make(store_path / key)
            for level in LEVELS:
                assert any(str(store_path / key) in problem for problem in verify(store_path, level=level)), key
            refused = read_everything(store_path, small_dataset())
            assert refused or key == "names.arrow"
            if (store_path / key).is_dir():
                (store_path / key).rmdir()
            else:
                (store_path / key).unlink()
            (store_path / key).write_bytes(data)
    assert verify(store_path, level="decode") == []


@pytest.mark.parametrize("profile", ["default"])
def test_all_problems_are_reported_at_once(store_path: Path) -> None:
    shards = sorted(file for file in store_path.rglob("c.*") if file.is_file())
    for shard in shards:
        replace_file(shard, shard.read_bytes()[:-1])
    problems = verify(store_path)
    for shard in shards:
        assert any(str(shard) in problem for problem in problems)


@pytest.mark.parametrize("profile", ["default", "fast"])
@pytest.mark.parametrize("shares", [1, 2, 3, 50])
def test_the_shares_together_cover_everything(store_path: Path, shares: int) -> None:
    broken = sorted(file for file in store_path.rglob("c.*") if file.is_file())
    for shard in broken:
        data = bytearray(shard.read_bytes())
        data[3] ^= 1
        replace_file(shard, bytes(data))
    for level in LEVELS:
        found = [verify(store_path, level=level, subset=(n, shares)) for n in range(1, shares + 1)]
        whole = verify(store_path, level=level)
        assert {problem for problems in found for problem in problems} == set(whole)
        assert bool(whole) == (level != "structure")
        if level == "checksums":
            for shard in broken:
                reported = [problems for problems in found if any(str(shard) in problem for problem in problems)]
                assert len(reported) == 1, "a shard is in one share only"


@pytest.mark.parametrize("subset", [(0, 1), (2, 1), (-1, 3), (1, 0)])
def test_an_invalid_share_is_an_error(tmp_path: Path, subset: tuple[int, int]) -> None:
    with pytest.raises(skelstore.StoreError, match="counted from 1"):
        verify(tmp_path, subset=subset)


def test_an_invalid_level_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(skelstore.StoreError, match="expected one of structure, checksums, decode"):
        verify(tmp_path, level="data")  # type: ignore[arg-type]


@given(st.integers(0, 300), st.integers(1, 40))
def test_shares_are_disjoint_and_complete(count: int, shares: int) -> None:
    found = [i for n in range(1, shares + 1) for i in share((n, shares), count)]
    assert sorted(found) == list(range(count))


def test_decoding_finds_what_was_signed(tmp_path: Path) -> None:
    """The author of a store can make every checksum right; an invalid cell is found when videos are read."""
    table = pa.ipc.open_file(BASE["videos.arrow"]).read_all()
    (name,) = (name for name, column in ROOT["attributes"]["skelstore"]["columns"].items() if column["type"] == "json")
    cells = table[name].to_pylist()
    cells[6] = "{"
    number = table.column_names.index(name)
    changed = table.set_column(number, name, pa.array(cells, table.schema.field(name).type))
    path = lay_out(tmp_path, sign(BASE | {"videos.arrow": table_bytes(changed)}, ROOT))
    assert verify(path, level="checksums") == []
    (problem,) = verify(path, level="decode")
    assert problem.startswith(f"{path / 'videos.arrow'}: video 6: ")
    assert verify(path, level="decode", subset=(1, 2)) == [problem]
    assert verify(path, level="decode", subset=(2, 2)) == []


@pytest.mark.parametrize("profile", ["default"])
def test_structure_alone_does_not_read_the_data(store_path: Path) -> None:
    """A flipped byte inside a chunk is only found by the other levels, which name the chunk."""
    shard = next(store_path.glob("keypoint/c.0*"))
    data = bytearray(shard.read_bytes())
    data[3] ^= 1
    replace_file(shard, bytes(data))
    assert verify(store_path) == []
    for level in ("checksums", "decode"):
        problems = verify(store_path, level=level)
        assert any(str(shard) in problem for problem in problems)
        assert any(f"{shard}: chunk 0 is damaged" in problem for problem in problems)


def test_a_path_that_is_not_a_store_is_one_problem(tmp_path: Path) -> None:
    assert len(verify(tmp_path / "nothing")) == 1
    assert len(verify(tmp_path)) == 1


# --------------------------------------------------------------------------- hostile stores that are signed


def test_a_store_signed_by_the_tests_has_no_problems(tmp_path: Path) -> None:
    path = lay_out(tmp_path, sign(BASE, ROOT))
    assert verify(path, level="decode") == []
    assert read_everything(path, small_dataset()) == 0


def places(node: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a JSON document."""
    if at:
        yield at
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from places(child, (*at, key))


small_json = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 2, 7, 2**31, 2**40, 2**63, 2**70, 0.5, 1e300]),
    st.sampled_from(
        ["", "keypoint", "label", "int", "json", "numpy.int64", "float16", "float64", "bytes", "..", "/", "\0"]
    ),
    st.sampled_from([[], {}, [1], [[1, 2]], {"column": "label"}, {"field": "keypoint"}, {"tuple": []}, {"dict": []}]),
    st.sampled_from([{"value": None}, {"value": {"int": "0x10"}}, {"dict": [["a", {"column": "label"}]]}]),
)


@st.composite
def changed_json(draw: st.DrawFn, node: Any) -> Any:
    """JSON with one to three of its values replaced, removed or exchanged."""
    node = copy.deepcopy(node)
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(node))
        path = draw(st.sampled_from(found))
        parent = node
        for key in path[:-1]:
            parent = parent[key]
        how = draw(st.sampled_from(["replace", "replace", "remove", "copy"]))
        if how == "remove":
            del parent[path[-1]]
        elif how == "copy":
            other = draw(st.sampled_from(found))
            value = node
            for key in other:
                try:
                    value = value[key]
                except (KeyError, IndexError, TypeError):
                    break
            parent[path[-1]] = copy.deepcopy(value)
        else:
            parent[path[-1]] = copy.deepcopy(draw(small_json))  # the same object twice would make a cycle
        if not list(places(node)):
            break
    return node


BASE = made("default")
ROOT = json.loads(BASE["zarr.json"])


@settings(max_examples=150)
@given(changed_json(ROOT))
def test_a_root_that_lies_is_an_error_of_ours_or_harmless(root: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check_free_reading(lay_out(Path(folder), sign(BASE, root)))


@settings(max_examples=80)
@given(changed_json(json.loads(BASE["keypoint/zarr.json"])))
def test_array_metadata_that_lies_is_an_error_of_ours_or_harmless(node: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check_free_reading(lay_out(Path(folder), sign(BASE | {"keypoint/zarr.json": json.dumps(node).encode()}, ROOT)))


@settings(max_examples=80)
@given(changed_json(json.loads(BASE["manifest.json"])))
def test_a_manifest_that_lies_is_an_error_of_ours_or_harmless(node: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check_free_reading(lay_out(Path(folder), sign_root(BASE | {"manifest.json": json.dumps(node).encode()}, ROOT)))


odd_integers = st.sampled_from(
    [-1, 0, 1, 3, 8, 9, 10, 50, 2**20, 2**31 - 1, 2**31, 2**33, 2**40, 2**62, 2**63 - 1, -(2**63)]
)


@settings(max_examples=200)
@given(
    data=st.data(), key=st.sampled_from(["videos.arrow", "videos.arrow", "videos.arrow", "names.arrow", "splits.arrow"])
)
def test_a_table_that_lies_is_an_error_of_ours_or_harmless(data: st.DataObject, key: str) -> None:
    table = pa.ipc.open_file(BASE[key]).read_all()
    for _ in range(data.draw(st.integers(1, 3))):
        number = data.draw(st.integers(0, table.num_columns - 1))
        name, kind = table.column_names[number], table.schema.field(number).type
        how = data.draw(st.sampled_from(["cell", "cell", "cell", "null", "type", "drop", "twice", "rows"]))
        cells = table[number].to_pylist()
        at = data.draw(st.integers(0, max(len(cells) - 1, 0)))
        if how == "cell" and cells:
            if pa.types.is_integer(kind):
                bounds = np.iinfo(numpy_dtype(kind))
                cells[at] = max(int(bounds.min), min(int(bounds.max), data.draw(odd_integers)))
            elif pa.types.is_large_string(kind):
                cells[at] = data.draw(
                    st.sampled_from(["", "x", "[", "{}", '{"dict":[]}', '{"numpy":["O","00"]}', "null", "[1]"])
                )
            table = table.set_column(number, name, pa.array(cells, kind))
        elif how == "null" and cells:
            cells[at] = None
            table = table.set_column(number, name, pa.array(cells, kind))
        elif how == "type":
            other = data.draw(
                st.sampled_from([pa.int8(), pa.float64(), pa.utf8(), pa.large_binary(), pa.list_(pa.int64())])
            )
            table = table.set_column(number, name, pa.nulls(len(cells), other))
        elif how == "drop" and table.num_columns > 1:
            table = table.remove_column(number)
        elif how == "twice":
            table = table.append_column(name, table[number])
        elif how == "rows":
            table = table.slice(0, at) if data.draw(st.booleans()) else pa.concat_tables([table, table])
    with tempfile.TemporaryDirectory() as folder:
        check_free_reading(lay_out(Path(folder), sign(BASE | {key: table_bytes(table)}, ROOT)))


@pytest.mark.parametrize(
    "data", [b"", b"ARROW1", b"ARROW1\0\0" * 9, b"x" * 1000, b"ARROW1\0\0" + bytes(500) + b"ARROW1"]
)
@pytest.mark.parametrize("key", ["videos.arrow", "names.arrow", "splits.arrow"])
def test_a_signed_file_that_is_not_a_table_is_a_store_error(tmp_path: Path, key: str, data: bytes) -> None:
    check_free_reading(lay_out(tmp_path, sign(BASE | {key: data}, ROOT)))
    assert any(key in problem for problem in verify(tmp_path / "a.zarr"))

    def read_all() -> object:
        store = skelstore.open(tmp_path / "a.zarr")
        return store["v0"], store.splits

    with pytest.raises(skelstore.StoreError, match=key):
        read_all()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc, which has the memory in use")
def test_hostile_stores_are_refused_in_little_time_and_memory() -> None:
    done = run_module("tests.support.hostile_stores")
    reports = [json.loads(line) for line in done.splitlines()]
    assert len(reports) > 200
    for report in reports:
        assert not report["finding"], report
        assert report["seconds"] < 10, report
        assert report["peak"] < (100 << 20) + 20 * report["bytes"], report
        for sentence in report["said"]:
            assert sentence.startswith(("PATH/", "'PATH/")), sentence
            assert len(sentence) < 1000, sentence
    # No errors: options that matter only for writing, signed chunks that blosc accepts, files without a video, and JSON
    # that is nested deeply but not too deeply.
    silent = ("blosc with", "a blosc", "a file named", "a shard named", "90 ", "150 ", "a long int", "500,000 nulls")
    for report in reports:
        assert report["said"] or report["title"].startswith(silent)


def run_module(module: str, *arguments: str) -> str:
    """Run a module in another process, which may be killed by its input; return its output."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, f"{done.returncode}: {done.stderr[-2000:]}"
    return done.stdout


@pytest.mark.slow
def test_flipped_bits_in_signed_tables_are_errors_of_ours_and_no_signal() -> None:
    assert 1000 < int(run_module("tests.support.flipped_tables", "6000")) < 5000


def test_a_buffer_that_is_longer_than_its_values() -> None:
    """Longer also by a fraction of a value, which Arrow allows and NumPy does not accept."""
    expected = np.arange(9, dtype="<i4")
    column = pa.Array.from_buffers(pa.int32(), 9, [None, pa.py_buffer(expected.tobytes() + b"odd")])
    table = pa.table({"a": column})
    table.validate(full=True)
    assert_exact(numeric_column(table, "a", pa.int32()), expected)
    assert_exact(numeric_column(table.slice(2, 3), "a", pa.int32()), expected[2:5])


@pytest.mark.parametrize("column", ["name", "ids"])
def test_a_split_without_a_name_or_ids_is_a_store_error(tmp_path: Path, column: str) -> None:
    table = pa.ipc.open_file(BASE["splits.arrow"]).read_all()
    number = table.column_names.index(column)
    cells = table[number].to_pylist()
    cells[0] = None
    table = table.set_column(number, column, pa.array(cells, table.schema.field(column).type))
    path = lay_out(tmp_path, sign(BASE | {"splits.arrow": table_bytes(table)}, ROOT))
    assert any("splits.arrow" in problem for problem in verify(path))
    store = skelstore.open(path)
    with pytest.raises(skelstore.StoreError, match=r"splits\.arrow"):
        store.split("train")


def test_rows_beyond_the_array_are_reported(tmp_path: Path) -> None:
    table = pa.ipc.open_file(BASE["videos.arrow"]).read_all()
    number = table.column_names.index("keypoint.row")
    rows = table["keypoint.row"].to_pylist()
    for wrong in (10**6, -1, 2**62):
        rows[2] = wrong
        changed = table.set_column(number, "keypoint.row", pa.array(rows, pa.int64()))
        shutil.rmtree(tmp_path / "a.zarr", ignore_errors=True)
        path = lay_out(tmp_path, sign(BASE | {"videos.arrow": table_bytes(changed)}, ROOT))
        assert any("videos.arrow" in problem for problem in verify(path))
        with pytest.raises(skelstore.StoreError, match=r"videos\.arrow.*keypoint"):
            skelstore.open(path)[2]


@pytest.mark.parametrize("dims", [(2**62, 0), (0, 2**60), (0, 2**63 - 1)])
def test_an_array_without_rows_and_with_axes_too_long_is_reported(tmp_path: Path, dims: tuple[int, int]) -> None:
    table = pa.ipc.open_file(BASE["videos.arrow"]).read_all()
    for axis, length in enumerate(dims):
        number = table.column_names.index(f"keypoint.dim{axis}")
        cells = table[number].to_pylist()
        cells[2] = length
        table = table.set_column(number, f"keypoint.dim{axis}", pa.array(cells, pa.int64()))
    path = lay_out(tmp_path, sign(BASE | {"videos.arrow": table_bytes(table)}, ROOT))
    with pytest.raises(skelstore.StoreError, match=r"videos\.arrow has lengths of keypoint that no array can have"):
        skelstore.open(path)


def with_notes(folder: Path, first: Any, notes: pa.Array) -> Path:
    """A store of two videos, both written with the note ``first``, with other cells in that column."""
    path = write(folder / "a.zarr", [{"note": first, "keypoint": np.zeros((1, 2, 5, 2))}] * 2)
    files = {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}
    table = pa.ipc.open_file(files["videos.arrow"]).read_all()
    table = table.set_column(table.column_names.index("note"), "note", notes)
    shutil.rmtree(path)
    return lay_out(folder, sign(files | {"videos.arrow": table_bytes(table)}, json.loads(files["zarr.json"])))


@pytest.mark.parametrize("hidden", [b"", b"d", b"\xff"])
def test_a_null_cell_that_a_layout_asks_for(tmp_path: Path, hidden: bytes) -> None:
    """A null cell may have bytes, which Arrow ignores."""
    ends = np.array([0, 1, 1 + len(hidden)])
    buffers = [pa.py_buffer(b"\1"), pa.py_buffer(ends.tobytes()), pa.py_buffer(b"b" + hidden)]
    path = with_notes(tmp_path, "b", pa.Array.from_buffers(pa.large_utf8(), 2, buffers))
    if hidden == b"\xff":
        with pytest.raises(skelstore.StoreError, match=r"'note' .* has cells that are not text"):
            skelstore.open(path)
    else:
        assert skelstore.open(path)[1]["note"] == hidden.decode()


@pytest.mark.parametrize("cell", [b"[", b'{"int": 1}'])
def test_a_cell_that_is_not_json_is_reported_with_its_video(tmp_path: Path, cell: bytes) -> None:
    store = skelstore.open(with_notes(tmp_path, ["a"], pa.array(['["a"]', cell.decode()], pa.large_utf8())))
    reads: list[Callable[[], Any]] = [
        lambda: store[1],
        lambda: store.read_one(1),
        lambda: store.read_one(1, frames=[0]),
        lambda: store.lazy(1)["note"],
    ]
    for read in reads:
        with pytest.raises(skelstore.StoreError, match=r"a\.zarr/videos\.arrow: video 1: "):
            read()


def test_a_shard_that_is_smaller_than_its_index(tmp_path: Path) -> None:
    key = next(key for key in BASE if key.startswith("keypoint/c."))
    manifest = json.loads(BASE["manifest.json"])
    manifest["files"][key]["size"] = 20
    files = BASE | {key: BASE[key][:20], "manifest.json": json.dumps(manifest).encode()}
    path = lay_out(tmp_path, sign_root(files, ROOT))
    with pytest.raises(
        skelstore.DamageError, match=f"{key} has 20 bytes, fewer than the [0-9]+ that the index of its 3 chunks needs"
    ):
        list(skelstore.open(path))


def test_a_broken_link_is_a_missing_file(tmp_path: Path) -> None:
    path = lay_out(tmp_path, BASE)
    key = next(key for key in BASE if key.startswith("keypoint/c."))
    (path / key).unlink()
    (path / key).symlink_to("nowhere")
    for level in LEVELS:
        assert any(f"{path / key} is missing; the manifest" in problem for problem in verify(path, level=level))


def test_two_videos_that_share_rows_are_reported(tmp_path: Path) -> None:
    table = pa.ipc.open_file(BASE["videos.arrow"]).read_all()
    number = table.column_names.index("keypoint.row")
    rows = table["keypoint.row"].to_pylist()
    rows[2] = rows[1]
    changed = table.set_column(number, "keypoint.row", pa.array(rows, pa.int64()))
    path = lay_out(tmp_path, sign(BASE | {"videos.arrow": table_bytes(changed)}, ROOT))
    assert any("videos 1 and 2 share rows of keypoint" in problem for problem in verify(path))
