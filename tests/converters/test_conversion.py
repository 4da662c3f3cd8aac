"""Converting: any number of processes write the same store, in bounded memory, and never an incomplete one."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import skelstore
from converters import open_source, samples
from converters.conversion import jobs
from converters.conversion.convert import convert_source
from converters.conversion.jobs import Sent
from converters.dialects import bare_list, kinetics, pyskl
from converters.pickles import spans
from skelstore.errors import SourceError, StoreError, StoreExistsError, UnsupportedValueError
from skelstore.format import chunking
from skelstore.write import planning
from tests.support.contracts import check_store
from tests.support.exact import assert_exact
from tests.support.files import tree
from tests.support.processes import run_python
from tests.support.source_contract import dump, load


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pickle of about 150 MB, which is cut into three parts."""
    keypoint = np.random.default_rng(0).integers(0, 2000, (2, 300, 17, 2)).astype("<f2")
    path = tmp_path_factory.mktemp("large") / "a.pkl"
    annotations = ({"frame_dir": f"v{i}", "label": i, "keypoint": keypoint + np.float16(i % 7)} for i in range(3700))
    samples.write_dataset(path, {"train": ["v0", "v3699"]}, annotations)
    assert 140e6 < path.stat().st_size < 170e6
    return path


def test_any_number_of_workers_writes_the_same_store(tmp_path: Path, large: Path) -> None:
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


@pytest.fixture
def in_small_steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Make parts of a few videos, and index sources a few videos at a time.

    Returns the list of the numbers of videos that were known whenever the source was sent to the workers.
    """
    monkeypatch.setattr(chunking, "PART_BYTES", 20_000)
    monkeypatch.setattr(planning, "SAMPLE_VIDEOS", 2)
    monkeypatch.setattr(spans, "GROWTH_BYTES", 5_000)
    known: list[int] = []
    send = jobs.send

    def recording(sent: Any, folder: Path) -> Sent:
        known.append(sent[0].indexed)
        return send(sent, folder)

    monkeypatch.setattr(jobs, "send", recording)
    return known


def clips(count: int) -> list[dict[str, Any]]:
    keypoint = np.zeros((1, 50, 17, 2), "<f2")
    return [{"frame_dir": f"v{i}", "keypoint": keypoint + np.float16(i)} for i in range(count)]


@pytest.mark.parametrize("order", [["split", "annotations"], ["annotations", "split"], ["annotations"]])
def test_workers_begin_before_all_of_a_pickle_is_known(
    tmp_path: Path, in_small_steps: list[int], order: list[str]
) -> None:
    annotations = clips(3000)  # picklers write a thousand at a time
    top = {"split": {"train": [one["frame_dir"] for one in annotations[::2]]}, "annotations": annotations}
    path = tmp_path / "a.pkl"
    dump(path, {key: top[key] for key in order})
    pyskl.convert(path, tmp_path / "2.zarr", workers=2)
    assert in_small_steps == [1999, 2999, 3000]
    pyskl.convert(path, tmp_path / "1.zarr", workers=1)
    assert tree(tmp_path / "1.zarr") == tree(tmp_path / "2.zarr")
    with skelstore.open(tmp_path / "2.zarr") as store:
        assert_exact(list(store), annotations)
        assert_exact(store.splits, top["split"] if "split" in order else {})


def test_workers_begin_before_all_of_kinetics_is_known(tmp_path: Path, in_small_steps: list[int]) -> None:
    samples.write_samples(tmp_path, videos=60, videos_a_file=10)
    toc, kpfiles = tmp_path / "k400/k400_hrnet.pkl", tmp_path / "k400/kpfiles"
    kinetics.convert(toc, tmp_path / "2.zarr", kpfiles=kpfiles, workers=2)
    assert in_small_steps == sorted(set(in_small_steps))
    assert len(in_small_steps) > 3
    kinetics.convert(toc, tmp_path / "1.zarr", kpfiles=kpfiles, workers=1)
    assert tree(tmp_path / "1.zarr") == tree(tmp_path / "2.zarr")
    last = load(toc)["annotations"][-1]["frame_dir"]
    file = max(kpfiles.iterdir())
    dump(file, {name: value for name, value in load(file).items() if name != last})
    with pytest.raises(SourceError, match=rf"the skeletons of 1 of 60 videos are missing(?s:.*){last}"):
        kinetics.convert(toc, tmp_path / "3.zarr", kpfiles=kpfiles, workers=2)
    assert sorted(os.listdir(tmp_path))[:2] == ["1.zarr", "2.zarr"]
    assert not list(tmp_path.glob("3*"))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.usefixtures("in_small_steps")
def test_a_pickle_that_is_damaged_after_the_indexed_part(tmp_path: Path, workers: int) -> None:
    """It is reported as usual, with the place; nothing is left."""
    path = dump(tmp_path / "a.pkl", clips(1200))
    data = path.read_bytes()
    for damaged, message in (
        (data[:-40], "cut short"),
        (data[:-1] + b"\x85.", "a tuple"),
        (data + b".", "1 byte follows"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(SourceError, match=rf"a\.pkl.*{message}"):
            convert_source(open_source(path), tmp_path / "a.zarr", workers=workers)
        assert os.listdir(tmp_path) == ["a.pkl"]


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
    done = run_python(MEASURED, large, tmp_path / "a.zarr", check=True)
    assert int(done.stdout) < 150_000, "kB above what the imports take"


def test_an_existing_destination(tmp_path: Path) -> None:
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


def test_a_stopped_conversion_leaves_nothing(tmp_path: Path) -> None:
    path = dump(tmp_path / "a.pkl", samples.ntu_like(3))

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pyskl.convert(path, tmp_path / "a.zarr", workers=1, advance=stop)
    assert os.listdir(tmp_path) == ["a.pkl"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_conversion_ends_after_enough_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    """No more parts are written for a store that cannot be completed."""
    monkeypatch.setattr(chunking, "PART_BYTES", 8_000)
    keypoint = np.zeros((1, 50, 17, 2), "<f2")
    path = dump(tmp_path / "a.pkl", [{"keypoint": keypoint + i, "bad": {1}} for i in range(90)])
    done: list[int] = []
    with pytest.raises(UnsupportedValueError) as caught:
        bare_list.convert(path, tmp_path / "a.zarr", workers=workers, advance=done.append)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert re.search(r"\(and 19 more like it: \[\d+\], \[\d+\], \[\d+\], …\)", lines[0])
    assert lines[-1] == "… and perhaps more after these 20"
    assert 20 <= sum(done) < 40
    assert os.listdir(tmp_path) == ["a.pkl"]


@pytest.mark.parametrize("workers", [1, 2])
def test_values_beside_the_videos_that_cannot_be_stored_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """They are reported after problems of the videos, although with several workers they are found earlier."""
    monkeypatch.setattr(chunking, "PART_BYTES", 8_000)
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


def test_an_empty_source_converts_to_an_empty_store(tmp_path: Path) -> None:
    bare_list.convert(dump(tmp_path / "a.pkl", []), tmp_path / "a.zarr")
    with skelstore.open(tmp_path / "a.zarr") as store:
        check_store(store, [], {})


def test_a_source_that_changes_meanwhile_is_reported(tmp_path: Path) -> None:
    path = dump(tmp_path / "a.pkl", samples.ntu_like(3))
    source = open_source(path)
    source.close()
    dump(path, samples.ntu_like(2))
    with pytest.raises((SourceError, TypeError), match=r"a\.pkl"):
        convert_source(source, tmp_path / "a.zarr", workers=1)
    source.close()
    assert os.listdir(tmp_path) == ["a.pkl"]
