"""A subset: exactly the videos of a view, in a new store, with their part of the splits."""

from __future__ import annotations

import errno
import os
import pickle
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import skelstore
from skelstore import DamageError, StoreError, StoreExistsError
from skelstore.combine import merging
from skelstore.format import chunking
from skelstore.format.codecs import PROFILES, Profile
from skelstore.read.verification import verify
from skelstore.write import parts
from tests.support import strategies
from tests.support.contracts import check_store, is_hashable, write
from tests.support.exact import assert_exact
from tests.support.other_readers import check_by_zarr_python


def copied(one: Any) -> Any:
    """A copy of an id: NaN is equal to no value, but Python finds the same object in a set.

    Text is returned as it is: a copy of ``numpy.str_`` that ends in NUL is shorter.
    """
    return one if isinstance(one, str) else pickle.loads(pickle.dumps(one))


def cut_by_hand(dataset: strategies.Dataset, chosen: list[int]) -> dict[Any, Any]:
    """Splits with the ids of the chosen videos, by the key that PYSKL uses."""
    key = "filename" if dataset.annotations and "filename" in dataset.annotations[0] else "frame_dir"
    left = [dataset.annotations[i][key] for i in chosen if key in dataset.annotations[i]]
    names = {name for name in left if is_hashable(name)}
    splits = {}
    for split, ids in dataset.splits.items():
        kept = [one for one in ids if is_hashable(one) and copied(one) in names]
        if kept:
            splits[split] = np.array(kept, ids.dtype) if isinstance(ids, np.ndarray) else type(ids)(kept)
    return splits


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
@settings(max_examples=25)
@given(dataset=strategies.datasets(), data=st.data(), part=st.sampled_from([300, chunking.PART_BYTES]))
def test_a_subset_is_the_videos_of_the_view(
    profile: Profile, dataset: strategies.Dataset, data: st.DataObject, part: int
) -> None:
    count = len(dataset.annotations)
    chosen = data.draw(st.lists(st.integers(0, count - 1), max_size=count, unique=True) if count else st.just([]))
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(chunking, "PART_BYTES", part)
        path = write(Path(folder) / "a.zarr", *dataset, profile=profile)
        view = skelstore.open(path).at(chosen)
        if chosen and dataset.splits and ("filename" in view.lazy(0)) != ("filename" in dataset.annotations[0]):
            with pytest.raises(StoreError, match="its splits name videos by"):
                skelstore.subset(view, Path(folder) / "some.zarr")
            view = view.at([])
            chosen = []
        done: list[int] = []
        skelstore.subset(view, Path(folder) / "some.zarr", advance=done.append)
        store = skelstore.open(Path(folder) / "some.zarr")
        annotations = [dataset.annotations[i] for i in chosen]
        assert_exact(list(store), annotations)
        assert_exact(store.splits, cut_by_hand(dataset, chosen))
        assert store.profile == profile
        assert sum(done) == len(chosen)
        assert verify(store.path, level="decode") == []
        check_by_zarr_python(store.path, annotations)


def video(number: int) -> dict[str, Any]:
    noise = np.random.default_rng(number)
    return {
        "frame_dir": f"v{number}",
        "label": number % 5,
        "total_frames": 10 + number,
        "keypoint": noise.normal(0, 100, (1, 10 + number, 17, 2)).astype(np.float16),
    }


@pytest.fixture
def store(tmp_path: Path) -> Iterator[skelstore.Store]:
    splits = {"train": [f"v{i}" for i in range(15)], "val": [f"v{i}" for i in range(15, 20)] + ["nobody"], "none": []}
    with skelstore.open(write(tmp_path / "a.zarr", [video(i) for i in range(20)], splits)) as opened:
        yield opened


def test_a_split(tmp_path: Path, store: skelstore.Store) -> None:
    skelstore.subset(store.split("val"), tmp_path / "val.zarr")
    found = skelstore.open(tmp_path / "val.zarr")
    check_store(found, [video(i) for i in range(15, 20)], {"val": [f"v{i}" for i in range(15, 20)]})


def test_an_expression_over_many_parts(tmp_path: Path, store: skelstore.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_VIDEOS", 3)
    skelstore.subset(store.select(pc.field("label") < 4), tmp_path / "few.zarr")
    chosen = [i for i in range(20) if i % 5 < 4]
    splits = {"train": [f"v{i}" for i in chosen if i < 15], "val": [f"v{i}" for i in chosen if i >= 15]}
    check_store(skelstore.open(tmp_path / "few.zarr"), [video(i) for i in chosen], splits)


def test_a_subset_of_a_merge_whose_arrays_stayed_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "RECODED_BYTES", 0)
    a, b = [video(i) for i in range(5)], [video(i) for i in range(60, 70)]
    skelstore.merge([write(tmp_path / "a.zarr", a), write(tmp_path / "b.zarr", b)], tmp_path / "all.zarr")
    whole = skelstore.open(tmp_path / "all.zarr")
    assert len(whole.fields) == 2
    skelstore.subset(whole, tmp_path / "again.zarr")
    again = skelstore.open(tmp_path / "again.zarr")
    assert list(again.fields) == ["keypoint"], "rewritten, they are one array"
    check_store(again, [*a, *b], {})


def test_a_store_is_replaced_by_a_subset_of_itself(tmp_path: Path, store: skelstore.Store) -> None:
    with pytest.raises(StoreExistsError):
        skelstore.subset(store.at([3]), store.path)
    skelstore.subset(store.at([3]), store.path, force=True)
    assert_exact(list(skelstore.open(store.path)), [video(3)])
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_information_about_the_source_is_kept_except_its_size(tmp_path: Path) -> None:
    source = {"dialect": "kinetics", "name": "k.pkl", "size": 3, "left_out": [], "kpfiles": "many", "more": [1]}
    whole = skelstore.open(write(tmp_path / "a.zarr", [video(0), video(1)], source=source))
    skelstore.subset(whole.at([1]), tmp_path / "one.zarr")
    kept = {"dialect": "kinetics", "name": "k.pkl", "kpfiles": "many", "more": [1]}
    assert skelstore.open(tmp_path / "one.zarr").source == kept | {"joints": whole.source["joints"]}
    single = {"dialect": "single", "document": {"annotation": True}}
    whole = skelstore.open(write(tmp_path / "b.zarr", [video(0)], source=single))
    skelstore.subset(whole, tmp_path / "same.zarr")
    assert skelstore.open(tmp_path / "same.zarr").source == single | {"joints": whole.source["joints"]}
    skelstore.subset(whole.at([]), tmp_path / "none.zarr")
    assert skelstore.open(tmp_path / "none.zarr").source == {}
    whole = skelstore.open(write(tmp_path / "c.zarr", [{}], source={"dialect": "single"}))
    skelstore.subset(whole.at([]), tmp_path / "no document.zarr")
    assert skelstore.open(tmp_path / "no document.zarr").source == {}


@pytest.mark.parametrize("first", [{}, {"filename": "a.mp4"}])
def test_splits_that_would_match_nothing(tmp_path: Path, first: dict[str, Any]) -> None:
    """The first video decides which key matches ids, so a subset must not begin with a video that has another one."""
    rest = {} if first else {"filename": "b.mp4"}
    videos = [{"frame_dir": "a", **first}, {"frame_dir": "b", **rest}]
    ids = ["a.mp4"] if first else ["a", "b"]
    whole = skelstore.open(write(tmp_path / "a.zarr", videos, {"train": ids}))
    with pytest.raises(StoreError, match=r"a\.zarr: its splits name videos by .* starts with 'b' videos are found by"):
        skelstore.subset(whole.at([1]), tmp_path / "b.zarr")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]
    skelstore.subset(whole.at([0, 1]), tmp_path / "b.zarr")
    assert len(skelstore.open(tmp_path / "b.zarr").split("train")) == len(ids)
    without = skelstore.open(write(tmp_path / "c.zarr", videos))
    skelstore.subset(without.at([1]), tmp_path / "d.zarr")
    assert_exact(list(skelstore.open(tmp_path / "d.zarr")), videos[1:])


def test_damage_leaves_nothing(tmp_path: Path, store: skelstore.Store) -> None:
    shard = store.path / "keypoint" / "c.0.0.0"
    data = bytearray(shard.read_bytes())
    data[-1000] ^= 1
    shard.write_bytes(data)
    with pytest.raises(DamageError):
        skelstore.subset(store, tmp_path / "b.zarr")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, store: skelstore.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    left = 0
    real = os.fsync

    def full(fd: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(fd)

    monkeypatch.setattr(os, "fsync", full)
    for allowed in range(6):
        left = allowed
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            skelstore.subset(store, tmp_path / "b.zarr")
        assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]
