"""Converting: any number of processes give the same store, in bounded memory, and nothing half-made stands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import skelstore
from converters import bare_list, open_source, pyskl, samples
from converters.conversion import convert_source
from skelstore import layout
from skelstore.errors import SourceError, StoreError, StoreExistsError, UnsupportedValueError
from tests.contracts import check_store
from tests.source_contract import dump, load


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pickle of about 150 MB, which is cut into three parts."""
    keypoint = np.random.default_rng(0).integers(0, 2000, (2, 300, 17, 2)).astype("<f2")
    path = tmp_path_factory.mktemp("large") / "a.pkl"
    annotations = ({"frame_dir": f"v{i}", "label": i, "keypoint": keypoint + np.float16(i % 7)} for i in range(3700))
    samples.write_dataset(path, {"train": ["v0", "v3699"]}, annotations)
    assert 140e6 < path.stat().st_size < 170e6
    return path


def test_any_number_of_workers_gives_the_same_store(tmp_path: Path, large: Path) -> None:
    calls: dict[int, list[int]] = {1: [], 2: []}
    for workers in (1, 2):
        out = tmp_path / f"{workers}.zarr"
        pyskl.convert(large, out, workers=workers, profile="fast", advance=calls[workers].append)
    one, two = tree(tmp_path / "1.zarr"), tree(tmp_path / "2.zarr")
    assert sorted(one) == sorted(two)
    assert [name for name in one if one[name] != two[name]] == []
    assert sum(calls[1]) == sum(calls[2]) == 3700
    assert len(calls[2]) >= 2, "it was not cut into parts"
    assert sorted(os.listdir(tmp_path)) == ["1.zarr", "2.zarr"]


MEASURED = """
import sys
from converters import pyskl
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
before = peak()
pyskl.convert(sys.argv[1], sys.argv[2], workers=1)
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_memory_does_not_grow_with_the_file(tmp_path: Path, large: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, large, tmp_path / "a.zarr"], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 150_000, "kB above what the imports take"


def test_a_taken_destination(tmp_path: Path) -> None:
    path = dump(tmp_path / "a.pkl", samples.ntu_like(3))
    out = tmp_path / "out.zarr"
    pyskl.convert(path, out, workers=1)
    before = tree(out)
    with pytest.raises(StoreExistsError, match="--force"):
        pyskl.convert(path, out, workers=1)
    assert tree(out) == before
    bad = dump(tmp_path / "b.pkl", [{"a": {1}}])
    with pytest.raises(TypeError):
        bare_list.convert(bad, out, workers=1, force=True)
    assert tree(out) == before, "a conversion that fails replaces nothing"
    good = dump(tmp_path / "b.pkl", [{"a": 1}])
    bare_list.convert(good, out, workers=1, force=True)
    with skelstore.open(out) as store:
        check_store(store, [{"a": 1}], {})
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreExistsError, match="is not a store"):
        bare_list.convert(good, tmp_path / "folder", force=True)
    with pytest.raises(StoreError, match="is not a folder: make it"):
        bare_list.convert(good, tmp_path / "no" / "a.zarr")
    with pytest.raises(StoreError, match="expected one of"):
        bare_list.convert(good, tmp_path / "x.zarr", profile="tiny")  # type: ignore[typeddict-item]
    assert sorted(os.listdir(tmp_path)) == ["a.pkl", "b.pkl", "folder", "out.zarr"]


def test_what_stops_a_conversion_leaves_nothing(tmp_path: Path) -> None:
    path = dump(tmp_path / "a.pkl", samples.ntu_like(3))

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pyskl.convert(path, tmp_path / "a.zarr", workers=1, advance=stop)
    assert os.listdir(tmp_path) == ["a.pkl"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_conversion_that_has_told_enough_problems_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """No more parts are written for a store that cannot come to be."""
    monkeypatch.setattr(layout, "PART_BYTES", 8_000)
    keypoint = np.zeros((1, 50, 17, 2), "<f2")
    path = dump(tmp_path / "a.pkl", [{"keypoint": keypoint + i, "bad": {1}} for i in range(90)])
    done: list[int] = []
    with pytest.raises(UnsupportedValueError) as caught:
        bare_list.convert(path, tmp_path / "a.zarr", workers=workers, advance=done.append)
    lines = str(caught.value).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "… and perhaps more after these 20"
    assert 20 <= sum(done) < 40
    assert os.listdir(tmp_path) == ["a.pkl"]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_cannot_be_stored_beside_the_videos_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """After what is wrong with the videos, though with several workers it is found before."""
    monkeypatch.setattr(layout, "PART_BYTES", 8_000)
    annotations: list[dict[str, object]] = [{"keypoint": np.zeros((1, 50, 17, 2), "<f2")} for _ in range(9)]
    top = {"split": {}, "annotations": annotations, "about": [{1}]}
    path = dump(tmp_path / "a.pkl", top)
    with pytest.raises(UnsupportedValueError, match=r"a\.pkl: 'about'\[0\]"):
        pyskl.convert(path, tmp_path / "a.zarr", workers=workers)
    annotations[8]["bad"] = {2}
    dump(path, top)
    with pytest.raises(UnsupportedValueError, match=r"a\.pkl: annotations\[8\]\.bad"):
        pyskl.convert(path, tmp_path / "a.zarr", workers=workers)
    assert os.listdir(tmp_path) == ["a.pkl"]


def test_a_store_of_the_samples_passes_the_contract(tmp_path: Path) -> None:
    path = dump(tmp_path / "a.pkl", samples.ntu_like(5))
    pyskl.convert(path, tmp_path / "a.zarr")
    data = load(path)
    with skelstore.open(tmp_path / "a.zarr") as store:
        check_store(store, data["annotations"], data["split"])


def test_nothing_converts_to_an_empty_store(tmp_path: Path) -> None:
    bare_list.convert(dump(tmp_path / "a.pkl", []), tmp_path / "a.zarr")
    with skelstore.open(tmp_path / "a.zarr") as store:
        check_store(store, [], {})


def test_a_source_that_changes_meanwhile_is_told(tmp_path: Path) -> None:
    path = dump(tmp_path / "a.pkl", samples.ntu_like(3))
    source = open_source(path)
    source.close()
    dump(path, samples.ntu_like(2))
    with pytest.raises((SourceError, TypeError), match=r"a\.pkl"):
        convert_source(source, tmp_path / "a.zarr", workers=1)
    source.close()
    assert os.listdir(tmp_path) == ["a.pkl"]
