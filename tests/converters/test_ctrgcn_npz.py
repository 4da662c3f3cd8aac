"""From raw NTU RGB+D to the .npz that CTR-GCN trains on: equal in every byte to what its scripts would have saved."""

from __future__ import annotations

import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import converters
import skelstore
from converters.conversion.convert import convert_source
from converters.dialects import ntu
from converters.dialects.ntu.raw_store import RawStore
from converters.inputs.ntu_names import Task
from tests.support import ctrgcn_reference, ntu_reference
from tests.support.exact import assert_exact
from tests.support.gcn_arrays import members
from tests.support.ntu_files import crowd_file
from tests.support.source_contract import dump

Frames = list[ntu_reference.Frame]
BENCHMARKS: list[tuple[Task, str]] = [("ntu60", "xsub"), ("ntu60", "xview"), ("ntu120", "xsub"), ("ntu120", "xset")]
ACTIONS = {"ntu60": 60, "ntu120": 120}


@pytest.fixture(scope="module")
def crowds() -> dict[str, bytes]:
    """Files of one to many bodies, by the names of their samples: of any setup, camera, subject and action."""
    random = np.random.default_rng(3)
    files = {}
    for seed in range(36):
        setup, camera, subject = random.integers(1, 33), random.integers(1, 4), random.integers(1, 41)
        files[f"S{setup:03d}C{camera:03d}P{subject:03d}R001A{random.integers(1, 61):03d}"] = crowd_file(seed)
    return files


def write_crowds(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, data in files.items():
        (folder / f"{name}.skeleton").write_bytes(data)
    return folder


def saved(path: Path, files: dict[str, Frames], task: Task, benchmark: str) -> Path:
    """The file of ``numpy.savez`` with the rows and labels that the reference makes, in the order of its splits."""
    rows = {}
    for name in sorted(files):
        with suppress(ntu_reference.UpstreamFails):
            rows[name] = ctrgcn_reference.row(files[name], task)
    assert 0 < len(rows) < len(files)
    splits = ctrgcn_reference.splits(list(rows), task)
    longest = max(map(len, rows.values()))
    arrays = {}
    for part, split in (("train", f"{benchmark}_train"), ("test", f"{benchmark}_val")):
        x = np.zeros((len(splits[split]), longest, 150), np.float32)
        y = np.zeros((len(splits[split]), ACTIONS[task]))
        for i, name in enumerate(splits[split]):
            x[i, : len(rows[name])] = rows[name]
            y[i, int(name[-3:]) - 1] = 1
        assert len(x) > 3
        arrays |= {f"x_{part}": x, f"y_{part}": y}
    np.savez(path, **arrays)  # type: ignore[arg-type,unused-ignore]
    return path


@pytest.mark.parametrize(("task", "benchmark"), BENCHMARKS)
def test_the_npz_of_raw_files(tmp_path: Path, crowds: dict[str, bytes], task: Task, benchmark: str) -> None:
    folder = write_crowds(tmp_path / "skeletons", crowds)
    ntu.convert(folder, tmp_path / "raw.zarr", workers=1)
    derived = RawStore(tmp_path / "raw.zarr", recipe="ctrgcn", task=task, skip_broken=True)
    convert_source(derived, tmp_path / "derived.zarr", workers=1)
    ntu.convert(folder, tmp_path / "direct.zarr", recipe="ctrgcn", task=task, skip_broken=True, workers=1)
    frames = {name: ntu_reference.read(data) for name, data in crowds.items()}
    expected = saved(tmp_path / "expected.npz", frames, task, benchmark)
    for name in ("direct", "derived"):
        out = tmp_path / f"{name}.npz"
        with skelstore.open(tmp_path / f"{name}.zarr") as store:
            parts = {"split_train": f"{benchmark}_train", "split_test": f"{benchmark}_val"}
            converters.export(store, out, format="ctrgcn", **parts)
        assert members(out) == members(expected)
        assert [*members(out)] == [*members(expected)]
        with zipfile.ZipFile(out) as ours, zipfile.ZipFile(expected) as theirs:
            assert [(one.date_time, one.compress_type) for one in ours.infolist()] == [
                (one.date_time, one.compress_type) for one in theirs.infolist()
            ]


def test_raw_files_and_a_raw_pickle_in_one_store(tmp_path: Path, crowds: dict[str, bytes]) -> None:
    """Their positions differ in dtype, which a merge must allow; the recipe gives the same as for each store alone."""
    names = sorted(crowds)
    frames = {name: ntu_reference.read(data) for name, data in crowds.items()}
    ntu.convert(write_crowds(tmp_path / "a", {n: crowds[n] for n in names[::2]}), tmp_path / "a.zarr", workers=1)
    pickled: list[Any] = []
    for name in names[1::2]:
        with suppress(ntu_reference.UpstreamFails):
            pickled.append(ctrgcn_reference.pickled(name, frames[name]))
    converters.convert(dump(tmp_path / "raw_skes_data.pkl", pickled), tmp_path / "b.zarr", workers=1)
    both = [tmp_path / "a.zarr", tmp_path / "b.zarr"]
    with pytest.raises(skelstore.MergeError, match="position is float32"):
        skelstore.merge(both, tmp_path / "both.zarr")
    for order in (both, both[::-1]):
        skelstore.merge(order, tmp_path / "both.zarr", allow=["fields"], force=True)
        with pytest.raises(skelstore.SkelstoreError, match=r"has videos of raw_skes_data\.pkl, which lacks"):
            RawStore(tmp_path / "both.zarr", recipe="mmaction2")
        source = RawStore(tmp_path / "both.zarr", recipe="ctrgcn", skip_broken=True)
        convert_source(source, tmp_path / "derived.zarr", workers=1, force=True)
        expected = {}
        for name in names:
            with suppress(ntu_reference.UpstreamFails):
                expected[name] = ctrgcn_reference.keypoint(ctrgcn_reference.row(frames[name], "ntu60"))
        with skelstore.open(tmp_path / "derived.zarr") as store:
            assert_exact({str(store.name(i)): video["keypoint"] for i, video in enumerate(store)}, expected)
            assert_exact(store.splits, ctrgcn_reference.splits([*expected], "ntu60"))
